"""The classifier of any loss: fit to a proven gap, on NumPy or torch, CPU or CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_is_fitted

from straightedge.errors import InputError
from straightedge.estimators import quick
from straightedge.estimators.fitted import FittedClassifier, print_row, warn_on_range
from straightedge.parameters import check_positive, one_reg, seed_of
from straightedge.status import Callback

if TYPE_CHECKING:  # what needs torch is imported where it is first used: small fits need none of it
    from straightedge.estimators.inputs import TrainingSet
    from straightedge.fitting import FitSettings
    from straightedge.preprocess import AffineMap
    from straightedge.sparse_rows import AnyRows
from collections.abc import Callable

from straightedge.estimators import quick_hinge, quick_sparse
from straightedge.estimators.quick_hinge import Found


def _has_probabilities(estimator: Any) -> bool:
    from straightedge.losses import is_probabilistic

    return is_probabilistic(estimator._loss_name)


class LinearClassifier(FittedClassifier, ClassifierMixin, BaseEstimator):
    """A linear classifier that minimises mean loss + reg ‖W‖² to a certified relative gap.

    Args:
        loss: A name of `straightedge.losses.LOSSES`, such as "softmax", "svm" or "one_vs_rest_logistic".
        reg: Strength of the regulariser reg·ΣW² on the mean loss, > 0. scikit-learn's C is 1/(2 reg N) for
            three classes and more, 1/(reg N) for two.
        tol: Relative duality gap (P − D)/P to certify.
        max_passes: Passes over the data before giving up; then `status_` says so and a warning is issued.
        bias: "penalized": the constant's weights are part of ‖W‖², as in the notes; "free": they are not.
        class_weight: None, "balanced" or {class: weight ≥ 0}, with names that are classes of y; it multiplies
            sample_weight, and "balanced" counts rows by it.
        preprocess: "none", "center", "standardize", or for images "channel" and "pixels": folded into the
            coefficients, never applied to a copy of X.
        solver: "auto" or a name of `straightedge.solvers.SOLVERS`.
        warm_start: Start from the last W where shapes agree.
        device: Where products run ("cpu", "cuda"); None means where X is.
        random_state: Seed for solvers that draw samples: an int, a NumPy integer, RandomState or Generator; None
            is 0, so that the same input gives the same fit.
        verbose: 1 prints each trace row.
        callbacks: Functions called with each trace row (a dict) of the fit.

    Attributes:
        classes_: (C,) the class labels, sorted.
        coef_: (C, D) on raw features, or (1, D) for two classes: the difference, as in scikit-learn.
        intercept_: (C,) or (1,).
        W_: (D + 1, C) float64, the solution on mapped rows, bias last.
        objective_, dual_, gap_: P(W), the proven lower bound, (P − D)/P.
        status_, message_: How the fit ended: a word and a sentence.
        n_passes_, n_iter_: Passes over the data, and steps of the solver.
        trace_: A row for each step.
        n_features_in_: D.
        value_range_: The smallest value of the training rows and the largest in size, (min, max |x|).
        affine_: The map of `preprocess`, as (shift (D,), scale (D,), its name); None where it changes nothing.
        image_shape_: (channels, height, width) where the training rows were images, else None.
        temperature_: What scores are divided by in probabilities, of a calibrated model (`from_model`); else None.

    Raises:
        InputError: On data or settings that make no sense; it is a ValueError with a stable `code`.

    References:
        docs/architecture.md for the objective; `straightedge.objective` for the certificate.
    """

    def __init__(
        self,
        loss: str = "softmax",
        *,
        reg: float = 1e-3,
        tol: float = 1e-4,
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
        self.reg = reg
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

    def _settings(self) -> FitSettings:
        from straightedge.fitting import FitSettings

        return FitSettings(
            loss=self._loss_name,
            tol=self.tol,
            max_passes=self.max_passes,
            bias=self.bias,
            solver=self.solver,
            device=self.device,
            seed=seed_of(self.random_state),
        ).checked()

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's description of what this estimator takes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to the asked gap.

        Args:
            X: (N, D) array or tensor, uint8 to float64, images (N, C, H, W), or a sparse matrix or array of
                SciPy, which stays sparse unless it has at most two million entries, zeros counted.
            y: (N,) labels of any kind that NumPy sorts.
            sample_weight: (N,) ≥ 0, or None. A row of weight w counts as w rows, in the loss and in what
                `preprocess` fits; a row of weight 0 changes nothing, its class included.

        Returns:
            self. Ctrl-C ends the fit within a block, with the best W so far and its gap.
        """
        if self._fit_quickly(X, y, sample_weight):
            return self
        from straightedge.fitting import build_objective, solve

        settings = self._settings()
        reg = one_reg(self.reg)
        data = self._training_set(X, y, sample_weight)
        affine = self._fitted_affine(data)
        objective = build_objective(
            data.rows, data.labels, len(data.classes), [reg], settings, affine=affine, weights=data.weights
        )
        start = self._warm_start(objective.shape)
        self.classes_ = data.classes
        self._finish(solve(objective, settings, W=start, callbacks=self._callbacks()), affine)
        return self

    def _fit_quickly(self, X: Any, y: Any, sample_weight: Any) -> bool:
        """Fit by the short way where there is one, and return whether there was."""
        way = None
        if sample_weight is None and quick.has_short_settings(self):
            way = short_way(X, self.solver, self.bias)
        if way is None:
            return False
        reg = one_reg(self.reg)
        for name in ("tol", "max_passes"):
            check_positive(name, getattr(self, name))
        seed, limits = seed_of(self.random_state), (float(self.tol), float(self.max_passes))
        found = way(seed, self._loss_name, X, y, reg, *limits)
        if found is None:
            return False
        answer, self.classes_, self.value_range_ = found
        self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_, self.image_shape_ = X.shape[1], None
        W = np.ascontiguousarray(answer.W.T)
        self._keep_weights(W, answer.W[:, :-1], answer.W[:, -1])
        self._keep_proof(answer.objective, answer.dual, answer.gap, answer.status, answer.n_passes, answer.trace)
        self._warn(active=True)
        return True

    def _training_set(self, X: Any, y: Any, sample_weight: Any) -> TrainingSet:
        from straightedge.estimators.inputs import training_set

        _check_feature_names(self, X, reset=True)
        data = training_set(X, y, sample_weight, self.class_weight, device=self.device)
        self.n_features_in_, self.image_shape_ = data.rows.n_features, data.image_shape
        return data

    def _fitted_affine(self, data: TrainingSet) -> AffineMap:
        """Fit the map, and remember the range of the training values."""
        from straightedge.moments import fitted_map
        from straightedge.preprocess import AffineMap

        plain = self.preprocess == "none" and data.image_shape is None and data.rows.device.type == "cpu"
        plain = plain and quick.is_plain(data.X)
        value_range = quick.range_of(data.X) if plain else None
        if value_range is not None:  # nothing else is asked of the moments
            self.value_range_ = value_range
            return AffineMap.identity(data.X.shape[1])
        affine, self.value_range_ = fitted_map(data.rows, self.preprocess, self.image_shape_, data.weights)
        return affine

    def _callbacks(self) -> list[Callback]:
        own: list[Callback] = [print_row] if self.verbose else []
        return own + list(self.callbacks or [])

    def _rows(self, X: Any) -> AnyRows:
        from torch import Tensor

        from straightedge.estimators.inputs import checked_input, flat_view
        from straightedge.sparse_rows import open_rows

        checked = checked_input(X)
        _check_feature_names(self, X, reset=False)
        if not isinstance(X, Tensor):
            _check_n_features(self, flat_view(checked), reset=False)
        return open_rows(checked, device=self.device)

    def decision_function(self, X: Any) -> Any:
        """Return scores (N, C), or (N,) for two classes: the second class's score minus the first's."""
        check_is_fitted(self, "coef_")
        return _like(X, self._decision(X))

    def _decision(self, X: Any) -> np.ndarray:
        scores, value_range = self._scored(X)
        warn_on_range(self.value_range_, value_range)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def _is_short(self, X: Any) -> bool:
        """Return whether there is a short way for X; scikit-learn warns of an array where columns had names."""
        plain = quick.is_scored(X) and X.shape[1] == self.n_features_in_ and self.device in (None, "cpu")
        return plain and not hasattr(self, "feature_names_in_")

    def _scored(self, X: Any) -> tuple[np.ndarray, tuple[float, float]]:
        found = quick.score(X, self.coef_, self.intercept_) if self._is_short(X) else None
        if found is not None:
            return found
        from straightedge.estimators.answers import score_rows

        rows = self._rows(X)
        if rows.n_features != self.n_features_in_:
            raise InputError(
                "x-width",
                f"X has {rows.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input",
            )
        rows.check_finite()
        return score_rows(rows, self.coef_, self.intercept_)

    def predict(self, X: Any) -> Any:
        """Return the class with the largest score for each row (N,): a tensor for tensors with numeric classes."""
        check_is_fitted(self, "coef_")
        found = quick.predict(X, self.coef_, self.intercept_) if self._is_short(X) else None
        if found is not None:
            warn_on_range(self.value_range_, found[1])
            return self.classes_.take(found[0])
        scores = self._decision(X)
        index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return _like(X, self.classes_[index])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted, by weight; tensors may lie on any device."""
        from sklearn.metrics import accuracy_score

        from straightedge.estimators.answers import on_host

        found, weight = on_host(self.predict(X)), on_host(sample_weight)
        return float(accuracy_score(on_host(y), found, sample_weight=weight))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """Return log-probabilities (N, C), nats; for the softmax loss, whose scores are log-odds."""
        from straightedge.calibration import log_softmax

        check_is_fitted(self, "coef_")
        scores = self._decision(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return _like(X, log_softmax(scores, self.temperature_ or 1.0))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Return probabilities (N, C), rows sum to 1; for the softmax loss."""
        log = self.predict_log_proba(X)
        return np.exp(log) if isinstance(log, np.ndarray) else log.exp()


def _like(X: Any, answer: np.ndarray) -> Any:
    """Return the answer as X came: a tensor on X's device, or an array."""
    if isinstance(X, np.ndarray):
        return answer
    from straightedge.estimators.answers import like_input

    return like_input(X, answer)


def short_way(X: Any, solver: Any, bias: str) -> Callable[..., Found | None] | None:
    """Return what fits X, as `quick_sparse.fit` does sparse rows, or None; other settings may rule it out."""
    if not isinstance(X, np.ndarray):
        if solver != "auto" or not quick_sparse.is_plain(X):
            return None
        return lambda *asked: quick_sparse.fit(*asked, bias=bias)
    if X.ndim != 2 or not quick.is_plain(X):
        return None
    hinges = solver == "auto"
    return lambda _, *asked: (
        quick.fit(*asked, bias=bias) or (quick_hinge.fit(*asked, bias=bias) if hinges else None)
    )
