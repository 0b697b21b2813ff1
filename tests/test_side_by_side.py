"""Columns side by side, and category codes: every product is that of the concatenated matrix, and so is a fit."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random
from torch import Tensor

from straightedge.design import CategoryDesign, DenseDesign, Design, RowWeights, SideBySide, SparseDesign
from straightedge.errors import InputError
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.solvers.base import Limits, Status, minimize
from straightedge.sparse_rows import SparseRows

N, C = 700, 3
COUNTS = [4, 7]
DOUBLE = torch.float64


def an_affine(d: int, seed: int) -> AffineMap:
    generator = torch.Generator().manual_seed(seed)
    shift = torch.rand(d, dtype=DOUBLE, generator=generator)
    return AffineMap(shift, 0.5 + torch.rand(d, dtype=DOUBLE, generator=generator), "standardize")


def mapped(X: np.ndarray, affine: AffineMap) -> np.ndarray:
    return (X - affine.shift.numpy()) * affine.scale.numpy()


def made(dtype: torch.dtype = DOUBLE) -> tuple[dict[str, Design], np.ndarray, Tensor]:
    """Return numbers, codes and text as designs, X̂ as one dense matrix with its constant, and labels."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 5, (N, 6)).astype(np.uint8)
    codes = np.stack([rng.integers(-1, count, N) for count in COUNTS], axis=1)
    text = csr_array(random(N, 30, density=0.1, random_state=rng))
    hot = np.hstack([(codes[:, [j]] == np.arange(count)) for j, count in enumerate(COUNTS)])
    maps = [an_affine(d, d) for d in (6, sum(COUNTS), 30)]
    parts: dict[str, Design] = {
        "numbers": DenseDesign(Rows(numbers), maps[0], dtype=dtype, workers=2),
        "codes": CategoryDesign(torch.from_numpy(codes), COUNTS, maps[1], dtype=dtype, workers=2),
        "text": SparseDesign(SparseRows(text), maps[2], workers=2),
    }
    dense = zip((numbers, hot, text.toarray()), maps, strict=True)
    X = np.hstack([*(mapped(np.asarray(X, dtype=np.float64), own) for X, own in dense), np.ones((N, 1))])
    labels = (X[:, :3].sum(axis=1) + X[:, 8] + rng.normal(size=N)).argsort().argsort() * C // N
    return parts, X, torch.from_numpy(labels)


def beside(dtype: torch.dtype = DOUBLE) -> tuple[SideBySide, np.ndarray, Tensor]:
    parts, X, y = made(dtype)
    return SideBySide(list(parts.values()), dtype=dtype, workers=2), X, y


def a_weight(K: int, width: int) -> Tensor:
    return torch.randn(K, C, width, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def close(found: Tensor, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def designs() -> list[tuple[Design, np.ndarray]]:
    """Return the three side by side, and category codes alone, each with its X̂."""
    parts, X, _ = made()
    codes = [*range(6, 6 + sum(COUNTS)), -1]
    return [(beside()[0], X), (parts["codes"], X[:, codes])]


@pytest.mark.parametrize("place", [0, 1], ids=["side by side", "codes"])
def test_products_and_facts_are_those_of_the_matrix(place: int) -> None:
    design, X = designs()[place]
    W, rng = a_weight(2, X.shape[1]), np.random.default_rng(2)
    close(design.scores(W), np.einsum("nd,kcd->nkc", X, W.numpy()))
    A, weights = rng.normal(size=(N, 1, C)), rng.random(N)
    close(design.adjoint(torch.from_numpy(A), torch.from_numpy(weights)), (A[:, 0] * weights[:, None]).T @ X)
    index = torch.tensor([5, 3, 3, 699])
    close(design.gather(index, torch.empty(4, X.shape[1], dtype=DOUBLE)), X[index])
    close(design.table(), X)
    close(design.row_norms(index), (X[index] ** 2).sum(axis=1))
    close(design.second_moment(N), X.T @ X / N)
    close(design.mean_squares(N), (X**2).mean(axis=0))
    some = torch.arange(0, N, 3)
    close(design.subset(some).scores(W), np.einsum("nd,kcd->nkc", X[some], W.numpy()))


@pytest.mark.parametrize("place", [0, 1], ids=["side by side", "codes"])
def test_a_sweep_sums_over_the_rows_of_each_configuration(place: int) -> None:
    """Fold 0 has no rows of the second half, so that blocks come without the columns of its configuration."""
    design, X = designs()[place]
    design.block_rows = 64
    W = a_weight(2, X.shape[1])
    table = torch.ones(2, N, dtype=DOUBLE)
    table[0, N // 2 :] = 0
    weights = RowWeights(table, torch.tensor([0, 1]), 1.0)

    def square(S: Tensor, block: object) -> list[Tensor]:
        half = S.square().sum(dim=2) / 2
        return [half]

    sums, V = design.sweep(W, square, weights)
    S = np.einsum("nd,kcd->nkc", X, W.numpy()) * table.T.numpy()[:, :, None]
    close(sums[0], (S**2).sum(axis=(0, 2)) / 2)
    close(V, np.einsum("nkc,nd->kcd", S, X))


@pytest.mark.parametrize(
    ("loss", "solver"), [("softmax", "auto"), ("softmax", "lbfgs"), ("svm", "auto"), ("svm", "hinge_alm")]
)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=["float32", "float64"])
def test_a_fit_is_certified_and_is_that_of_the_dense_matrix(loss: str, solver: str, dtype: torch.dtype) -> None:
    design, X, y = beside(dtype)
    tol = 1e-7 if loss == "softmax" else 1e-4
    found, expected = (
        minimize(objective, choose_solver(solver, objective), Limits(tol))
        for objective in (
            Objective(design, y, C, get_loss(loss), [1e-2]),
            Objective(Rows(X[:, :-1]), y, C, get_loss(loss), [1e-2], dtype=DOUBLE),
        )
    )
    assert found.status == expected.status == [Status.CERTIFIED]
    assert float(found.objective[0]) == pytest.approx(float(expected.objective[0]), rel=2 * tol)
    if loss == "softmax":
        np.testing.assert_allclose(found.W.numpy(), expected.W.numpy(), atol=3e-3)


def test_sparse_parts_alone_stay_sparse_and_say_so() -> None:
    parts, _, y = made()
    design = SideBySide([parts["text"], parts["text"]])
    assert design.sparse
    objective = Objective(design, y, C, get_loss("softmax"), [1e-2])
    assert SOLVERS["newton"].supports(objective) is None
    with pytest.raises(InputError, match="newton needs dense rows"):
        choose_solver("newton", objective)


def test_parts_of_other_rows_and_codes_out_of_range_are_refused() -> None:
    parts, _, _ = made()
    with pytest.raises(InputError, match="300 rows on cpu, 700 rows on cpu") as caught:
        SideBySide([parts["numbers"], parts["codes"].subset(torch.arange(300))])
    assert caught.value.code == "design-parts-differ"
    with pytest.raises(InputError, match="row 1 has the code 4 in column 0") as caught:
        CategoryDesign(torch.tensor([[0, 0], [4, 0]]), COUNTS)
    assert caught.value.code == "category-code-invalid"
    with pytest.raises(InputError, match="2 numbers of categories"):
        CategoryDesign(torch.zeros(3, 1, dtype=torch.int64), COUNTS)
