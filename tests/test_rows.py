"""Rows of every type, layout and place give the same blocks; worker threads give the same bits every time."""

import threading
import time

import numpy as np
import pytest
import torch

from straightedge.errors import InputError, MachineError
from straightedge.rows import Rows
from straightedge.workers import BlockPool, block_spans, with_smaller_blocks

N, D = 37, 6


class Counted:
    """A row source: what reads rows from disk looks like this."""

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype

    def read(self, start, stop):
        return self.X[start:stop]


def values():
    return np.arange(N * D, dtype=np.float64).reshape(N, D) % 251


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


LAYOUTS = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "uint8": lambda X: X.astype(np.uint8),
    "uint16": lambda X: X.astype(np.uint16),
    "int16": lambda X: X.astype(np.int16),
    "int64": lambda X: X.astype(np.int64),
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "big-endian float16": lambda X: X.astype(">f2"),
    "read-only": read_only,
    "images": lambda X: X.reshape(N, 1, 2, 3).astype(np.uint8),
    "nested lists": lambda X: X.tolist(),
    "objects that are numbers": lambda X: X.astype(object),
    "torch float32": lambda X: torch.tensor(X, dtype=torch.float32),
    "torch bfloat16": lambda X: torch.tensor(X).to(torch.bfloat16),
    "torch uint8": lambda X: torch.tensor(X).to(torch.uint8),
    "torch transposed": lambda X: torch.tensor(X.T.copy()).T,
    "torch with gradient": lambda X: torch.tensor(X, requires_grad=True),
    "row source": Counted,
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in LAYOUTS.items()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_blocks_whatever_the_layout(make, dtype):
    rows = Rows(make(values()))
    assert (rows.n_samples, rows.n_features) == (N, D)
    buffer = torch.empty(16, D, dtype=dtype)
    for start, stop in block_spans(N, 16):
        block = rows.block(start, stop, buffer)
        assert block.dtype == dtype and block.shape == (stop - start, D)
        torch.testing.assert_close(block, torch.tensor(values()[start:stop], dtype=dtype), rtol=0, atol=0)
    assert rows.first_bad() is None


@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f4"])
def test_a_memory_map_is_read_by_block_and_stays_on_disk(tmp_path, dtype):
    np.save(tmp_path / "X.npy", values().astype(dtype))
    rows = Rows(np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert not rows.in_memory
    block = rows.block(5, 15, torch.empty(10, D))
    torch.testing.assert_close(block, torch.tensor(values()[5:15], dtype=torch.float32), rtol=0, atol=0)
    taken = rows.take(torch.tensor([30, 2, 2]), torch.empty(4, D))
    assert torch.equal(taken, torch.tensor(values()[[30, 2, 2]], dtype=torch.float32))


def test_memory_is_shared_and_blocks_of_the_right_type_are_views():
    X = values().astype(np.float32)
    rows = Rows(X)
    block = rows.block(3, 9, torch.empty(8, D))
    X[3, 0] = -5
    assert float(block[0, 0]) == -5


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, lambda X: X.astype(">f8")])
def test_rows_in_another_order(make):
    order = torch.randperm(N)[: N - 4]
    rows = Rows(make(values()), order=order)
    expected = torch.tensor(values())[order]
    assert rows.n_samples == N - 4
    assert torch.equal(rows.block(2, 20, torch.empty(32, D, dtype=torch.float64)), expected[2:20])
    index = torch.tensor([7, 0, 31])
    assert torch.equal(rows.take(index, torch.empty(3, D, dtype=torch.float64)), expected[index])


@pytest.mark.parametrize(
    ("X", "code"),
    [
        pytest.param(np.zeros((3, 2), dtype=complex), "x-dtype", id="complex"),
        pytest.param(torch.zeros(3, 2, dtype=torch.complex64), "x-dtype", id="complex tensor"),
        pytest.param(np.array([[1, {}], [2, 3]], dtype=object), "x-dtype", id="object"),
        pytest.param(np.array([["a", "b"]]), "x-dtype", id="text"),
        pytest.param(np.array([["2020-01-01"]], dtype="M8[D]"), "x-dtype", id="dates"),
        pytest.param(np.zeros(5), "x-shape", id="1-D"),
        pytest.param(np.zeros(()), "x-shape", id="0-D"),
        pytest.param(np.zeros((0, 3)), "x-empty", id="no rows"),
        pytest.param(np.zeros((3, 0)), "x-empty", id="no features"),
    ],
)
def test_what_is_no_rows_is_refused(X, code):
    with pytest.raises(InputError) as caught:
        Rows(X)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("bad", "code"), [(np.nan, "x-not-finite"), (-np.inf, "x-not-finite"), (1e150, "x-too-large")]
)
def test_the_first_bad_entry_is_named(bad, code):
    X = values()
    X[20, 4] = X[30, 1] = bad
    rows = Rows(X)
    assert rows.first_bad(block_rows=8) == (20, 4)
    with pytest.raises(InputError, match="row 20, column 4") as caught:
        rows.check_finite()
    assert caught.value.code == code


