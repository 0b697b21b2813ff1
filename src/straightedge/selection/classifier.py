"""The scikit-learn classifier that chooses reg by cross-validation."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from straightedge.errors import warn
from straightedge.estimators import LinearClassifier
from straightedge.estimators.answers import on_host
from straightedge.estimators.inputs import TrainingSet
from straightedge.fitting import FitSettings, solve
from straightedge.groups import checked_groups, folds_of
from straightedge.kinds import is_sparse
from straightedge.losses import is_probabilistic
from straightedge.model import LinearModel
from straightedge.moments import moments
from straightedge.parameters import checked_reg, seed_of
from straightedge.preprocess import AffineMap
from straightedge.selection.automatic import (
    COMPARED_TOL,
    FEW_ROWS,
    FOLDS,
    HELD_OUT,
    number_of_deals,
    number_of_folds,
    number_of_values,
    scored_while_better,
)
from straightedge.selection.by_split import candidates, scorer_of, scores_by_split, splits_of
from straightedge.selection.cautions import cautions
from straightedge.selection.choice import METRICS, SelectionSettings, choose, judge
from straightedge.selection.folds import OutOfFold, cross_validate
from straightedge.selection.path import DEFAULT_SIZE, default_grid
from straightedge.splits import NEVER, folds_that_count, hold_out_that_counts, undivided
from straightedge.status import Callback
from straightedge.training import TrainingPart, TrainingRows


class LinearClassifierCV(LinearClassifier):
    """`LinearClassifier` that chooses reg by stratified cross-validation, all values of a fold in the same passes.

    Args:
        loss: Name of the loss.
        regs: Values to try. None is values log-spaced around the data's scale: 16, and where cv is None, too, up to
            8, largest first, as many as it takes to be past the best one.
        cv: Number of folds; or a splitter of scikit-learn, or pairs of training and held-out positions: these are
            judged split by split, and `scores_` are means over splits, as those of `cross_validate`.
            None is the choice that ``straightedge fit`` makes: five folds of fewer than 1,000 rows, dealt
            twice where there are fewer than 20 rows a class, three folds of up to 2,000 rows, and a held-out
            tenth of more rows.
        scoring: A metric of `straightedge.selection.choice`, such as "accuracy", "balanced_accuracy" or
            "log_loss"; or a scorer of scikit-learn, by its name or as a callable ``(estimator, X, y)``.
        one_standard_error: See `SelectionSettings`; None is True where cv is None and rows are folded.
        tol: Relative gap of the refit, and of the folds where cv is given.
        max_passes: As in `LinearClassifier`.
        bias: As in `LinearClassifier`.
        class_weight: As in `LinearClassifier`. Numbers of a mapping are taken for what mistakes of a class cost:
            reg is chosen, and `scores_` counted, by them, too. "balanced" is for the fits alone.
        preprocess: As in `LinearClassifier`.
        solver: As in `LinearClassifier`.
        warm_start: Start the last fit, that of the chosen reg, from the last W where shapes agree.
        device: As in `LinearClassifier`.
        random_state: Seed of the folds, of the kinds that `LinearClassifier` takes.
        verbose: 1 prints each trace row of the last fit.
        callbacks: Functions called with each trace row (a dict) of the last fit.

    Attributes:
        reg_: The chosen value.
        regs_: The values tried.
        scores_: The metric of each; of losses the negative.
        split_scores_: (S, K) that of each split, where cv gives splits or scoring is scikit-learn's.
    """

    def __init__(
        self,
        loss: str = "softmax",
        *,
        regs: Sequence[float] | None = None,
        cv: Any = None,
        scoring: Any = "accuracy",
        one_standard_error: bool | None = None,
        tol: float = 1e-3,
        max_passes: float = 1000,
        bias: str = "penalized",
        class_weight: Any = None,
        preprocess: str = "none",
        solver: str = "auto",
        warm_start: bool = False,
        device: str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
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
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

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
        data = self._training_set(X, y, sample_weight)
        affine = self._fitted_affine(data)
        self.regs_ = checked_reg(self.regs) if self.regs is not None else self._grid(data, affine)
        self.classes_ = data.classes
        training = self._training_rows(data, settings)
        if self._goes_by_splits():
            index, start = self._chosen_by_splits(X, y, sample_weight, groups), None
        else:
            index, start = self._chosen_by_folds(training, data, y, groups)
        self.reg_ = self.regs_[index]
        final = TrainingPart(training, None, affine).objective([self.reg_])
        former = self._warm_start(final.shape)
        start = start if former is None else former
        self._finish(solve(final, settings, W=start, callbacks=self._callbacks()), affine)
        return self

    @classmethod
    def from_model(cls, model: LinearModel, **parameters: Any) -> Self:
        """See `LinearClassifier.from_model`; of the choice nothing but the chosen reg is known."""
        made = super().from_model(model, **parameters)
        made.reg_, made.regs_, made.scores_ = model.reg, [model.reg], np.array([np.nan])
        return made

    def _goes_by_splits(self) -> bool:
        """Whether splits or a scorer of scikit-learn's are judged one split after the other."""
        own = isinstance(self.scoring, str) and self.scoring in METRICS
        return not own or not (self.cv is None or isinstance(self.cv, numbers.Integral))

    def _chosen_by_splits(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> int:
        """Return the position of the reg whose mean over splits is best."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        scorer_of(self.scoring)  # refused before the work
        given, rows = on_host(y), on_host(X)
        given = np.asarray(given)
        together = None if groups is None else checked_groups(groups, len(given))
        seed, folds = seed_of(self.random_state), FOLDS if self.cv is None else self.cv
        if isinstance(folds, numbers.Integral):
            kind = StratifiedKFold if together is None else StratifiedGroupKFold
            cv = kind(int(folds), shuffle=True, random_state=seed)
        else:
            cv = self.cv
        splits = splits_of(cv, given, together)
        words = LinearClassifier().get_params().keys() - {"warm_start", "verbose", "callbacks"}
        model = LinearClassifier(**{name: getattr(self, name) for name in words & self.get_params().keys()})
        weight = None if sample_weight is None else np.asarray(on_host(sample_weight))
        self.split_scores_ = scores_by_split(model, self.regs_, splits, self.scoring, rows, given, weight)
        scored = candidates(self.split_scores_, self.regs_)
        self.scores_ = np.array([one.value for one in scored])
        return choose(scored, SelectionSettings(one_standard_error=bool(self.one_standard_error)))

    def _chosen_by_folds(self, training: TrainingRows, data: TrainingSet, y: Any, groups: Any) -> tuple[int, Any]:
        """Return the position of the chosen reg, and where the last fit starts."""
        few = len(data.labels) <= FEW_ROWS or groups is not None
        cautious = self.cv is None and few if self.one_standard_error is None else self.one_standard_error
        seed = training.settings.seed
        selection = SelectionSettings(self.scoring, one_standard_error=cautious, seed=seed).checked()
        found = self._held_out(training, self._deals(data, y, groups, selection.seed))
        index = self._chosen(training, selection, found)
        many = self.cv is None and len(training.y) > FEW_ROWS
        start = found.fits[0].W[index][None] if many else None  # of most of the rows, behind their map
        return index, start

    def _training_rows(self, data: TrainingSet, settings: FitSettings) -> TrainingRows:
        """Return the rows of which folds are made."""
        return TrainingRows(
            data.X,
            data.labels.numpy(),
            len(data.classes),
            settings,
            self.preprocess,
            self.image_shape_,
            data.sample_weight,
            self._class_weight(data.classes.tolist()),
            data.classes.tolist(),
            self.device,
        )

    def _held_out(self, training: TrainingRows, deals: list[np.ndarray]) -> OutOfFold:
        """Return scores of the rows that are held out, of fits as close as a comparison needs."""
        if self.cv is not None:
            return cross_validate(training, self.regs_, deals[0])
        settings = replace(training.settings, tol=max(training.settings.tol, COMPARED_TOL))
        may_stop = is_probabilistic(self.loss) and training.class_weight is None
        may_stop &= self.regs is None and self.scoring in ("accuracy", "log_loss")
        training = replace(training, settings=settings)
        found = scored_while_better(training, self.regs_, deals, may_stop=may_stop)
        self.regs_ = self.regs_[: found.scores.shape[1]]
        return found

    def _grid(self, data: TrainingSet, affine: AffineMap) -> list[float]:
        """Return values of reg around the scale of the mapped rows."""
        scale = moments(data.rows, weights=data.weights).mean_square_norm(affine)
        size = number_of_values(data.labels.numpy()) if self.cv is None else DEFAULT_SIZE
        return default_grid(scale, size, sparse=is_sparse(data.X))

    def _class_weight(self, names: list[Any]) -> Any:
        """Return class_weight without classes that no row counts of: those have been left out."""
        if not isinstance(self.class_weight, Mapping):
            return self.class_weight
        return {name: self.class_weight[name] for name in names if name in self.class_weight}

    def _deals(self, data: TrainingSet, y: Any, groups: Any, seed: int) -> list[np.ndarray]:
        """Return the fold that holds each row of the training set out; several times where rows are few."""
        labels = data.labels.numpy()
        if self.cv is not None or groups is not None:
            return [self._fold_of(data, y, groups, seed)]
        if len(labels) > FEW_ROWS:
            fold = np.full(len(labels), NEVER, dtype=np.int64)
            fold[hold_out_that_counts(labels, data.weights, HELD_OUT, seed)[1]] = 0
            return [fold]
        folds = number_of_folds(labels)
        deals = range(seed, seed + number_of_deals(labels))
        return [folds_that_count(labels, data.weights, folds, deal) for deal in deals]

    def _fold_of(self, data: TrainingSet, y: Any, groups: Any, seed: int) -> np.ndarray:
        """Return the fold that holds each row of the training set out, by cv as it was given."""
        labels, kept = data.labels.numpy(), slice(None) if data.kept is None else data.kept
        together = None if groups is None else checked_groups(groups, len(y))[kept]
        return folds_of(labels, data.weights, together, FOLDS if self.cv is None else int(self.cv), seed)

    def _chosen(self, training: TrainingRows, selection: SelectionSettings, found: OutOfFold) -> int:
        """Return the position of the chosen reg, and say what is to be known of it."""
        y, values = training.y, self.regs_
        judged, counts = y[found.rows], training.judging_weights(found.rows)
        softmax = is_probabilistic(self.loss)
        scored = judge(found.scores, judged, values, selection, softmax, counts, whole=False)
        index = choose(scored, selection)
        self.scores_ = np.array([one.value for one in scored])
        said = cautions(scored, index, judged, selection, counts)
        said["class-of-one"] = undivided(y, self.classes_.tolist()) or ""
        said["folds-not-certified"] = found.uncertified(index) or ""
        for code, sentence in said.items():
            if sentence:
                warn(code, sentence)
        return index
