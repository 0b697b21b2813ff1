"""What ranks tell each other: sums to the same bits, errors to the same words, and no hang."""

import numpy as np
import pytest
import torch

from straightedge.distributed import Communicator, RowSlice, current, own_rows, row_range
from straightedge.distributed.starting import _backend, read_place
from straightedge.errors import InputError
from support import rank_runner


class Rank(Communicator):
    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size


class OnDisk:
    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read_rows = array, array.shape, array.dtype, []

    def read(self, start, stop):
        self.read_rows += range(start, stop)
        return self.array[start:stop]


@pytest.mark.parametrize("n", [1, 4, 7, 1000])
@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_every_row_has_one_owner_and_shares_are_even(n, size):
    ranges = [row_range(n, rank, size) for rank in range(size)]
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(n))
    assert max(b - a for a, b in ranges) - min(b - a for a, b in ranges) <= 1


@pytest.mark.parametrize("kind", ["array", "memory map", "tensor", "row source"])
def test_a_rank_reads_its_part_alone(kind, tmp_path):
    X = np.arange(70, dtype=np.float32).reshape(10, 7)
    if kind == "memory map":
        np.save(tmp_path / "X.npy", X)
        source = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        source = {"array": X, "tensor": torch.from_numpy(X), "row source": OnDisk(X)}[kind]
    seen = []
    for rank in range(3):
        own = own_rows(source, Rank(rank, 3))
        assert own.shape[1:] == (7,)
        assert kind != "memory map" or isinstance(own, np.memmap)
        seen.append(own.read(0, own.shape[0]) if isinstance(own, RowSlice) else np.asarray(own))
    assert np.array_equal(np.concatenate(seen), X)
    if kind == "row source":
        assert sorted(source.read_rows) == list(range(10))
        assert own_rows(source, Rank(1, 3)).read(1, 99).shape[0] == row_range(10, 1, 3)[1] - 4


def test_more_ranks_than_samples_are_refused():
    with pytest.raises(InputError) as caught:
        own_rows(np.zeros((3, 2)), Rank(0, 4))
    assert caught.value.code == "ranks-too-many"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"WORLD_SIZE": "2"}, id="no rank"),
        pytest.param({"WORLD_SIZE": "two"}, id="not a number"),
        pytest.param(
            {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, id="rank too large"
        ),
        pytest.param(
            {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "x"}, id="no port"
        ),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(given, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        read_place()
    assert caught.value.code == "ranks-invalid"


def test_ranks_that_are_to_use_gpus_which_are_not_there_meet_all_the_same(monkeypatch):
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert _backend(read_place(), "cuda") == "gloo"  # and then they refuse the device together


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert current().size == 1
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert current().size == 1


@pytest.mark.long
def test_sums_are_the_same_bits_on_each_rank_and_nothing_is_pickled(tmp_path):
    ranks = rank_runner.run("primitives", 3, tmp_path)
    assert [rank["status"] for rank in ranks] == [0, 0, 0], ranks[0]["stderr"]
    first = ranks[0]
    for rank in ranks[1:]:
        for name in ("sum", "max", "rows", "none", "object", "tensors", "calls"):
            assert rank[name] == first[name], name
    total = np.frombuffer(bytes.fromhex(first["sum"]), dtype=np.float64)
    assert total[0] == pytest.approx(6 * ranks[0]["input"], rel=1e-6)
    assert first["max"] == [2, 0]
    assert first["rows"] == [[0, 0], [1, 1], [1, 1], [2, 2], [2, 2], [2, 2]]
    assert first["none"] == [0, 3]
    assert first["object"] == {"from": 2, "nan": None, "text": "é"}
    assert first["tensors"] == {
        "a": ["torch.int64", [5], 10],
        "b": ["torch.float32", [2, 0], 0],
        "c": ["torch.bool", [], 1],
    }


@pytest.mark.long
def test_what_one_rank_meets_ends_all_of_them_in_the_same_way(tmp_path):
    ranks = rank_runner.run("agreement", 2, tmp_path)
    assert [rank["status"] for rank in ranks] == [0, 0], ranks[0]["stderr"]
    for rank in ranks:
        assert [rank[name][:2] for name in CODES] == [ranks[0][name][:2] for name in CODES]
        assert {name: rank[name][0] for name in CODES} == CODES
        assert max(rank[name][2] for name in CODES) < 5.0
        assert rank["stop"] == ["interrupted"] and rank["late"] == ["max_seconds"]
    assert "row 358, column 4" in ranks[0]["bad row"][1] and "rank 1" in ranks[0]["bad row"][1]
    assert "ValueError: of the program" in ranks[0]["mistake"][1]
    assert "data" in ranks[0]["facts"][1] and "abd" in ranks[0]["facts"][1]


CODES = {
    "bad row": "x-not-finite",
    "refused": "npz-keys",
    "mistake": "rank-failed",
    "ctrl-c": "KeyboardInterrupt",
    "sum": "npz-keys",
    "facts": "ranks-differ",
    "same": "nothing",
    "diverged": "ranks-diverged",
}


@pytest.mark.parametrize(
    ("name", "code", "more"),
    [
        pytest.param("dies", "rank-lost", {}, marks=pytest.mark.long),
        pytest.param("fails", "its-code", {}, marks=pytest.mark.long),
        pytest.param("sleeps", "ranks-timeout", {"STRAIGHTEDGE_RANK_TIMEOUT": 4}, marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_is_gone_ends_the_others_within_seconds(name, code, more, tmp_path):
    ranks = rank_runner.run(name, 3, tmp_path, **more)
    for rank in ranks[:2]:
        assert rank["status"] == 0, rank["stderr"]
        assert rank["code"] == code
        assert rank["seconds"] < 6.0


@pytest.mark.slow
def test_ranks_that_do_not_come_are_reported(tmp_path):
    ended = rank_runner.run("primitives", 2, tmp_path, ranks=[0], STRAIGHTEDGE_RANK_TIMEOUT=2)[0]
    assert ended["status"] != 0 and "ranks-missing" in ended["stderr"]