def test_spans_cover_all_rows_and_do_not_cross_boundaries():
    spans = block_spans(100, 32, [40, 41])
    assert [row for span in spans for row in range(*span)] == list(range(100))
    assert all(not (start < edge < stop) for start, stop in spans for edge in (40, 41))


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_workers_share_the_spans_in_order(workers):
    spans = block_spans(30, 4)
    shares = BlockPool(workers).run(spans, list)
    assert [span for share in shares for span in share] == spans


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_groups_of_spans_stay_together_and_a_number_of_shares_is_kept(workers):
    spans = block_spans(100, 4)
    shares = BlockPool(workers).run(spans, list, group=8)
    assert [span for share in shares for span in share] == spans
    assert all(spans.index(share[0]) % 8 == 0 for share in shares)
    assert BlockPool(workers).run(spans, list, shares=3) == BlockPool(1).run(spans, list, shares=3)
    assert BlockPool(workers).run([], list) == [[]]


def test_threads_of_torch_are_as_before_a_pass():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        BlockPool(2).run(block_spans(8, 2), list)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_failed_pass_leaves_no_worker_behind():
    at_work = threading.Event()

    def work(share):
        for start, _ in share:
            if start == 0:
                raise KeyboardInterrupt
            at_work.set()
            time.sleep(0.05)
            at_work.clear()

    pool = BlockPool(2)
    with pytest.raises(KeyboardInterrupt):
        pool.run(block_spans(40, 1), work)
    assert not at_work.is_set()
    assert pool.run(block_spans(4, 2), list) == [[(0, 2)], [(2, 4)]]


@pytest.mark.parametrize(
    "error", [MemoryError, torch.OutOfMemoryError, lambda: RuntimeError("not enough memory: 9")]
)
def test_out_of_memory_halves_the_block_at_least_five_times(error):
    tried = []

    def work(block_rows):
        tried.append(block_rows)
        if block_rows > 16:
            raise error()
        return block_rows

    assert with_smaller_blocks(512, work) == 16
    assert tried == [512, 256, 128, 64, 32, 16]


def test_out_of_memory_for_good_is_one_clear_error():
    def work(_):
        raise MemoryError

    with pytest.raises(MachineError, match="memory ran out") as caught:
        with_smaller_blocks(512, work)
    assert caught.value.code == "out-of-memory"


def test_other_errors_are_not_taken_for_want_of_memory():
    def work(_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        with_smaller_blocks(512, work)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_subset_has_the_rows_of_its_index(on_disk, ordered):
    X = values()
    order = torch.arange(N).flip(0) if ordered else None
    rows = Rows(Counted(X) if on_disk and not ordered else X, order=order)
    whole = X[::-1] if ordered else X
    index = torch.tensor([0, 3, 4, 20, N - 1])
    part = rows.subset(index)
    assert part.n_samples == len(index)
    assert part.n_whole == N
    buffer = torch.empty(len(index), D, dtype=torch.float64)
    np.testing.assert_array_equal(part.block(0, len(index), buffer).numpy(), whole[index.numpy()])


def test_an_empty_subset_has_no_rows():
    for rows in (Rows(values()), Rows(Counted(values()))):
        assert rows.subset(torch.zeros(0, dtype=torch.int64)).n_samples == 0


def test_work_that_a_worker_hands_on_is_done_by_it_and_waits_for_no_other():
    def outer(spans):
        inner = BlockPool(2).run(block_spans(4, 1), lambda own: sum(stop for _, stop in own), shares=4)
        return len(list(spans)), sum(inner)

    found = list(BlockPool(2).run(block_spans(8, 1), outer, shares=8))
    assert found == [(1, 10)] * 8


def test_rows_that_are_seen_as_they_lie_take_no_scratch():
    X = torch.from_numpy(values())
    for source, dtype, needed in (
        (X, torch.float64, 0),
        (X, torch.float32, 9),  # converted
        (X[:, ::2], torch.float64, 9),  # gathered
        (Counted(values()), torch.float64, 9),  # read
    ):
        rows = Rows(source)
        scratch = rows.scratch(9, dtype)
        assert scratch.shape == (needed, rows.n_features)
        expected = torch.as_tensor(values()).view(N, D)[2:11, :: D // rows.n_features].to(dtype)
        assert torch.equal(rows.block(2, 11, scratch), expected)
