"""The classifier of any loss: fit to a proven gap, on NumPy or torch, CPU or CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_is_fitted,
)
from torch import Tensor

from straightedge.calibration import log_softmax
from straightedge.errors import InputError
from straightedge.estimators.answers import (
    like_input,
    on_host,
    print_row,
    score_rows,
    warn_constant,
    warn_not_certified,
    warn_on_range,
)
from straightedge.estimators.inputs import TrainingSet, checked_input, flat_view, training_set
from straightedge.fitting import (
    FitSettings,
    build_objective,
    one_reg,
    seed_of,
    solve,
)
from straightedge.losses import is_probabilistic
from straightedge.moments import affine_from, moments
from straightedge.preprocess import AffineMap
from straightedge.solvers.base import Callback, Solution
from straightedge.sparse_rows import AnyRows, open_rows


def _has_probabilities(estimator: Any) -> bool:
    return is_probabilistic(estimator._loss_name)


class LinearClassifier(ClassifierMixin, BaseEstimator):
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

    Raises:
        InputError: On data or settings that make no sense; it is a ValueError with a stable `code`.

    References:
        docs/architecture.md for the objective; `straightedge.objective` for the certificate.
    """

    _fixed_loss: str | None = None

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

    @property
    def _loss_name(self) -> str:
        return self._fixed_loss or self.loss

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

    def _training_set(self, X: Any, y: Any, sample_weight: Any) -> TrainingSet:
        self._rows(X, reset=True)
        return training_set(X, y, sample_weight, self.class_weight, device=self.device)

    def _fitted_affine(self, data: TrainingSet) -> AffineMap:
        """Fit the map, and remember the range of the training values."""
        facts = moments(data.rows, weights=data.weights)
        self.value_range_ = (facts.smallest, facts.largest)
        affine = affine_from(facts, self.preprocess, data.image_shape)
        self._scale = facts.mean_square_norm(affine)
        return affine

    def _callbacks(self) -> list[Callback]:
        own: list[Callback] = [print_row] if self.verbose else []
        return own + list(self.callbacks or [])

    def _rows(self, X: Any, *, reset: bool) -> AnyRows:
        checked = checked_input(X)
        _check_feature_names(self, X, reset=reset)
        if not isinstance(X, Tensor) or reset:
            _check_n_features(self, flat_view(checked), reset=reset)
        return open_rows(checked, device=self.device)

    def _warm_start(self, shape: tuple[int, int, int]) -> Tensor | None:
        if not self.warm_start or not hasattr(self, "W_"):
            return None
        W = torch.as_tensor(self.W_).t()[None]
        return W if W.shape == shape else None

    def _finish(self, solution: Solution, affine: Any) -> None:
        W = solution.W[0].t()
        weight, bias = affine.fold(W)
        coef, intercept = weight.t().numpy(), bias.numpy()
        if len(self.classes_) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.W_ = W.numpy()
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), intercept
        self.objective_, self.dual_ = float(solution.objective[0]), float(solution.dual[0])
        self.gap_ = float(solution.gap[0])
        self.status_, self.message_ = solution.status[0].value, solution.message[0]
        self.n_passes_ = float(solution.n_passes[0])
        self.n_iter_ = max(1, len(solution.trace))
        self.trace_ = solution.trace
        warn_not_certified(solution)
        if not self.coef_.any():
            cause = "optimum" if affine.scale.any() else "features"
            warn_constant(self.classes_.tolist()[int(self.W_[-1].argmax())], cause)

    def decision_function(self, X: Any) -> Any:
        """Return scores (N, C), or (N,) for two classes: the second class's score minus the first's."""
        check_is_fitted(self, "coef_")
        return like_input(X, self._decision(X))

    def _decision(self, X: Any) -> np.ndarray:
        rows = self._rows(X, reset=False)
        if rows.n_features != self.n_features_in_:
            raise InputError(
                "x-width",
                f"X has {rows.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input",
            )
        rows.check_finite()
        scores, value_range = score_rows(rows, self.coef_, self.intercept_)
        warn_on_range(self.value_range_, value_range)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """Return the class with the largest score for each row (N,): a tensor for tensors with numeric classes."""
        check_is_fitted(self, "coef_")
        scores = self._decision(X)
        index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return like_input(X, self.classes_[index])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted, by weight; tensors may lie on any device."""
        from sklearn.metrics import accuracy_score

        found, weight = on_host(self.predict(X)), on_host(sample_weight)
        return float(accuracy_score(on_host(y), found, sample_weight=weight))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """Return log-probabilities (N, C), nats; for the softmax loss, whose scores are log-odds."""
        check_is_fitted(self, "coef_")
        scores = self._decision(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return like_input(X, log_softmax(scores))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Return probabilities (N, C), rows sum to 1; for the softmax loss."""
        log = self.predict_log_proba(X)
        return log.exp() if isinstance(log, Tensor) else np.exp(log)
