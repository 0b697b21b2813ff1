"""The parsers of the project's own, each as a function of bytes that must give a value or an error of the family.

Anything else that comes out of them, a traceback, a hang, memory beyond the input's own, is a finding. The
functions are called by the fuzzers here (`python tests/support/fuzz/run.py NAME`) and by Hypothesis in
test_fuzz.py.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from straightedge.data import cifar10, idx, load_dataset
from straightedge.errors import StraightedgeError, StraightedgeWarning
from straightedge.model import LinearModel, load
from straightedge.runs.reading import RunFiles
from straightedge.runs.tables import read_table

FOLDER = Path(tempfile.mkdtemp(prefix="straightedge-fuzz-"))


def written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def read_idx(data: bytes) -> None:
    """IDX, plain or gzipped."""
    found = idx.read_idx(written("x.idx", data))
    assert found.nbytes <= idx.LARGEST_GZIP_RATIO * max(1, len(data))


def read_cifar(data: bytes) -> None:
    """CIFAR-10's binary records, and the archive of them."""
    with contextlib.suppress(StraightedgeError):
        cifar10.parse_batch(data, "x")
    cifar10.batch_files(written("x.tar.gz", data), cifar10.FILES, cifar10.LARGEST_FILE)


def read_zip(data: bytes) -> None:
    """A zip of class folders."""
    load_dataset(written("x.zip", data), cache=False, progress=False)


def read_tar(data: bytes) -> None:
    """A tar of class folders, packed or not."""
    load_dataset(written("x.tar", data), cache=False, progress=False)


def read_npz(data: bytes) -> None:
    """Arrays of NumPy."""
    load_dataset(written("x.npz", data), progress=False)


def read_pickle(data: bytes) -> None:
    """Plain values in a pickle."""
    load_dataset(written("x.pkl", data), progress=False)


def read_model(data: bytes) -> None:
    """A model file."""
    model = load(written("x.safetensors", data))
    assert bool(model.weight.isfinite().all())


def read_run(data: bytes) -> None:
    """JSON and tables of a run."""
    files = RunFiles(FOLDER)
    with contextlib.suppress(StraightedgeError):
        written("metrics.json", data)
        assert isinstance(files.metrics, dict)
    read_table(written("trace.csv", data))


def read_arguments(data: bytes) -> None:
    """The command line: words in, exit status 0, 1 or 2 out."""
    import sys

    from straightedge.cli.app import main

    # no word may name a file or a data set, so that no fit begins
    words = [word for word in data.decode("utf-8", "replace").replace("\0", " ").split(" ") if word][:12]
    sys.argv = ["straightedge", "fit", "no-such-source", *(word for word in words if "resume" not in word)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            assert end.code in (0, 1, 2), end.code
    assert "Traceback" not in err.getvalue()
    assert "[internal]" not in err.getvalue(), err.getvalue()


PARSERS: dict[str, Callable[[bytes], None]] = {
    "idx": read_idx,
    "cifar": read_cifar,
    "zip": read_zip,
    "tar": read_tar,
    "npz": read_npz,
    "pickle": read_pickle,
    "model": read_model,
    "run": read_run,
    "arguments": read_arguments,
}


def try_parser(name: str, data: bytes) -> bool:
    """Feed a parser; return whether it took the bytes. Errors of the family are its right answer to others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StraightedgeWarning)
        warnings.filterwarnings("ignore", category=UserWarning)
        try:
            PARSERS[name](data)
        except StraightedgeError as error:
            assert error.code
            assert str(error)
            return False
    return True


def seeds(name: str) -> list[bytes]:
    """Return whole files for each parser to begin with."""
    made = {
        "idx": b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(range(8)),
        "cifar": bytes([3]) + bytes(3072),
        "zip": _zip(),
        "tar": _tar(),
        "npz": _npz(),
        "pickle": _pickle(),
        "model": _model(),
        "run": b'{"loss": "softmax", "reg": 0.1}\niteration,objective\n1,2\n',
        "arguments": b"--reg 0.1 --path --tol 1e-3 --size 8x8 --loss svm --regs 1,2 --memory 2GB",
    }
    return [made[name]]


def _image(seed: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for seed, name in enumerate(("a/1.bmp", "b/1.bmp")):
            archive.writestr(name, _image(seed))
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for seed, name in enumerate(("a/1.bmp", "b/1.bmp")):
            member = tarfile.TarInfo(name)
            member.size = len(_image(seed))
            archive.addfile(member, io.BytesIO(_image(seed)))
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, X=np.eye(4, 3, dtype=np.float32), y=np.array([0, 1, 0, 1]))
    return stream.getvalue()


def _pickle() -> bytes:
    X = np.arange(12, dtype=np.float32).reshape(4, 3)
    return pickle.dumps({"X": X, "y": ["a", "b", "a", "b"], "ids": [1, 2.5, None, True, (b"x", 2**40)]}, 2)


def _model() -> bytes:
    path = FOLDER / "seed.safetensors"
    LinearModel(weight=torch.eye(3, 2), bias=torch.zeros(2), classes=("a", "b")).save(path)
    return path.read_bytes()
