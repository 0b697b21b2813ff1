"""The training samples of a run as a problem to solve: each rank holds its rows, all hold the labels."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.data import Dataset, Split
from straightedge.data.beside import read_class_weights
from straightedge.disk import JoinedRows
from straightedge.distributed import Communicator, local, own_device, row_range, slice_of
from straightedge.fitting import FitSettings, build_objective
from straightedge.groups import checked_groups, folds_of, hold_out_groups
from straightedge.kinds import is_sparse
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.row_weights import checked_sample_weight, row_weights
from straightedge.selection import SelectionSettings
from straightedge.sparse_rows import joined_sparse, open_rows
from straightedge.splits import hold_out_that_counts
from straightedge.training import TrainingPart, TrainingRows
from straightedge.workflow.automatic import path_settings
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
        weights: (N,) float64, how often each row counts, or None.
        groups: (N,) what rows belong together, or None.
        classes: Class names.
        training: The training rows, of which any part can be fitted by itself.
        whole: All of them.
        affine: Fitted on all training rows.
        scale: Mean of ‖x̂‖².
        settings: What the solvers are asked for.
        device: Where this rank's products run.
    """

    def __init__(self, dataset: Dataset, options: FitOptions, communicator: Communicator | None = None) -> None:
        self.dataset, self.options = dataset, options
        self.communicator = communicator or local()
        self.settings = options.settings()
        self.X, self.y = self._held(dataset.train.X), dataset.train.y
        groups = dataset.train.groups
        self.groups = None if groups is None else checked_groups(groups, len(self.y))
        self.classes = dataset.classes
        self.weights = _checked(dataset.train)
        self.device = own_device(options.fit.device)
        self.training = TrainingRows(
            self.X,
            self.y,
            len(self.classes),
            self.settings,
            options.fit.preprocess,
            dataset.image_shape,
            self.weights,
            None if options.fit.class_weight is None else read_class_weights(options.fit.class_weight),
            dataset.classes,
            device=self.device,
            communicator=self.communicator,
            table=dataset.parts,
            columns=dataset.columns,
        )
        rows, _ = self.training.own(None)
        facts = moments(rows, self.communicator, self.training.own_weights(None))
        self.affine = affine_from(facts, options.fit.preprocess, dataset.image_shape)
        self.scale = facts.mean_square_norm(self.affine)
        self.whole = TrainingPart(self.training, None, self.affine)
        self.in_memory = rows.in_memory or isinstance(self.X, np.ndarray)

    @cached_property
    def path_settings(self) -> FitSettings:
        """What they are asked for where fits are only compared."""
        return path_settings(self.options, self.settings)

    @cached_property
    def selection(self) -> SelectionSettings:
        """How reg is chosen."""
        return self.options.selection()

    def _held(self, X: Any) -> Any:
        """Return X in memory where it is on disk and takes at most half of what may be used."""
        alone = isinstance(X, np.memmap) and self.communicator.size == 1
        return np.array(X) if alone and X.nbytes <= self.options.data.usable_memory // 2 else X

    def fold_of_rows(self, folds: int, seed: int) -> np.ndarray:
        """Return the fold (N,) that holds each training row out, no group in two folds."""
        return folds_of(self.y, self.weights, self.groups, folds, seed)

    def hold_out(self, size: float | int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (training, validation) positions, no group in both."""
        if self.groups is None:
            return hold_out_that_counts(self.y, self.weights, size, seed)
        share = size / len(self.y) if isinstance(size, int) else size
        return hold_out_groups(self.y, self.groups, share, seed)

    def labels_of(self, rows: np.ndarray | None) -> np.ndarray:
        """Return the labels of held-out rows: those at (n,) training positions, or all of the validation split."""
        if rows is not None:
            return np.asarray(self.y[rows])
        assert self.dataset.validation is not None
        return self.dataset.validation.y

    def weights_of(self, rows: np.ndarray | slice | None) -> np.ndarray | None:
        """Return how much held-out rows (see `labels_of`) count, or None for once each."""
        if rows is not None:
            return None if self.weights is None else self.weights[rows].numpy()
        return None if self.dataset.validation is None else self.dataset.validation.weights

    def counts_of(self, rows: np.ndarray | None) -> Tensor | None:
        """Return how much held-out rows (see `weights_of`) count where reg is chosen, or None for once each."""
        if rows is not None:
            return self.training.judging_weights(rows)
        weights = self.weights_of(None)
        return None if weights is None else torch.from_numpy(weights)

    def objective_with(self, split: Split, reg: Sequence[float]) -> Objective:
        """Return the objective on all training rows and those of a further split together."""
        X, y = split.X, split.y
        (start, stop), (first, last) = self._own_range(len(self.y)), self._own_range(len(y))
        own = slice_of(self.X, start, stop), slice_of(X, first, last)
        labels = np.concatenate([self.y[start:stop], y[first:last]])
        weights = self._joint_weights(split, (start, stop), (first, last))
        if is_sparse(self.X):
            return self._joint(joined_sparse(own), labels, reg, weights)
        fits = all(isinstance(part, np.ndarray) for part in own)
        fits = fits and sum(part.nbytes for part in own) <= self.options.data.usable_memory // 2
        return self._joint(np.concatenate(own) if fits else JoinedRows(own), labels, reg, weights)

    def _joint_weights(self, split: Split, own: tuple[int, int], further: tuple[int, int]) -> Tensor | None:
        """Return the weights of this rank's training rows and further ones, or None where all count once."""
        parts = [self.weights, _checked(split)]
        class_weight = self.training.class_weight
        if class_weight is None and all(part is None for part in parts):
            return None
        sizes = len(self.y), split.n
        filled = [
            torch.ones(n, dtype=torch.float64) if part is None else part
            for part, n in zip(parts, sizes, strict=True)
        ]
        y = torch.from_numpy(np.concatenate([self.y, split.y]))
        found = row_weights(y, len(self.classes), torch.cat(filled), class_weight, self.classes)
        assert found is not None
        whole, rest = found[: sizes[0]], found[sizes[0] :]
        return torch.cat([whole[slice(*own)], rest[slice(*further)]])

    def _joint(self, X: Any, y: np.ndarray, reg: Sequence[float], weights: Tensor | None) -> Objective:
        return build_objective(
            open_rows(X, device=self.device),
            torch.from_numpy(y),
            len(self.classes),
            reg,
            self.settings,
            affine=self.affine,
            weights=weights,
            communicator=self.communicator,
        )

    def _own_range(self, n: int) -> tuple[int, int]:
        return row_range(n, self.communicator.rank, self.communicator.size)


def _checked(split: Split) -> Tensor | None:
    """Return the weights of a split as a tensor, or None where every row counts once."""
    return None if split.weights is None else checked_sample_weight(split.weights, split.n)
