"""Where W lives: in the features of the rows, or, where rows are fewer, in the span of the rows.

Every point that the solver meets is W = Σ_i a_i x̂_iᵀ + (its start), so with fewer rows than features it is kept
as the coefficients a, and everything the solver asks is answered by K = X̂X̂ᵀ: scores K a, inner products ⟨a, K a′⟩.
This is the problem rotated into the span of its rows, without a factor of K, so that repeated rows do no harm. A
free bias is no part of either space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from straightedge.solvers.hinge.gathered.margins import Array, Indices

MOST_KEPT = 5000  # rows whose products with one another are kept: 200 MB
ROWS_KEPT = 4  # times the features: up to so many rows they are kept


@dataclass(frozen=True)
class Point:
    """A W with its scores.

    Attributes:
        coordinates: (M, d) W itself, or (M, n) coefficients of the rows.
        scores: (n, M) X̂ Wᵀ.
    """

    coordinates: Array
    scores: Array

    def plus(self, other: Point, length: float) -> Point:
        """Return this point moved by ``length`` times another one."""
        return Point(self.coordinates + length * other.coordinates, self.scores + length * other.scores)

    def times(self, factor: float) -> Point:
        """Return a multiple of this point."""
        return Point(factor * self.coordinates, factor * self.scores)


class FeatureSpace:
    """W in the features.

    Args:
        X: (n, d) float64 mapped rows, a penalised bias among the columns.

    Attributes:
        norms: (n,) ‖x̂_i‖².
        dimension: Length of a row of coordinates.
    """

    def __init__(self, X: Array) -> None:
        self.X, self.dimension = X, X.shape[1]
        self.products: Array | None = None
        self.norms: Array = np.einsum("ij,ij->i", X, X)

    @property
    def keeps_products(self) -> bool:
        """Whether the inner products of all rows are computed once and kept."""
        return bool(len(self.X) <= min(MOST_KEPT, ROWS_KEPT * self.dimension))

    def combined(self, A: Array) -> Point:
        """Return Σ_i a_i x̂_iᵀ for A (n, M)."""
        return self.at(self.coordinates(A))

    def coordinates(self, A: Array) -> Array:
        """Return the coordinates of the same point alone."""
        return A.T @ self.X

    def at(self, coordinates: Array) -> Point:
        """Return the point of these coordinates, its scores computed anew."""
        return Point(coordinates, self.X @ coordinates.T)

    def inner(self, first: Point, second: Point) -> float:
        """Return ⟨W, W′⟩."""
        return float(np.vdot(first.coordinates, second.coordinates))

    def gram(self, rows: Indices) -> Array:
        """Return the inner products (p, p) of some rows, which may repeat.

        Where features are many, all products are computed once and kept.
        """
        if self.keeps_products:
            if self.products is None:
                self.products = self.X @ self.X.T
            return self.products[np.ix_(rows, rows)]
        if (rows[1:] > rows[:-1]).all():
            return self.X[rows] @ self.X[rows].T
        once, place = np.unique(rows, return_inverse=True)
        own = self.X[once]
        products: Array = own @ own.T
        return products.take(place, axis=0).take(place, axis=1)  # in half of the time of both at once


class KernelSpace:
    """W in the span of the rows; it answers as `FeatureSpace` does.

    Args:
        K: (n, n) float64 inner products of the rows.
    """

    def __init__(self, K: Array) -> None:
        self.K, self.dimension = K, len(K)
        self.norms: Array = np.ascontiguousarray(K.diagonal())

    def combined(self, A: Array) -> Point:
        """See `FeatureSpace.combined`."""
        return Point(self.coordinates(A), self.K @ A)

    def coordinates(self, A: Array) -> Array:
        """See `FeatureSpace.coordinates`."""
        return np.ascontiguousarray(A.T)

    def at(self, coordinates: Array) -> Point:
        """See `FeatureSpace.at`."""
        return Point(coordinates, self.K @ coordinates.T)

    def inner(self, first: Point, second: Point) -> float:
        """See `FeatureSpace.inner`."""
        return float(np.vdot(first.coordinates.T, second.scores))

    def gram(self, rows: Indices) -> Array:
        """See `FeatureSpace.gram`."""
        return self.K[np.ix_(rows, rows)]


Space = FeatureSpace | KernelSpace
"""What the solver asks of X̂."""
