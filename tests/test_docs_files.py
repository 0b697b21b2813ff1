"""Every row of the page on files: a file made by the library that people use for it, read by the command."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shlex
import tarfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import scipy.sparse
import torch
from safetensors.numpy import save_file
from sklearn.datasets import dump_svmlight_file

from straightedge.data import load_dataset
from support.commands import run_commands
from test_data_dumps import write_mat_73
from test_data_manifests import (
    DIGITS,
    GREY,
    IMAGES,
    LABELS,
    idx,
    kaggle,
    lines,
    metadata,
    names,
    packed,
    plain,
    png,
    put,
    saved,
)
from test_data_pickles import batches

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "files.md"
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 6)).astype(np.float32), np.array([0, 1, 2] * 10)
SPLITS = {"X_train": X, "y_train": Y, "X_test": X + 1, "y_test": Y}
PYTHON_2 = (
    b"\x80\x02}q\x00(U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01btRq\x03"
    b"(K\x01K\x1eK\x06\x86cnumpy\ndtype\nq\x04(U\x02f4K\x00K\x01tRq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89T"
)


def npy_folder(path: Path) -> None:
    (path / "arrays").mkdir()
    for name, value in SPLITS.items():
        np.save(path / "arrays" / f"{name}.npy", value)


def sparse_npz(path: Path) -> None:
    scipy.sparse.save_npz(path / "sparse.npz", scipy.sparse.csr_matrix(X))
    np.save(path / "y.npy", Y)


def h5(path: Path) -> None:
    with h5py.File(path / "f.h5", "w") as file:
        for name, value in SPLITS.items():
            file[f"{name[2:]}/{name[0]}"] = value


def python_2(path: Path) -> None:
    labels = b"U\x06labelsq\x07]q\x08(" + b"".join(b"K" + bytes([label]) for label in Y) + b"eu."
    data = X.astype("<f4").tobytes()
    (path / "python2.pkl").write_bytes(PYTHON_2 + len(data).to_bytes(4, "little") + data + b"tb" + labels)


def rows_alone(path: Path) -> None:
    (path / "embeddings.pkl").write_bytes(pickle.dumps(X))
    (path / "y.txt").write_text("\n".join(map(str, Y)))


def saved_vectors(path: Path) -> None:
    (path / "saved-vectors").mkdir()
    table = pa.table({"embedding": pa.array(X.tolist(), pa.list_(pa.float32())), "label": Y})
    file = path / "saved-vectors" / "data-00000-of-00001.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    state = {"_data_files": [{"filename": file.name}]}
    (path / "saved-vectors" / "state.json").write_text(json.dumps(state))


def svmlight(path: Path) -> None:
    dump_svmlight_file(X, Y, str(path / "f.svm"), zero_based=False)
    dump_svmlight_file(X + 1, Y, str(path / "f.svm.t"), zero_based=False)


def pairs(path: Path) -> None:
    np.save(path / "X.npy", X)
    np.save(path / "y.npy", Y)


def class_folders(path: Path) -> None:
    put(path / "photos", [f"{label}/{name}" for name, label in zip(names(), LABELS, strict=True)])


def csv_of_paths(path: Path) -> None:
    put(path, names(folder="pictures/"))
    lines(path / "paths.csv", [("path", "label"), *zip(names(folder="pictures/"), LABELS, strict=True)])


def hub(path: Path) -> None:
    (path / "hub" / "data").mkdir(parents=True)
    for split, images in (("train", IMAGES), ("test", 255 - IMAGES)):
        table = pa.table({"image": [{"bytes": png(one), "path": None} for one in images], "label": LABELS})
        pq.write_table(table, path / "hub" / "data" / f"{split}-00000-of-00001.parquet")


def shards(path: Path) -> None:
    (path / "shards").mkdir()
    with tarfile.open(path / "shards" / "train-0000.tgz", "w:gz") as shard:
        for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
            for name, data in ((f"{row:04d}.png", png(image)), (f"{row:04d}.cls", label.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))


def idx_files(path: Path) -> None:
    (path / "idx").mkdir()
    for split, images in (("train", GREY), ("t10k", 255 - GREY)):
        (path / "idx" / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (path / "idx" / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.array(DIGITS)))


def mnist_csv(path: Path) -> None:
    head = ["label", *(f"pixel{place}" for place in range(64))]
    lines(path / "mnist.csv", [head, *([label, *grey.ravel()] for label, grey in zip(DIGITS, GREY, strict=True))])


def python_batches(path: Path) -> None:
    (path / "cifar-10-batches-py").mkdir()
    batches(path / "cifar-10-batches-py", bytes)


def below(name: str, write: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Return a writer that works in a folder of its own."""

    def make(path: Path) -> Path:
        (path / name).mkdir()
        return write(path / name)

    return make


