"""The scikit-learn classifier that chooses reg by cross-validation."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from straightedge.errors import InputError, warn
from straightedge.estimators import LinearClassifier
from straightedge.estimators.answers import on_host
from straightedge.estimators.inputs import TrainingSet
from straightedge.fitting import checked_reg, solve
from straightedge.groups import checked_groups, fold_of_groups, fold_of_splits
from straightedge.losses import is_probabilistic
from straightedge.moments import moments
from straightedge.preprocess import AffineMap
from straightedge.selection.cautions import cautions
from straightedge.selection.choice import SelectionSettings, choose, judge
from straightedge.selection.folds import cross_validate
from straightedge.selection.path import default_grid
from straightedge.sparse_rows import is_sparse
from straightedge.splits import folds_that_count, undivided
from straightedge.training import TrainingPart, TrainingRows


class LinearClassifierCV(LinearClassifier):
    """`LinearClassifier` that chooses reg by stratified cross-validation, all values of a fold in the same passes.

    Args:
        loss: Name of the loss.
        regs: Values to try; None means 16, log-spaced around the data's scale.
        cv: Number of folds; or a splitter of scikit-learn, or pairs of training and held-out positions, whose
            folds hold out every row at most once and train on all others.
        scoring: "accuracy", "balanced_accuracy" or "log_loss".
        one_standard_error: See `SelectionSettings`.
        tol: Relative gap, for the folds and the refit.
        max_passes: As in `LinearClassifier`.
        bias: As in `LinearClassifier`.
        class_weight: As in `LinearClassifier`. Numbers of a mapping are taken for what mistakes of a class cost:
            reg is chosen, and `scores_` counted, by them, too. "balanced" is for the fits alone.
        preprocess: As in `LinearClassifier`.
        solver: As in `LinearClassifier`.
        device: As in `LinearClassifier`.
        random_state: Seed of the folds, of the kinds that `LinearClassifier` takes.

    Attributes:
        reg_: The chosen value.
        regs_: The values tried.
        scores_: The metric of each.
    """

    def __init__(
        self,
        loss: str = "softmax",
        *,
        regs: Sequence[float] | None = None,
        cv: Any = 5,
        scoring: str = "accuracy",
        one_standard_error: bool = False,
        tol: float = 1e-3,
        max_passes: float = 1000,
        bias: str = "penalized",
        class_weight: Any = None,
        preprocess: str = "none",
        solver: str = "auto",
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.regs = regs
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.tol = tol
        self.max_passes = max_passes
        self.bias = bias
        self.class_weight = class_weight
        self.preprocess = preprocess
        self.solver = solver
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Choose reg by cross-validation and fit it on all rows; see `LinearClassifier.fit`.

        Rows count by sample_weight, and by the numbers of a class_weight, in the fits and where answers are judged.

        Args:
            X: Rows.
            y: (N,) labels.
            sample_weight: (N,) ≥ 0, or None.
            groups: (N,) what belongs together, such as the patient of each row: no group is in the training rows
                and in the held-out rows of a fold. None where rows are independent.

        Raises:
            InputError: ``groups-invalid``, ``cv-invalid``, ``folds-invalid``; see `LinearClassifier.fit`.
        """
        settings = self._settings()
        selection = SelectionSettings(
            self.scoring, one_standard_error=self.one_standard_error, seed=settings.seed
        ).checked()
        data = self._training_set(X, y, sample_weight)
        affine = self._fitted_affine(data)
        self.regs_ = checked_reg(self.regs) if self.regs is not None else self._grid(data, affine)
        self.classes_ = data.classes
        training = TrainingRows(
            data.X,
            data.labels.numpy(),
            len(data.classes),
            settings,
            self.preprocess,
            data.image_shape,
            data.sample_weight,
            self._class_weight(data.classes.tolist()),
            data.classes.tolist(),
            self.device,
        )
        fold = self._fold_of(data, y, groups, selection.seed)
        self.reg_ = self.regs_[self._chosen(training, selection, fold)]
        final = TrainingPart(training, None, affine).objective([self.reg_])
        self._finish(solve(final, settings), affine)
        return self

    @staticmethod
    def _grid(data: TrainingSet, affine: AffineMap) -> list[float]:
        """Return values of reg around the scale of the mapped rows."""
        scale = moments(data.rows, weights=data.weights).mean_square_norm(affine)
        return default_grid(scale, sparse=is_sparse(data.X))

    def _class_weight(self, names: list[Any]) -> Any:
        """Return class_weight without classes that no row counts of: those have been left out."""
        if not isinstance(self.class_weight, Mapping):
            return self.class_weight
        return {name: self.class_weight[name] for name in names if name in self.class_weight}

    def _fold_of(self, data: TrainingSet, y: Any, groups: Any, seed: int) -> np.ndarray:
        """Return the fold that holds each row of the training set out."""
        labels, kept = data.labels.numpy(), slice(None) if data.kept is None else data.kept
        together = None if groups is None else checked_groups(groups, len(y))
        if isinstance(self.cv, numbers.Integral):
            if together is None:
                return folds_that_count(labels, data.weights, int(self.cv), seed)
            return fold_of_groups(labels, together[kept], int(self.cv), seed)
        if isinstance(self.cv, str) or not (hasattr(self.cv, "split") or isinstance(self.cv, Iterable)):
            what = f"cv is {self.cv!r}"
            raise InputError(
                "cv-invalid", what, mend="give a number of folds, a splitter or pairs of positions"
            )
        given = on_host(y)
        split = getattr(self.cv, "split", None)
        splits = self.cv if split is None else split(np.zeros(len(given)), given, together)
        return fold_of_splits(splits, len(given))[kept]

    def _chosen(self, training: TrainingRows, selection: SelectionSettings, fold: np.ndarray) -> int:
        """Return the position of the chosen reg, and say what is to be known of it."""
        y, values = training.y, self.regs_
        found = cross_validate(training, values, fold)
        judged, counts = y[found.rows], training.judging_weights(found.rows)
        scored = judge(found.scores, judged, values, selection, is_probabilistic(self.loss), counts)
        index = choose(scored, selection)
        self.scores_ = np.array([one.value for one in scored])
        said = cautions(scored, index, judged, selection, counts)
        said["class-of-one"] = undivided(y, self.classes_.tolist()) or ""
        said["folds-not-certified"] = found.uncertified(values, index) or ""
        for code, sentence in said.items():
            if sentence:
                warn(code, sentence)
        return index
