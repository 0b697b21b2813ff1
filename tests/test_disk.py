"""Rows read from a file instead of mapped, and read ahead: the same rows, a few blocks of memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from straightedge.disk import JoinedRows, ReadAhead, disk_rows
from straightedge.errors import InputError

MEMORY_OF_A_PASS = """
import sys
import numpy as np, torch
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.rows import Rows

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024

def passed(X):
    y = torch.arange(len(X)) % 3
    objective = Objective(Rows(X), y, 3, get_loss("softmax"), [1e-2])
    return float(objective.evaluate(torch.full(objective.shape, 1e-3)).objective[0])

X = np.load(sys.argv[1], mmap_mode="r")
passed(X[:4096])
before = peak()
value = passed(X)
print(peak() - before, value)
"""


PEAK_OF_A_FIT = """
import sys
from straightedge.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024)
"""


def saved(folder: Path, X: np.ndarray) -> np.memmap:
    np.save(folder / "X.npy", X)
    mapped = np.load(folder / "X.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    return mapped


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 7), (23, 3, 4, 5)])
def test_rows_of_the_file_are_those_of_the_map(tmp_path, dtype, shape):
    X = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    mapped = saved(tmp_path, X)
    for part, whole in ((mapped, X), (mapped[5:20], X[5:20]), (mapped[:, 1:2], X[:, 1:2])):
        rows = disk_rows(part)
        assert rows is not None and rows.shape == whole.shape
        np.testing.assert_array_equal(rows.read(2, 9), whole[2:9])
        np.testing.assert_array_equal(rows[3:15:2], whole[3:15:2])
        for index in ([4, 1, 1, 9], [0, 14], [], list(range(len(whole)))):
            at = np.array(index, dtype=np.int64)
            np.testing.assert_array_equal(rows[at], whole[at])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: np.load(path, mmap_mode="c"), id="changes in private"),
        pytest.param(lambda path: np.load(path, mmap_mode="r")[:, ::2], id="every other column"),
        pytest.param(lambda path: np.load(path, mmap_mode="r")[::-1], id="rows from the last to the first"),
        pytest.param(lambda path: np.memmap(path, dtype=">f4", mode="r", shape=(8, 4)), id="other byte order"),
    ],
)
def test_what_cannot_be_read_by_position_stays_a_map(tmp_path, make):
    np.save(tmp_path / "X.npy", np.ones((30, 6), dtype=np.float32))
    assert disk_rows(make(tmp_path / "X.npy")) is None


def test_a_file_that_took_the_place_of_the_mapped_one_is_not_read(tmp_path):
    mapped = saved(tmp_path, np.zeros((30, 6), dtype=np.float32))
    np.save(tmp_path / "other.npy", np.ones((30, 6), dtype=np.float32))
    (tmp_path / "other.npy").replace(tmp_path / "X.npy")
    assert disk_rows(mapped) is None


def test_a_file_that_became_shorter_is_named(tmp_path):
    rows = disk_rows(saved(tmp_path, np.zeros((30, 6), dtype=np.float32)))
    assert rows is not None
    (tmp_path / "X.npy").write_bytes(b"gone")
    with pytest.raises(InputError, match=r"X\.npy.*shorter|shorter.*X\.npy") as caught:
        rows.read(0, 30)
    assert caught.value.code == "data-changed"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.long
def test_a_pass_over_a_map_takes_the_memory_of_a_few_blocks(tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (60_000, 2048), dtype=np.uint8)  # 117 MiB
    np.save(tmp_path / "X.npy", X)
    words = [sys.executable, "-c", MEMORY_OF_A_PASS, str(tmp_path / "X.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout.split()[0]) < X.nbytes / 3


def test_blocks_in_order_are_read_ahead():
    asked: list[tuple[int, int]] = []
    come = threading.Event()

    def fetch(start: int, stop: int) -> int:
        asked.append((start, stop))
        if start == 30:
            come.set()
        return start

    ahead = ReadAhead(fetch, 35)
    assert [ahead.block(0, 10), ahead.block(10, 20), ahead.block(20, 30)] == [0, 10, 20]
    assert come.wait(10)  # nobody asked for it yet
    assert ahead.block(30, 35) == 30
    assert asked == [(0, 10), (10, 20), (20, 30), (30, 35)]
    assert ahead.block(3, 4) == 3 and asked[-1] == (3, 4)


def test_what_goes_wrong_ahead_is_told_to_whoever_asks_for_it():
    def fetch(start: int, stop: int) -> int:
        if start == 20:
            raise InputError("table-broken", "no")
        return start

    ahead = ReadAhead(fetch, 100)
    assert [ahead.block(0, 10), ahead.block(10, 20)] == [0, 10]
    with pytest.raises(InputError, match="no"):
        ahead.block(20, 30)
    assert ahead.block(30, 40) == 30


def test_rows_of_several_sources_follow_one_another(tmp_path):
    X = np.arange(60, dtype=np.float32).reshape(20, 3)
    rows = JoinedRows([X[:7], saved(tmp_path, X[7:12]), X[12:]])
    assert rows.shape == (20, 3) and rows.dtype == np.float32
    for start, stop in ((0, 20), (3, 9), (8, 11), (6, 13), (12, 20), (5, 5)):
        np.testing.assert_array_equal(rows.read(start, stop), X[start:stop])


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_a_run_over_a_file_holds_scores_but_neither_rows_nor_lists(tmp_path):
    random = np.random.default_rng(0)
    few, many = 2_000, 200_000
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=np.float16, shape=(many, 700))
    for start in range(0, many, 20_000):
        X[start : start + 20_000] = random.standard_normal((20_000, 700), dtype=np.float32)
    y = (np.asarray(X[:, :3], dtype=np.float32) @ np.eye(3, dtype=np.float32)).argmax(axis=1)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "X_few.npy", X[:few])
    np.save(tmp_path / "y_few.npy", y[:few])
    small = peak_of_a_fit(tmp_path, f"{tmp_path}/X_few.npy,{tmp_path}/y_few.npy")
    large = peak_of_a_fit(tmp_path, f"{tmp_path}/X.npy,{tmp_path}/y.npy")
    assert large - small < 0.6 * X.nbytes


def peak_of_a_fit(folder: Path, source: str) -> int:
    words = ["fit", source, "--reg", "1e-2", "--memory", "20MB", "--out", str(folder / "run"), "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", PEAK_OF_A_FIT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.splitlines()[-1])


def test_small_blocks_are_read_several_at_a_time_where_they_come_in_order():
    asked: list[tuple[int, int]] = []

    def fetch(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return np.arange(start, stop)

    ahead = ReadAhead(fetch, 95, together=40)
    for start in [*range(0, 95, 10), 3, 60, *range(20, 95, 10)]:
        stop = min(start + 10, 95)
        np.testing.assert_array_equal(ahead.block(start, stop), np.arange(start, stop))
    assert asked[:4] == [(0, 10), (10, 50), (50, 90), (90, 95)] and asked[4:6] == [(3, 13), (60, 70)]
    np.testing.assert_array_equal(ahead.block(5, 95), np.arange(5, 95))
