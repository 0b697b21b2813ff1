"""Labelled training rows, and any part of them fitted by itself.

A part has its own affine map, fitted on its own rows, and an objective over those rows alone. What is judged on the
other rows has seen nothing of them: neither their labels nor their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.data.base import RawTable
from straightedge.distributed import Communicator, local, own_rows, row_range, slice_of, together
from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.row_weights import row_weights
from straightedge.sparse_rows import AnyRows, open_rows


@dataclass(frozen=True)
class TrainingRows:
    """The training rows of all ranks, and how they are to be fitted.

    Attributes:
        X: (N, ...) rows as they lie: an array, a memory map, a tensor or a row source; the same on every rank.
        y: (N,) int64 labels in [0, n_classes).
        n_classes: C.
        settings: Loss, gap and limits.
        preprocess: Kind of the affine map; see `moments.fit_affine`.
        image_shape: (channels, height, width) where rows are images.
        weights: (N,) float64 ≥ 0, or None.
        class_weight: See `row_weights`; "balanced" counts the rows of a part alone.
        names: C class names, for `class_weight`.
        device: Where products run; None means where X is.
        communicator: Who owns which rows.
        table: Where X are the features of a table: its raw cells, which each part encodes anew.
        columns: What the table's columns became in X, as plain data.
    """

    X: Any
    y: np.ndarray
    n_classes: int
    settings: FitSettings
    preprocess: str = "none"
    image_shape: tuple[int, ...] | None = None
    weights: Tensor | None = None
    class_weight: Any = None
    names: Sequence[Any] = ()
    device: torch.device | str | None = None
    communicator: Communicator = field(default_factory=local)
    table: RawTable | None = None
    columns: dict[str, Any] | None = None

    def part(self, index: np.ndarray | None = None) -> TrainingPart:
        """Return the rows at (n,) rising positions, or all, with the map that these rows alone give.

        Raises:
            InputError: ``ranks-too-many`` where some rank would have no row.
        """
        training = self._encoded_by(index)
        rows, _ = training.own(index)
        weights = self.own_weights(index)
        affine = fit_affine(rows, self.preprocess, self.image_shape, self.communicator, weights)
        return TrainingPart(training, index, affine)

    def _encoded_by(self, index: np.ndarray | None) -> TrainingRows:
        """Return the rows with the features that a part of a table gives, other rows unseen."""
        if index is None or self.table is None:
            return self
        columns = self.table.columns(index)
        return replace(self, X=self.table.rows("train", columns), columns=columns)

    def own_weights(self, index: np.ndarray | None) -> Tensor | None:
        """Return the weights (n_r,) of this rank's rows of a part, which nothing of other rows enters; or None."""
        part = slice(None) if index is None else index
        y = torch.from_numpy(self.y[part])
        own = None if self.weights is None else self.weights[part]
        found = row_weights(y, self.n_classes, own, self.class_weight, self.names)
        start, stop = row_range(len(y), self.communicator.rank, self.communicator.size)
        return None if found is None else found[start:stop]

    def judging_weights(self, rows: np.ndarray) -> Tensor | None:
        """Return how much the answers to held-out rows (n,) count where reg is chosen, None where all are alike.

        Rows count by their weights, and by the numbers of a class_weight, which are costs of mistakes; "balanced"
        says how to fit, and not what a mistake costs.
        """
        if not isinstance(self.class_weight, Mapping):
            return None if self.weights is None else self.weights[rows]
        costs = self.own_weights(None)
        return None if costs is None else costs[rows] / costs[rows].sum()  # shares: no row is several

    def own(self, index: np.ndarray | None) -> tuple[AnyRows, np.ndarray | slice]:
        """Return this rank's rows of a part, and their positions: (n_r,), or a slice of all."""
        n, communicator = len(self.y) if index is None else len(index), self.communicator
        if n < communicator.size:
            raise InputError("ranks-too-many", f"{n} training samples for more ranks than that")
        start, stop = row_range(n, communicator.rank, communicator.size)
        if index is None:
            rows = open_rows(own_rows(self.X, communicator), device=self.device, first_row=start)
            return rows, slice(start, stop)
        places = index[start:stop]
        return open_rows(self.X, device=self.device, order=torch.from_numpy(places)), places


@dataclass(frozen=True)
class TrainingPart:
    """Some of the training rows and their map.

    Attributes:
        training: All of them, encoded as the part does where they are a table.
        index: (n,) positions of the part's rows; None for all.
        affine: Fitted on the part's rows.
    """

    training: TrainingRows
    index: np.ndarray | None
    affine: AffineMap

    def objective(self, reg: Sequence[float]) -> Objective:
        """Return the objective over the part's rows for K values of reg."""
        training = self.training
        rows, places = training.own(self.index)
        return build_objective(
            rows,
            torch.from_numpy(training.y[places]),
            training.n_classes,
            reg,
            training.settings,
            affine=self.affine,
            weights=training.own_weights(self.index),
            communicator=training.communicator,
        )

    def scores(self, W: Tensor, X: Any = None, index: np.ndarray | None = None) -> Tensor:
        """Return scores (n, K, C) of W behind the part's map, on every rank and on the CPU.

        Args:
            W: (K, C, D + 1) on rows mapped as the part's.
            X: Rows with the features of the part; None means all training rows.
            index: (n,) positions in X; None means all of its rows.
        """
        X = self.training.X if X is None else X
        n = int(X.shape[0]) if index is None else len(index)

        def own(start: int, stop: int) -> Tensor:
            device = self.training.device
            if index is None:
                rows = open_rows(X if stop - start == n else slice_of(X, start, stop), device=device)
            else:
                rows = open_rows(X, device=device, order=torch.from_numpy(index[start:stop]))
            labels = torch.zeros((), dtype=torch.int64).expand(rows.n_samples)  # the memory of one
            objective = build_objective(
                rows, labels, W.shape[1], [1.0] * len(W), self.training.settings, affine=self.affine
            )
            return objective.scores(W.to(objective.device)).cpu()

        return gathered(self.training.communicator, n, own)


def gathered(communicator: Communicator, n: int, score: Callable[[int, int], Tensor]) -> Tensor:
    """Return ``score(0, n)``, each rank working on its rows ``start:stop`` of the n alone."""
    if n < communicator.size:
        return together(communicator, lambda: score(0, n))
    start, stop = row_range(n, communicator.rank, communicator.size)
    return communicator.gather_rows(together(communicator, lambda: score(start, stop)))
