"""The three hinges on plain arrays: margins, projection on B, and the derivative of that projection.

A hinge is ℓ = max over b in B of ⟨b, z⟩ with margins z = 1 + J s affine in a row's scores s. Here are the maps
that a second-order method needs of one: J and its adjoint, the projection on B, and, at a projected point, unit
steps that span the directions in which b can move.

| class | margins of a row | B |
|---|---|---|
| `PairMargins` | z_j = 1 + s_j − s_y, one for each wrong class | [0, 1]^C |
| `SharedMargins` | the same | b ≥ 0, Σ b ≤ 1 |
| `SignedMargins` | z = 1 − t s, one score and a sign t = ±1 | [0, 1] |

The last one is a problem of two classes: of Weston–Watkins and Crammer–Singer only the difference of the two
columns of W matters, and one-versus-rest is C such problems.
"""

from abc import ABC, abstractmethod
from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
ON_THE_FACE = 1e-9  # Σ b within this of 1 counts as 1: the rounding of a projection, with room


def row_sums(b: Array) -> Array:
    """Return the sums (n,) of rows (n, m), as a product: NumPy's sums of short rows take five times as long."""
    sums: Array = b[:, 0] if b.shape[1] == 1 else b @ np.ones(b.shape[1])
    return sums


class Margins(ABC):
    """What a hinge is to the solver; S (n, M) are scores, z and b (n, m) margins and dual variables.

    Attributes:
        n_columns: M, the columns of W.
        n_margins: m, the margins of a row; that of the right class is 0 where it has none.
        geometry: The word for a row's own problem; see `row_updates`.
        y: (n,) the labels that it is told.
    """

    n_columns: int
    n_margins: int
    geometry: str
    y: Indices

    def part(self, index: slice) -> Self:
        """Return the same of some rows."""
        own = copy(self)
        own.y = self.y[index]
        return own

    def margins(self, S: Array) -> Array:
        """Return z (n, m)."""
        return self.started(self.change(S))

    @abstractmethod
    def change(self, S: Array) -> Array:
        """Return J S (n, m): the change of the margins for a change of scores."""

    @abstractmethod
    def started(self, change: Array) -> Array:
        """Return z (n, m) from J S: the constant part is added in place."""

    @abstractmethod
    def adjoint(self, b: Array) -> Array:
        """Return Jᵀ b (n, M): the gradient in the scores."""

    @abstractmethod
    def from_adjoint(self, A: Array) -> Array:
        """Return the b (n, m) of which A is the adjoint."""

    @abstractmethod
    def value(self, z: Array) -> Array:
        """Return ℓ (n,)."""

    def subgradient(self, z: Array) -> Array:
        """Return the b in B that attains the maximum."""
        return (z > 0).astype(np.float64)

    def project(self, v: Array) -> Array:
        """Return the point of B next to v (n, m). An entry of the right class is 0 before, and stays so."""
        projected: Array = np.minimum(np.maximum(v, 0.0), 1.0)  # np.clip takes longer on few rows
        return projected

    @abstractmethod
    def directions(self, b: Array) -> tuple[Indices, Array]:
        """Return rows (p,) and Jᵀq (p, M) of orthonormal q that span the steps of b which B leaves free."""

    def moved(self, b: Array, z: Array) -> Array:
        """Return T z (n, m) with T the derivative of the projection at a point projected to b."""
        return np.where((b > 0) & (b < 1), z, 0.0)

    def moved_square(self, b: Array, z: Array) -> Array:
        """Return (n,) ‖T z‖²; see `moved`."""
        return row_sums(np.square(self.moved(b, z)))


class PairMargins(Margins):
    """Weston–Watkins: one margin, and one dual variable in [0, 1], for each wrong class.

    Args:
        y: (n,) labels in [0, n_classes).
        n_classes: C.
    """

    geometry = "weston_watkins"

    def __init__(self, y: Indices, n_classes: int) -> None:
        self.y, self.n_columns, self.n_margins = y, n_classes, n_classes
        self.rows = np.arange(len(y))

    def part(self, index: slice) -> Self:
        """See `Margins.part`."""
        own = super().part(index)
        own.rows = np.arange(len(own.y))
        return own

    def started(self, change: Array) -> Array:
        """See `Margins.started`."""
        change += 1.0
        change[self.rows, self.y] = 0.0
        return change

    def change(self, S: Array) -> Array:
        """See `Margins.change`."""
        difference: Array = S - S[self.rows, self.y][:, None]
        return difference

    def adjoint(self, b: Array) -> Array:
        """See `Margins.adjoint`."""
        A = b.copy()
        A[self.rows, self.y] = -row_sums(b)
        return A

    def from_adjoint(self, A: Array) -> Array:
        """See `Margins.from_adjoint`."""
        b = A.copy()
        b[self.rows, self.y] = 0.0
        return b

    def value(self, z: Array) -> Array:
        """See `Margins.value`."""
        return row_sums(np.maximum(z, 0.0))

    def directions(self, b: Array) -> tuple[Indices, Array]:
        """See `Margins.directions`: one unit step for each b strictly between its bounds."""
        rows, classes = np.nonzero((b > 0) & (b < 1))
        return rows, self._steps(rows, classes)

    def _steps(self, rows: Indices, classes: Indices) -> Array:
        """Return Jᵀe = e_class − e_label (p, C)."""
        E = np.zeros((len(rows), self.n_columns))
        place = np.arange(len(rows))
        E[place, classes] = 1.0
        E[place, self.y[rows]] -= 1.0
        return E


