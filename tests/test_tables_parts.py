"""Parts of a table encode by their own rows: means, indicators and categories have seen no row that is held out."""

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier
from straightedge.data import load_dataset
from straightedge.fitting import FitSettings
from straightedge.selection import cross_validate
from straightedge.splits import fold_of_rows, hold_out
from straightedge.training import TrainingRows
from straightedge.workflow import FitOptions, run_fit
from test_tables_columns import write

N, FOLDS, REGS = 90, 3, [0.3, 0.03]
CITIES = ["oslo", "rome", "lima", "bonn", "turin", "graz"]


def cells() -> dict[str, np.ndarray]:
    """Return raw columns: numbers that are partly missing, and categories of which some are rare."""
    draw = np.random.default_rng(0)
    age = draw.integers(18, 90, N).astype(float)
    age[draw.random(N) < 0.15] = np.nan
    city = draw.choice(CITIES, N, p=[0.35, 0.3, 0.15, 0.08, 0.07, 0.05]).astype(object)
    city[draw.random(N) < 0.05] = None
    columns = {"age": age, "city": city, "height": draw.normal(170, 10, N).round(1)}
    return columns | {"label": draw.choice(["no", "yes"], N)}


def spoiled(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns with far, missing and new cells in some rows."""
    found = {name: values.copy() for name, values in columns.items()}
    found["height"][rows] = 1e4 + np.arange(len(rows))
    found["age"][rows[::2]] = np.nan
    found["city"][rows[::3]], found["city"][rows[1::3]] = "graz", "nowhere"
    return found


def training_of(path, loss: str = "softmax") -> TrainingRows:
    found, settings = load_dataset(str(path)), FitSettings(loss=loss, tol=1e-9)
    return TrainingRows(
        found.train.X, found.train.y, 2, settings, "standardize", table=found.parts, columns=found.columns
    )


@pytest.mark.parametrize(("loss", "ending"), [("softmax", "csv"), ("svm", "parquet")])
def test_raw_cells_that_a_fold_holds_out_change_nothing_of_it(loss, ending, tmp_path):
    columns = cells()
    plain = training_of(write(tmp_path / f"plain.{ending}", columns), loss)
    fold = fold_of_rows(plain.y, FOLDS)
    held_out = np.flatnonzero(fold == 0)
    spoilt, left = held_out[:15], held_out[15:]
    changed = training_of(write(tmp_path / f"changed.{ending}", spoiled(columns, spoilt)), loss)
    assert changed.columns != plain.columns  # an encoding of all rows is another one
    one, other = (cross_validate(rows, REGS, fold) for rows in (plain, changed))
    np.testing.assert_allclose(other.fits[0].W, one.fits[0].W, rtol=0, atol=1e-6)
    np.testing.assert_allclose(other.scores[left], one.scores[left], rtol=0, atol=1e-6)
    assert other.fits[1].W.shape != one.fits[1].W.shape  # the other folds were trained on all of that


def test_a_fold_is_a_separate_fit_of_a_table_of_its_rows(tmp_path):
    columns = cells()
    whole = training_of(write(tmp_path / "whole.csv", columns))
    fold = fold_of_rows(whole.y, FOLDS)
    kept = {name: values[fold != 1] for name, values in columns.items()}
    alone = load_dataset(str(write(tmp_path / "alone.csv", kept)))
    part = whole.part(np.flatnonzero(fold != 1))
    assert part.training.columns == alone.columns
    fitted = LinearClassifier(reg=REGS[1], tol=1e-9, preprocess="standardize").fit(alone.train.X, alone.train.y)
    found = cross_validate(whole, REGS, fold)
    wanted = torch.from_numpy(fitted.decision_function(part.training.X[fold == 1]))
    difference = found.scores[fold == 1, 1, 1] - found.scores[fold == 1, 1, 0]
    np.testing.assert_allclose(difference, wanted, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_a_held_out_split_changes_nothing_of_the_path_that_it_judges(tmp_path):
    columns = cells()
    classes, y = np.unique(columns["label"], return_inverse=True)
    held_out = hold_out(y, 0.25, 0)[1]
    paths = []
    for name, table in {"plain": columns, "spoiled": spoiled(columns, held_out)}.items():
        source = str(write(tmp_path / f"{name}.csv", table))
        asked = {"regs": REGS, "validation_size": 0.25, "tol": 1e-8, "progress": False}
        paths.append(run_fit(FitOptions(source, str(tmp_path / name), **asked))["path"])
    for plain, other in zip(*paths, strict=True):
        assert np.isclose(plain["objective"], other["objective"], rtol=1e-6)
    assert len(classes) == 2


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_a_model_that_is_not_fitted_again_keeps_the_columns_of_its_own_rows(tmp_path):
    columns, source = cells(), str(tmp_path / "table.csv")
    write(tmp_path / "table.csv", columns)
    asked = {"solver": "sgd", "search": True, "regs": REGS, "epochs": 2, "progress": False}
    metrics = run_fit(FitOptions(source, str(tmp_path / "run"), **asked))
    missing = {row["name"]: row["missing"] for row in metrics["columns"]}
    assert missing["age"] < np.isnan(columns["age"]).sum()  # counted in its training rows alone
    assert metrics["train"]["n"] == N - metrics["validation"]["n"]
