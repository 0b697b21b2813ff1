"""Feature dumps as the libraries that people use write them: NumPy, MATLAB, HDF5, torch, safetensors, pickle."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from safetensors.numpy import save_file

from straightedge.data import load_dataset
from straightedge.data.dumps.naming import find_parts, role
from straightedge.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5)).astype(np.float32)
Y = np.array([0, 1, 2] * 4)


def write_h5(path: Path, arrays: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value


def write_mat_73(path: Path, arrays: dict[str, Any]) -> None:
    """Version 7.3: HDF5 with sides in reverse, behind MATLAB's text."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            file[name] = np.asarray(value).T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def write_torch(path: Path, arrays: dict[str, Any]) -> None:
    torch.save({name: torch.as_tensor(value) for name, value in arrays.items()}, path)


def write_torch_old(path: Path, arrays: dict[str, Any]) -> None:
    tensors = {name: torch.as_tensor(value) for name, value in arrays.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def write_pickle(path: Path, arrays: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps(arrays))


WRITERS: dict[str, tuple[str, Callable[[Path, dict[str, Any]], None]]] = {
    "npz": ("f.npz", lambda path, arrays: np.savez(path, **arrays)),
    "compressed npz": ("f.npz", lambda path, arrays: np.savez_compressed(path, **arrays)),
    "mat 5": ("f.mat", scipy.io.savemat),
    "mat 5, compressed": ("f.mat", lambda path, arrays: scipy.io.savemat(path, arrays, do_compression=True)),
    "mat 7.3": ("f.mat", write_mat_73),
    "h5": ("f.h5", write_h5),
    "hdf5 without an ending": ("f", write_h5),
    "torch": ("f.pt", write_torch),
    "torch before 1.6": ("f.pth", write_torch_old),
    "safetensors": ("f.safetensors", lambda path, arrays: save_file(arrays, path)),
    "pickle": ("f.pkl", write_pickle),
}
NAMES = [
    ("X", "y", None, None),
    ("features", "labels", None, None),
    ("fea", "gnd", None, None),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("train_set_x", "train_set_y", "test_set_x", "test_set_y"),
    ("Xtr", "ytr", "Xte", "yte"),
    ("X_train", "Y_train", "X_test", "Y_test"),
    ("arr_0", "arr_1", None, None),
    ("vgg_out", "who", None, None),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0])
@pytest.mark.parametrize("form", WRITERS)
def test_rows_and_labels_are_found(form: str, names: tuple[str, ...], tmp_path: Path) -> None:
    file, write = WRITERS[form]
    arrays = dict(zip([name for name in names if name], [X, Y, X + 1, Y], strict=False))
    write(tmp_path / file, arrays)
    found = load_dataset(tmp_path / file, progress=False)
    np.testing.assert_array_equal(np.asarray(found.train.X), X)
    np.testing.assert_array_equal(found.train.y, Y)
    assert (found.test is not None) == (names[2] is not None)


@pytest.mark.parametrize("form", WRITERS)
def test_rows_and_labels_are_taken_by_name_where_asked(form: str, tmp_path: Path) -> None:
    file, write = WRITERS[form]
    arrays = {"layer1": X, "layer2": X * 2, "who": Y, "when": Y[::-1].copy()}
    write(tmp_path / file, arrays)
    with pytest.raises(InputError, match=r"'layer1': \(12, 5\) float32.*--column layer2 --labels when"):
        load_dataset(tmp_path / file)
    found = load_dataset(tmp_path / file, column="layer2", labels="when")
    np.testing.assert_array_equal(np.asarray(found.train.X), X * 2)
    np.testing.assert_array_equal(found.train.y, Y[::-1])


