"""``straightedge runs``: what is listed, in which order, and what is opened."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from straightedge.cli.app import _register, app
from straightedge.errors import InputError

JUDGED = {"accuracy": 0.9662, "interval": [0.94, 0.98]}


def write(folder: Path, created: str, metrics: dict | None = None, source: str = "digits") -> None:
    folder.mkdir(parents=True)
    config = {"source": source, "loss": "softmax", "created": created}
    (folder / "config.json").write_text(json.dumps(config))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "report.html").write_text("<p>")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    of = {"reg": 0.0012, "gap": 8e-5, "status": "certified"}
    write(tmp_path / "runs" / "old", "2026-01-01T10:00:00+00:00", of | {"test": JUDGED, "train": JUDGED})
    write(tmp_path / "runs" / "new", "2026-01-02T10:00:00+00:00", of | {"train": JUDGED}, "a\x1b[31m.csv")
    write(tmp_path / "runs" / ".half.partial", "2026-01-03T10:00:00+00:00")
    write(tmp_path / "runs" / ".old.former", "2026-01-03T10:00:00+00:00")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("[1]")
    return tmp_path / "runs"


def run(*words: object) -> str:
    _register()
    result = CliRunner().invoke(app, ["runs", *map(str, words)], env={"COLUMNS": "140"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_runs_are_listed_with_their_answer_and_proof_newest_first(runs: Path) -> None:
    lines = [line.split() for line in run(runs).splitlines() if line.strip()][2:]
    assert [line[0] for line in lines] == ["half", "new", "old", "broken"]
    old = " ".join(lines[2])
    assert old == "old digits softmax 0.0012 0.9662 [0.9400, 0.9800] gap 8e-05, certified 2026-01-01 10:00"
    assert "train" in lines[1]
    assert "unfinished" in lines[0]
    assert "damaged" in lines[3]


def test_names_cannot_colour_the_terminal(runs: Path) -> None:
    assert "\x1b[31m" not in run(runs)


def test_json_is_the_list(runs: Path) -> None:
    found = json.loads(run(runs, "--json"))
    assert [entry["state"] for entry in found] == ["unfinished", "finished", "finished", "damaged"]
    assert found[2]["interval"] == [0.94, 0.98]


def test_open_takes_the_newest_page(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    run(runs, "--open")
    assert opened == [(runs / "new" / "report.html").resolve().as_uri()]


def test_a_folder_that_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runs-missing"):
        run(tmp_path / "nowhere")
    assert "straightedge fit SOURCE" in run(tmp_path)
