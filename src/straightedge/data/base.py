"""What every data source gives: a `Dataset` of named classes and up to three splits.

The test split is sealed: it gives its rows once, to whoever evaluates the final model, so that nothing chosen
before can have seen it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from straightedge.errors import InputError
from straightedge.views import Described, Facts, amount, names


@runtime_checkable
class RowSource(Protocol):
    """Rows that are read when they are needed: a Parquet folder, tar shards, rows of one file on disk.

    NumPy arrays and memory maps need no wrapping; whatever else can give rows in order implements this.
    """

    shape: tuple[int, ...]
    """(N, ...) as an array's."""
    dtype: np.dtype[Any]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start:stop`` as an array of shape ``(stop - start, *shape[1:])``."""
        ...


class RawTable(Protocol):
    """Splits whose features depend on training rows: means of missing values, categories that are frequent."""

    def columns(self, index: np.ndarray) -> dict[str, Any]:
        """Return what the columns become where (n,) positions ``index`` are all the training rows there are."""
        ...

    def rows(self, split: str, columns: Mapping[str, Any]) -> Any:
        """Return all rows of a split as features, as ``columns`` says."""
        ...


@dataclass(frozen=True, repr=False)
class Split(Described):
    """Samples with their labels.

    Attributes:
        X: (N, channels, height, width) uint8 images or (N, D) features, array, memory map or `RowSource`.
        y: (N,) int64 class indices.
        names: Where each row comes from (path or archive member), for lists a person reads; or None.
        groups: (N,) what rows belong together, such as the patient of each; or None where they are independent.
        weights: (N,) float64 ≥ 0, how often each row counts; None counts each once.
    """

    X: Any
    y: np.ndarray
    names: Sequence[str] | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.y.shape[0])

    def _facts(self) -> Facts:
        first = "" if self.names is None or not len(self.names) else str(self.names[0])
        sizes = np.unique(self.y, return_counts=True)[1]
        return Facts(
            f"Split of {amount(self.n, 'sample')}",
            (
                ("X", f"{rows_in_words(self.X.shape[1:])}, {str(self.X.dtype).removeprefix('torch.')}"),
                ("y", f"{amount(len(sizes), 'class')}{class_sizes(sizes)}"),
                ("first from", first),
            ),
        )


def rows_in_words(shape: Sequence[int]) -> str:
    """Return what one sample is: ``images of 3 × 32 × 32``, ``rows of 784 features`` or ``texts``."""
    if not shape:
        return "texts"
    if len(shape) == 1:
        return f"rows of {amount(int(shape[0]), 'feature')}"
    return f"images of {' × '.join(map(str, shape))}"


def class_sizes(sizes: np.ndarray) -> str:
    """Return the smallest and the largest class as an addition to their number."""
    if not len(sizes):
        return ""
    low, high = int(sizes.min()), int(sizes.max())
    return f" of {low:,} samples each" if low == high else f" of {low:,} to {high:,} samples"


class SealedSplit:
    """A split that is opened once, after the choice of the model is fixed."""

    def __init__(self, split: Split) -> None:
        self._split: Split | None = split
        self.n = split.n
        self.opened_for: str | None = None

    def __repr__(self) -> str:
        state = "sealed" if self.opened_for is None else f"opened for {self.opened_for}"
        return f"SealedSplit of {amount(self.n, 'sample')}, {state}"

    def open(self, purpose: str) -> Split:
        """Give the samples, once.

        Args:
            purpose: Who asks, kept in `opened_for` (such as ``"evaluation of the final model"``).

        Raises:
            InputError: ``test-already-opened`` at the second call.
        """
        if self._split is None:
            what = f"the test split was already opened for {self.opened_for}"
            mend = "the test images are read once, by the final model; choose on validation"
            raise InputError("test-already-opened", what, mend=mend)
        split, self._split, self.opened_for = self._split, None, purpose
        return split


class SealedFeatures(SealedSplit):
    """A sealed split whose images or texts become features when it is opened, and not before.

    Args:
        sealed: The split as read, still sealed; opening this one opens that one.
        features: Makes its rows features.
    """

    def __init__(self, sealed: SealedSplit, features: Callable[[Split], Split]) -> None:
        self._sealed, self._features = sealed, features
        self.n, self.opened_for = sealed.n, sealed.opened_for
        # once opened: the same rows as images or texts, for pages that show them
        self.as_read: Split | None = None

    def open(self, purpose: str) -> Split:
        """Open the split (once, as every sealed one) and return its features."""
        self.as_read = self._sealed.open(purpose)
        self.opened_for = self._sealed.opened_for
        return self._features(self.as_read)


@dataclass(frozen=True, repr=False)
class Dataset(Described):
    """Named classes and splits, as read from a source.

    Attributes:
        name: What the user called it (``digits``, a file name).
        classes: Class names, index = label.
        train: Training samples.
        validation: Samples to choose on, if the source has them.
        test: Sealed test samples, if the source has them.
        fingerprint: SHA-256 hex digest of the content (or of sizes and times for very large files).
        image_shape: (channels, height, width) where samples are images, else None.
        notes: Remarks for the user: files ignored or converted, with their counts.
        features: Description of the extractor that made X (what prediction needs), else None.
        columns: What a table's columns became, as plain data (see `tables.encoding`), else None.
        parts: The raw table, to be encoded by what some of its training rows say alone, else None.
        n_sealed: How many of the source's training rows its test split was made of; 0 where it has one of its own.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: SealedSplit | None = None
    fingerprint: str = ""
    image_shape: tuple[int, int, int] | None = None
    notes: list[str] = field(default_factory=list)
    features: dict[str, Any] | None = None
    columns: dict[str, Any] | None = None
    parts: RawTable | None = None
    n_sealed: int = 0

    def _facts(self) -> Facts:
        sizes = np.bincount(self.train.y, minlength=len(self.classes)) if len(self.train.y) else np.zeros(0)
        shape, kind = self.train.X.shape[1:], str(self.train.X.dtype).removeprefix("torch.")
        rows = f"{rows_in_words(shape)}, {kind}" if shape else rows_in_words(shape)
        return Facts(
            f"Dataset {self.name!r}: {amount(len(self.classes), 'class')}, {rows}",
            (
                ("train", f"{amount(self.train.n, 'sample')}, classes{class_sizes(sizes)}"),
                ("validation", amount(self.validation.n, "sample") if self.validation else ""),
                ("test", repr(self.test).removeprefix("SealedSplit of ") if self.test else ""),
                ("classes", names(self.classes)),
                ("columns", names(_used_columns(self.columns))),
                ("features", str((self.features or {}).get("name", ""))),
                ("notes", "" if not self.notes else f"{len(self.notes)}, first: {self.notes[0]}"),
            ),
        )


def _used_columns(description: dict[str, Any] | None) -> list[str]:
    """Return the names of the columns that give features, from a table's description."""
    columns = (description or {}).get("columns", [])
    return [f"{column['name']} ({column['kind']})" for column in columns if column["kind"] != "left out"]
