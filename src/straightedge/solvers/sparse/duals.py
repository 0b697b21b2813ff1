"""The dual variables b (N, C) of the losses whose row problems are solved: what a(b) and −ℓ*(a(b)) are."""

from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-30  # least probability kept: its logarithm and its products stay ordinary numbers


@dataclass(frozen=True)
class DualForm:
    """How b stands for a row's score gradient a.

    Attributes:
        simplex: a = b − e_y, with b on the simplex. Otherwise a_j = b_j for j ≠ y.
        sums_to_zero: a_y = −Σ_{j≠y} b_j, with b_y = 0; otherwise a_y = −b_y. Without meaning on the simplex.
        entropy: −ℓ* is the entropy of b.
        squared: −ℓ* is Σ (b − b²/4). Where neither holds it is Σ b, on the simplex without b_y.
    """

    simplex: bool = False
    sums_to_zero: bool = False
    entropy: bool = False
    squared: bool = False

    def to_scores(self, b: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the score gradients a(b) (N, C)."""
        A, rows = b.copy(), np.arange(len(y))
        if self.simplex:
            A[rows, y] -= 1.0
        elif self.sums_to_zero:
            A[rows, y] = -b.sum(axis=1)
        else:
            A[rows, y] *= -1.0
        return A

    def from_scores(self, A: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the b (N, C) of score gradients: the inverse of `to_scores`."""
        b, rows = A.copy(), np.arange(len(y))
        if self.simplex:
            b[rows, y] += 1.0
        elif self.sums_to_zero:
            b[rows, y] = 0.0
        else:
            b[rows, y] *= -1.0
        return self.inside(b)

    def inside(self, b: np.ndarray) -> np.ndarray:
        """Return b with roundings below 0 taken away, and probabilities that have logarithms."""
        if not self.entropy:
            return np.asarray(np.maximum(b, 0.0))
        b = np.maximum(b, SMALLEST)
        return np.asarray(b / b.sum(axis=1, keepdims=True))

    def shrunk(self, b: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
        """Return the b of t · a(b), for t in [0, 1]: a dual point, too."""
        shrunk = t * b
        if self.simplex:
            shrunk[np.arange(len(y)), y] += 1.0 - t
        return self.inside(shrunk)

    def values(self, b: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return −ℓ*(a(b)) (N,) of each row."""
        if self.entropy:
            return np.asarray(-np.einsum("ij,ij->i", b, np.log(b)))
        if self.squared:
            return np.asarray((b - b * b / 4).sum(axis=1))
        total = b.sum(axis=1)
        return np.asarray(total - b[np.arange(len(y)), y] if self.simplex else total)


FORMS = {
    "softmax": DualForm(simplex=True, entropy=True),
    "weston_watkins": DualForm(sums_to_zero=True),
    "crammer_singer": DualForm(simplex=True),
    "one_vs_rest": DualForm(),
    "squared_hinge": DualForm(sums_to_zero=True, squared=True),
    "one_vs_rest_squared_hinge": DualForm(squared=True),
}
"""By the word for the row's exact subproblem, `Loss.geometry`."""
