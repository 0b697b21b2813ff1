"""The package as it is built: what a user installs has every file it needs, and runs away from the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import straightedge

BUILT = os.environ.get("STRAIGHTEDGE_WHEEL") == "1"


def test_the_wheel_is_what_is_tested() -> None:
    if BUILT:
        assert "site-packages" in str(Path(straightedge.__file__))
    assert (Path(straightedge.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_a_fit_from_source_to_page(tmp_path: Path, loss: str) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "straightedge",
        "fit",
        "digits",
        "--loss",
        loss,
        "--no-suspects",
        "--out",
        "run",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert "certified" in page and len(page) > 100_000  # the scripts are inside
    assert {
        "model.safetensors",
        "metrics.json",
        "config.json",
        "trace.csv",
        "predictions.csv",
        "templates.png",
    } <= {entry.name for entry in (tmp_path / "run").iterdir()}


def test_every_public_name_imports() -> None:
    for name in straightedge.__all__:
        assert getattr(straightedge, name) is not None
