"""Arrays in MATLAB's files: version 5 by a reader of our own, version 7.3 as the HDF5 that it is."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.dumps import hdf5, mat5
from straightedge.data.dumps.readers import HDF5, MATLAB_7
from straightedge.errors import damage
from straightedge.special_files import open_regular

DAMAGE = (ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, zlib.error, RecursionError)

"""What Python raises on bytes that are no such file."""


def read(path: Path) -> dict[str, Any]:
    """Return the numeric arrays of a ``.mat`` file by name, and its lists of text.

    Raises:
        InputError: ``matlab-broken``, ``matlab-refused``, and the codes of `hdf5`.
        MissingExtraError: version 7.3 needs h5py.
    """
    with open_regular(path) as file:
        head = file.read(520)
    if head.startswith((MATLAB_7, HDF5)) or head[512:520] == HDF5:
        return _version_7(path)
    with damage("matlab-broken", path, DAMAGE):
        return mat5.read(path)


def _version_7(path: Path) -> dict[str, Any]:
    """Return the arrays of a file of version 7.3, which HDF5 holds with their sides in reverse."""
    members = hdf5.read(path)
    return {name: value.T if isinstance(value, np.ndarray) else value for name, value in members.items()}
