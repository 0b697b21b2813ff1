"""The registry of dumps: which module reads a file, by its ending or by its first bytes."""

from importlib import import_module
from pathlib import Path
from typing import Any

from straightedge.errors import InputError, MachineError
from straightedge.special_files import open_regular, refuse_special

READERS = {
    ".npz": "numpy_file",
    ".npy": "numpy_file",
    ".pkl": "pickle_file",
    ".pickle": "pickle_file",
    ".p": "pickle_file",
    ".mat": "matlab",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".pt": "torch_file",
    ".pth": "torch_file",
    ".safetensors": "safetensors_file",
}
"""Ending -> module of this package."""
HDF5 = b"\x89HDF\r\n\x1a\n"
MATLAB_5 = b"MATLAB 5.0"
MATLAB_7 = b"MATLAB 7.3"


AS_IT_IS = "save the arrays with numpy.savez: they are mapped then, not copied"


def reader_by_content(head: bytes) -> str | None:
    """Return the ending whose reader fits the first bytes of a file, or None."""
    if head.startswith(HDF5):
        return ".h5"
    if head.startswith((MATLAB_5, MATLAB_7)):
        return ".mat"
    return ".pkl" if head[:1] == b"\x80" and head[1:2] <= b"\x05" else None


def read_members(path: Path) -> dict[str, Any]:
    """Return the named arrays and lists of a dump; its ending, or else its content, says what it is.

    Returns:
        Arrays and lists of plain values by name; the only one of a file that gives no name is called ``""``.

    Raises:
        InputError: ``file-missing``, ``source-kind`` and the codes of the reader.
        MachineError: ``out-of-memory`` with the file, for what cannot be mapped and is larger than what is free.
    """
    from straightedge.data.sparse_members import with_matrices

    refuse_special(path)
    if not path.is_file():
        raise InputError("file-missing", "there is no such file", str(path))
    ending = path.suffix.lower()
    if ending not in READERS:
        with open_regular(path) as file:
            ending = reader_by_content(file.read(16)) or ending
    if ending not in READERS:
        what = "the file is no dump of arrays"
        raise InputError("source-kind", what, str(path), f"readable: {', '.join(sorted(READERS))}")
    module = import_module(f"straightedge.data.dumps.{READERS[ending]}")
    try:
        members: dict[str, Any] = module.read(path)
    except MachineError as error:
        raise MachineError(error.code, error.what, error.where or str(path), error.mend or AS_IT_IS) from None
    return with_matrices(members, str(path))