class SharedMargins(PairMargins):
    """Crammer–Singer: the largest margin counts, so a row's dual variables share one unit."""

    geometry = "crammer_singer"

    def value(self, z: Array) -> Array:
        """See `Margins.value`. The entry of the right class is 0, so the maximum is never below."""
        largest: Array = z.max(axis=1)
        return largest

    def subgradient(self, z: Array) -> Array:
        """See `Margins.subgradient`."""
        b = np.zeros_like(z)
        largest = z.argmax(axis=1)
        b[self.rows, largest] = z[self.rows, largest] > 0
        return b

    def project(self, v: Array) -> Array:
        """See `Margins.project`: clip, and where more than one unit remains, lower all by one threshold.

        The largest is made 0 before: a threshold far from 0 would leave roundings of 1e-10 over the unit, and a
        bound that is too large by as much.
        """
        b = np.maximum(v, 0.0)
        b[self.rows, self.y] = 0.0
        over = np.flatnonzero(b.sum(axis=1) > 1.0)
        if len(over):
            part = b[over]
            part -= part.max(axis=1, keepdims=True)
            b[over] = np.maximum(part - _thresholds(part)[:, None], 0.0)
        return b

    def directions(self, b: Array) -> tuple[Indices, Array]:
        """See `Margins.directions`: k positive entries have k free steps, or k − 1 of sum 0 where Σ b is 1."""
        positive, full = b > 0, self._full(b)
        rows, classes = np.nonzero(positive & ~full[:, None])
        steps = [self._steps(rows, classes)]
        owners = [rows]
        counts = positive.sum(axis=1)
        for count in np.unique(counts[full & (counts > 1)]):
            some = np.flatnonzero(full & (counts == count))
            own = np.nonzero(positive[some])[1].reshape(len(some), count)
            owners.append(np.repeat(some, count - 1))
            steps.append(self._sum_free_steps(own))
        return np.concatenate(owners), np.concatenate(steps)

    def _sum_free_steps(self, classes: Indices) -> Array:
        """Return an orthonormal basis of the steps of sum 0 for rows with these positive classes (r, k).

        Jᵀq = q there: what such a step takes from one wrong class it gives to others.
        """
        rows, count = classes.shape
        E = np.zeros((rows, count - 1, self.n_columns))
        for k in range(1, count):  # Helmert's basis: (1, …, 1, −k)/√(k(k + 1))
            for j in range(k):
                E[np.arange(rows), k - 1, classes[:, j]] = 1.0 / np.sqrt(k * (k + 1))
            E[np.arange(rows), k - 1, classes[:, k]] = -k / np.sqrt(k * (k + 1))
        return E.reshape(-1, self.n_columns)

    def _full(self, b: Array) -> NDArray[np.bool_]:
        full: NDArray[np.bool_] = b.sum(axis=1) >= 1.0 - ON_THE_FACE
        return full

    def moved(self, b: Array, z: Array) -> Array:
        """See `Margins.moved`."""
        positive = b > 0
        own = np.where(positive, z, 0.0)
        mean = np.where(self._full(b), own.sum(axis=1) / np.maximum(positive.sum(axis=1), 1), 0.0)
        return np.where(positive, z - mean[:, None], 0.0)


class SignedMargins(Margins):
    """Two classes, one column: z = 1 − t s.

    Args:
        t: (n,) +1 for rows of the class whose scores are to be positive, −1 for the others.
    """

    geometry = "one_vs_rest"
    n_columns = 1
    n_margins = 1

    def __init__(self, t: Array) -> None:
        self.t, self.y = t[:, None], np.where(t > 0, 0, 1)

    def part(self, index: slice) -> Self:
        """See `Margins.part`."""
        own = super().part(index)
        own.t = self.t[index]
        return own

    def started(self, change: Array) -> Array:
        """See `Margins.started`."""
        change += 1.0
        return change

    def change(self, S: Array) -> Array:
        """See `Margins.change`."""
        return -self.t * S

    def adjoint(self, b: Array) -> Array:
        """See `Margins.adjoint`."""
        return -self.t * b

    def from_adjoint(self, A: Array) -> Array:
        """See `Margins.from_adjoint`."""
        return -self.t * A

    def value(self, z: Array) -> Array:
        """See `Margins.value`."""
        own: Array = np.maximum(z[:, 0], 0.0)
        return own

    def directions(self, b: Array) -> tuple[Indices, Array]:
        """See `Margins.directions`."""
        rows = np.flatnonzero((b[:, 0] > 0) & (b[:, 0] < 1))
        return rows, -self.t[rows]


def _thresholds(b: Array) -> Array:
    """Return τ (n,) with Σ_j max(b_j − τ, 0) = 1 in each row of b."""
    ordered = np.sort(b, axis=1)[:, ::-1]
    candidates = (np.cumsum(ordered, axis=1) - 1.0) / np.arange(1, b.shape[1] + 1)
    count = (ordered > candidates).sum(axis=1)
    threshold: Array = candidates[np.arange(len(b)), count - 1]
    return threshold
