"""scikit-learn estimators: fit to a proven gap, on NumPy or torch, CPU or CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_is_fitted,
    column_or_1d,
)
from torch import Tensor

from straightedge.calibration import log_softmax
from straightedge.data.cells import as_table
from straightedge.data.label_values import one_column, refuse_missing
from straightedge.errors import InputError, warn
from straightedge.fitting import (
    FitSettings,
    build_objective,
    checked_sample_weight,
    one_reg,
    row_weights,
    seed_of,
    solve,
)
from straightedge.losses import is_probabilistic
from straightedge.moments import affine_from, moments
from straightedge.preprocess import AffineMap
from straightedge.rows import check_shape
from straightedge.solvers.base import Callback, Solution
from straightedge.sparse_moments import extremes
from straightedge.sparse_rows import AnyRows, SparseRows, as_csr, is_sparse, open_rows


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
        own: list[Callback] = [_print_row] if self.verbose else []
        return own + list(self.callbacks or [])

    def _rows(self, X: Any, *, reset: bool) -> AnyRows:
        checked = checked_input(X)
        _check_feature_names(self, X, reset=reset)
        if not isinstance(X, Tensor) or reset:
            _check_n_features(self, _flat_view(checked), reset=reset)
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
        return _like(X, self._decision(X))

    def _decision(self, X: Any) -> np.ndarray:
        rows = self._rows(X, reset=False)
        if rows.n_features != self.n_features_in_:
            raise InputError(
                "x-width",
                f"X has {rows.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input",
            )
        rows.check_finite()
        scores, value_range = _score(rows, self.coef_, self.intercept_)
        warn_on_range(self.value_range_, value_range)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """Return the class with the largest score for each row (N,): a tensor for tensors with numeric classes."""
        check_is_fitted(self, "coef_")
        scores = self._decision(X)
        index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return _like(X, self.classes_[index])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted, by weight; tensors may lie on any device."""
        from sklearn.metrics import accuracy_score

        found, weight = _on_host(self.predict(X)), _on_host(sample_weight)
        return float(accuracy_score(_on_host(y), found, sample_weight=weight))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """Return log-probabilities (N, C), nats; for the softmax loss, whose scores are log-odds."""
        check_is_fitted(self, "coef_")
        scores = self._decision(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return _like(X, log_softmax(scores))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Return probabilities (N, C), rows sum to 1; for the softmax loss."""
        log = self.predict_log_proba(X)
        return log.exp() if isinstance(log, Tensor) else np.exp(log)


class SoftmaxClassifier(LinearClassifier):
    """`LinearClassifier` with the softmax cross-entropy (multinomial logistic regression)."""

    _fixed_loss = "softmax"

    def __init__(
        self,
        reg: float = 1e-3,
        *,
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


class SVMClassifier(LinearClassifier):
    """`LinearClassifier` with the multiclass hinge of Weston and Watkins, the SVM loss of the notes."""

    _fixed_loss = "svm"

    def __init__(
        self,
        reg: float = 1e-3,
        *,
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


# -------------------------------------------------------------------- inputs and outputs


def checked_input(X: Any) -> Any:
    """Return X as an array or tensor with a shape a classifier can take.

    Raises:
        InputError: ``x-sparse``, ``x-shape`` or ``x-dtype``.
    """
    if isinstance(X, Tensor) and X.layout is not torch.strided:
        raise InputError(
            "x-sparse", "X is a sparse tensor, and dense rows are needed", mend="X.to_dense() makes it dense"
        )
    if is_sparse(X):
        return as_csr(X)
    if not isinstance(X, (Tensor, np.ndarray)) and not hasattr(X, "read"):
        X = as_table(X)
    shape = tuple(X.shape)
    if len(shape) == 3 or len(shape) > 4:
        raise InputError(
            "x-shape", f"X has shape {shape}", mend="expected 2D rows (N, D) or images (N, C, H, W)"
        )
    check_shape(shape)
    return X


def encoded_labels(y: Any) -> tuple[np.ndarray, Tensor]:
    """Return the sorted classes (C,) and the index of each label (N,) int64.

    Raises:
        InputError: ``labels-missing`` or ``labels-single-class``; scikit-learn's own errors for the rest.
    """
    if y is None:
        raise InputError("labels-missing", "this estimator requires y to be passed, but the target y is None")
    array = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    if not _plain_labels(array):
        array = _checked_labels(array)
    classes, index = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            "labels-single-class",
            f"y has 1 class: {classes.tolist()}",
            mend="a classifier needs two classes or more",
        )
    if _plain_labels(array) and 2 * len(classes) > len(array):
        check_classification_targets(array)  # warns of labels that look like numbers to be predicted
    return classes, torch.from_numpy(index.astype(np.int64))


def _plain_labels(array: Any) -> bool:
    """Return whether labels are whole numbers in one row: nothing can be wrong with those."""
    return isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iub"


def _checked_labels(array: Any) -> np.ndarray:
    """Return labels as (N,), or raise on what cannot be classes."""
    if len(getattr(array, "shape", ())) == 2 and array.shape[1] > 1:
        one_column(np.asarray(array), None, "y")  # says which kind of table it is
    array = column_or_1d(array, warn=True)
    refuse_missing(array, "y")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            "labels-not-finite",
            "Input y contains NaN or infinity",
            f"row {int(np.argmin(np.isfinite(array)))}",
        )
    check_classification_targets(array)
    checked: np.ndarray = array
    return checked


@dataclass(frozen=True)
class TrainingSet:
    """Rows to fit, without those of weight 0 where X is in memory.

    Attributes:
        X: (N, ...) the rows as they came, as an array, tensor or row source.
        rows: The same, read by block.
        labels: (N,) int64 indices into `classes`.
        classes: (C,) the labels that occur in rows of positive sample weight, sorted.
        weights: (N,) float64, sample times class weights; None when all rows count the same.
        sample_weight: (N,) float64, what a row counts when answers are judged; None for once each.
    """

    X: Any
    rows: AnyRows
    labels: Tensor
    classes: np.ndarray
    weights: Tensor | None
    sample_weight: Tensor | None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """(channels, height, width) where rows are images."""
        return tuple(self.X.shape[1:]) if len(self.X.shape) == 4 else None


def training_set(
    X: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, *, device: Any = None
) -> TrainingSet:
    """Return what a fit is made of, as its rows count.

    Args:
        X: See `LinearClassifier.fit`; and the rest.
        y: (N,) labels.
        sample_weight: (N,) ≥ 0, or None.
        class_weight: See `row_weights`.
        device: Where products run.

    Raises:
        InputError: See `LinearClassifier.fit`; ``x-not-finite`` for rows of weight 0 as well.
    """
    X = checked_input(X)
    classes, labels = encoded_labels(y)
    refuse_other_length(int(X.shape[0]), len(labels))
    own = None if sample_weight is None else checked_sample_weight(sample_weight, len(labels))
    weights = row_weights(labels, len(classes), own, class_weight, classes.tolist())
    if weights is None or bool((weights > 0).all()):
        return TrainingSet(X, open_rows(X, device=device), labels, classes, _unequal(weights), own)
    if len(labels[weights > 0].unique()) < 2:
        raise InputError("labels-single-class", "only one class has samples of positive weight")
    if own is not None:
        classes, labels = _classes_that_count(classes, labels, own)
    rows = open_rows(X, device=device)
    in_memory = isinstance(X, (Tensor, np.ndarray)) or is_sparse(X)
    if isinstance(X, np.memmap) or not in_memory:  # a copy would be read into memory
        return TrainingSet(X, rows, labels, classes, weights, own)
    rows.check_finite()
    kept = weights > 0
    X = X[kept.to(X.device)] if isinstance(X, Tensor) else X[kept.numpy()]
    own = None if own is None else own[kept]
    return TrainingSet(X, open_rows(X, device=device), labels[kept], classes, _unequal(weights[kept]), own)


def _unequal(weights: Tensor | None) -> Tensor | None:
    """Return None for weights that are all the same: a mean over rows knows only their ratios."""
    return None if weights is None or bool((weights == weights[0]).all()) else weights


def _classes_that_count(classes: np.ndarray, labels: Tensor, weights: Tensor) -> tuple[np.ndarray, Tensor]:
    """Return the classes of rows of positive weight, and the labels as indices into them (others: 0)."""
    counts = torch.bincount(labels, weights, minlength=len(classes)) > 0
    if bool(counts.all()):
        return classes, labels
    left_out = classes[~counts.numpy()].tolist()
    warn("class-without-weight", f"classes whose rows all have weight 0 are left out: {left_out[:5]}")
    place = (counts.cumsum(0) - 1).clamp_min(0)
    return classes[counts.numpy()], torch.where(counts[labels], place[labels], 0)


def refuse_other_length(n_rows: int, n_labels: int) -> None:
    """Raise `InputError` ``labels-length`` unless there is a label for each row."""
    if n_rows != n_labels:
        raise InputError(
            "labels-length",
            f"X has {n_rows} rows and y has {n_labels} labels: inconsistent numbers of samples",
            mend="give one label for each row",
        )


def _flat_view(X: Any) -> Any:
    """Return something whose shape is (N, D), for scikit-learn's bookkeeping."""
    shape = tuple(X.shape)
    if len(shape) <= 2:
        return X
    return np.broadcast_to(np.zeros(1, dtype=np.uint8), (shape[0], int(np.prod(shape[1:]))))


def warn_on_range(trained: tuple[float, float], seen: tuple[float, float]) -> None:
    """Warn when one of train and test looks like pixels of 0–255 and the other like 0–1.

    Args:
        trained: (smallest, largest) value of the training rows.
        seen: The same of the rows to be predicted.
    """
    low, high = sorted((trained[1], seen[1]))
    if min(trained[0], seen[0]) >= 0 and 0 < low <= 1 and 64 <= high <= 255:
        warn(
            "ranges-differ",
            f"values of the training rows reach {trained[1]:g}, those of these rows {seen[1]:g}: "
            "is one of them scaled by 255?",
        )


def _score(rows: AnyRows, coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return X coefᵀ + intercept (N, C) and X's (min, max), by blocks, in float64 or for large X float32."""
    if isinstance(rows, SparseRows):
        return rows.csr @ coef.T + intercept, extremes(rows, None)
    dtype = (
        torch.float64 if rows.is_float64 or rows.n_samples * rows.n_features < 2_000_000 else torch.float32
    )
    weight = torch.as_tensor(coef).to(rows.device, dtype)
    bias = torch.as_tensor(intercept).to(rows.device, dtype)
    out = torch.empty(rows.n_samples, len(weight), dtype=dtype, device=rows.device)
    buffer = torch.empty(min(2048, rows.n_samples), rows.n_features, dtype=dtype, device=rows.device)
    ranges = []
    for start in range(0, rows.n_samples, 2048):
        stop = min(start + 2048, rows.n_samples)
        block = rows.block(start, stop, buffer)
        ranges.append(torch.stack(block.aminmax()))
        out[start:stop] = torch.addmm(bias, block, weight.t())
    seen = torch.stack(ranges)
    return out.cpu().numpy(), (float(seen[:, 0].min()), float(seen[:, 1].max()))


def _like(X: Any, answer: np.ndarray) -> Any:
    """Return the answer as X came: a tensor on X's device, or an array."""
    if isinstance(X, Tensor) and answer.dtype.kind in "biuf":
        return torch.as_tensor(answer).to(X.device)
    return answer


def _on_host(given: Any) -> Any:
    return given.cpu().numpy() if isinstance(given, Tensor) else given


def _print_row(row: dict[str, Any]) -> None:
    print(
        f"{row['n_passes']:6.0f} passes  {row['seconds']:7.2f} s  P {row['objective']:.8f}  gap {row['gap']:.2e}"
    )


def warn_not_certified(solution: Solution) -> None:
    """Warn of every configuration that did not reach its gap (scikit-learn's ConvergenceWarning)."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    for status, message in zip(solution.status, solution.message, strict=True):
        if status.value != "certified":
            warnings.warn(message, ConvergenceWarning, stacklevel=4)


CONSTANT = {
    "optimum": "reg is so large, or the features so small, that W = 0 is an optimum to the gap asked for: give a "
    "smaller reg, or preprocess='standardize'",
    "features": "every feature is constant in the training rows",
}
"""Why the coefficient of every feature is 0."""


def warn_constant(answer: Any, cause: str) -> None:
    """Warn of a classifier that gives every row the same class, for a cause among `CONSTANT`."""
    warn("constant-prediction", f"every row is given the class {answer!r}: {CONSTANT[cause]}")


__all__ = ["LinearClassifier", "SVMClassifier", "SoftmaxClassifier"]
