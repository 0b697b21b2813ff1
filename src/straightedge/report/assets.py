"""Thumbnails that a fit leaves in the run folder, so that the page needs no data set any more.

The format of ``assets.npz``. ``split`` is the name of the split the confusion matrix was counted on. Three
groups of pictures, ``cells`` (behind the cells of the confusion matrix), ``suspects`` (training images that
may be mislabelled) and ``hardest`` (mistakes made with the greatest confidence); group ``g`` has the arrays

=================  ==================  =============================================================
``g_images``       (n, h, w, 3) uint8  thumbnails, at most 64 pixels a side
``g_index``        (n,) int64          row in its split
``g_label``        (n,) int64          class index in the data
``g_predicted``    (n,) int64          class index predicted (suspects: suggested), −1 if unknown
``g_probability``  (n,) float32        probability of the predicted class (suspects: score), or NaN
``g_name``         (n,) text           path or archive member; empty if there is none
=================  ==================  =============================================================

No pickled object is ever written or read.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import atomic
from straightedge.data.base import Split
from straightedge.errors import InputError

GROUPS = ("cells", "suspects", "hardest")
MAX_SIDE = 64
PER_CELL = 6
BUDGET_BYTES = 2_400_000  # bytes of unpacked pixels behind the confusion matrix: 780 thumbnails of 32 × 32
MAX_LISTED = 60

Assets = dict[str, np.ndarray]


def collect_assets(
    evaluated: Split,
    predicted: np.ndarray,
    probability: np.ndarray | None = None,
    *,
    rows: np.ndarray | None = None,
    train: Split | None = None,
    suspects: Sequence[dict[str, Any]] = (),
    hardest: Sequence[dict[str, Any]] = (),
    classes: Sequence[str] = (),
    split: str = "test",
    per_cell: int = PER_CELL,
    budget_bytes: int = BUDGET_BYTES,
) -> Assets:
    """Choose and shrink the pictures for the page.

    Behind every cell the surest answers come first; where the budget does not reach for all, every cell gets
    its first picture before any gets a second, mistakes before right answers.

    Args:
        evaluated: The split whose rows the confusion matrix was counted on: X (N, channels, height, width) uint8.
        predicted: (n,) class indices.
        probability: (n,) probability of the predicted class in [0, 1], or None (an uncalibrated SVM).
        rows: (n,) which rows of `evaluated` these are answers to; None means all.
        train: The training split, where `suspects` are rows of.
        suspects: Entries of ``metrics.json``, ``index`` being a row of `train`.
        hardest: Entries of ``metrics.json``, ``index`` being a row of `evaluated`.
        classes: Class names, to find the index of a label that is given by name.
        split: Name of the evaluated split.
        per_cell: Pictures behind one cell, at most.
        budget_bytes: Bytes of pixels behind all cells, at most.

    Returns:
        The arrays of ``assets.npz``; empty when X is not uint8 images.
    """
    if not _are_images(evaluated.X):
        return {}
    rows = np.arange(evaluated.n) if rows is None else rows
    chances = np.full(len(rows), np.nan, np.float32) if probability is None else np.asarray(probability)
    limit = max(1, budget_bytes // _thumbnail_bytes(evaluated.X.shape))
    y = evaluated.y[rows]
    best = choose_cell_rows(y, np.asarray(predicted), chances, per_cell, limit)
    assets: Assets = {"split": np.array(split)}
    assets |= _group("cells", evaluated, rows[best], y[best], predicted[best], chances[best])
    assets |= _listed("hardest", evaluated, hardest, ("predicted", "probability"), classes)
    if train is not None and _are_images(train.X):
        assets |= _listed("suspects", train, suspects, ("suggested", "score"), classes)
    return assets


def choose_cell_rows(
    y: np.ndarray, predicted: np.ndarray, probability: np.ndarray, per_cell: int, limit: int
) -> np.ndarray:
    """Choose the rows whose pictures lie behind the confusion cells.

    Args:
        y: (N,) class indices.
        predicted: (N,) class indices.
        probability: (N,) of the predicted class, NaN where unknown.
        per_cell: Rows of one cell, at most.
        limit: Rows of all cells together, at most.

    Returns:
        Row numbers, best first: rank within the cell, then mistakes, then the fuller cell.
    """
    cell = y.astype(np.int64) * (int(max(y.max(), predicted.max())) + 1) + predicted
    order = np.lexsort((-np.nan_to_num(probability), cell))
    _, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    fullness = np.repeat(counts, counts)
    keep = rank < per_cell
    order, rank, fullness = order[keep], rank[keep], fullness[keep]
    best = np.lexsort((-fullness, y[order] == predicted[order], rank))
    return np.asarray(order[best[:limit]])


def _listed(
    group: str, split: Split, entries: Sequence[dict[str, Any]], fields: tuple[str, str], classes: Sequence[str]
) -> Assets:
    """Make the group of a list of ``metrics.json``: its first entries whose index is a row of `split`."""
    position = {name: index for index, name in enumerate(classes)}
    entries = [entry for entry in entries if 0 <= int(entry["index"]) < split.n][:MAX_LISTED]
    rows = np.array([int(entry["index"]) for entry in entries], np.int64)
    told = [entry.get(fields[0]) for entry in entries]
    labels = np.array([n if isinstance(n, int | np.integer) else position.get(str(n), -1) for n in told], np.int64)
    chances = [entry.get(fields[1]) for entry in entries]
    numbers = np.array([np.nan if value is None else float(value) for value in chances], np.float32)
    return _group(group, split, rows, split.y[rows], labels, numbers)


def _group(
    group: str, split: Split, rows: np.ndarray, labels: np.ndarray, predicted: np.ndarray, chances: np.ndarray
) -> Assets:
    names = [""] * len(rows) if split.names is None else [printable(split.names[int(row)]) for row in rows]
    return {
        f"{group}_images": read_thumbnails(split.X, rows),
        f"{group}_index": np.asarray(rows, np.int64),
        f"{group}_label": np.asarray(labels, np.int64),
        f"{group}_predicted": np.asarray(predicted, np.int64),
        f"{group}_probability": np.asarray(chances, np.float32),
        f"{group}_name": np.array(names, dtype=str) if names else np.zeros(0, "<U1"),
    }


def printable(name: Any) -> str:
    """Return a file name as text that can be written: bytes that are not UTF-8 become visible escapes."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def read_thumbnails(X: Any, rows: np.ndarray) -> np.ndarray:
    """Read some images and shrink them to at most `MAX_SIDE` pixels.

    Args:
        X: (N, channels, height, width) uint8 array, memory map or `RowSource`.
        rows: (n,) row numbers.

    Returns:
        (n, h, w, 3) uint8; one channel is repeated, channels after the third are left out.
    """
    height, width = _thumbnail_size(X.shape)
    pictures = np.zeros((len(rows), height, width, 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        image = X.read(row, row + 1)[0] if hasattr(X, "read") else X[row]
        pictures[place] = _shrink(np.asarray(image), height, width)
    return pictures


def _shrink(image: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    channels_last = np.moveaxis(image if image.shape[0] >= 3 else image[:1].repeat(3, axis=0), 0, -1)[..., :3]
    if channels_last.shape[:2] == (height, width):
        return channels_last
    picture = Image.fromarray(np.ascontiguousarray(channels_last))
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def _are_images(X: Any) -> bool:
    return len(X.shape) == 4 and np.dtype(str(X.dtype).removeprefix("torch.")) == np.uint8


def _thumbnail_size(shape: Sequence[int]) -> tuple[int, int]:
    scale = min(1.0, MAX_SIDE / max(shape[2], shape[3]))
    return max(1, round(shape[2] * scale)), max(1, round(shape[3] * scale))


def _thumbnail_bytes(shape: Sequence[int]) -> int:
    height, width = _thumbnail_size(shape)
    return 3 * height * width


def save_assets(path: Path, assets: Assets) -> None:
    """Write ``assets.npz``, whole or not at all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:  # savez of NumPy 1.26 may pickle
        for name, array in assets.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    atomic.write_bytes(path, buffer.getbuffer())


def load_assets(path: Path) -> Assets:
    """Read ``assets.npz``.

    Raises:
        InputError: ``assets-damaged`` when it is not such a file, or a group's arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            assets = {name: archive[name] for name in archive.files}
        complete = all(_fits(assets, group) for group in GROUPS if f"{group}_images" in assets)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error
    if not complete:
        raise _damaged(path, "its arrays do not fit together")
    return assets


def _damaged(path: Path, reason: str) -> InputError:
    mend = "fit again, or remove the file: the page is then written without pictures"
    return InputError("assets-damaged", f"the thumbnails cannot be read ({reason})", str(path), mend)


def _fits(assets: Assets, group: str) -> bool:
    images = assets[f"{group}_images"]
    columns = [assets[f"{group}_{field}"] for field in ("index", "label", "predicted", "probability", "name")]
    pictures = images.ndim == 4 and images.dtype == np.uint8 and images.shape[3] == 3
    return pictures and all(column.shape == (len(images),) for column in columns)
