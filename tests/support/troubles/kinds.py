"""The troubles: what each does to a good file. `EVERY` are for every format, `BOMBS` for the endings they name."""

from __future__ import annotations

import gzip
import io
import os
import random
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Trouble = Callable[[Path], None]
EVERY: dict[str, Trouble] = {}
BOMBS: dict[tuple[str, ...], dict[str, Trouble]] = {}


def trouble(name: str) -> Callable[[Trouble], Trouble]:
    def add(made: Trouble) -> Trouble:
        EVERY[name] = made
        return made

    return add


def bomb(name: str, *endings: str) -> Callable[[Trouble], Trouble]:
    def add(made: Trouble) -> Trouble:
        BOMBS.setdefault(endings, {})[name] = made
        return made

    return add


@trouble("a pipe")
def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@trouble("a socket")
def listening(path: Path) -> None:
    path.unlink()
    here = os.getcwd()
    os.chdir(path.parent)  # its name has to be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@trouble("a device without end")
def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@trouble("a link to itself")
def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@trouble("a link to nothing")
def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@trouble("a folder in its place")
def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@trouble("no bytes")
def empty(path: Path) -> None:
    path.write_bytes(b"")


@trouble("one byte")
def single(path: Path) -> None:
    path.write_bytes(b"\x1f")


@trouble("zeros alone")
def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@trouble("eight gigabytes of zeros that take no room")
def hole(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**33)


@trouble("its own bytes, then three gigabytes of zeros")
def long_tail(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(3 * 2**30)


@trouble("a picture under its name")
def picture(path: Path) -> None:
    Image.new("RGB", (5, 5)).save(path, "PNG")


@trouble("half of it")
def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@trouble("its last bytes missing")
def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@trouble("text of another encoding")
def utf16(path: Path) -> None:
    path.write_bytes("pqrs label ü\nüüü\n".encode("utf-16"))


@trouble("bytes without sense")
def noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(5000))


@trouble("a gigabyte of one line, packed")
def packed_line(path: Path) -> None:
    path.write_bytes(gzip.compress(b"7" * 2**24) * 64)


for seed in range(4):

    def flipped(path: Path, seed: int = seed) -> None:
        chosen, data = random.Random(seed), bytearray(path.read_bytes())
        for _ in range(3):
            data[chosen.randrange(len(data))] = chosen.randrange(256)
        path.write_bytes(data)

    EVERY[f"three bytes changed, {seed}"] = flipped


TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def _mode(path: Path) -> str:
    ending = path.name.rpartition(".")[2]
    return {"tar": "w", "tgz": "w:gz"}.get(ending) or f"w:{ending}"


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def _packed(path: Path, *pieces: bytes) -> None:
    """Write raw pieces of a tar, packed as the ending says."""
    import bz2
    import lzma

    ending = path.name.rpartition(".")[2]
    opened = {"gz": gzip.open, "tgz": gzip.open, "bz2": bz2.open, "xz": lzma.open}.get(ending, open)
    level = {"compresslevel": 1} if opened is gzip.open else {}
    with opened(path, "wb", **level) as file:  # type: ignore[operator]
        for piece in pieces:
            file.write(piece)


@bomb("an extended header of 300 MB", *TARS)
def pax_large(path: Path) -> None:
    size = 300 * 2**20
    _packed(path, _header("x", size, tarfile.XHDTYPE), *[b"7" * 2**20] * 300, bytes(1024))


@bomb("an extended header of 8 GB that is not there", *TARS)
def pax_claimed(path: Path) -> None:
    _packed(path, _header("x", 2**33, tarfile.XHDTYPE), bytes(4096))


@bomb("an extended header of a megabyte without a record", *TARS)
def pax_pattern(path: Path) -> None:
    _packed(path, _header("x", 2**20, tarfile.XHDTYPE), b"1" * 2**20, bytes(1024))


@bomb("an extended header of numbers", *TARS)
def pax_numbers(path: Path) -> None:
    _packed(path, _header("x", 2**20, tarfile.XHDTYPE), (b"9 " * 2**19), bytes(1024))


@bomb("ten thousand extended headers for one file", *TARS)
def pax_many(path: Path) -> None:
    record = b"12 path=ab\n\n".ljust(512, b"\0")
    _packed(path, *[_header("x", 11, tarfile.XHDTYPE) + record] * 10_000, _header("a", 0), bytes(1024))


@bomb("a sparse file of many holes", *TARS)
def sparse(path: Path) -> None:
    member = bytearray(_header("a/x.png", 2**33, tarfile.GNUTYPE_SPARSE))
    _packed(path, bytes(member), bytes(4096))


@bomb("a long name of 300 MB", *TARS)
def long_name(path: Path) -> None:
    _packed(path, _header("x", 300 * 2**20, tarfile.GNUTYPE_LONGNAME), *[b"a" * 2**20] * 300, bytes(1024))


@bomb("a member that unfolds to 3 GB", *TARS[1:3])
def tar_bomb(path: Path) -> None:
    _packed(path, _header("a/x.png", 3 * 2**30), *[bytes(2**20)] * 300, bytes(1024))


@bomb("30,000 empty members", *TARS[:2])
def many_members(path: Path) -> None:
    head = _header("a/x.png", 0)
    _packed(path, head * 30_000, bytes(1024))


