"""What is promised of CIFAR-10, held by the command's own engine on the real images. Minutes each: slow tests."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.data import load_dataset
from straightedge.runs import RunFolder
from straightedge.workflow import FitOptions, run_fit

ZIP = Path(os.environ.get("STRAIGHTEDGE_CIFAR10", "../shared/data/cifar10-images.zip"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ZIP.exists(), reason="no CIFAR-10 zip"),
    pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning"),
]


def metrics_of(folder: Path, **change: Any) -> dict[str, Any]:
    options = {"suspects": False, "progress": False} | change
    return run_fit(FitOptions(str(ZIP), str(folder / "run"), **options))


@pytest.mark.parametrize(("loss", "least"), [("svm", 0.37), ("softmax", 0.385)])
def test_search_of_sgd(tmp_path, loss, least):
    found = metrics_of(tmp_path, loss=loss, solver="sgd", search=True)
    assert found["test"]["accuracy"] >= least


def test_path_of_softmax(tmp_path):
    found = metrics_of(tmp_path, path=True)
    assert found["test"]["accuracy"] >= 0.405
    low, high = found["test"]["interval"]
    assert low < found["test"]["accuracy"] < high
    assert found["status"] == "certified"
    assert (tmp_path / "run" / "report.html").stat().st_size < 6 * 2**20


def test_hog(tmp_path):
    assert metrics_of(tmp_path, path=True, features="hog")["test"]["accuracy"] >= 0.50


def test_small_patches(tmp_path):
    assert metrics_of(tmp_path, path=True, features="patches:small")["test"]["accuracy"] >= 0.68


@pytest.mark.parametrize("seed", range(3))
def test_suspects_find_flipped_labels_of_5000_images(tmp_path, seed):
    """2 % of labels flipped: among the first 2 % of suspects at least 5 times as many as by chance."""
    train = load_dataset(str(ZIP), progress=False).train
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(train.n, 5000, replace=False))
    X, y = np.asarray(train.X)[chosen], train.y[chosen].copy()
    flipped = random.choice(5000, 100, replace=False)
    y[flipped] = (y[flipped] + random.integers(1, 10, 100)) % 10
    np.savez(tmp_path / "sample.npz", X=X, y=y)
    run_fit(FitOptions(str(tmp_path / "sample.npz"), str(tmp_path / "run"), progress=False, path=True))
    with (RunFolder.open(tmp_path / "run").path / "suspects.csv").open(newline="") as file:
        first = [int(row["index"]) for row in csv.DictReader(file)][:100]
    hits = np.isin(first, flipped).sum()
    assert len(first) == 100 and hits >= 5 * 0.02 * 100
