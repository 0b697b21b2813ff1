"""The path of a run: where the least reg of the default grid does best, smaller ones are tried as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from straightedge.runs import RunFolder
from straightedge.workflow import FitOptions, choosing, run_fit

COARSE = [1000.0, 100.0, 10.0]  # far too much for digits


@pytest.fixture
def source(tmp_path: Path) -> str:
    digits = load_digits()
    np.savez(tmp_path / "digits.npz", X=digits.images.astype(np.uint8)[:900, None], y=digits.target[:900])
    return str(tmp_path / "digits.npz")


def test_a_path_goes_on_below_its_edge(source, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "default_grid", lambda scale: COARSE)
    run_fit(FitOptions(source, str(tmp_path / "run"), path=True, suspects=False, progress=False))
    metrics = RunFolder.open(tmp_path / "run").metrics
    tried = [row["reg"] for row in metrics["path"]]
    assert tried[:3] == COARSE and len(tried) in {7, 11}
    assert tried == sorted(tried, reverse=True)
    assert metrics["reg"] < 10 and [row["chosen"] for row in metrics["path"]].count(True) == 1
    assert all(row["status"] == "certified" for row in metrics["path"])


def test_values_that_were_asked_for_stay_as_they_are(source, tmp_path):
    options = FitOptions(source, str(tmp_path / "run"), regs=COARSE, suspects=False, progress=False)
    run_fit(options)
    metrics = RunFolder.open(tmp_path / "run").metrics
    assert [row["reg"] for row in metrics["path"]] == COARSE
    assert any("edge" in note for note in metrics["notes"])
