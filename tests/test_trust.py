"""Nothing that a run's files name is imported unless the user names it too, by whatever command."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from straightedge.cli.app import COMMANDS
from straightedge.features import user_module
from support.bad_inputs import Commands, png

MODULE = "net_of_the_run"
TARGET = f"{MODULE}:Net"
CODE = """
from pathlib import Path
import torch
Path("imported").write_text("yes")

class Net(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)
"""


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr(user_module, "_trusted", set())
    monkeypatch.delenv(user_module.TRUST, raising=False)
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    return Commands(tmp_path, capsys, monkeypatch)


def forget(commands: Commands) -> None:
    """Be a new process of somebody who has written nothing yet and has nothing cached."""
    user_module._trusted.clear()
    sys.modules.pop(MODULE, None)
    (commands.path / "imported").unlink(missing_ok=True)
    shutil.rmtree(commands.path / "cache", ignore_errors=True)


@pytest.fixture
def run(commands: Commands) -> Path:
    """A run on features of a module in the current folder, and the same run as if it had been interrupted."""
    forget(commands)
    (commands.path / f"{MODULE}.py").write_text(CODE, encoding="utf-8")
    for number in range(12):
        folder = commands.path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(number))
    words = ("fit", "images", "--features", f"module:{TARGET}", "--reg", "1", "--out", "run")
    ended = commands.run(*words)
    assert ended.status == 0, ended.err
    assert (commands.path / "imported").exists()
    partial = commands.path / ".other.partial"
    partial.mkdir()
    shutil.copy(commands.path / "run" / "config.json", partial)
    forget(commands)
    return commands.path / "run"


NO_IMPORT: dict[str, list[tuple[str, ...]]] = {
    "fit": [("fit", "--resume", "other"), ("fit", "images", "--resume", "other")],
    "evaluate": [("evaluate", "run", "images")],
    "predict": [("predict", "run", "images")],
    "export": [("export", "run", "--to", "torch"), ("export", "run", "--to", "onnx")],
    "report": [("report", "run")],
    "runs": [("runs", "."), ("runs", ".", "--json")],
    "compare": [("compare", "run", "run")],
    "features": [("features", "images", "--extractor", "raw", "--out", "f.npz")],
    "check-gradients": [("check-gradients", "--source", "run")],
    "layers": [("layers", "run", "--labels", "run/predictions.csv")],
    "data": [("data", "list")],
    "translate": [("translate", "--C", "1", "--n", "100")],
}
WITHOUT_RUNS = {"bench"}  # it reads no file of a run


def test_every_command_is_tried() -> None:
    assert set(NO_IMPORT) | WITHOUT_RUNS == set(COMMANDS)


@pytest.mark.parametrize("command", NO_IMPORT)
def test_no_command_imports_what_a_run_names(commands: Commands, run: Path, command: str) -> None:
    for words in NO_IMPORT[command]:
        ended = commands.run(*words)
        assert not (commands.path / "imported").exists(), words
        assert MODULE not in sys.modules
        if command in {"fit", "evaluate", "predict"}:  # they cannot do without it, and say how to go on
            assert ended.status == 2
            assert "[module-untrusted]" in ended.err
            assert f"{user_module.TRUST}={TARGET}" in ended.err


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_resumed_run_imports_what_the_user_names(
    commands: Commands, run: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: tuple[str, ...] = ("--features", f"module:{TARGET}") if way == "option" else ()
    if way == "environment":
        monkeypatch.setenv(user_module.TRUST, TARGET)
    ended = commands.run("fit", "--resume", "other", *more)
    assert ended.status == 0, ended.err
    assert (commands.path / "imported").exists()


@pytest.mark.parametrize("words", [["--features", "hog"], ["--loss", "svm"], ["--regs", "1,2"]])
def test_an_option_that_is_another_than_the_runs_is_refused(
    commands: Commands, run: Path, words: list[str]
) -> None:
    ended = commands.run("fit", "--resume", "other", *words)
    assert ended.status == 2
    assert "[resume-differs]" in ended.err and f"{words[0].strip('-')}: " in ended.err
    assert not (commands.path / "imported").exists()
    assert (commands.path / ".other.partial" / "config.json").exists()


def test_a_config_cannot_say_that_it_is_trusted(commands: Commands, run: Path) -> None:
    path = commands.path / ".other.partial" / "config.json"
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert "features_trusted" not in config["options"]
    config["options"]["features_trusted"] = True
    path.write_text(json.dumps(config), encoding="utf-8")
    assert "[module-untrusted]" in commands.run("fit", "--resume", "other").err
    assert not (commands.path / "imported").exists()


@pytest.mark.parametrize("options", [{"no_such": 1}, {}, [], None, "x"])
def test_a_config_that_says_nothing_of_the_start_is_refused_by_name(
    commands: Commands, run: Path, options: Any
) -> None:
    path = commands.path / ".other.partial" / "config.json"
    config = json.loads(path.read_text("utf-8")) | {"options": options}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert "[run-damaged]" in commands.run("fit", "--resume", "other").err
