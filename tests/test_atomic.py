"""Files whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge import atomic
from straightedge.errors import InputError, MachineError
from straightedge.leftovers import temporary_name
from support.failing_disk import FailingDisk


@pytest.mark.parametrize("short", [False, True], ids=["nothing written", "half written"])
def test_disk_full_leaves_the_former_file(tmp_path: Path, monkeypatch, short: bool) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"former")
    new, failures = b"n" * (3 << 20), 0
    for fails_at in range(1, 99):
        monkeypatch.setattr(atomic, "disk", FailingDisk(fails_at, short=short))
        try:
            with atomic.writing(path) as writer:
                for start in range(0, len(new), 1 << 20):
                    writer.write(new[start : start + (1 << 20)])
        except MachineError as error:
            failures += 1
            assert error.code == "disk-full"
            assert path.read_bytes() == (b"former" if failures <= 6 else new)  # the 7th is after the rename
        else:
            break
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert failures == 7  # create, three writes, fsync, rename, fsync of the folder
    assert path.read_bytes() == new


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        pytest.param(errno.ENOSPC, MachineError, "disk-full", id="disk full"),
        pytest.param(errno.EDQUOT, MachineError, "disk-full", id="quota used up"),
        pytest.param(errno.EROFS, MachineError, "read-only", id="read-only file system"),
        pytest.param(errno.EACCES, MachineError, "read-only", id="output folder read-only"),
        pytest.param(errno.EIO, MachineError, "write-failed", id="input/output error"),
        pytest.param(errno.ENAMETOOLONG, InputError, "output-path", id="name too long"),
    ],
)
def test_each_refusal_of_the_system_has_its_code(
    tmp_path: Path, monkeypatch, number: int, error, code: str
) -> None:
    monkeypatch.setattr(atomic, "disk", FailingDisk(1, number))
    with pytest.raises(error) as caught:
        atomic.write_bytes(tmp_path / "file", b"x")
    assert caught.value.code == code
    assert str(tmp_path / "file") in str(caught.value)


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch) -> None:
    class Slow(atomic.Disk):
        def write(self, descriptor: int, data: memoryview) -> int:
            return super().write(descriptor, data[:7])

    monkeypatch.setattr(atomic, "disk", Slow())
    data = os.urandom(1000)
    atomic.write_bytes(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_disk_that_takes_nothing_is_full_and_not_waited_for(tmp_path: Path, monkeypatch) -> None:
    class Stuck(atomic.Disk):
        def write(self, descriptor: int, data: memoryview) -> int:
            return 0

    monkeypatch.setattr(atomic, "disk", Stuck())
    with pytest.raises(MachineError, match="disk-full"):
        atomic.write_bytes(tmp_path / "file", b"x")


def test_an_error_in_the_block_is_the_callers_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.writing(tmp_path / "file"):
        (tmp_path / "not there").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_long_and_odd_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output-path"):
        atomic.write_bytes(tmp_path / "nowhere" / "file", b"x")
    with pytest.raises(InputError, match="output-path"):
        atomic.write_bytes(tmp_path / ("n" * 300), b"x")
    for name in ("n" * 255, os.fsdecode(b"\xff\xfe"), "日" * 85):
        atomic.write_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_json_is_strict(tmp_path: Path) -> None:
    value = {
        "nan": float("nan"),
        "inf": [np.float32("inf"), -np.inf],
        "n": np.int64(3),
        "x": np.float32(0.5),
        "t": torch.tensor([[1.0, float("nan")]]),
        "b": np.bool_(True),
        "p": Path("a"),
        1: (2,),
        "s": "한",
    }
    atomic.write_json(tmp_path / "v.json", value)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads((tmp_path / "v.json").read_text("utf-8"), parse_constant=refuse) == {
        "nan": None,
        "inf": [None, None],
        "n": 3,
        "x": 0.5,
        "t": [[1.0, None]],
        "b": True,
        "p": "a",
        "1": [2],
        "s": "한",
    }
    with pytest.raises(TypeError, match="no place in a JSON"):
        atomic.write_json(tmp_path / "v.json", {"x": object()})


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    (tmp_path / temporary_name("model.safetensors")).write_bytes(b"half")
    (tmp_path / "keep.tmp").write_bytes(b"a user's")
    atomic.sweep_temporaries(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["keep.tmp"]
