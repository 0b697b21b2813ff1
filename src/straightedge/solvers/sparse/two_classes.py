"""Two classes and a hinge as one column: the problem of w (D + 1,) and of one dual variable a row.

At the optimum W = (−h w, h w), and each loss is κ φ(1 − t_i x̂_i w) with t = ±1 and φ(z) = max(0, z) or its square:

* losses of margins between classes: h = ½, κ = 1, because s_1 − s_0 = x̂w;
* one-versus-rest losses: h = 1, κ = 2, because both classes' problems are the same one.

So P = κ (Σ w_i φ(1 − t_i x̂_i w) + (λ/2) ‖w‖²) with λ = 4 h² reg/κ. With α_i in [0, 1] for the hinge and ≥ 0 for its
square, D = κ (Σ w_i (α_i or α_i − α_i²/4) − (λ/2) ‖w‖²) at w = Σ (w_i/λ) α_i t_i x̂_i. Both are the P and D of the
two columns, to rounding.
"""

from typing import NamedTuple

import numpy as np

from straightedge.solvers.sparse.duals import FORMS, DualForm
from straightedge.solvers.sparse.problem import Configuration, SparseProblem, inner

ENTRIES_A_RUN = 64  # of neighbouring rows that are visited together: more of them, of the least, converge later


class Epochs(NamedTuple):
    """How long epochs of one compiled call go on; Numba knows tuples with names, and no dataclass.

    Attributes:
        relax: How many times as far as the exact one a step goes; D rises below 2.
        plain: Epochs before that, with exact steps.
        from_zero: Whether α is 0: the first epoch ends in the best multiple of its α.
        early: Of D: an epoch whose gaps add up to less is the last one.
        dual: D at the beginning.
        most: Epochs of the call.
        most_visits: After which no epoch begins.
        stiffness: Of the bias; see `held_bias`.
    """

    relax: float
    plain: int
    from_zero: bool
    early: float
    dual: float
    most: int
    most_visits: float
    stiffness: float


def run_length(n_stored: int, n_samples: int) -> int:
    """Return how many neighbouring rows are visited together: one where a row has many entries."""
    return max(1, min(ENTRIES_A_RUN * n_samples // max(1, n_stored), 4))


class OneColumn(DualForm):
    """b (N, 1) holds α, and a = −t α."""

    def to_scores(self, b: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `DualForm.to_scores`."""
        return np.asarray(np.where(y == 1, -1.0, 1.0)[:, None] * b)

    def values(self, b: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `DualForm.values`; without κ."""
        alpha = b[:, 0]
        return np.asarray(alpha - alpha * alpha / 4 if self.squared else alpha)


class TwoClassProblem(SparseProblem):
    """The same configuration as one column; see the module. W is (D + 1, 1), b is (N, 1).

    Attributes:
        signs: (N,) float64, t_i.
        parts: (N, 4) float64; see `column_epochs.run_column_epochs`.
    """

    def __init__(self, given: Configuration, tol: float) -> None:
        super().__init__(given, tol)
        both = self.geometry.startswith("one_vs_rest")
        self._share, self._copies = (1.0, 2.0) if both else (0.5, 1.0)
        self.caps = self.weights * self._copies / (2 * self._share**2 * self.curvature)
        self.form = OneColumn(squared=self.geometry.endswith("squared_hinge"))
        self.signs = np.where(self.y == 1, 1.0, -1.0)
        self.parts = np.stack([self.signs, self.caps, self.caps * self.visit_norms, self.weights], axis=1)
        self.shape = self.shape[0], 1
        self.dtype = np.dtype(np.float64)  # one column is small: reading it takes little

    def run_epochs(
        self, W: np.ndarray, centre: np.ndarray, b: np.ndarray, shuffles: np.ndarray, epochs: Epochs
    ) -> tuple[float, float]:
        """Visit rows until their gaps add up to little; return visits, and the gap that is left about."""
        from straightedge.solvers.sparse.column_epochs import run_column_epochs

        rows, scale = self.rows, self._copies
        visits, total = run_column_epochs(
            (rows.indptr, rows.indices, rows.data),
            self.parts,
            W.reshape(-1),
            centre,
            b.reshape(-1),
            self.form.squared,
            np.flatnonzero(self.weights > 0),
            shuffles,
            run_length(rows.n_stored, rows.n_samples),
            epochs._replace(dual=epochs.dual / scale),
        )
        return visits, scale * total

    @property
    def primal_at_zero(self) -> float:
        """P(0): all margins are 1, and weights of rows add up to 1."""
        return self._copies

    def penalty(self, W: np.ndarray) -> float:
        """See `SparseProblem.penalty`."""
        return 2 * self._share**2 * super().penalty(W)

    def primal(self, W: np.ndarray) -> float:
        """See `SparseProblem.primal`."""
        margins = np.maximum(0.0, 1.0 - self.signs * self.scores(W)[:, 0])
        values = margins * margins if self.form.squared else margins
        return self._copies * inner(self.weights, values) + self.penalty(W)

    def conjugate(self, b: np.ndarray) -> float:
        """See `SparseProblem.conjugate`."""
        return self._copies * super().conjugate(b)

    def own_dual(self, b: np.ndarray) -> np.ndarray:
        """See `SparseProblem.own_dual`."""
        other = b[np.arange(len(b)), 1 - self.y] if self._copies == 1 else b.mean(axis=1)
        return np.ascontiguousarray(other[:, None])

    def write_whole(self, W: np.ndarray, out: np.ndarray) -> None:
        """See `SparseProblem.write_whole`."""
        np.multiply(W[:, 0], -self._share, out=out[0])
        np.multiply(W[:, 0], self._share, out=out[1])


def problem_of(given: Configuration, tol: float) -> SparseProblem:
    """Return the problem of one configuration; that of one column where that is the same."""
    one_column = given.n_classes == 2 and not (given.free_bias or FORMS[given.loss.geometry or ""].entropy)
    return (TwoClassProblem if one_column else SparseProblem)(given, tol)
