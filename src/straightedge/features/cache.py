"""Features of a data set, made once: cached by what they depend on, carried on where they stopped.

A cache file's name is a hash of the images, the extractor's configuration and what it has learned, so a file
is either right or not found. Rows are appended to ``NAME.partial``. After each chunk the bytes are pushed to the
disk, and only then does the journal ``NAME.journal`` say how many rows there are, replaced in one step; what lies
beyond that number is cut off at the next start. At the end the file takes its name in one step.

The test split stays sealed: its features are made when it is opened, once, image by image, with an extractor
that was fitted before.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from straightedge import atomic
from straightedge.data.bar import bar
from straightedge.data.base import Dataset, SealedFeatures, Split
from straightedge.data.cache import cache_folder
from straightedge.data.npy import HEADER_BYTES, npy_header_bytes
from straightedge.errors import InputError, StraightedgeError, warn
from straightedge.features.base import Extractor, check_images, read_images
from straightedge.tensorfile import read_tensors, write_tensors

Precision = Literal["float16", "float32"]
CHUNK = 1024  # images per chunk: what a kill can lose
UNWRITTEN = {"disk-full", "read-only", "write-failed", "output-path"}
"""Codes of the errors of a place that cannot be written to: a cache that has one is gone without."""
_STATE_KIND, _STATE_VERSION = "extractor", 1
Make = Callable[[int, int], np.ndarray]
Bar = AbstractContextManager[Callable[[int], None]]


def extract_dataset(
    dataset: Dataset,
    extractor: Extractor,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    cache: bool = True,
    progress: bool = True,
    dtype: Precision = "float16",
    seed: int = 0,
    fit: bool = True,
) -> Dataset:
    """Return the data set with features for images, as read-only memory maps of the cache's files.

    Where the cache cannot be made or written, a warning says so, and the features are kept in memory.

    Args:
        dataset: Splits of uint8 images; the test split stays sealed.
        extractor: Fitted here on `dataset.train`, in place.
        cache_dir: Folder of the cache; None takes `features` in the cache of `straightedge data`.
        cache: False keeps the features in memory and writes nothing.
        progress: Show a bar with images a second on a terminal.
        dtype: Type on disk. float16 keeps 11 bits, which a linear classifier does not notice.
        seed: For the extractor's `fit`.
        fit: False takes the extractor as it is (that of a saved run).

    Raises:
        InputError: ``features-need-images``, ``features-not-finite``, ``features-overflow`` and the
            extractor's codes.
    """
    for split in (dataset.train, dataset.validation):
        if split is not None:
            check_images(split.X)
    folder = _folder(cache_dir) if cache else None
    if fit:
        fit_cached(extractor, dataset.train.X, seed, folder)
    job = Extraction(extractor, folder, np.dtype(dtype), progress)
    return replace(
        dataset,
        train=job.split(dataset.train, "train"),
        validation=job.split(dataset.validation, "validation") if dataset.validation is not None else None,
        test=SealedFeatures(dataset.test, partial(job.split, name="test")) if dataset.test is not None else None,
        image_shape=None,
        features=extractor.config(),
    )


@dataclass(frozen=True)
class Extraction:
    """A fitted extractor with the place and type of what it makes."""

    extractor: Extractor
    folder: Path | None
    dtype: np.dtype[Any]
    progress: bool

    def split(self, split: Split, name: str) -> Split:
        """Return the split with features for images."""
        return replace(split, X=self.features(split.X, name))

    def features(self, images: Any, name: str) -> np.ndarray:
        """Return (N, F) features: a read-only memory map, made now or found in the cache, or an array."""
        check_images(images)
        if self.folder is None:
            return self._in_memory(images, name, np.empty((0, self.extractor.n_features)))
        key = _digest(extractor_key(self.extractor), images_key(images), self.dtype.name)
        path, shape = self.folder / f"{key}.npy", self._shape(images)
        try:
            with locked(path.with_suffix(".lock")):
                if (rows := _made(path, shape, self.dtype)) is None:
                    make, shown = self._chunk_of(images, name), self._bar(images, name)
                    write_rows(path, make, *shape, self.dtype, CHUNK, shown)
                    rows = np.load(path, mmap_mode="r", allow_pickle=False)
            return rows
        except StraightedgeError as error:
            _warn_of(error)
            return self._in_memory(images, name, rows_kept(path, *shape, self.dtype))

    def _in_memory(self, images: Any, name: str, kept: np.ndarray) -> np.ndarray:
        """Return the features as an array, of which the first rows are there already."""
        n, width = self._shape(images)
        make, rows = self._chunk_of(images, name), np.empty((n, width), self.dtype)
        rows[: len(kept)] = kept
        with self._bar(images, name) as advance:
            advance(len(kept))
            for start in range(len(kept), n, CHUNK):
                stop = min(start + CHUNK, n)
                rows[start:stop] = make(start, stop)
                advance(stop - start)
        return rows

    def _shape(self, images: Any) -> tuple[int, int]:
        return int(images.shape[0]), self.extractor.n_features

    def _bar(self, images: Any, name: str) -> Bar:
        label = f"{self.extractor.name} features of {name}"
        return bar(label, int(images.shape[0]), enabled=self.progress)

    def _chunk_of(self, images: Any, name: str) -> Callable[[int, int], np.ndarray]:
        def make(start: int, stop: int) -> np.ndarray:
            rows = self.extractor.transform(read_images(images, start, stop))
            with np.errstate(over="ignore"):
                narrow = rows.astype(self.dtype)
            _check_finite(rows, narrow, start, name)
            return narrow

        return make


def _made(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray | None:
    """Return the rows of a file of the cache, or None where there is none, or one that is damaged."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.shape == shape and rows.dtype == dtype else None


