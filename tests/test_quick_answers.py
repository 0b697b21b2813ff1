"""A wrong path, option or file is answered before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import straightedge

PROGRAM = """
import sys
from straightedge.cli.app import main
try:
    main()
except SystemExit as end:
    heavy = {"torch", "sklearn", "numba", "scipy", "pandas", "pyarrow", "numpy", "rich"}
    print("status", end.code, sorted(heavy & sys.modules.keys()))
"""


def answer(*words: str | Path, folder: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("fit", "nosuch.csv"), "source-missing"),
        (("fit", "x.xyz"), "source-kind"),
        (("fit", "x.joblib"), "pickle-refused"),
        (("evaluate", "norun", "digits"), "model-missing"),
        (("evaluate", ".", "nosuch"), "source-missing"),
        (("predict", "norun", "a.png"), "model-missing"),
        (("predict", ".", "nosuch.png"), "path-missing"),
        (("runs", "norun"), "runs-missing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_wrong_path_is_answered_before_numpy_is_imported(
    words: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    (tmp_path / "x.xyz").write_bytes(b"hello")
    (tmp_path / "x.joblib").write_bytes(b"hello")
    out, err = answer(*words, folder=tmp_path)
    assert f"[{code}]" in err
    assert out.strip() == "status 2 []"


def test_a_wrong_option_and_a_wrong_command_are_answered_in_a_line(tmp_path: Path) -> None:
    for words, said in ((("fit", "digits", "--regg", "1"), "No such option"), (("fitt",), "'fit'")):
        out, err = answer(*words, folder=tmp_path)
        assert said in err
        assert out.strip() == "status 2 []"


def test_the_version(tmp_path: Path) -> None:
    out, _ = answer("--version", folder=tmp_path)
    assert out.splitlines()[0] == f"straightedge {straightedge.__version__}"
    assert out.strip().endswith("status 0 []")


def test_a_missing_run_lists_the_runs_there_are(tmp_path: Path) -> None:
    (tmp_path / "runs" / "digits-softmax").mkdir(parents=True)
    (tmp_path / "runs" / "digits-softmax" / "model.safetensors").write_bytes(b"")
    _, err = answer("predict", "runs/digits", "a.png", folder=tmp_path)
    assert "runs here: runs/digits-softmax" in err