def kaggle_zip(path: Path) -> None:
    (path / "packed" / "kaggle").mkdir(parents=True)
    packed(kaggle(path / "packed" / "kaggle"), ".zip").rename(path / "kaggle.zip")


def layers(path: Path) -> None:
    save_file({"layer1": X * 2, "layer3": X, "y": Y}, path / "f.safetensors")


MAKERS: dict[str, Callable[[Path], object]] = {
    'numpy.savez("f.npz", X=X, y=y)': lambda path: np.savez(path / "f.npz", X=X, y=Y),
    ".npz with splits": lambda path: np.savez(path / "splits.npz", **SPLITS),
    ".npz with other names": lambda path: np.savez(path / "other.npz", layer1=X * 2, layer2=X, kinds=Y),
    "numpy.save, two files": pairs,
    "a folder of X_train.npy, y_train.npy, …": npy_folder,
    "scipy.sparse.save_npz": sparse_npz,
    "scipy.io.savemat": lambda path: scipy.io.savemat(path / "f.mat", {"X": X, "y": Y}),
    "MATLAB's version 7.3": lambda path: write_mat_73(path / "f73.mat", {"X": X, "y": Y}),
    "h5py": h5,
    'torch.save({"X": X, "y": y}, …)': lambda path: torch.save(
        {"X": torch.from_numpy(X), "y": torch.from_numpy(Y)}, path / "f.pt"
    ),
    "safetensors.numpy.save_file": layers,
    "pickle.dump, protocols 2 to 5": lambda path: (path / "features.pkl").write_bytes(
        pickle.dumps({"features": X, "labels": Y}, 2)
    ),
    "a pickle of Python 2, bytes for keys": python_2,
    "rows alone": rows_alone,
    "Parquet with a column of vectors": lambda path: pq.write_table(
        pa.table({"embedding": X.tolist(), "label": Y}), path / "features.parquet"
    ),
    "Parquet with a column of matrices": lambda path: pq.write_table(
        pa.table({"hidden": X.reshape(30, 2, 3).tolist(), "label": Y}), path / "matrices.parquet"
    ),
    "Dataset.save_to_disk with vectors": saved_vectors,
    "svmlight, f.svm beside f.svm.t": svmlight,
    "class folders": class_folders,
    "filename,label in a CSV beside images": below("listed", plain),
    "Hugging Face's metadata.csv": below("imagefolder", metadata),
    "Kaggle's train.csv with train/, names without ending": below("kaggle", kaggle),
    "either of these in a .zip or .tgz": kaggle_zip,
    "a CSV of paths": csv_of_paths,
    "DatasetDict.save_to_disk": lambda path: saved(path / "saved"),
    "Parquet shards of the hub": hub,
    "WebDataset shards, .tar or .tgz": shards,
    "a label and a column a pixel in CSV": mnist_csv,
    "IDX files, packed or not": idx_files,
    "cifar-10-batches-py": python_batches,
}
ROWS = re.findall(r"^\| (.+?) \| `(straightedge fit .+?)` \| (.+) \|$", PAGE.read_text("utf-8"), re.M)


def test_every_row_of_the_page_has_its_maker() -> None:
    assert [form.replace("`", "") for form, _, _ in ROWS] == list(MAKERS)


@pytest.mark.parametrize(("form", "command", "result"), ROWS, ids=[form.replace("`", "") for form, _, _ in ROWS])
def test_a_row_of_the_page(
    form: str, command: str, result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    MAKERS[form.replace("`", "")](tmp_path)
    source, *words = shlex.split(command)[2:]
    options = {name.lstrip("-"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    found = load_dataset(source, progress=False, cache=False, **options)
    rows = np.asarray(found.train.X, dtype=np.float64)
    if found.image_shape is None:
        np.testing.assert_allclose(rows, X, atol=1e-6)
        np.testing.assert_array_equal(found.train.y, Y)
    elif found.image_shape == (3, 8, 8):
        order = np.argsort(LABELS, kind="stable") if form == "class folders" else slice(None)
        np.testing.assert_array_equal(rows, IMAGES.transpose(0, 3, 1, 2)[order])
    elif found.image_shape == (1, 8, 8):
        np.testing.assert_array_equal(rows[:, 0], GREY)
    else:
        assert found.image_shape == (3, 32, 32) and found.train.n == 50
    assert (found.test is not None) == ("train and test" in result)


@pytest.mark.long
def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    for maker in MAKERS.values():
        maker(tmp_path)
    commands = [
        [*shlex.split(command)[1:], "--reg", "0.1", "--json", "--out", f"run{number}"]
        for number, (_, command, _) in enumerate(ROWS)
    ]
    environment = os.environ | {"STRAIGHTEDGE_CACHE": str(tmp_path / "cache")}
    statuses, said = run_commands(commands, tmp_path, environment)
    assert statuses == [0] * len(ROWS), f"{ROWS[len(statuses) - 1][1]}: {said[-1000:]!r}"