def _check_finite(rows: np.ndarray, narrow: np.ndarray, start: int, name: str) -> None:
    bad = np.argwhere(~np.isfinite(narrow))
    if not len(bad):
        return
    row, column = (int(index) for index in bad[0])
    value, where = float(rows[row, column]), f"{name}, row {start + row}, feature {column}"
    if np.isfinite(value):
        what = f"the feature {value:.3g} leaves the range of float16"
        raise InputError("features-overflow", what, where, "use float32")
    what = f"the extractor gave {value}"
    raise InputError("features-not-finite", what, where, "look at this image and at the extractor")


def fit_cached(extractor: Extractor, images: Any, seed: int, folder: Path | None) -> None:
    """Fit an extractor, or give it the state that the same fit gave before."""
    if not extractor.learns or folder is None:
        extractor.fit(images, seed)
        return
    key = _digest(json.dumps(extractor.config(), sort_keys=True), images_key(images), str(seed))
    path, fitted = folder / f"{key}.extractor.safetensors", False
    try:
        with locked(path.with_suffix(".lock")):
            if path.exists() and _restored(extractor, path, images, seed):
                return
            extractor.fit(images, seed)
            fitted = True
            meta = {"config": extractor.config()}
            write_tensors(path, extractor.state(), kind=_STATE_KIND, version=_STATE_VERSION, meta=meta)
    except StraightedgeError as error:
        _warn_of(error)
        if not fitted:
            extractor.fit(images, seed)


def _warn_of(error: StraightedgeError) -> None:
    """Warn of a cache that cannot be written; any other error is raised."""
    if error.code not in UNWRITTEN:
        raise error
    warn("cache-not-written", f"the features are not kept for the next time: {error.what} ({error.where})")


def _restored(extractor: Extractor, path: Path, images: Any, seed: int) -> bool:
    """Load a cached state; a damaged file counts as none."""
    try:
        state, _ = read_tensors(path, kind=_STATE_KIND, version=_STATE_VERSION)
        extractor.prepare(images, seed)
        extractor.load_state(state)
    except InputError:
        return False
    return True


