"""Files that are no data set: the message says what they are or hold, and the line that makes a source of them."""

from __future__ import annotations

import pickle
import shlex
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from straightedge.data import load_dataset
from straightedge.errors import InputError

PICTURES = np.random.default_rng(0).integers(0, 256, (209, 8, 8, 3), dtype=np.uint8)
BYTES: dict[str, tuple[bytes, str]] = {
    "lab.ipynb": (b'{"cells": [], "nbformat": 4}', "a Jupyter notebook.*numpy.savez"),
    "clip.mp4": (b"\0\0\0\x18ftypmp42" + bytes(300), "a video.*ffmpeg -i .*clip.mp4"),
    "clip.mkv": (b"\x1a\x45\xdf\xa3" + bytes(300), "a video"),
    "sound.wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "a sound"),
    "paper.pdf": (b"%PDF-1.7\n", "a PDF document"),
    "pack.rar": (b"Rar!\x1a\x07\x01\0", "a RAR archive.*unrar x"),
    "pack.7z": (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive.*7z x"),
    "page": (b"<!DOCTYPE html><html>log in</html>", "a web page"),
    "rows.json": (b'[{"x": 1}]', r"JSON in one piece.*pandas\.read_json"),
    "db.sqlite": (b"SQLite format 3\0", "a SQLite database.*sqlite3"),
    "frame.dta": (b"<stata_dta>", r"pandas\.read_stata"),
    "x.tfrecord": (bytes(60), "TensorFlow records"),
    "mine.py": (b"def f(x):\n    return x\n", "check-gradients .*mine.py:NAME"),
    "nothing": (b"", "an empty file"),
    "unknown.bin": (bytes(range(1, 250)), "no kind that can be read; it begins with .*readable endings: .*npz"),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_file_of_another_kind_is_named(name: str, tmp_path: Path) -> None:
    content, words = BYTES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{words}.*source-kind"):
        load_dataset(tmp_path / name)


def workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "<x/>")


def other_names(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["pictures"], file["is_cat"], file["order"] = PICTURES, np.arange(209) % 2, np.arange(209)


OBJECTS: dict[str, tuple[Any, str]] = {
    "book.xlsx": (workbook, "the workbook cannot be read"),
    "one.png": (lambda path: Image.new("RGB", (8, 8)).save(path), "one image.*straightedge predict RUN"),
    "cats.h5": (other_names, r"'pictures': \(209, 8, 8, 3\) uint8.*--column pictures --labels is_cat"),
    "weights.pt": (
        lambda path: torch.save(torch.nn.Linear(3, 2).state_dict(), path),
        r"'weight': \(2, 3\) float32",
    ),
    "model.pt": (lambda path: torch.save(torch.nn.Linear(3, 2), path), r"torch\.nn\.modules\.linear\.Linear"),
    "model.pkl": (
        lambda path: path.write_bytes(pickle.dumps(LogisticRegression())),
        "LogisticRegression'.*text inside: .*'fit_intercept'",
    ),
    "numbers.pkl": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), r"\{a: a number\}: there are no rows"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_inside_is_said(name: str, tmp_path: Path) -> None:
    write, words = OBJECTS[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=words):
        load_dataset(tmp_path / name)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_line_for_a_pickle_of_objects_makes_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "iris.pkl"
    path.write_bytes(pickle.dumps(load_iris()))
    with pytest.raises(InputError, match="Bunch") as caught:
        load_dataset(path)
    words = shlex.split(str(caught.value.mend).removeprefix("if it is your own file: "))
    monkeypatch.chdir(tmp_path)
    exec(words[2], {})  # the line of Python behind ``python -c``
    assert load_dataset(tmp_path / "iris.npz").train.X.shape == (150, 4)


def test_the_line_for_other_names_reads_the_file(tmp_path: Path) -> None:
    other_names(tmp_path / "cats.h5")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path / "cats.h5")
    words = shlex.split(str(caught.value.mend).split("; or")[0].split(": ", 1)[1])
    options = {word.lstrip("-"): value for word, value in zip(words[3::2], words[4::2], strict=True)}
    assert load_dataset(words[2], **options).image_shape == (3, 8, 8)
