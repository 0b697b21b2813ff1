"""A quadratic penalty defined here alone runs through every smooth solver; sparse rows say what they lack."""

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
from straightedge.sparse_rows import SparseRows

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


def optimum(X: np.ndarray, y: np.ndarray) -> float:
    """min P of softmax with `Rising`, by an optimiser that knows none of this."""
    Z = np.hstack([X, np.ones((len(X), 1))])
    m = np.arange(1, Z.shape[1] + 1)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(C, -1)
        S = Z @ W.T
        S -= S.max(axis=1, keepdims=True)
        p = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        return loss + REG * (m * W**2).sum(), (p.T @ Z / len(y) + 2 * REG * m * W).ravel()

    options = {"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-11}
    found = scipy_minimize(value, np.zeros(C * len(m)), jac=True, method="L-BFGS-B", options=options)
    return float(found.fun)


@pytest.mark.parametrize("way", ["exact", "conjugate gradients", "lbfgs"])
@pytest.mark.parametrize(("n", "d"), [(60, 5), (20, 40)], ids=["tall", "wide"])
def test_a_penalty_of_another_kind_runs_through_every_smooth_solver(
    way: str, n: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = rows(n, d)
    objective = Objective(Rows(X), y, C, get_loss("softmax"), [REG], penalty=Rising()).in_dtype(torch.float64)
    smooth = {name for name in ("newton", "lbfgs", "sgd") if SOLVERS[name].supports(objective) is None}
    assert smooth == {"newton", "lbfgs", "sgd"}
    monkeypatch.setattr(Engine, "is_exact", way == "exact")
    found = minimize(objective, SOLVERS["lbfgs" if way == "lbfgs" else "newton"](), Limits(1e-9))
    assert found.status == [Status.CERTIFIED]
    assert float(found.objective[0]) == pytest.approx(optimum(X, y.numpy()), rel=1e-8)


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_sparse_rows_say_that_they_want_a_plain_ridge(loss: str) -> None:
    X, y = rows(30, 6)
    design = SparseDesign(SparseRows(csr_array(X)))
    objective = Objective(design, y, C, get_loss(loss), [REG], penalty=Rising())
    with pytest.raises(InputError, match="a ridge with a penalised bias"):
        choose_solver("auto", objective)
    with pytest.raises(InputError, match="newton needs dense rows"):
        choose_solver("newton", objective)
    assert choose_solver("auto", Objective(design, y, C, get_loss(loss), [REG])).name == "sparse_dual_ascent"
