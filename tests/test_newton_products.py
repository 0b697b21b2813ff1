"""Products cut into pieces are the plain ones, whatever the shape, the order and the float type of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from straightedge.newton import products
from straightedge.newton.products import PIECE, back, forward

SHAPES = [
    (7, 3, 2),
    (130, 40, 1),
    (1201, 31, 5),  # rows too short to be cut
    (1203, 33, 3),
    (997, 129, 26),
    (64, 20_001, 3),  # fewer rows than features
    (203, 700, 60),
    (19, 50, 1300),  # no piece of so many classes
]


def _drawn(N: int, D: int, C: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(N)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in ((N, D), (C, D), (C, N)))


@pytest.fixture(autouse=True, params=[True, False])
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Products on processors where pieces gain, and on others."""
    monkeypatch.setattr(products, "CUT", request.param)
    return bool(request.param)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_make_the_whole_product(shape: tuple[int, int, int], dtype: type, order: str) -> None:
    X, W, A = _drawn(*shape, dtype)
    X = np.asarray(X, order=order)
    scores, pulled = forward(W, X), back(A, X)
    assert scores.dtype == pulled.dtype == dtype
    noise = 100 * np.finfo(dtype).eps
    exact = [part.astype(np.longdouble) for part in (X, W, A)]
    assert np.abs(scores - exact[1] @ exact[0].T).max() <= noise * shape[1] ** 0.5
    assert np.abs(pulled - exact[2] @ exact[0]).max() <= noise * shape[0] ** 0.5


def test_scores_go_where_they_are_asked_for() -> None:
    X, W, _ = _drawn(1203, 33, 3, np.float32)
    out = np.full((3, 1203), np.nan, np.float32)
    assert forward(W, X, out) is out
    np.testing.assert_array_equal(out, forward(W, X))


def test_slices_of_a_table_are_multiplied_as_they_lie() -> None:
    X, W, A = _drawn(997, 129, 26, np.float32)
    assert X.size * len(W) > PIECE
    np.testing.assert_allclose(forward(W[:, 1:], X[:, 1:]), W[:, 1:] @ X[:, 1:].T, atol=1e-3)
    np.testing.assert_allclose(back(A[:, ::2], X[::2]), A[:, ::2] @ X[::2], atol=1e-3)
