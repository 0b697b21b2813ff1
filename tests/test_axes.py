"""The four axes are open: members defined here alone fit what they should, and are refused by name where not.

A smooth loss, a loss with kinks, a penalty that is no ridge, a design (rows times a fixed sparse matrix) and a row
source; every pairing of them is fitted to a certified gap and compared with an optimiser that knows none of this.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from scipy.sparse import csr_array, random
from torch import Tensor

from straightedge.design import DenseDesign, Design
from straightedge.errors import InputError
from straightedge.kernels import Products
from straightedge.losses import Loss, PiecewiseLinearLoss
from straightedge.losses.base import label_index
from straightedge.losses.piecewise import AgainstTrueClass
from straightedge.objective import Objective
from straightedge.penalties import Penalty, Ridge
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.solvers.base import Limits, Status, minimize

N, R, D, C, REG, TOL = 40, 9, 4, 3, 0.05, 1e-6

# ------------------------------------------------------------------------- members of the axes


class HuberisedMargins(Loss):
    """Σ_{j≠y} h(1 + s_j − s_y), h(z) = z²/2 on [0, 1] and z − 1/2 above: a hinge with its corner rounded."""

    name: ClassVar[str] = "huberised"
    shift_invariant: ClassVar[bool] = True

    def curvature(self, n_classes: int) -> float:
        return 1.0

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        index = label_index(S, y)
        z = S.sub_(S.gather(2, index)).add_(1.0).clamp_min_(0.0).scatter_(2, index, 0.0)
        value = torch.where(z < 1, z.square() / 2, z - 0.5).sum(dim=2)
        z.clamp_max_(1.0)
        z.scatter_(2, index, -z.sum(dim=2, keepdim=True))
        return value


class WideMargins(AgainstTrueClass, PiecewiseLinearLoss):
    """Σ_{j≠y} max(0, 2 + s_j − s_y): the hinge of the notes with a margin of 2."""

    name: ClassVar[str] = "wide"

    def margins(self, S: Tensor, y: Tensor) -> Tensor:
        return super().margins(S, y).add_(1.0).scatter_(2, label_index(S, y), 0.0)


class RidgeAndCube(Penalty):
    """Σ w² + |w|³: smooth, no quadratic, with a conjugate in closed form."""

    name: ClassVar[str] = "ridge_and_cube"

    def value(self, W: Tensor, reg: Tensor) -> Tensor:
        return reg[:, 0, 0] * (W.square() + W.abs() ** 3).sum(dim=(1, 2))

    def gradient(self, W: Tensor, reg: Tensor) -> Tensor:
        return reg * (2 * W + 3 * W * W.abs())

    def hessian_diagonal(self, W: Tensor, reg: Tensor) -> Tensor:
        return reg * (2 + 6 * W.abs())

    def minimiser(self, V: Tensor, reg: Tensor) -> Tensor:
        size = ((reg.square() + 3 * reg * V.abs()).sqrt() - reg) / (3 * reg)
        return -size * V.sign()

    def conjugate(self, V: Tensor, reg: Tensor) -> Tensor:
        W = self.minimiser(V, reg)
        return -(V * W).sum(dim=(1, 2)) - self.value(W, reg)


class Projected(Design):
    """Rows times a fixed sparse matrix T (R, D), then the constant: nothing but what every design says."""

    def __init__(self, inner: DenseDesign, matrix: csr_array) -> None:
        shared = {"device": inner.device, "dtype": inner.dtype, "workers": 1}
        super().__init__(inner.n_samples, matrix.shape[1], inner.n_raw, **shared)
        self.inner, self.matrix = inner, matrix

    @staticmethod
    def _times(dense: Tensor, matrix: csr_array) -> Tensor:
        return torch.as_tensor(dense.numpy() @ matrix, dtype=dense.dtype)

    def _to_rows(self, W: Tensor) -> Tensor:
        return torch.cat([self._times(W[:, :-1], self.matrix.T), W[:, -1:]], dim=1)

    def fold(self, W: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.fold(self._to_rows(W))

    def unfold(self, raw: Tensor) -> Tensor:
        inner = self.inner.unfold(raw)
        return torch.cat([self._times(inner[:, :-1], self.matrix), inner[:, -1:]], dim=1)

    def products(self, block_rows: int, n_columns: int) -> Products:
        return self.inner.products(block_rows, n_columns)

    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        rows = self.inner.gather(index, torch.empty(len(index), self.n_raw + 1, dtype=self.dtype))
        out[:, :-1] = self._times(rows[:, :-1], self.matrix)
        out[:, -1] = 1.0
        return out

    def read(self, start: int, stop: int, out: Tensor) -> None:
        whole = torch.empty(stop - start, self.width, dtype=self.dtype)
        out.copy_(self.gather(torch.arange(start, stop), whole)[:, :-1])

    def subset(self, index: Tensor) -> Design:
        part = self.to(self.dtype)
        part.inner, part.n_samples = self.inner.subset(index), len(index)
        return part

    def to(self, dtype: torch.dtype) -> "Projected":
        other = super().to(dtype)
        assert isinstance(other, Projected)
        other.inner = self.inner.to(dtype)
        return other


class Generated:
    """A row source: rows that are computed when they are read."""

    def __init__(self, seed: int, shape: tuple[int, int]) -> None:
        self.seed, self.shape, self.dtype = seed, shape, np.dtype(np.float64)

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = np.random.default_rng(self.seed).normal(size=self.shape)
        rows += np.arange(len(rows))[:, None] % C * np.linspace(-1, 1, self.shape[1])
        return rows[start:stop]


# ------------------------------------------------------------------------- problems, and what fits

LOSSES: dict[str, Loss] = {"smooth": HuberisedMargins(), "kinks": WideMargins()}
PENALTIES: dict[str, Penalty] = {"ridge": Ridge(), "ridge and cube": RidgeAndCube()}
Y = torch.arange(N) % C
MATRIX = csr_array(random(R, D, density=0.6, random_state=np.random.default_rng(3)))


def design_of(kind: str) -> Design:
    source = Generated(0, (N, R))
    X = source.read(0, N)
    if kind == "array":
        return DenseDesign(Rows(X), dtype=torch.float64, workers=1)
    inner = DenseDesign(Rows(source), dtype=torch.float64, workers=1)
    return inner if kind == "source" else Projected(inner, MATRIX)


def rows_of(kind: str) -> np.ndarray:
    X = Generated(0, (N, R)).read(0, N)
    X = X @ MATRIX.toarray() if kind == "sparse matrix" else X
    return np.hstack([X, np.ones((N, 1))])


DESIGNS = ("array", "source", "sparse matrix")
FITS = {  # which registered solvers must take which loss and penalty
    ("smooth", "ridge"): {"lbfgs", "sgd"},
    ("smooth", "ridge and cube"): {"lbfgs", "sgd"},
    ("kinks", "ridge"): {"hinge_path", "hinge_alm", "sgd"},
    ("kinks", "ridge and cube"): {"sgd"},
}
PAIRINGS = [(loss, penalty, design) for loss, penalty in FITS for design in DESIGNS]


def objective_of(loss: str, penalty: str, design: str) -> Objective:
    return Objective(design_of(design), Y, C, LOSSES[loss], [REG], penalty=PENALTIES[penalty])


def penalty_in_numpy(name: str) -> Callable[[np.ndarray], float]:
    return {
        "ridge": lambda W: REG * float((W**2).sum()),
        "ridge and cube": lambda W: REG * float((W**2 + np.abs(W) ** 3).sum()),
    }[name]


def smooth_optimum(X: np.ndarray, penalty: str) -> float:
    """Return min P of the smooth loss by L-BFGS-B on finite differences."""
    y, extra = Y.numpy(), penalty_in_numpy(penalty)

    def value(flat: np.ndarray) -> float:
        W = flat.reshape(C, -1)
        z = np.maximum(1 + X @ W.T - (X * W[y]).sum(axis=1, keepdims=True), 0)
        z[np.arange(N), y] = 0
        return float(np.where(z < 1, z**2 / 2, z - 0.5).sum() / N) + extra(W)

    options = {"maxfun": 200_000, "maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
    found = scipy_minimize(value, np.zeros(C * X.shape[1]), method="L-BFGS-B", options=options)
    return float(found.fun)


def kinked_optimum(X: np.ndarray) -> float:
    """Return min P of the loss with kinks and the ridge: the largest dual value, by L-BFGS-B inside its box."""
    y, right = Y.numpy(), np.arange(N)

    def negative_dual(flat: np.ndarray) -> tuple[float, np.ndarray]:
        b = flat.reshape(N, C)
        A = b.copy()
        A[right, y] = -(b.sum(axis=1) - b[right, y])
        V = A.T @ X / N
        slope = X @ V.T / (2 * REG)
        gradient = (slope - slope[right, y][:, None] - 2) / N
        gradient[right, y] = 0
        gain = 2 * float(b.sum() - b[right, y].sum()) / N
        return float((V**2).sum()) / (4 * REG) - gain, gradient.ravel()

    options = {"maxfun": 200_000, "maxiter": 20_000, "ftol": 1e-16, "gtol": 1e-12}
    start, box = np.full(N * C, 0.5), [(0.0, 1.0)] * (N * C)
    found = scipy_minimize(negative_dual, start, jac=True, method="L-BFGS-B", bounds=box, options=options)
    return -float(found.fun)


@pytest.mark.parametrize(("loss", "penalty", "design"), PAIRINGS)
def test_each_pairing_fits_the_solvers_it_must_and_others_say_what_is_missing(
    loss: str, penalty: str, design: str
) -> None:
    part = objective_of(loss, penalty, design)
    takes = {name for name, solver in SOLVERS.items() if solver.supports(part) is None}
    assert takes == FITS[loss, penalty]
    for name in set(SOLVERS) - takes:
        with pytest.raises(InputError, match=f"{name} needs ") as caught:
            choose_solver(name, part)
        assert caught.value.code == "solver-does-not-fit"


@pytest.mark.parametrize(("loss", "penalty", "design"), PAIRINGS)
def test_each_pairing_is_certified_at_the_optimum_of_another_method(loss: str, penalty: str, design: str) -> None:
    X, proving = rows_of(design), sorted(FITS[loss, penalty] - {"sgd"})
    if not proving:
        return
    optimum = kinked_optimum(X) if loss == "kinks" else smooth_optimum(X, penalty)
    for name in proving:
        found = minimize(objective_of(loss, penalty, design), SOLVERS[name](), Limits(TOL, 5000))
        assert found.status == [Status.CERTIFIED], found.message
        assert float(found.dual[0]) <= optimum * (1 + 1e-7)
        assert float(found.objective[0]) == pytest.approx(optimum, rel=2 * TOL + 1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_auto_takes_what_fits(loss: str) -> None:
    assert choose_solver("auto", objective_of(loss, "ridge", "sparse matrix")).name in FITS[loss, "ridge"]


def test_what_no_solver_proves_is_refused_with_what_is_missing() -> None:
    with pytest.raises(InputError, match="quadratic penalty, and ridge_and_cube is not"):
        choose_solver("auto", objective_of("kinks", "ridge and cube", "array"))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_the_losses_defined_here(loss: str) -> None:
    S = torch.randn(6, 1, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own, A, step = LOSSES[loss], S.clone(), 1e-6
    own.value_and_gradient(A, Y[:6])
    for j in range(C):
        moved = torch.zeros_like(S)
        moved[:, :, j] = step
        up, down = (own.value_and_gradient(S + sign * moved, Y[:6]) for sign in (1, -1))
        torch.testing.assert_close((up - down) / (2 * step), A[:, :, j], rtol=0, atol=1e-7)
