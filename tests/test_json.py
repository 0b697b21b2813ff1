"""What `--json` prints is what the page of the reference says, key by key; `--quiet` prints nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.bad_inputs import Commands

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
KINDS = {"number": (int, float), "text": (str,), "list": (list,), "object": (dict,), "none": (type(None),)}


def documented(section: str) -> dict[str, str]:
    """Key to kind, from the table of a section."""
    part = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", part, re.MULTILINE))


def check(section: str, found: dict[str, Any]) -> None:
    keys = documented(section)
    assert set(found) <= set(keys), f"{section}: not documented"
    missing = {key for key, kind in keys.items() if "not always" not in kind} - set(found)
    assert not missing, f"{section}: promised"
    for key, value in found.items():
        kinds = [KINDS[word] for word in re.findall(r"\w+", keys[key].split(",")[0]) if word in KINDS]
        assert isinstance(value, tuple(kind for known in kinds for kind in known)), (section, key, value)


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path, capsys, monkeypatch)


def test_json_of_fit_evaluate_predict_runs_and_errors_is_as_documented(commands: Commands) -> None:
    rows = [f"{k % 7},{'ab'[k % 2]},{'yes' if k % 3 else 'no'}" for k in range(60)]
    table = commands.path / "table.csv"
    table.write_text("\n".join(["size,kind,label", *rows]) + "\n")
    for words in (("--reg", "1e-2"), ("--loss", "svm", "--regs", "1e-1,1e-2")):
        told = commands.run("fit", "table.csv", "--labels", "label", "--json", *words).json
        check("fit", told)
        for split in ("train", "validation"):
            check("evaluate", {key: value for key, value in told[split].items() if key != "kind"})
    run = told["run"]
    check("predict", commands.run("predict", run, "table.csv", "--json").json)
    check("evaluate", commands.run("evaluate", run, "table.csv", "--json").json)
    for entry in commands.run("runs", "--json").json:
        check("runs", entry)
    refused = commands.run("fit", "nosuch.csv", "--json")
    check("An error", json.loads(refused.out)["error"])


def test_quiet_prints_nothing_where_all_is_well(commands: Commands) -> None:
    (commands.path / "table.csv").write_text("x,label\n" + "\n".join(f"{k % 7},{k % 2}" for k in range(42)))
    ended = commands.run("fit", "table.csv", "--reg", "1e-2", "--quiet")
    assert (ended.status, ended.out) == (0, "")
    assert list((commands.path / "runs").glob("*/report.html"))
