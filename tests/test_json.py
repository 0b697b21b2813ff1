"""What `--json` prints is what the page of the reference says, key by key; `--quiet` prints nothing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer

from straightedge.cli.app import _register, app
from straightedge.cli.quiet import quietable
from support.bad_inputs import Commands, X, y

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
KINDS = {"number": (int, float), "text": (str,), "list": (list,), "object": (dict,), "none": (type(None),)}
KINDS["boolean"] = (bool,)


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


@pytest.fixture
def two_runs(commands: Commands) -> Commands:
    """Runs `a` and `b` on features, layers of a network, and a function of a student."""
    np.savez(commands.path / "f.npz", X=X, y=y)
    np.save(commands.path / "layers.npy", np.stack([X, 2 * X], axis=1))
    np.save(commands.path / "y.npy", y)
    mine = "from straightedge.course import svm_loss_vectorized as svm_loss\n"
    (commands.path / "mine.py").write_text(mine)
    for run, reg in (("a", "1e-2"), ("b", "1e-1")):
        assert commands.run("fit", "f.npz", "--reg", reg, "--out", run, "--quiet").status == 0
    return commands


ANSWERS = (
    ("compare", "a", "b"),
    ("report", "a"),
    ("export", "a", "--to", "torch"),
    ("layers", "layers.npy", "--labels", "y.npy"),
    ("translate", "--C", "1", "--n", "100"),
    ("translate", "--lambda", "0.1", "--system", "glmnet", "--classes", "3"),
    ("check-gradients", "mine.py:svm_loss"),
    ("check-gradients", "f.npz"),
    ("features", "images", "--extractor", "raw", "--out", "o.npz"),
    ("data", "list"),
    ("data", "fetch", "digits"),
)


@pytest.mark.long
def test_json_of_every_other_command_is_as_documented_and_quiet_ones_say_nothing(two_runs: Commands) -> None:
    two_runs.images()
    for words in ANSWERS:
        section = " ".join(words[:2]) if words[0] == "data" else words[0]
        told = json.loads(two_runs.run(*words, "--json").out)
        for one in told if isinstance(told, list) else [told]:
            check(section, one)
        ended = two_runs.run(*words, "--quiet")
        assert (ended.status, ended.out, ended.err) == (0, "", ""), words
    assert json.loads(two_runs.run("translate", "--C", "1", "--n", "9", "--quiet", "--json").out)["n"] == 9


def test_every_command_has_quiet_and_all_but_bench_have_a_section_of_their_json() -> None:
    _register()
    group: Any = typer.main.get_command(app)
    leaves = {}
    for name, command in group.commands.items():
        for under, leaf in getattr(command, "commands", {"": command}).items():
            leaves[f"{name} {under}".strip()] = {option for one in leaf.params for option in one.opts}
    assert [name for name, options in leaves.items() if not {"--quiet", "--json"} <= options] == []
    assert [name for name in leaves if name != "bench" and not documented(name)] == []


def test_quiet_draws_no_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    seen = []

    def command(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
        seen.append(sys.stderr.isatty())

    quietable(command)(quiet=True)
    quietable(command)(quiet=False)
    assert seen == [False, True]


def test_quiet_prints_nothing_where_all_is_well(commands: Commands) -> None:
    (commands.path / "table.csv").write_text("x,label\n" + "\n".join(f"{k % 7},{k % 2}" for k in range(42)))
    ended = commands.run("fit", "table.csv", "--reg", "1e-2", "--quiet")
    assert (ended.status, ended.out) == (0, "")
    assert list((commands.path / "runs").glob("*/report.html"))
