"""Products of rows with one column of weights, in float64: of compressed rows, and of a table by blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from straightedge.design.csr import csr_column_adjoint, csr_gram, csr_norms, csr_scores
from straightedge.sparse_rows import SparseRows
from straightedge.workers import BlockPool

BLOCK = 2**17  # numbers of a table's block: 1 MB in float64 stays in cache


@dataclass(frozen=True)
class CsrColumns:
    """N compressed rows of D features, the constant 1 counted besides."""

    rows: SparseRows
    pool: BlockPool

    @property
    def width(self) -> int:
        """D + 1."""
        return self.rows.n_features + 1

    def scores(self, w: np.ndarray) -> np.ndarray:
        """Return X̂w (N,) for w (D + 1,)."""
        return csr_scores(self.rows, w[:, None], self.pool)[:, 0]

    def adjoint(self, pulls: np.ndarray) -> np.ndarray:
        """Return X̂ᵀa (D + 1,) for a (N,)."""
        return csr_column_adjoint(self.rows, pulls)

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """Return Σ w_i x̂_i x̂_iᵀ (D + 1, D + 1) for w_i ≥ 0."""
        return csr_gram(self.rows, weights)

    def norms(self) -> np.ndarray:
        """Return ‖x̂_i‖² (N,)."""
        return csr_norms(self.rows)

    def part(self, step: int) -> CsrColumns:
        """Return every so-many-th row."""
        index = torch.arange(0, self.rows.n_samples, step)
        return CsrColumns(self.rows.subset(index), self.pool)


@dataclass(frozen=True)
class TableColumns:
    """A table X (N, D) of any numbers, whose blocks are converted; see `CsrColumns`."""

    X: np.ndarray

    @property
    def width(self) -> int:
        """See `CsrColumns.width`."""
        return int(self.X.shape[1]) + 1

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield spans of rows and their blocks in float64."""
        step = max(1, BLOCK // self.width)
        for start in range(0, len(self.X), step):
            span = slice(start, start + step)
            yield span, self.X[span].astype(np.float64, copy=False)

    def scores(self, w: np.ndarray) -> np.ndarray:
        """See `CsrColumns.scores`."""
        found = np.empty(len(self.X))
        for span, block in self._blocks():
            np.matmul(block, w[:-1], out=found[span])
        found += w[-1]
        return found

    def adjoint(self, pulls: np.ndarray) -> np.ndarray:
        """See `CsrColumns.adjoint`."""
        found = np.zeros(self.width)
        for span, block in self._blocks():
            found[:-1] += pulls[span] @ block
        found[-1] = pulls.sum()
        return found

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """See `CsrColumns.gram`; rows of weight 0 are left out."""
        H = np.zeros((self.width, self.width))
        for span, block in self._blocks():
            bent = np.flatnonzero(weights[span])
            roots = np.sqrt(weights[span][bent])[:, None]
            own = np.hstack([block[bent] * roots, roots])
            H += own.T @ own
        return H

    def norms(self) -> np.ndarray:
        """See `CsrColumns.norms`."""
        return np.concatenate([np.einsum("ij,ij->i", block, block) for _, block in self._blocks()]) + 1

    def part(self, step: int) -> TableColumns:
        """See `CsrColumns.part`."""
        return TableColumns(self.X[::step])


Columns = CsrColumns | TableColumns
