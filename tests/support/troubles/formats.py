"""A small good source in every registered format, for the troubles to spoil.

A writer is registered under the ending that it serves; a format without one fails the table's own test.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from straightedge.data.endings import PACKED, TEXT_TABLES
from straightedge.data.finding import SUFFIXES

rng = np.random.default_rng(0)
y = np.arange(36) % 3
X = (rng.normal(size=(36, 4)) + 3 * np.eye(3, 4)[y]).astype(np.float32)


@dataclass(frozen=True)
class Source:
    """What lies on the disk.

    Attributes:
        words: What is given to a command as the source, relative to the folder.
        file: The file that the troubles spoil.
        options: Further words for `fit`.
    """

    words: str
    file: str
    options: tuple[str, ...] = ()

    @property
    def rows(self) -> str:
        """What is given to `predict`."""
        return self.words.partition(",")[0]


Writer = Callable[[Path, str], Source]
FORMATS: dict[str, Writer] = {}
UNPACKED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def writes(*endings: str) -> Callable[[Writer], Writer]:
    """Register a writer under the endings that it serves."""

    def add(writer: Writer) -> Writer:
        FORMATS.update(dict.fromkeys(endings, writer))
        return writer

    return add


def plain(folder: Path, ending: str, content: bytes, *options: str) -> Source:
    """Write one file, packed as its ending says."""
    name = f"data{ending}"
    for packed, pack in UNPACKED.items():
        content = pack(content) if ending.endswith(packed) else content
    (folder / name).write_bytes(content)
    return Source(name, name, options)


def text_of(separator: str) -> bytes:
    rows = [separator.join([*map(str, row), "abc"[label]]) for row, label in zip(X.tolist(), y, strict=True)]
    return "\n".join([separator.join(["p", "q", "r", "s", "label"]), *rows, ""]).encode()


@writes(*(ending + packed for ending in TEXT_TABLES for packed in ("", *PACKED)))
def text_table(folder: Path, ending: str) -> Source:
    content = text_of("\t" if ending.startswith((".tsv", ".tab")) else ",")
    if ending.endswith(".zip"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.csv", content)
        content = stream.getvalue()
    return plain(folder, ending, content, "--labels", "label")


@writes(*(ending for ending in SUFFIXES if ".arff" in ending))
def arff(folder: Path, ending: str) -> Source:
    names = "".join(f"@attribute {name} numeric\n" for name in "pqrs")
    head = f"@relation r\n{names}@attribute label {{a,b,c}}\n@data\n".encode()
    return plain(folder, ending, head + text_of(",").partition(b"\n")[2], "--labels", "label")


@writes(*(ending for ending in SUFFIXES if ending[1:3] in ("xl", "od")))
def workbook(folder: Path, ending: str) -> Source:
    """The least that is a workbook of Excel; the other kinds of workbook have its bytes under their names."""
    rows = [line.split(",") for line in text_of(",").decode().split()]
    cells = [
        "".join(
            f'<c t="inlineStr"><is><t>{c}</t></is></c>' if c[0].isalpha() else f"<c><v>{c}</v></c>" for c in row
        )
        for row in rows
    ]
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    space = "http://schemas.openxmlformats.org"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{space}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{space}/spreadsheetml/2006/main" '
        f'xmlns:r="{space}/officeDocument/2006/relationships"><sheets><sheet name="one" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship '
        f'Id="r1" Type="{space}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}/spreadsheetml/2006/main"><sheetData>'
        + "".join(f"<row>{row}</row>" for row in cells)
        + "</sheetData></worksheet>",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, head + part)
    return plain(folder, ending, stream.getvalue(), "--labels", "label")


@writes(*(ending for ending in SUFFIXES if "json" in ending))
def json_lines(folder: Path, ending: str) -> Source:
    words = ["cat cats meow", "dog dogs bark", "bird birds sing"]
    lines = [json.dumps({"text": f"{words[k]} number {i} of all", "label": "abc"[k]}) for i, k in enumerate(y)]
    return plain(folder, ending, "\n".join(lines).encode())


@writes(".npz")
def npz(folder: Path, ending: str) -> Source:
    stream = io.BytesIO()
    np.savez_compressed(stream, X=X, y=y)
    return plain(folder, ending, stream.getvalue())


@writes(".npy")
def pair(folder: Path, ending: str) -> Source:
    np.save(folder / "rows.npy", X)
    np.save(folder / "labels.npy", y)
    return Source("rows.npy,labels.npy", "rows.npy")


@writes(".svm", ".svmlight", ".libsvm")
def svmlight(folder: Path, ending: str) -> Source:
    lines = [
        f"{label} " + " ".join(f"{j + 1}:{value}" for j, value in enumerate(row))
        for row, label in zip(X, y, strict=True)
    ]
    return plain(folder, ending, "\n".join([*lines, ""]).encode())


def arrow_table() -> object:
    import pyarrow as pa

    return pa.table({name: X[:, j] for j, name in enumerate("pqrs")} | {"label": ["abc"[k] for k in y]})


@writes(".parquet", ".arrow", ".feather", ".ipc")
def columns(folder: Path, ending: str) -> Source:
    from pyarrow import feather, parquet

    write = parquet.write_table if ending == ".parquet" else feather.write_feather
    write(arrow_table(), folder / f"data{ending}")
    return Source(f"data{ending}", f"data{ending}", ("--labels", "label"))


@writes(".pkl", ".pickle", ".p")
def pickled(folder: Path, ending: str) -> Source:
    return plain(folder, ending, pickle.dumps({"X": X, "y": y}, protocol=4))


@writes(".mat")
def matlab(folder: Path, ending: str) -> Source:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"X": X, "y": y}, do_compression=True)
    return plain(folder, ending, stream.getvalue())


@writes(".h5", ".hdf5")
def hdf5(folder: Path, ending: str) -> Source:
    import h5py

    with h5py.File(folder / f"data{ending}", "w") as file:
        file.create_dataset("X", data=X, compression="gzip")
        file["y"] = y
    return Source(f"data{ending}", f"data{ending}")


@writes(".pt", ".pth")
def torch_file(folder: Path, ending: str) -> Source:
    import torch

    torch.save({"X": torch.from_numpy(X), "y": torch.from_numpy(y)}, folder / f"data{ending}")
    return Source(f"data{ending}", f"data{ending}")


@writes(".safetensors")
def safetensors(folder: Path, ending: str) -> Source:
    from safetensors.numpy import save

    return plain(folder, ending, save({"X": X, "y": y}))


def pictures() -> Sequence[tuple[str, bytes]]:
    found = []
    for i, k in enumerate(y):
        stream = io.BytesIO()
        pixels = np.clip(X[i, :3] * 30 + 100, 0, 255).astype(np.uint8)
        Image.fromarray(np.broadcast_to(pixels, (6, 6, 3)).copy()).save(stream, ("PNG", "JPEG", "GIF")[k])
        found.append((f"{'abc'[k]}/{i:02d}{('.png', '.jpg', '.gif')[k]}", stream.getvalue()))
    return found


@writes(".zip", *(ending for ending in SUFFIXES if ending.startswith((".tar", ".tgz"))))
def archive(folder: Path, ending: str) -> Source:
    path = folder / f"data{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in pictures():
                packed.writestr(name, content)
        return Source(path.name, path.name)
    mode = {".tar": "w", ".tgz": "w:gz"}.get(ending) or f"w:{ending.rpartition('.')[2]}"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in pictures():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return Source(path.name, path.name)


@writes("folder of images")
def folder_of_images(folder: Path, ending: str) -> Source:
    for name, content in pictures():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Source("data", "data/a/00.png")


@writes("folder of texts")
def folder_of_texts(folder: Path, ending: str) -> Source:
    for i, k in enumerate(y):
        path = folder / "data" / "abc"[k] / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{['cat meow', 'dog bark', 'bird song'][k]} and number {i}")
    return Source("data", "data/a/0.txt")


@writes("images with a table")
def manifest(folder: Path, ending: str) -> Source:
    (folder / "data").mkdir()
    lines = ["file,label"]
    for name, content in pictures():
        (folder / "data" / name.replace("/", "-")).write_bytes(content)
        lines.append(f"{name.replace('/', '-')},{name[0]}")
    (folder / "data" / "labels.csv").write_text("\n".join(lines))
    return Source("data", "data/labels.csv")


@writes("idx")
def idx(folder: Path, ending: str) -> Source:
    for split in ("train", "t10k"):
        pixels = np.clip(X * 30 + 100, 0, 255).astype(np.uint8).reshape(36, 2, 2)
        head = struct.pack(">BBBBIII", 0, 0, 8, 3, 36, 2, 2)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, 36) + y.astype(np.uint8).tobytes()
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    return Source("train-images-idx3-ubyte", "train-images-idx3-ubyte")
