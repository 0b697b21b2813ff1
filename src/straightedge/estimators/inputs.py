"""What a classifier is given: X of a kind it takes, labels as classes, the rows that count."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from straightedge.data.cells import as_table
from straightedge.data.label_values import one_column, refuse_missing
from straightedge.errors import InputError, warn
from straightedge.estimators.quick import counted
from straightedge.row_weights import checked_sample_weight, row_weights
from straightedge.rows import check_shape
from straightedge.sparse_rows import AnyRows, SparseRows, check_sparse, open_rows


def checked_input(X: Any) -> Any:
    """Return X as an array, tensor or sparse matrix with a shape a classifier can take.

    Raises:
        InputError: ``x-sparse``, ``x-shape`` or ``x-dtype``.
    """
    if isinstance(X, Tensor) and X.layout is not torch.strided:
        what = "X is a sparse tensor, and dense rows are needed"
        raise InputError("x-sparse", what, mend="X.to_dense() makes it dense")
    if not isinstance(X, (Tensor, np.ndarray)):
        if issparse(X):
            check_sparse(X)
            return X
        X = X if hasattr(X, "read") else as_table(X)
    shape = tuple(X.shape)
    if len(shape) == 3 or len(shape) > 4:
        raise InputError("x-shape", f"X has shape {shape}", mend="expected 2D rows (N, D) or images (N, C, H, W)")
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
    whole = len(array) > 0 and array.dtype.kind in "iu"
    classes, index = counted(array) if whole else np.unique(array, return_inverse=True)
    if len(classes) < 2:
        what = f"y has 1 class: {classes.tolist()}"
        raise InputError("labels-single-class", what, mend="a classifier needs two classes or more")
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
        what = "Input y contains NaN or infinity"
        raise InputError("labels-not-finite", what, f"row {int(np.argmin(np.isfinite(array)))}")
    check_classification_targets(array)
    checked: np.ndarray = array
    return checked


@dataclass(frozen=True)
class TrainingSet:
    """Rows to fit, without those of weight 0 where X is in memory.

    Attributes:
        X: (N, ...) the rows as they came, as an array, tensor or row source; sparse ones as CSR.
        rows: The same, read by block.
        labels: (N,) int64 indices into `classes`.
        classes: (C,) the labels that occur in rows of positive sample weight, sorted.
        weights: (N,) float64, sample times class weights; None when all rows count the same.
        sample_weight: (N,) float64, what a row counts when answers are judged; None for once each.
        image_shape: (channels, height, width) where rows are images.
        kept: Which of the rows that were given these N are, a mask; None for all of them.
    """

    X: Any
    rows: AnyRows
    labels: Tensor
    classes: np.ndarray
    weights: Tensor | None
    sample_weight: Tensor | None
    image_shape: tuple[int, ...] | None
    kept: np.ndarray | None = None


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
    image_shape = tuple(X.shape[1:]) if len(X.shape) == 4 else None
    rows = open_rows(X, device=device)
    X = rows.csr if isinstance(rows, SparseRows) else X
    if weights is None or bool((weights > 0).all()):
        return TrainingSet(X, rows, labels, classes, _unequal(weights), own, image_shape)
    if len(labels[weights > 0].unique()) < 2:
        raise InputError("labels-single-class", "only one class has samples of positive weight")
    if own is not None:
        classes, labels = _classes_that_count(classes, labels, own)
    in_memory = isinstance(X, (Tensor, np.ndarray)) or issparse(X)
    if isinstance(X, np.memmap) or not in_memory:  # a copy would be read into memory
        return TrainingSet(X, rows, labels, classes, weights, own, image_shape)
    rows.check_finite()
    kept = weights > 0
    X = X[kept.to(X.device)] if isinstance(X, Tensor) else X[kept.numpy()]
    own = None if own is None else own[kept]
    counting = _unequal(weights[kept])
    rows = open_rows(X, device=device)
    return TrainingSet(X, rows, labels[kept], classes, counting, own, image_shape, kept.numpy())


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
        what = f"X has {n_rows} rows and y has {n_labels} labels: inconsistent numbers of samples"
        raise InputError("labels-length", what, mend="give one label for each row")


def flat_view(X: Any) -> Any:
    """Return something whose shape is (N, D), for scikit-learn's bookkeeping."""
    shape = tuple(X.shape)
    if len(shape) <= 2:
        return X
    return np.broadcast_to(np.zeros(1, dtype=np.uint8), (shape[0], int(np.prod(shape[1:]))))
