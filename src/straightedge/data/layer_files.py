"""The features of every layer of a network, as people dump them: an array, a file of names, or a folder."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.arrays import read_label_file
from straightedge.data.dumps.naming import column, is_table, listing, only_rows, role
from straightedge.data.dumps.readers import READERS, read_members
from straightedge.errors import InputError

MEAN_ROWS = 64  # samples whose positions are averaged together


def _mean(X: np.ndarray) -> np.ndarray:
    """Return the means (N, D) of (N, T, D) over T, summed in float64, a few samples at a time."""
    out = np.empty((len(X), X.shape[2]), np.float64 if X.dtype.itemsize > 4 else np.float32)
    for start in range(0, len(X), MEAN_ROWS):
        out[start : start + MEAN_ROWS] = X[start : start + MEAN_ROWS].mean(axis=1, dtype=np.float64)
    return out


POSITIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "last": lambda X: X[..., -1, :],
    "first": lambda X: X[..., 0, :],
    "mean": _mean,
}
"""How one vector is made of those of all positions (tokens) of a sample, beside a position's number."""


class LayerFiles(Mapping[str, np.ndarray]):
    """Layers by name, in order; one that lies in a file of its own is read when it is asked for.

    Args:
        source: An array (N, L, D) or (N, L, T, D), a file with an array a layer, or a folder with a file a layer.
        positions: "last", "first", "mean" or a number, where samples have several positions.

    Raises:
        InputError: ``layers-source``, ``layers-positions`` and the codes of the readers.
    """

    def __init__(self, source: str | Path, positions: str | None = None) -> None:
        self._readers = dict(_readers(Path(source)))
        self._positions = positions
        if len(self._readers) < 1:
            raise InputError("layers-source", "there is no layer", str(source), _MEND)

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._readers[name]()
        # a map stays one: its rows are read from the file, where pages of a map would count as memory
        array = found if isinstance(found, np.memmap) else np.asarray(found)
        return at_positions(array, self._positions, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


_MEND = "give an array (N, L, D), a file with an array a layer, or a folder with a file a layer"


def _readers(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in READERS and file.is_file()]
        for file in sorted(files, key=lambda file: natural(file.stem)):
            if (role(file.stem) or ("", "", 0))[1] != "labels":
                yield file.stem, partial(_only_rows, file)
        return
    members = read_members(path)
    rows = {name: value for name, value in members.items() if is_table(value)}
    if len(rows) == 1 and next(iter(rows.values())).ndim >= 3:
        X = next(iter(rows.values()))
        yield from ((f"layer {place}", lambda place=place: X[:, place]) for place in range(X.shape[1]))
    elif len(rows) > 1:
        for name in sorted(rows, key=natural):
            yield name, partial(rows.__getitem__, name)
    else:
        raise InputError("layers-source", f"the file holds {listing(members)}", str(path), _MEND)


def labels_for(source: Path, labels: str) -> Any:
    """Return the labels of layers: those of a file, or of an array of this name beside the layers.

    Raises:
        InputError: The codes of `read_label_file` and of the readers.
    """
    if source.is_file() and not Path(labels).exists():
        members = read_members(source)
        if labels in members:
            return column(members[labels])
    return read_label_file(Path(labels))


def _only_rows(file: Path) -> Any:
    return only_rows(read_members(file), str(file))


def at_positions(X: np.ndarray, positions: str | None, name: str) -> np.ndarray:
    """Return one vector a sample: (N, D) as it is, (N, T, D) at one position or as their mean."""
    if X.ndim == 2:
        return X
    mend = f"--positions {', '.join(POSITIONS)}, or a number"
    if X.ndim != 3 or positions is None:
        raise InputError("layers-positions", f"the layer has shape {X.shape}: which position of each?", name, mend)
    if positions in POSITIONS:
        return POSITIONS[positions](X)
    if not re.fullmatch(r"-?\d+", positions) or not -X.shape[1] <= int(positions) < X.shape[1]:
        raise InputError("layers-positions", f"there is no position {positions!r} among {X.shape[1]}", name, mend)
    return X[:, int(positions)]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names as numbers: layer_2 before layer_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
