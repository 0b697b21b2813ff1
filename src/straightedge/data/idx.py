"""IDX files (MNIST and its kin), gzipped or not: a short header, then plain numbers.

The header is checked against the bytes there are before anything is allocated; of a gzipped file no more is
unpacked than its header claims.
"""

import gzip
import itertools
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cache import cache_folder
from straightedge.data.checks import checked_rows
from straightedge.data.download import Remote, fetch, verified
from straightedge.data.idx_names import labels_for, pairs_in
from straightedge.errors import InputError
from straightedge.memory import require_memory
from straightedge.special_files import open_regular

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
BASES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
}
SUMS = {
    "mnist": (
        ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
        ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
        ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
        ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    ),
    "fashion-mnist": (
        ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
        ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
        ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
        ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
    ),
}
"""SHA-256 and bytes of the packed files, in the order of `FILES`."""
REMOTES = {
    name: tuple(
        Remote(f"{BASES[name]}{file}.gz", *own)
        for file, own in zip(itertools.chain(*FILES.values()), sums, strict=True)
    )
    for name, sums in SUMS.items()
}
CLASSES = {
    "mnist": tuple(str(digit) for digit in range(10)),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LARGEST_GZIP_RATIO = 1032  # no gzip stream grows more than this: the format's own bound


@dataclass(frozen=True)
class Header:
    """What the head of an IDX file says: element type, shape, and where the elements begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all elements."""
        return self.dtype.itemsize * math.prod(self.shape)


def load(source: str, **options: Any) -> Dataset:
    """Read ``mnist`` or ``fashion-mnist`` (downloaded unless ``root`` has them), or IDX files.

    A folder, a file of images with its labels beside it, or ``images,labels``.

    Raises:
        InputError: ``idx-broken``, ``file-missing``, ``download-hash`` and the codes of `assemble`.
        MachineError: ``download-failed``.
    """
    paths = _find(source, options.get("root"), bool(options.get("progress", True)))
    parts = {}
    for split, (images, labels) in paths.items():
        X = read_idx(images)
        if X.ndim != 3 or X.dtype != np.uint8 or 0 in X.shape:
            raise _broken(f"shape {X.shape} of {X.dtype} is not images (N, height, width) of bytes", str(images))
        parts[split] = Part(X[:, None], read_idx(labels), [f"{source}/{split}/{row}" for row in range(len(X))])
    return assemble(
        source,
        parts,
        fingerprint=fingerprint.of_files([path for pair in paths.values() for path in pair]),
        classes=CLASSES.get(source),
        declared=options.get("classes"),
    )


def parse_header(head: bytes, available: int, where: str) -> Header:
    """Read the header of an IDX file.

    Args:
        head: The first bytes of the file, at least those of the header.
        available: Most bytes that the whole file can have, unpacked.
        where: File for messages.

    Raises:
        InputError: ``idx-broken``: no IDX file, or it claims more than there can be.
    """
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 8:
        raise _broken("the file does not begin as an IDX file", where)
    offset = 4 + 4 * head[3]
    if len(head) < offset:
        raise _broken("the file ends inside its header", where)
    shape = struct.unpack(f">{head[3]}I", head[4:offset])
    header = Header(np.dtype(TYPES[head[2]]), shape, offset)
    # of no entries there may be many
    strides = math.prod(size for size in shape if size) * header.dtype.itemsize
    if header.n_bytes > available - offset or strides >= 2**62:
        raise _broken(f"the header claims shape {shape}, {header.n_bytes} bytes; there are not so many", where)
    return header


def read_idx(path: Path) -> np.ndarray:
    """Read one IDX file, gzipped or not, as an array in this machine's byte order.

    Raises:
        InputError: ``idx-broken``.
        MachineError: ``out-of-memory``.
    """
    size = path.stat().st_size
    with open_regular(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
    available = size * LARGEST_GZIP_RATIO if packed else size
    try:
        with open_regular(path) as raw:
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            return _read_stream(stream, available, str(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _broken(f"the gzip stream is damaged: {error}", str(path)) from None


def rows_of(path: Path, width: int) -> Any:
    """Return the images of a file alone, without labels, for a fitted model.

    Raises:
        InputError: ``idx-broken`` and the codes of `checked_rows`.
    """
    return checked_rows(read_idx(path), str(path))


def _read_stream(file: IO[bytes], available: int, where: str) -> np.ndarray:
    head = file.read(4)
    head += file.read(4 * head[3]) if len(head) == 4 else b""
    header = parse_header(head, available, where)
    require_memory(2 * header.n_bytes, "to read the file", where, "give a part of it, as a .npy")
    blocks, missing = [], header.n_bytes
    while missing and (block := file.read(min(missing, 2**20))):  # memory grows with what there really is
        blocks.append(block)
        missing -= len(block)
    if missing or file.read(1):
        raise _broken(
            f"the header claims {header.n_bytes} bytes, there are {'fewer' if missing else 'more'}", where
        )
    array = np.frombuffer(b"".join(blocks), header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _find(source: str, root: Any, progress: bool) -> dict[str, tuple[Path, Path]]:
    if source not in REMOTES:
        return _given(source)
    folder = Path(root) if root is not None else cache_folder() / "downloads" / source
    remotes = {remote.name: remote for remote in REMOTES[source]}
    return {
        split: (_one(folder, images, remotes, progress), _one(folder, labels, remotes, progress))
        for split, (images, labels) in FILES.items()
    }


def _one(folder: Path, name: str, remotes: dict[str, Remote], progress: bool) -> Path:
    if (folder / name).is_file():  # unpacked by its owner
        return folder / name
    remote = remotes[f"{name}.gz"]
    present = folder / remote.name
    return verified(remote, present) if present.is_file() else fetch(remote, folder, progress=progress)


def _given(source: str) -> dict[str, tuple[Path, Path]]:
    """Return the files of a folder, of two names with a comma, or of images with their labels beside them."""
    path = Path(source)
    if path.is_dir():
        return pairs_in(path)
    if not path.exists():
        images, labels = (Path(part.strip()) for part in source.split(",", 1))
        return {"train": (_there(images), _there(labels))}
    beside = labels_for(path)
    if beside is None:
        mend = f"give both: {path},LABELS"
        raise InputError("file-missing", "the file holds images, and there are no labels beside it", source, mend)
    return {"train": (path, beside)}


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError("file-missing", "there is no such file", str(path))
    return path


def _broken(what: str, where: str) -> InputError:
    return InputError("idx-broken", what, where, "download the file again")