@pytest.mark.parametrize("form", [form for form in WRITERS if "npz" not in form])
def test_labels_may_lie_in_a_second_file_of_any_kind(form: str, tmp_path: Path) -> None:
    file, write = WRITERS[form]
    write(tmp_path / file, {"embeddings": X})
    with pytest.raises(InputError, match="--labels"):
        load_dataset(tmp_path / file)
    for other, writer in WRITERS.values():
        labels = tmp_path / f"labels{Path(other).suffix}"
        if labels.suffix:
            writer(labels, {"y": Y})
            np.testing.assert_array_equal(load_dataset(tmp_path / file, labels=labels).train.y, Y)
    (tmp_path / "y.txt").write_text("\n".join(f"class {label}" for label in Y))
    assert load_dataset(tmp_path / file, labels=tmp_path / "y.txt").classes[0] == "class 0"


def test_a_pair_of_files_is_a_source(tmp_path: Path) -> None:
    torch.save(torch.as_tensor(X), tmp_path / "x.pt")
    torch.save(torch.as_tensor(Y), tmp_path / "y.pt")
    found = load_dataset(f"{tmp_path / 'x.pt'},{tmp_path / 'y.pt'}")
    np.testing.assert_array_equal(np.asarray(found.train.X), X)


@pytest.mark.parametrize("ending", [".npy", ".pt", ".pkl"])
def test_a_folder_of_files_named_by_what_they_hold_is_a_source(ending: str, tmp_path: Path) -> None:
    for name, value in {"X_train": X, "y_train": Y, "X_test": X + 1, "y_test": Y}.items():
        path = tmp_path / f"{name}{ending}"
        if ending == ".npy":
            np.save(path, value)
        elif ending == ".pt":
            torch.save(torch.as_tensor(value), path)
        else:
            path.write_bytes(pickle.dumps(value))
    found = load_dataset(tmp_path)
    np.testing.assert_array_equal(np.asarray(found.train.X), X)
    assert found.test is not None and found.test.n == 12


def test_labels_in_a_row_and_cells_of_text_are_labels(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "row.mat", {"X": X, "y": Y[None]})
    np.testing.assert_array_equal(load_dataset(tmp_path / "row.mat").train.y, Y)
    cells = np.array([f"c{label}" for label in Y], dtype=object)
    scipy.io.savemat(tmp_path / "cells.mat", {"X": X, "y": cells[:, None]})
    assert load_dataset(tmp_path / "cells.mat").classes == ("c0", "c1", "c2")


def test_groups_of_hdf5_and_text_in_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for split in ("train", "test"):
            file[f"{split}/X"], file[f"{split}/y"] = X + len(split), [f"c{label}" for label in Y]
    found = load_dataset(tmp_path / "f.h5")
    assert found.classes == ("c0", "c1", "c2") and found.test is not None


@pytest.mark.parametrize("form", ["h5", "mat 7.3", "mat 5", "torch", "safetensors", "pickle"])
def test_large_arrays_are_views_of_the_file(form: str, tmp_path: Path) -> None:
    file, write = WRITERS[form]
    large = np.random.default_rng(3).normal(size=(600, 500)).astype(np.float32)
    write(tmp_path / file, {"X": large, "y": np.arange(600) % 3})
    tracemalloc.start()
    found = load_dataset(tmp_path / file, progress=False)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    np.testing.assert_array_equal(np.asarray(found.train.X), large)
    assert held < large.nbytes / 2


def test_half_formats_of_torch_become_numbers(tmp_path: Path) -> None:
    torch.save({"X": torch.as_tensor(X).bfloat16(), "y": torch.as_tensor(Y)}, tmp_path / "f.pt")
    np.testing.assert_allclose(load_dataset(tmp_path / "f.pt").train.X, X, rtol=1e-2)


