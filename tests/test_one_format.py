"""A format is one file: what is registered here is read by every command, and its troubles are refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from straightedge.data import finding, fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.errors import InputError
from straightedge.special_files import open_regular
from support.bad_inputs import Commands, X, y
from support.troubles.formats import FORMATS

LONGEST = 10_000


def table(path: Path) -> np.ndarray:
    with open_regular(path) as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise InputError("points-large", f"more than {LONGEST} bytes", str(path))
    try:
        return np.array([line.split() for line in content.decode("ascii").splitlines()], dtype=np.float32)
    except ValueError as error:
        raise InputError("points-broken", str(error), str(path)) from None


def load(source: str, **options: Any) -> Dataset:
    rows = table(Path(source))
    part = Part(rows[:, 1:], rows[:, 0].astype(int))
    return assemble(source, {"train": part}, fingerprint=fingerprint.of_file(Path(source)))


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    module = ModuleType("straightedge.data.points")
    module.load = load
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(finding.SUFFIXES, ".pts", "points")
    lines = [" ".join(map(str, [label, *row])) for row, label in zip(X.tolist(), y, strict=True)]
    (tmp_path / "data.pts").write_text("\n".join(lines))
    return Commands(tmp_path, capsys, monkeypatch)


READING = {
    "fit": ("fit", "data.pts", "--reg", "0.1", "--out", "again"),
    "evaluate": ("evaluate", "run", "data.pts"),
    "predict": ("predict", "run", "data.pts"),
    "features": ("features", "data.pts", "--extractor", "raw", "--out", "rows.npz"),
}


def test_every_command_reads_it_and_refuses_its_troubles(commands: Commands) -> None:
    path = commands.path / "data.pts"
    assert commands.run("fit", "data.pts", "--reg", "0.1", "--out", "run", "--json").json["status"] == "certified"
    for words in READING.values():
        assert commands.run(*words).status == 0, words
    answers = commands.run("predict", "run", "data.pts").out.splitlines()[1:]
    assert np.mean([line.split(",")[1] == str(label) for line, label in zip(answers, y, strict=True)]) > 0.9
    for code, content in (
        ("points-large", b"0 1\n" * LONGEST),
        ("points-broken", b"0 a\n"),
        ("file-special", None),
    ):
        path.unlink()
        os.mkfifo(path) if content is None else path.write_bytes(content)
        for words in READING.values():
            commands.refused(code, "data.pts", by=words)


ROWS_ALONE = (".npz", ".svm", ".pkl", ".mat", ".h5", ".pt", ".safetensors", "idx", ".arff", ".parquet")


@pytest.mark.parametrize("ending", ROWS_ALONE)
def test_predict_reads_what_fit_reads(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    do = Commands(tmp_path, capsys, monkeypatch)
    source = FORMATS[ending](tmp_path, ending)
    do.run("fit", source.words, *source.options, "--reg", "0.1", "--out", "run", "--quiet", "--no-cache")
    judged = do.run("evaluate", "run", source.words, *source.options, "--json").json
    told = do.run("predict", "run", source.rows, "--json").json
    names = [one["class"] for one in told["predictions"]]
    classes = sorted(set(names))
    right = np.mean([classes.index(name) == k % 3 for k, name in enumerate(names)])
    assert len(names) == 36 and right == pytest.approx(judged["accuracy"])
