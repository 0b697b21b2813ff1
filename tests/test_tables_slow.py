"""Real tables, each by one command, and 10-fold accuracies beside those of scikit-learn on the same folds."""

from pathlib import Path

import pytest
from benchmarks.tabular import LABELS, accuracies, tables_in

from straightedge.workflow import FitOptions, run_fit

SHARED = Path(__file__).parents[2] / "shared"
FOLDERS = [SHARED / "data/tables", SHARED / "cases/data"]
TABLES = tables_in([folder for folder in FOLDERS if folder.is_dir()])

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TABLES, reason="no shared cases"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_every_table_fits_with_one_command(path, tmp_path):
    labels = LABELS.get(path.name)
    found = run_fit(FitOptions(str(path), str(tmp_path / "run"), labels=labels, progress=False, suspects=False))
    judged = found["validation"]
    largest = max(row["n"] for row in judged["per_class"]) / sum(row["n"] for row in judged["per_class"])
    assert found["status"] == "certified" and judged["accuracy"] > largest
    if path.name.startswith("adult"):
        assert judged["accuracy"] >= 0.848


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_ten_fold_accuracy_is_within_scikit_learns_interval(path):
    found = accuracies(path, 10)
    assert found["within"], found
