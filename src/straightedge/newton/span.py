"""Fewer rows than features: the same problem in the span of the rows, exact for a ridge.

With X̂X̂ᵀ = LLᵀ the rows of L have the inner products of those of X̂. W = wL⁻¹X̂ then has the scores Lwᵀ and the
norm of w, and nothing outside the span of the rows helps: N columns stand for D + 1. A free bias stays outside, as
a column of ones of its own.

References:
    Kimeldorf and Wahba, "Some results on Tchebycheffian spline functions", J. Math. Anal. Appl. 33, 1971 (the
    representer theorem).
"""

import numpy as np
from scipy.linalg import lapack, solve_triangular

JITTER = 1e-14  # of the mean square norm of a row, added and raised tenfold: equal rows have a singular Gram


class Span:
    """The rotation of mapped rows into their span.

    Args:
        table: (N, D + 1) float64 mapped rows, the constant last.
        free_bias: Whether the constant stays outside.
    """

    def __init__(self, table: np.ndarray, *, free_bias: bool) -> None:
        self.rows = table[:, :-1] if free_bias else table
        self.free_bias = free_bias
        self.factor = _factor(self.rows @ self.rows.T)

    def reduced(self) -> np.ndarray:
        """Return the rows in their span, (N, N), with the constant last where it stays outside."""
        if not self.free_bias:
            return self.factor
        return np.hstack([self.factor, np.ones((len(self.factor), 1))])

    def expand(self, W: np.ndarray) -> np.ndarray:
        """Return W (C, D + 1) on the mapped rows for a w (C, N) or (C, N + 1) in the span."""
        N = len(self.factor)
        share = solve_triangular(self.factor, W[:, :N].T, lower=True, trans="T", check_finite=False)
        found: np.ndarray = share.T @ self.rows
        return np.hstack([found, W[:, N:]])

    def reduce(self, W: np.ndarray) -> np.ndarray:
        """Return the w of the span that has the scores of W (C, D + 1)."""
        scores = self.rows @ W[:, : self.rows.shape[1]].T
        inner = solve_triangular(self.factor, scores, lower=True, check_finite=False).T
        return np.hstack([inner, W[:, self.rows.shape[1] :]])


def _factor(gram: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor of a Gram matrix, with as little added to its diagonal as it takes."""
    jitter = JITTER * max(float(gram.trace()) / len(gram), np.finfo(float).tiny)
    while True:
        gram.flat[:: len(gram) + 1] += jitter
        factor, failed = lapack.dpotrf(gram, lower=True)
        if not failed:
            return np.ascontiguousarray(factor)
        jitter *= 10
