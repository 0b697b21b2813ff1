"""What a command does not need, it does not import: not for a refusal, nor to use a linear model of rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import straightedge
from straightedge.workflow import FitOptions, run_fit

USES = """
import sys
from straightedge.cli.app import main
for words in (["predict", "run", "rows.npz", "--out", "answers.csv"], ["evaluate", "run", "labelled.npz", "--json"],
              ["report", "run"]):
    sys.argv = ["straightedge", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
    heavy = {"torch", "sklearn", "numba", "scipy", "pandas", "pyarrow", "PIL"} & sys.modules.keys()
    print(words[0], sorted(heavy), file=sys.stderr)
"""
FITS = """
import sys
from straightedge.cli.app import main
sys.argv = ["straightedge", "fit", "rows.svmlight", "--out", "run"]
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {"sklearn", "scipy.stats", "scipy.optimize", "pandas", "pyarrow", "PIL"}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
PROGRAM = """
import sys
import typer
own = {"rich"} & sys.modules.keys()  # of an old typer
from straightedge.cli.app import main
try:
    main()
except SystemExit as end:
    heavy = {"torch", "sklearn", "numba", "scipy", "pandas", "pyarrow", "numpy", "rich"}
    print("status", end.code, sorted(heavy & sys.modules.keys() - own))
"""


def answer(*words: str | Path, folder: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)], capture_output=True, text=True, check=True, cwd=folder
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
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    out, err = answer(*words, folder=tmp_path)
    assert f"[{code}]" in err
    assert out.strip() == "status 2 []"


def test_a_wrong_option_and_a_wrong_command_are_answered_in_a_line(tmp_path: Path) -> None:
    for words, said in ((("fit", "digits", "--regg", "1"), "No such option"), (("fitt",), "'fitt'")):
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


def test_a_linear_model_predicts_is_judged_and_shown_without_torch_and_scipy(tmp_path: Path) -> None:
    """The process below is new; this one has torch, and says what the answers must be."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((120, 4)).astype(np.float32), np.arange(120) % 3
    X[:, 0] += y
    np.savez(tmp_path / "labelled.npz", X=X, y=y)
    np.savez(tmp_path / "rows.npz", X=X)
    run_fit(FitOptions(str(tmp_path / "labelled.npz"), str(tmp_path / "run"), reg=0.1, progress=False))
    (tmp_path / "run" / "report.html").unlink()
    done = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("warning")]
    assert said == ["predict []", "evaluate []", "report []"]
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
    model = straightedge.load(tmp_path / "run")
    table = np.genfromtxt(tmp_path / "answers.csv", delimiter=",", skip_header=1, usecols=(1, 2, 3))
    torch_scores = (torch.from_numpy(X).double() @ model.weight.double() + model.bias).numpy()
    np.testing.assert_array_equal(table[:, 0], torch_scores.argmax(axis=1))
    np.testing.assert_allclose(table[:, 1], torch_scores.max(axis=1), rtol=1e-5, atol=1e-6)


def test_a_fit_of_sparse_rows_imports_what_it_needs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [np.unique(rng.integers(1, 6000, 8)) + 6000 * (k % 2) for k in range(300)]
    lines = [f"{k % 2} " + " ".join(f"{column}:1" for column in row) for k, row in enumerate(rows)]
    (tmp_path / "rows.svmlight").write_text("\n".join(lines) + "\n")
    done = subprocess.run([sys.executable, "-c", FITS], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "[]"
    assert (tmp_path / "run" / "report.html").is_file()