class Trap:
    """Makes a file if it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch called",)


def hostile_links(path: Path) -> None:
    np.save(path.with_name("secret.npy"), X)
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["X"], file["y"] = X, Y
    with h5py.File(path, "w") as file:
        file["X"] = h5py.ExternalLink("other.h5", "X")
        file["y"] = h5py.ExternalLink("other.h5", "y")


def outside_storage(path: Path) -> None:
    path.with_name("raw.bin").write_bytes(X.tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("X", X.shape, X.dtype, external=[(str(path.with_name("raw.bin")), 0, X.nbytes)])
        file["y"] = Y


def claimed_only(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", (2**20, 2**20), "f8", chunks=(1, 2**20))
        file["y"] = Y


HOSTILE: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("object in torch", "f.pt", lambda path: torch.save({"X": Trap(), "y": 1}, path)),
    ("pickle under .pt", "f.pt", lambda path: path.write_bytes(pickle.dumps(Trap()))),
    (
        "unfolding tensor",
        "f.pt",
        lambda path: torch.save({"X": torch.zeros(1, 1).expand(2**15, 2**15), "y": Y}, path),
    ),
    ("sparse tensor", "f.pt", lambda path: torch.save({"X": torch.eye(3).to_sparse(), "y": 1}, path)),
    ("links to another file", "f.h5", hostile_links),
    ("rows in another file", "f.h5", outside_storage),
    ("a claimed size", "f.h5", claimed_only),
    ("no HDF5", "f.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))),
    ("no MATLAB", "f.mat", lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))),
    ("empty mat", "f.mat", lambda path: path.write_bytes(b"")),
    ("empty pt", "f.pt", lambda path: path.write_bytes(b"")),
    ("no safetensors", "f.safetensors", lambda path: path.write_bytes(b"\xff" * 64)),
    ("a structure of MATLAB", "f.mat", lambda path: scipy.io.savemat(path, {"s": {"a": 1}})),
]


@pytest.mark.parametrize(("file", "write"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_hostile_dumps_are_refused(
    file: str, write: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / file)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / file)
    assert file in str(caught.value)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("form", ["mat 5", "h5", "torch", "safetensors"])
def test_changed_bytes_are_values_or_errors(form: str, tmp_path: Path) -> None:
    file, write = WRITERS[form]
    path = tmp_path / file
    write(path, {"X": X, "y": Y})
    good = path.read_bytes()
    places = np.random.default_rng(1).choice(len(good), 150)
    for place in [*places.tolist(), *range(60)]:
        changed = bytearray(good)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            load_dataset(path)
        except InputError as error:
            assert error.code


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("X", ("train", "rows")),
        ("trainX", ("train", "rows")),
        ("testLabels", ("test", "labels")),
        ("val_images", ("validation", "rows")),
        ("dev/features", ("validation", "rows")),
        ("X_train_test", None),
        ("weights", None),
        ("extra", None),
    ],
)
def test_names_say_what_an_array_is(name: str, expected: tuple[str, str] | None) -> None:
    found = role(name)
    assert (found and found[:2]) == expected


def test_shapes_decide_only_where_one_pairing_is_possible() -> None:
    assert set(find_parts({"a": X, "b": Y}, "x")) == {"train"}
    with pytest.raises(InputError):
        find_parts({"a": X, "b": Y, "c": Y}, "x")
    with pytest.raises(InputError):
        find_parts({"a": X, "b": Y[:-1]}, "x")


@pytest.mark.parametrize("text", ["label\n{}", "id,label\n{}", "{}"], ids=["header", "two columns", "lines"])
def test_labels_may_stand_in_a_csv_beside_the_rows(text: str, tmp_path: Path) -> None:
    lines = [f"{place},{label}" if "," in text else str(label) for place, label in enumerate(Y)]
    np.save(tmp_path / "X_train.npy", X)
    (tmp_path / "y_train.csv").write_text(text.format("\n".join(lines)))
    for source, options in ((tmp_path, {}), (tmp_path / "X_train.npy", {"labels": tmp_path / "y_train.csv"})):
        found = load_dataset(source, progress=False, cache=False, **options)
        np.testing.assert_array_equal(found.train.X, X)
        np.testing.assert_array_equal(found.train.y, Y)


def test_dumps_in_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "X.npy", X + (split == "test"))
        (tmp_path / split / "y.txt").write_text("\n".join(map(str, Y)))
    found = load_dataset(tmp_path, progress=False, cache=False)
    np.testing.assert_array_equal(found.train.X, X)
    assert found.test is not None and found.test.n == len(Y)
