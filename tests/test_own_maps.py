"""Configurations with maps, row weights and regs of their own in one run: folds standardised by their own rows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from straightedge.design import DenseDesign, OwnMaps
from straightedge.errors import InputError
from straightedge.losses import get_loss
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.solvers.base import Limits, Status, minimize

N, D, C, FOLDS = 300, 6, 3, 3
REGS = (1e-1, 1e-3)


def problem() -> tuple[np.ndarray, Tensor, Tensor, list[AffineMap]]:
    """Return raw bytes, labels, row weights of three folds, and each fold's map, made of its training rows."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % C
    X = np.clip(rng.normal(size=(N, D)) * [1, 3, 9, 20, 2, 5] + 90 + 3 * y[:, None], 0, 255).astype(np.uint8)
    held = torch.arange(N) // (N // FOLDS)
    weights = torch.stack([(held != fold).to(torch.float64) for fold in range(FOLDS)])
    maps = [fit_affine(Rows(X[(held != fold).numpy()]), "standardize", (D,)) for fold in range(FOLDS)]
    return X, torch.from_numpy(y), weights, maps


def together(bias: str, dtype: torch.dtype) -> Objective:
    """Return all folds at all regs, reg by reg, as configurations of one objective."""
    X, y, weights, maps = problem()
    design = OwnMaps(Rows(X), maps * len(REGS), dtype=dtype, workers=1)
    regs, fold = np.repeat(REGS, FOLDS).tolist(), torch.arange(FOLDS).repeat(len(REGS))
    return Objective(design, y, C, get_loss("softmax"), regs, weights=weights, fold=fold, bias=bias)


def apart(fold: int, reg: float, bias: str) -> Objective:
    """Return a fold's training rows as a problem of its own."""
    X, y, weights, maps = problem()
    own = weights[fold] > 0
    rows = Rows(X[own.numpy()])
    design = DenseDesign(rows, maps[fold], dtype=torch.float64, workers=1)
    return Objective(design, y[own], C, get_loss("softmax"), [reg], bias=bias)


def pairs() -> list[tuple[int, float]]:
    return [(fold, reg) for reg in REGS for fold in range(FOLDS)]


@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_a_pass_gives_each_configuration_what_it_has_alone(bias: str) -> None:
    whole = together(bias, torch.float64)
    W = torch.randn(whole.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 10
    found = whole.evaluate(W)
    for k, (fold, reg) in enumerate(pairs()):
        alone = apart(fold, reg, bias).evaluate(W[k : k + 1])
        part = whole.select(torch.tensor([k])).evaluate(W[k : k + 1])
        for name in ("objective", "dual", "gradient", "V"):
            expected = getattr(alone, name)
            torch.testing.assert_close(getattr(found, name)[k : k + 1], expected, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(getattr(part, name), expected, rtol=1e-10, atol=1e-10)


def test_gathered_rows_and_scores_are_those_of_a_configuration() -> None:
    whole = together("penalized", torch.float64)
    W = torch.randn(whole.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    scores = whole.scores(W)
    for k in range(whole.n_configs):
        table = whole.select(torch.tensor([k])).design.table()
        torch.testing.assert_close(scores[:, k], table @ W[k].T)


@pytest.mark.parametrize(
    ("bias", "dtype"),
    [("penalized", torch.float32), ("penalized", torch.float64), ("free", torch.float64)],
    ids=str,
)
def test_folds_in_one_run_are_certified_at_the_answers_of_separate_fits(bias: str, dtype: torch.dtype) -> None:
    whole = together(bias, dtype)
    found = minimize(whole, choose_solver("auto", whole), Limits(1e-6))
    expected = [minimize(apart(*pair, bias), SOLVERS["newton"](), Limits(1e-10)) for pair in pairs()]
    assert found.status == [Status.CERTIFIED] * len(expected)
    for k, one in enumerate(expected):
        assert float(found.objective[k]) == pytest.approx(float(one.objective[0]), rel=2e-6)
        assert float(found.dual[k]) <= float(one.objective[0]) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["newton", "sgd"])
def test_solvers_of_one_map_say_so(name: str) -> None:
    whole = together("penalized", torch.float64)
    if name == "sgd":
        whole.row_weights = type(whole.row_weights)(None, whole.fold, 1 / N)
    with pytest.raises(InputError, match=f"{name} needs one map for all configurations"):
        choose_solver(name, whole)
    assert SOLVERS["newton"].supports(whole.select(torch.tensor([0, 3]))) is None  # a fold's path has one map
