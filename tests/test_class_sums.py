"""Sums of each class: those of the rows one by one, and P at W = 0 from them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from straightedge.design import DenseDesign, RowWeights, SparseDesign
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.sparse_rows import SparseRows

N, D, C = 9001, 5, 4  # more rows than are added up together
LOSSES = ["softmax", "squared_hinge", "one_vs_rest_logistic"]


def _objective(loss: str, weights: np.ndarray | None, bias: str, dtype: torch.dtype, kind: type) -> Objective:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (N, D)).astype(kind)
    y = torch.from_numpy(rng.choice(C - 1, N))  # a class without a row
    affine = AffineMap(torch.full((D,), 100.0, dtype=torch.float64), torch.full((D,), 0.01, dtype=torch.float64))
    table = None if weights is None else torch.from_numpy(weights)
    options = {"affine": affine, "weights": table, "bias": bias, "dtype": dtype, "workers": 3}
    return Objective(Rows(X), y, C, get_loss(loss), [1e-2, 1e-3], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_class_sums_are_those_of_the_rows(kind: type, weighted: bool) -> None:
    weights = np.random.default_rng(1).random(N) if weighted else None
    objective = _objective("softmax", weights, "penalized", torch.float64, kind)
    rows = np.hstack([(objective.rows.block(0, N, torch.empty(N, D, dtype=torch.float64)).numpy() - 100) / 100])
    share = np.full(N, 1 / N) if weights is None else weights / weights.sum()
    own = np.eye(C)[objective.y.numpy()] * share[:, None]
    expected = own.T @ np.hstack([rows, np.ones((N, 1))])
    found = objective.design.class_sums(objective.y, C, objective.row_weights)
    assert found.shape == (2, C, D + 1)
    np.testing.assert_allclose(found.numpy(), np.stack([expected, expected]), atol=1e-13)


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_known_at_zero_is_what_a_pass_says(loss: str, bias: str) -> None:
    for dtype, near in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        objective = _objective(loss, None, bias, dtype, np.float32)
        known, passed = objective.at_zero(), objective.evaluate(torch.zeros(objective.shape, dtype=dtype))
        for name in ("objective", "gradient", "V", "dual", "gap"):
            torch.testing.assert_close(getattr(known, name), getattr(passed, name), rtol=near, atol=near)


def test_workers_do_not_change_the_sums() -> None:
    objective = _objective("softmax", None, "penalized", torch.float32, np.float32)
    found = objective.at_zero().V
    objective.design.pool.workers = 1
    torch.testing.assert_close(objective.at_zero().V, found, rtol=1e-13, atol=1e-13)


def test_class_sums_of_sparse_rows_are_those_of_the_dense_ones() -> None:
    rng = np.random.default_rng(2)
    X = scipy.sparse.random(300, D, 0.3, format="csr", random_state=3)
    affine = AffineMap(torch.zeros(D, dtype=torch.float64), torch.rand(D, dtype=torch.float64))
    y, fold = torch.from_numpy(rng.choice(C - 1, 300)), torch.tensor([1, 0, 1])
    weights = RowWeights(torch.from_numpy(rng.random((2, 300))), fold, 1.0)
    for own in (weights, RowWeights(None, fold, 1 / 300)):
        found = SparseDesign(SparseRows(X), affine).class_sums(y, C, own)
        dense = DenseDesign(Rows(X.toarray()), affine, dtype=torch.float64).class_sums(y, C, own)
        torch.testing.assert_close(found, dense, rtol=1e-13, atol=1e-13)


def test_wide_rows_are_added_up_in_blocks_that_a_cache_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).integers(0, 255, (1200, 3072), dtype=np.uint8)
    y, sizes, whole = torch.from_numpy(np.arange(1200) % 3), [], Rows.block

    def watched(rows: Rows, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        sizes.append(len(buffer))
        return whole(rows, start, stop, buffer)

    monkeypatch.setattr(Rows, "block", watched)
    found = DenseDesign(Rows(X)).class_sums(y, 3, RowWeights(None, torch.zeros(1, dtype=torch.int64), 1.0))
    np.testing.assert_allclose(found[0, :, :-1], [X[k::3].sum(axis=0) for k in range(3)], rtol=1e-6)
    assert max(sizes) * 3072 <= 2**19
