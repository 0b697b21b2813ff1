"""The test split cannot change the choice: with its labels permuted, a run differs in its test numbers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from straightedge.runs import RunFolder
from straightedge.workflow import FitOptions, run_fit

MAY_DIFFER = {"test", "hardest", "seconds", "path_seconds"}
"""The judgement of the test split, and times."""


def what_must_not(value: Any) -> Any:
    """Return metrics without what may differ."""
    if isinstance(value, dict):
        return {key: what_must_not(part) for key, part in value.items() if key not in MAY_DIFFER}
    if isinstance(value, list):
        return [what_must_not(part) for part in value if not is_of_the_test_split(part)]
    return value


def is_of_the_test_split(note: Any) -> bool:
    """Whether a note is said of the test accuracy itself."""
    return isinstance(note, str) and note.startswith("the test accuracy, ")


def write(folder: Path, order: np.ndarray) -> str:
    """Write digits with a test split whose labels are taken in ``order``, its pixels unchanged."""
    digits = load_digits()
    X, y = digits.images.astype(np.uint8)[:600, None], digits.target[:600]
    source = folder / "digits.npz"
    np.savez(source, X_train=X[:450], y_train=y[:450], X_test=X[450:], y_test=y[450:][order])
    return str(source)


def fitted(folder: Path, order: np.ndarray, change: dict[str, Any]) -> RunFolder:
    folder.mkdir()
    run_fit(FitOptions(write(folder, order), str(folder / "run"), progress=False, **change))
    return RunFolder.open(folder / "run")


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"reg": 1e-2}, id="one value"),
        pytest.param({"path": True, "regs": [1e-4, 1e-3, 1e-2, 1e-1]}, id="path"),
        pytest.param({"path": True, "loss": "svm", "regs": [1e-2, 1e-1]}, id="path of the svm"),
        pytest.param({"regs": [1e-3, 1e-2], "folds": 3, "metric": "log_loss"}, id="folds"),
        pytest.param({"regs": [1e-3, 1e-2, 1e-1], "one_standard_error": True}, id="one standard error"),
        pytest.param({"solver": "sgd", "search": True, "epochs": 2}, id="search of sgd"),
        pytest.param({"protocol": "dinov2"}, id="protocol", marks=pytest.mark.slow),
    ],
)
def test_permuted_test_labels_change_no_choice_and_no_weight(tmp_path: Path, change: dict[str, Any]) -> None:
    as_is = fitted(tmp_path / "as-is", np.arange(150), change)
    permuted = fitted(tmp_path / "permuted", np.random.default_rng(0).permutation(150), change)
    metrics, others = as_is.metrics, permuted.metrics
    assert metrics["test"]["accuracy"] > others["test"]["accuracy"] + 0.5  # the labels did change
    assert what_must_not(metrics) == what_must_not(others)
    model, other_model = as_is.load_model(), permuted.load_model()
    assert torch.equal(model.weight, other_model.weight) and torch.equal(model.bias, other_model.bias)
    assert model.reg == other_model.reg and model.temperature == other_model.temperature
