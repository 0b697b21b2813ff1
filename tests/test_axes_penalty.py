"""Penalties that only tests define run through every smooth solver; what one cannot take it says by name."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from scipy.sparse import csr_array
from torch import Tensor

from straightedge.design import SparseDesign
from straightedge.errors import InputError
from straightedge.losses import get_loss
from straightedge.newton.engine import Engine
from straightedge.objective import Objective
from straightedge.penalties import Penalty
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.solvers.base import Limits, Status, minimize
from straightedge.solvers.sgd import MinibatchSGD
from straightedge.sparse_rows import SparseRows
from test_axes import RidgeAndCube

C, REG = 3, 0.05


class Rising(Penalty):
    """Σ (1 + d) w_d² over features and bias: a Hessian that is diagonal and the same everywhere, no rotation's."""

    name: ClassVar[str] = "rising"
    quadratic: ClassVar[bool] = True
    largest_weight: float = 41.0

    @staticmethod
    def _m(W: Tensor) -> Tensor:
        return torch.arange(1, W.shape[-1] + 1, dtype=W.dtype)

    def value(self, W: Tensor, reg: Tensor) -> Tensor:
        return reg[:, 0, 0] * (self._m(W) * W.square()).sum(dim=(1, 2))

    def gradient(self, W: Tensor, reg: Tensor) -> Tensor:
        return 2 * reg * self._m(W) * W

    def hessian_diagonal(self, W: Tensor, reg: Tensor) -> Tensor:
        return 2 * reg * self._m(W).expand(len(W), 1, -1)

    def minimiser(self, V: Tensor, reg: Tensor) -> Tensor:
        return V / (-2 * reg * self._m(V))

    def conjugate(self, V: Tensor, reg: Tensor) -> Tensor:
        return (V.square() / self._m(V)).sum(dim=(1, 2)) / (4 * reg[:, 0, 0])


def rows(n: int, d: int) -> tuple[np.ndarray, torch.Tensor]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + np.arange(n)[:, None] % C, torch.arange(n) % C


PENALTIES: dict[str, Penalty] = {"rising": Rising(), "ridge and cube": RidgeAndCube()}


def penalty_of(name: str, W: np.ndarray) -> tuple[float, np.ndarray]:
    """Return R(W) and its gradient by its formula."""
    if name == "rising":
        m = np.arange(1, W.shape[1] + 1)
        return float((m * W**2).sum()), 2 * m * W
    return float((W**2 + np.abs(W) ** 3).sum()), 2 * W + 3 * W * np.abs(W)


def optimum(X: np.ndarray, y: np.ndarray, penalty: str) -> float:
    """min P of softmax with a penalty, by an optimiser that knows none of this."""
    Z = np.hstack([X, np.ones((len(X), 1))])

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(C, -1)
        S = Z @ W.T
        S -= S.max(axis=1, keepdims=True)
        p = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        R, slope = penalty_of(penalty, W)
        return loss + REG * R, (p.T @ Z / len(y) + REG * slope).ravel()

    options = {"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11}
    found = scipy_minimize(value, np.zeros(C * Z.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return float(found.fun)


def problem(n: int, d: int, penalty: str) -> tuple[Objective, float]:
    """Return the problem in float64, and its optimum."""
    X, y = rows(n, d)
    whole = Objective(Rows(X), y, C, get_loss("softmax"), [REG], penalty=PENALTIES[penalty], dtype=torch.float64)
    return whole, optimum(X, y.numpy(), penalty)


SHAPES = pytest.mark.parametrize(("n", "d"), [(60, 5), (20, 40)], ids=["tall", "wide"])


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "conjugate gradients"])
@SHAPES
def test_a_quadratic_penalty_runs_through_newton(
    exact: bool, n: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, best = problem(n, d, "rising")
    monkeypatch.setattr(Engine, "is_exact", exact)
    found = minimize(objective, SOLVERS["newton"](), Limits(1e-9))
    assert found.status == [Status.CERTIFIED]
    assert float(found.objective[0]) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
@SHAPES
def test_any_smooth_penalty_runs_through_the_lbfgs(penalty: str, n: int, d: int) -> None:
    objective, best = problem(n, d, penalty)
    found = minimize(objective, SOLVERS["lbfgs"](), Limits(1e-9))
    assert found.status == [Status.CERTIFIED]
    assert float(found.objective[0]) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_any_smooth_penalty_runs_through_sgd(penalty: str) -> None:
    objective, best = problem(60, 5, penalty)
    found = minimize(objective, MinibatchSGD(1e-2, epochs=40, batch_size=10, momentum=0.5), Limits(1e-9))
    assert best * (1 - 1e-9) <= float(found.objective[0]) < 1.06 * best
    assert float(found.dual[0]) <= best * (1 + 1e-9)


def test_auto_takes_a_penalty_of_another_kind_and_newton_says_what_it_lacks() -> None:
    curved, _ = problem(60, 5, "ridge and cube")
    assert choose_solver("auto", curved).name == "lbfgs"
    with pytest.raises(InputError, match="newton needs a quadratic penalty, and ridge_and_cube is not"):
        choose_solver("newton", curved)
    assert choose_solver("auto", problem(60, 5, "rising")[0]).name == "newton"


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_sparse_rows_say_that_they_want_a_plain_ridge(loss: str) -> None:
    X, y = rows(30, 6)
    design = SparseDesign(SparseRows(csr_array(X)))
    objective = Objective(design, y, C, get_loss(loss), [REG], penalty=Rising())
    with pytest.raises(InputError, match="a plain ridge"):
        choose_solver("auto", objective)
    with pytest.raises(InputError, match="newton needs dense rows"):
        choose_solver("newton", objective)
    assert choose_solver("auto", Objective(design, y, C, get_loss(loss), [REG])).name == "sparse_dual_ascent"
