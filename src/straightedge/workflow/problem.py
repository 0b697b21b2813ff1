"""The training samples of a run as a problem to solve: each rank holds its rows, all hold the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from straightedge.data import Dataset
from straightedge.disk import JoinedRows
from straightedge.distributed import Communicator, local, own_device, row_range
from straightedge.fitting import build_objective
from straightedge.groups import checked_groups, fold_of_groups, hold_out_groups
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.sparse_rows import is_sparse, joined_sparse, open_rows
from straightedge.splits import fold_of_rows, hold_out
from straightedge.training import TrainingPart, TrainingRows, slice_of
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
        groups: (N,) what rows belong together, or None.
        classes: Class names.
        training: The training rows, of which any part can be fitted by itself.
        whole: All of them.
        affine: Fitted on all training rows.
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
        groups = dataset.train.groups
        self.groups = None if groups is None else checked_groups(groups, len(self.y))
        self.classes = dataset.classes
        self.device = own_device(options.device)
        self.training = TrainingRows(
            self.X,
            self.y,
            len(self.classes),
            self.settings,
            options.preprocess,
            dataset.image_shape,
            device=self.device,
            communicator=self.communicator,
            table=dataset.parts,
            columns=dataset.columns,
        )
        rows, _ = self.training.own(None)
        facts = moments(rows, self.communicator)
        self.affine = affine_from(facts, options.preprocess, dataset.image_shape)
        self.scale = facts.mean_square_norm(self.affine)
        self.whole = TrainingPart(self.training, None, self.affine)
        self.in_memory = rows.in_memory or isinstance(self.X, np.ndarray)

    def _held(self, X: Any) -> Any:
        """Return X in memory where it is on disk and takes at most half of what may be used."""
        alone = isinstance(X, np.memmap) and self.communicator.size == 1
        return np.array(X) if alone and X.nbytes <= self.options.usable_memory // 2 else X

    def fold_of_rows(self, folds: int, seed: int) -> np.ndarray:
        """Return the fold (N,) that holds each training row out, no group in two folds."""
        if self.groups is None:
            return fold_of_rows(self.y, folds, seed)
        return fold_of_groups(self.y, self.groups, folds, seed)

    def hold_out(self, size: float | int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (training, validation) positions, no group in both."""
        if self.groups is None:
            return hold_out(self.y, size, seed)
        share = size / len(self.y) if isinstance(size, int) else size
        return hold_out_groups(self.y, self.groups, share, seed)

    def objective_with(self, X: Any, y: np.ndarray, reg: Sequence[float]) -> Objective:
        """Return the objective on all training rows and further ones together."""
        (start, stop), (first, last) = self._own_range(len(self.y)), self._own_range(len(y))
        own = slice_of(self.X, start, stop), slice_of(X, first, last)
        labels = np.concatenate([self.y[start:stop], y[first:last]])
        if is_sparse(self.X):
            return self._joint(joined_sparse(own), labels, reg)
        fits = all(isinstance(part, np.ndarray) for part in own)
        fits = fits and sum(part.nbytes for part in own) <= self.options.usable_memory // 2
        return self._joint(np.concatenate(own) if fits else JoinedRows(own), labels, reg)

    def _joint(self, X: Any, y: np.ndarray, reg: Sequence[float]) -> Objective:
        return build_objective(
            open_rows(X, device=self.device),
            torch.from_numpy(y),
            len(self.classes),
            reg,
            self.settings,
            affine=self.affine,
            communicator=self.communicator,
        )

    def _own_range(self, n: int) -> tuple[int, int]:
        return row_range(n, self.communicator.rank, self.communicator.size)