def extractor_key(extractor: Extractor) -> str:
    """Return a hash of an extractor's configuration and state."""
    digest = hashlib.sha256(json.dumps(extractor.config(), sort_keys=True).encode())
    for name, tensor in sorted(extractor.state().items()):
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {flat.dtype} {tuple(flat.shape)}".encode())
        digest.update(flat.numpy().tobytes())
    return digest.hexdigest()


def images_key(images: Any) -> str:
    """Return a hash of the images themselves: a file's name or time says too little about them."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    for start in range(0, int(images.shape[0]), CHUNK):
        digest.update(read_images(images, start, min(start + CHUNK, int(images.shape[0]))).data)
    return digest.hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _folder(cache_dir: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of the cache, made if need be, or None where it cannot be: a warning says why."""
    folder = Path(cache_dir) if cache_dir is not None else cache_folder() / "features"
    try:
        with atomic.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except StraightedgeError as error:
        _warn_of(error)
        return None
    return folder


def write_rows(path: Path, make: Make, n: int, width: int, dtype: np.dtype[Any], chunk: int, shown: Bar) -> None:
    """Write (n, width) rows as the `.npy` file `path`, going on from what an earlier run left.

    Args:
        path: The file; `.partial` and `.journal` stand beside it until it is whole.
        make: Gives rows ``start:stop``, the same whenever it is asked.
        n: Number of rows.
        width: Values per row.
        dtype: Type of the values.
        chunk: Rows per step.
        shown: A progress bar in rows.

    Raises:
        MachineError: ``disk-full``, ``read-only``, ``write-failed``; what was written so far stays.
    """
    partial, journal = path.with_suffix(".partial"), path.with_suffix(".journal")
    header, row_bytes = npy_header_bytes(dtype, (n, width)), width * dtype.itemsize
    with shown as advance, _opened(partial, journal, header, row_bytes) as (file, done):
        advance(done)
        for start in range(done, n, chunk):
            stop = min(start + chunk, n)
            rows = make(start, stop)  # outside `disk_errors`: what reading says is not about this file
            with atomic.disk_errors(path):
                file.write(np.ascontiguousarray(rows).data.cast("B"))
                file.flush()
                atomic.disk.sync(file.fileno())
            atomic.write_json(journal, {"rows": stop})
            advance(stop - start)
    with atomic.disk_errors(path):
        atomic.disk.replace(partial, path)
        atomic.disk.sync_folder(path.parent)
    with suppress(OSError):
        journal.unlink()


@contextmanager
def _opened(partial: Path, journal: Path, header: bytes, row_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """Open the partial file at the end of the rows that can be trusted; give it with their number."""
    done = rows_done(partial, journal, header, row_bytes)
    with atomic.disk_errors(partial):
        file = partial.open("r+b" if done else "w+b")
    with file:
        with atomic.disk_errors(partial):
            if not done:
                file.write(header)
            file.truncate(HEADER_BYTES + done * row_bytes)
            file.seek(0, os.SEEK_END)
        yield file, done


def rows_done(partial: Path, journal: Path, header: bytes, row_bytes: int) -> int:
    """Return how many rows of a partial file can be trusted: 0 without its journal, or of another shape."""
    try:
        rows = int(json.loads(journal.read_text())["rows"])
        with partial.open("rb") as file:
            same = file.read(HEADER_BYTES) == header
        whole = partial.stat().st_size >= HEADER_BYTES + rows * row_bytes
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return rows if same and whole and rows > 0 else 0


def rows_kept(path: Path, n: int, width: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the first rows of ``path`` that an unfinished `write_rows` left, of (n, width) in all; may be none."""
    partial, journal = path.with_suffix(".partial"), path.with_suffix(".journal")
    done = rows_done(partial, journal, npy_header_bytes(dtype, (n, width)), width * dtype.itemsize)
    if not done:
        return np.empty((0, width), dtype)
    return np.fromfile(partial, dtype, done * width, offset=HEADER_BYTES).reshape(done, width)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes do not make the same features; the second finds them made.

    Systems without file locks go without: the worst is work done twice, since files take their names in one step.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with atomic.disk_errors(path):
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
