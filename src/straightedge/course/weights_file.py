"""W in a `.npy` file: an array as NumPy saves it, or the dictionary that CS231n's own `save` writes."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from straightedge import atomic
from straightedge.course.kinds import as_array
from straightedge.data.npz import DAMAGE, broken, read_npy
from straightedge.data.pickles.machine import read_bytes
from straightedge.errors import InputError


def save_npy(path: Path, W: Any) -> None:
    """Write W as one plain array, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, as_array(W) if hasattr(W, "detach") else W, allow_pickle=False)
    atomic.write_bytes(path, stream.getvalue())


def load_npy(path: Path) -> np.ndarray:
    """Return W (D, C).

    Raises:
        InputError: ``npy-broken``, ``npy-objects``, ``pickle-refused``.
    """
    try:
        return np.array(_plain(path))
    except InputError as error:
        if error.code != "npy-objects":
            raise
    return _from_dictionary(path)


def _plain(path: Path) -> np.ndarray:
    W = read_npy(path)
    if W.ndim != 2 or W.dtype.kind != "f":
        raise InputError("npy-broken", f"the array is {W.shape} {W.dtype}", str(path), "W is (D, C) of floats")
    return W


def _from_dictionary(path: Path) -> np.ndarray:
    """Return the W of ``numpy.save(path, {"W": W})``, whose pickle is read without unpickling."""
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
        except DAMAGE as error:
            raise broken(error, str(path)) from None
        found = read_bytes(file.read(), str(path))
    W = found[0].get("W") if isinstance(found, list) and found and isinstance(found[0], dict) else None
    if not isinstance(W, np.ndarray) or W.ndim != 2:
        raise InputError("npy-objects", "the file holds no dictionary with an array W", str(path), "save W itself")
    return np.array(W)
