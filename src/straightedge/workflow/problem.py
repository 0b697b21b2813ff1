"""The training samples of a run as a problem to solve: each rank holds its rows, all hold the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.data import Dataset
from straightedge.disk import JoinedRows
from straightedge.distributed import (
    Communicator,
    RowSlice,
    local,
    own_device,
    own_rows,
    row_range,
    together,
)
from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.workflow.options import FitOptions


class Problem:
    """The training samples of a dataset, ready to be solved for any reg.

    Args:
        dataset: The same on every rank; only this rank's rows of X are read.
        options: What was asked for.
        communicator: Who owns which rows.

    Attributes:
        X: Training rows of all ranks as they lie, in memory or to be read.
        y: (N,) labels of all ranks.
        classes: Class names.
        affine: Fitted on the training rows.
        scale: Mean of ‖x̂‖².
        device: Where this rank's products run.
    """

    def __init__(
        self, dataset: Dataset, options: FitOptions, communicator: Communicator | None = None
    ) -> None:
        self.dataset, self.options = dataset, options
        self.communicator = communicator or local()
        self.settings = options.settings()
        self.X, self.y = self._held(dataset.train.X), dataset.train.y
        self.classes = dataset.classes
        self.device = own_device(options.device)
        rows = self._own_part()
        facts = moments(rows, self.communicator)
        self.affine = affine_from(facts, options.preprocess, dataset.image_shape)
        self.scale = facts.mean_square_norm(self.affine)
        self.in_memory = rows.in_memory or isinstance(self.X, np.ndarray)

    def _held(self, X: Any) -> Any:
        """Return X in memory where it is on disk and takes at most half of what may be used."""
        alone = isinstance(X, np.memmap) and self.communicator.size == 1
        return np.array(X) if alone and X.nbytes <= self.options.usable_memory // 2 else X

    def _own_part(self) -> Rows:
        own = own_rows(self.X, self.communicator)
        return Rows(own, device=self.device, first_row=self._own_range(len(self.y))[0])

    def _own_range(self, n: int) -> tuple[int, int]:
        return row_range(n, self.communicator.rank, self.communicator.size)

    def objective(
        self, reg: Sequence[float], index: np.ndarray | None = None, settings: FitSettings | None = None
    ) -> Objective:
        """Return the objective on all training rows, or on those of ``index``."""
        weights = order = None
        if index is None or not self.in_memory:
            rows = self._own_part()
            start, stop = self._own_range(len(self.y))
            labels = self.y[start:stop]
            if index is not None:  # rows that are read in order stay in order; those left out have weight 0
                weights = torch.zeros(len(self.y), dtype=torch.float64)
                weights = weights.index_fill_(0, torch.from_numpy(index), 1.0)[start:stop]
        else:
            start, stop = self._own_range(len(index))
            if len(index) < self.communicator.size:
                raise InputError("ranks-too-many", f"{len(index)} training samples for more ranks than that")
            order = torch.from_numpy(index[start:stop])
            rows, labels = Rows(self.X, device=self.device, order=order), self.y[index[start:stop]]
        return self._build(rows, labels, reg, settings, weights)

    def objective_with(self, X: Any, y: np.ndarray, reg: Sequence[float]) -> Objective:
        """Return the objective on all training rows and further ones together."""
        (start, stop), (first, last) = self._own_range(len(self.y)), self._own_range(len(y))
        own = slice_of(self.X, start, stop), slice_of(X, first, last)
        fits = all(isinstance(part, np.ndarray) for part in own)
        fits = fits and sum(part.nbytes for part in own) <= self.options.usable_memory // 2
        both = np.concatenate(own) if fits else JoinedRows(own)
        labels = np.concatenate([self.y[start:stop], y[first:last]])
        return self._build(Rows(both, device=self.device), labels, reg, None, None)

    def _build(
        self,
        rows: Rows,
        labels: np.ndarray,
        reg: Sequence[float],
        settings: FitSettings | None,
        weights: Tensor | None,
    ) -> Objective:
        return build_objective(
            rows,
            torch.from_numpy(labels),
            len(self.classes),
            reg,
            settings or self.settings,
            affine=self.affine,
            weights=weights,
            communicator=self.communicator,
        )

    def scores(self, W: Tensor, X: Any, index: np.ndarray | None = None) -> Tensor:
        """Return scores (N, K, C) of W (K, C, D + 1) on rows of X (those of ``index``), on every rank."""
        n = int(X.shape[0]) if index is None else len(index)
        return self.gathered(n, lambda start, stop: self._own_scores(W, X, index, start, stop))

    def gathered(self, n: int, score: Callable[[int, int], Tensor]) -> Tensor:
        """Return ``score(0, n)``, each rank working on its rows ``start:stop`` of the n alone."""
        if n < self.communicator.size:
            return together(self.communicator, lambda: score(0, n))
        start, stop = self._own_range(n)
        return self.communicator.gather_rows(together(self.communicator, lambda: score(start, stop)))

    def _own_scores(self, W: Tensor, X: Any, index: np.ndarray | None, start: int, stop: int) -> Tensor:
        if index is None:
            part = X if stop - start == X.shape[0] else slice_of(X, start, stop)
            rows = Rows(part, device=self.device)
        elif hasattr(X, "read"):
            read = [X.read(int(i), int(i) + 1) for i in index[start:stop]]
            rows = Rows(np.concatenate(read), device=self.device)
        else:
            rows = Rows(X, device=self.device, order=torch.from_numpy(index[start:stop]))
        labels = torch.zeros(rows.n_samples, dtype=torch.int64)
        objective = build_objective(
            rows, labels, len(self.classes), [1.0] * len(W), self.settings, affine=self.affine
        )
        return objective.scores(W.to(objective.device)).cpu()


def slice_of(X: Any, start: int, stop: int) -> Any:
    """Return rows ``start:stop`` of an array or row source, read when they are needed."""
    return RowSlice(X, start, stop) if hasattr(X, "read") else X[start:stop]