@bomb("a member that unfolds to 2 GB", ".zip", ".csv.zip", ".npz", ".xlsx", ".ods")
def zip_bomb(path: Path) -> None:
    name = {".npz": "X.npy", ".xlsx": "xl/worksheets/sheet1.xml"}.get(path.suffix, "a/data.csv")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        for _ in range(32):
            file.write(bytes(2**26))


@bomb("20,000 empty members", ".zip", ".npz")
def many_in_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"a/{number}.png", b"")


@bomb("arrays of 255 MB that are one number", ".npz")
def npz_under_the_limit(path: Path) -> None:
    np.savez_compressed(path, **{f"X{k}": np.zeros(2**25 - 1000) for k in range(2)}, y=np.zeros(3))


@bomb("a header that claims 2 TB", ".npy")
def npy_claims(path: Path) -> None:
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**30, 256)})
        file.write(bytes(1000))


@bomb("a feature numbered 2 billion", ".svm", ".svmlight", ".libsvm")
def wide_row(path: Path) -> None:
    path.write_text("0 1:1\n1 2147483000:1\n2 3:1\n")


@bomb("a feature numbered 2 to the 62", ".svm")
def widest_row(path: Path) -> None:
    path.write_text(f"0 1:1\n1 {2**62}:1\n2 3:1\n")


@bomb("thousands of columns", ".csv", ".parquet")
def many_columns(path: Path) -> None:
    names = [f"c{k}" for k in range(100_000)]
    if path.suffix == ".csv":
        path.write_text("\n".join([",".join([*names, "label"]), *[",".join(["1"] * 100_000 + ["a"])] * 3]))
        return
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({name: [1.0, 2.0] for name in names[:5_000]} | {"label": ["a", "b"]}), path)


@bomb("a quote that never ends over 50 MB", ".csv", ".tsv")
def endless_quote(path: Path) -> None:
    path.write_bytes(b'p,label\n1,a\n2,"' + b"b\n" * 25_000_000)


@bomb("a name and a label of ten megabytes", ".csv")
def long_label(path: Path) -> None:
    long = "x" * 10_000_000
    path.write_text("p,label\n" + "".join(f"{k},{long if k % 3 else 'a'}{k % 3}\n" for k in range(12)))


@bomb("JSON a million brackets deep", ".jsonl", ".ndjson")
def deep_json(path: Path) -> None:
    path.write_text('{"text": ' + "[" * 1_000_000 + "\n")


@bomb("a line of 200 MB", ".jsonl", ".csv")
def long_line(path: Path) -> None:
    head = b'{"label": "a", "text": "' if path.suffix == ".jsonl" else b"p,label\n1,"
    path.write_bytes(head + b"word " * 40_000_000)


@bomb("a chunked array of 64 GB that holds nothing", ".h5", ".hdf5")
def hollow_array(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("X", (2**30, 16), "f4", chunks=(2**16, 16), compression="gzip")
        file["y"] = np.arange(8) % 2


@bomb("a header of 200 MB", ".safetensors")
def large_header(path: Path) -> None:
    size = 200 * 2**20
    path.write_bytes(size.to_bytes(8, "little") + b"{" + b" " * (size - 2) + b"}")


def _in_picture_format(path: Path, image: Image.Image, form: str, **options: object) -> None:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    path.write_bytes(stream.getvalue())


@bomb("a progressive JPEG of 5,000 scans", "folder of images")
def progressive(path: Path) -> None:
    """89 million pixels, whose last scan is repeated: each one has to be gone through."""
    stream = io.BytesIO()
    Image.new("L", (9400, 9400), 90).save(stream, "JPEG", progressive=True, quality=10)
    data = stream.getvalue()
    last = data.rfind(b"\xff\xda")
    scan = data[last:-2]
    path.write_bytes(data[:last] + scan * 5_000 + b"\xff\xd9")


@bomb("a picture of 400 million pixels", "folder of images", "images with a table")
def large_picture(path: Path) -> None:
    _in_picture_format(path.with_name("large.png"), Image.new("1", (20_000, 20_000)), "PNG")


@bomb("a picture of 89 million pixels beside small ones", "folder of images")
def tall_picture(path: Path) -> None:
    _in_picture_format(path, Image.new("1", (9_000, 9_000)), "PNG")


@bomb("an animation of 20,000 frames", "folder of images")
def animation(path: Path) -> None:
    stream = io.BytesIO()
    Image.new("P", (6, 6)).save(stream, "GIF")
    data = stream.getvalue()
    start = data.index(b",")
    path.write_bytes(data[:start] + (b"!\xf9\x04\x00\x01\x00\x00\x00" + data[start:-1]) * 20_000 + b";")


@bomb("a text beside pictures that unfolds far", "folder of images")
def compressed_remark(path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    remark = PngInfo()
    remark.add_text("a", "x" * 60_000_000, zip=True)
    _in_picture_format(path, Image.new("L", (6, 6)), "PNG", pnginfo=remark)


@bomb("a text of 40 MB", "folder of texts")
def long_text(path: Path) -> None:
    path.write_bytes(b"one word and another " * 2_000_000)


@bomb("a text that is one word of 100 MB", "folder of texts")
def long_word(path: Path) -> None:
    path.write_bytes(b"x" * 100_000_000)


@bomb("a header of four billion pictures", "idx")
def idx_claims(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 4 + bytes([0, 0, 0, 2, 0, 0, 0, 2]) + bytes(100))
