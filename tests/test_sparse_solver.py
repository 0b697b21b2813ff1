"""Dual coordinate ascent on sparse rows: bounds that are never wrong, optima of references, its row problems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from straightedge import sparse_rows
from straightedge.design import DenseDesign, SparseDesign, csr
from straightedge.design.csr import add_csr_adjoint, column_spans, csr_scores
from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.penalties import WeightedRidge
from straightedge.rows import Rows
from straightedge.solvers.sparse import row_problems
from straightedge.solvers.sparse.duals import FORMS
from straightedge.solvers.sparse.problem import Configuration, SparseProblem
from straightedge.solvers.sparse.softmax_row import softmax, wright_omega
from straightedge.solvers.sparse.starts import first_point
from straightedge.solvers.sparse.two_classes import problem_of
from straightedge.sparse_rows import SparseRows
from straightedge.workers import BlockPool
from support.sparse_problems import primal, smooth_optimum, sparse_problem
from test_svm_solvers import quadratic_program

HINGES = ["svm", "crammer_singer", "one_vs_rest"]
ROW_PROBLEM = {
    "svm": "weston_watkins",
    "crammer_singer": "crammer_singer",
    "one_vs_rest": "one_vs_rest_hinge",
    "squared_hinge": "squared_hinge",
    "one_vs_rest_squared_hinge": "one_vs_rest_squared_hinge",
}
SMOOTH = ["softmax", "squared_hinge", "one_vs_rest_squared_hinge"]


def fitted(loss, X, y, regs, tol, weights=None, **settings):
    asked = FitSettings(loss=loss, tol=tol, solver="sparse_dual_ascent", **settings)
    given = None if weights is None else torch.from_numpy(weights)
    objective = build_objective(SparseRows(X), torch.from_numpy(y), int(y.max()) + 1, regs, asked, weights=given)
    return solve(objective, asked)


def reference(loss, X, y, reg, weights):
    if loss in SMOOTH:
        return smooth_optimum(loss, X, y, reg, weights)
    shares = torch.from_numpy(weights / weights.sum())
    dense = torch.from_numpy(X.toarray())
    return quadratic_program(dense, torch.from_numpy(y), get_loss(loss), reg, shares, "penalized")


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 34))]
)
@pytest.mark.parametrize("loss", HINGES + SMOOTH)
def test_bounds_are_on_both_sides_of_an_independent_optimum(loss, seed):
    """Six losses and 34 problems of each: more than two hundred, and none may be wrong."""
    X, y, rng = sparse_problem(seed, c=2 + seed % 3)
    weights = rng.random(len(y)) + 0.1
    weights[5::7] = 0.0
    reg = float(10 ** rng.uniform(-2, 0))
    tol = 1e-6 if loss in SMOOTH else 1e-3
    truth = reference(loss, X, y, reg, weights)
    solution = fitted(loss, X, y, [reg], tol, weights, max_passes=3000)
    value, bound = float(solution.objective[0]), float(solution.dual[0])
    assert bound <= truth * (1 + 1e-10) + 1e-10
    assert truth <= value * (1 + 1e-10) + 1e-10
    assert solution.status[0].value == "certified"
    assert value - truth <= tol * value + 1e-10
    assert value == pytest.approx(primal(loss, X, y, solution.W[0].numpy().T, reg, weights), rel=1e-12)


@pytest.mark.parametrize("passes", [1, 2, 5])
@pytest.mark.parametrize("loss", HINGES + SMOOTH)
def test_bounds_hold_wherever_a_fit_is_stopped(loss, passes):
    X, y, _ = sparse_problem(7)
    truth = reference(loss, X, y, 1e-2, np.ones(len(y)))
    solution = fitted(loss, X, y, [1e-2], 1e-12, max_passes=passes)
    assert float(solution.dual[0]) <= truth * (1 + 1e-10) <= float(solution.objective[0]) * (1 + 2e-10)


@pytest.mark.parametrize("loss", HINGES + SMOOTH)
def test_a_path_ends_where_single_fits_do(loss):
    X, y, _ = sparse_problem(3)
    regs = [1.0, 1e-1, 1e-2]
    path = fitted(loss, X, y, regs, 1e-3, max_passes=3000)
    for k, reg in enumerate(regs):
        alone = fitted(loss, X, y, [reg], 1e-3, max_passes=3000)
        assert float(path.objective[k]) == pytest.approx(float(alone.objective[0]), rel=1e-3)
        assert path.status[k].value == "certified"


def test_the_same_input_gives_the_same_bits():
    X, y, _ = sparse_problem(1)
    one, other = (fitted("softmax", X, y, [1e-2], 1e-8) for _ in range(2))
    assert torch.equal(one.W, other.W)


def csr_adjoint(rows, A, pool):
    """X̂ᵀA (D + 1, C)."""
    out = np.zeros((rows.n_features + 1, A.shape[1]))
    add_csr_adjoint(rows, A, pool, 0, out)
    return out


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.bool_])
@pytest.mark.parametrize(("workers", "columns"), [(1, 5), (3, 5), (3, 1)])
def test_products_are_those_of_dense_rows(dtype, workers, columns, monkeypatch):
    monkeypatch.setattr(csr, "WORTH_THREADS", 0)
    X = (sp.random(300, 70, 0.1, random_state=0, format="csr") * 9).astype(dtype)
    rows, rng = SparseRows(X), np.random.default_rng(0)
    dense = np.hstack([X.toarray().astype(np.float64), np.ones((300, 1))])
    W, A = rng.standard_normal((71, columns)), rng.standard_normal((300, columns))
    np.testing.assert_allclose(csr_scores(rows, W, BlockPool(workers)), dense @ W, rtol=1e-12, atol=1e-12)
    A[::3] = 0.0  # rows that are not read
    np.testing.assert_allclose(csr_adjoint(rows, A, BlockPool(workers)), dense.T @ A, rtol=1e-12, atol=1e-12)


def test_the_adjoint_does_not_depend_on_the_number_of_workers(monkeypatch):
    monkeypatch.setattr(csr, "WORTH_THREADS", 0)
    rows = SparseRows(sp.random(200, 90, 0.1, random_state=1, format="csr"))
    A = np.random.default_rng(1).standard_normal((200, 4))
    assert np.array_equal(csr_adjoint(rows, A, BlockPool(1)), csr_adjoint(rows, A, BlockPool(3)))
    spans = column_spans(rows, 3)
    assert spans[0][0] == 0 and spans[-1][1] == 90
    assert all(left[1] == right[0] for left, right in itertools.pairwise(spans))


def unsorted(X):
    """The same rows with the entries of each in falling columns."""
    parts = [X.indices[b:e][::-1] for b, e in itertools.pairwise(X.indptr)]
    data = [X.data[b:e][::-1] for b, e in itertools.pairwise(X.indptr)]
    return sp.csr_matrix((np.concatenate(data), np.concatenate(parts), X.indptr), X.shape)


@pytest.mark.parametrize("repeated", [False, True])
def test_columns_may_lie_in_any_order_but_once_a_row(repeated, monkeypatch):
    monkeypatch.setattr(csr, "WORTH_THREADS", 0)
    monkeypatch.setattr(sparse_rows, "FEW_ENTRIES", 0)
    X = unsorted(sp.random(200, 90, 0.1, random_state=2, format="csr"))
    if repeated:
        X.indices[X.indptr[3]] = X.indices[X.indptr[3] + 1]
    dense, rows, rng = np.hstack([X.toarray(), np.ones((200, 1))]), SparseRows(X), np.random.default_rng(2)
    assert rows.rising == repeated  # without repeats nothing is sorted
    assert not X.has_sorted_indices
    W, A = rng.standard_normal((91, 4)), rng.standard_normal((200, 4))
    np.testing.assert_allclose(csr_scores(rows, W, BlockPool(2)), dense @ W, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(csr_adjoint(rows, A, BlockPool(2)), dense.T @ A, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", HINGES + SMOOTH)
def test_value_gradient_and_bound_at_one_W_are_those_of_dense_rows(loss):
    X, y, rng = sparse_problem(5)
    W = torch.from_numpy(rng.standard_normal((1, 3, X.shape[1] + 1)))
    labels = torch.from_numpy(y)
    dense = DenseDesign(Rows(X.toarray()), dtype=torch.float64)
    ours, theirs = (
        Objective(design, labels, 3, get_loss(loss), [1e-2]).evaluate(W)
        for design in (SparseDesign(SparseRows(X)), dense)
    )
    assert float(ours.objective) == pytest.approx(float(theirs.objective), rel=1e-12)
    torch.testing.assert_close(ours.gradient, theirs.gradient, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ours.dual, theirs.dual, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("x", [-700.0, -60.0, -3.0, -1.0, 0.0, 0.9, 1.1, 3.0, 40.0, 1e6])
def test_wright_omega_solves_its_equation(x):
    w = wright_omega(x)
    assert w > 0
    assert w + np.log(w) == pytest.approx(x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("q", [1e-6, 0.1, 3.0, 1e3, 1e7])
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0, 400.0])
def test_a_softmax_row_is_solved_in_two_visits(q, spread):
    """At the answer ln p − S is the same for all classes whose p is not at its floor, S being those at p."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        S, p = spread * rng.standard_normal(6), np.maximum(rng.dirichlet(np.ones(6)), 1e-30)
        for _ in range(3):
            change = np.empty(6)
            softmax(S.copy(), p, 0, q, 1.0, change)
            S -= q * change
        rest = (np.log(p) - S)[p > 1e-12]
        assert p.sum() == pytest.approx(1, rel=1e-12)
        assert np.ptp(rest) <= 1e-6 * max(1.0, q, np.abs(S).max())


@pytest.mark.parametrize("loss", HINGES + SMOOTH[1:])
def test_a_row_of_margins_tells_its_gap_and_rises_relaxed_or_not(loss):
    """The gap is ℓ(S) − ⟨S, a⟩ + ℓ*(a); no step lowers D, and none raises it by more than the exact one."""
    form, rng, label = FORMS[get_loss(loss).geometry], np.random.default_rng(4), np.array([1])
    solve_row = getattr(row_problems, ROW_PROBLEM[loss])
    b = np.zeros((1, 4))
    if form.simplex:
        b[0, 1] = 1.0
    for visit in range(12):
        S, q, rises = 2 * rng.standard_normal(4), [0.1, 1.0, 5.0][visit % 3], []
        value = get_loss(loss).value_and_gradient(torch.tensor(S)[None, None], torch.tensor(label))
        for relax in (1.5, 1.9, 1.0):
            new, change = b.copy(), np.empty(4)
            gap = solve_row(S.copy(), new[0], 1, q, relax, change)
            a, moved = form.to_scores(b, label)[0], form.to_scores(new, label)[0]
            assert gap == pytest.approx(float(value) - S @ a - form.values(b, label)[0], abs=1e-12)
            np.testing.assert_allclose(change, moved - a, atol=1e-12)
            rise = form.values(new, label)[0] - form.values(b, label)[0] + S @ change - q * change @ change / 2
            rises.append(rise)
        assert min(rises) >= -1e-12 and max(rises) <= rises[-1] + 1e-12
        b = new


def test_the_start_of_softmax_has_the_weights_of_its_dual_variables(monkeypatch):
    """Its W is made of class sums; what goes over rows by blocks gives the same for any block."""
    X, y, rng = sparse_problem(3)
    weights = torch.from_numpy(rng.random(len(y)) + 0.1)
    objective = build_objective(
        SparseRows(X), torch.from_numpy(y), 3, [1e-1], FitSettings(solver="sparse_dual_ascent"), weights=weights
    )
    problem = SparseProblem(Configuration.of(objective), 1e-8)
    b, W = first_point(problem)
    whole = problem.minimiser(b), problem.primal(W), problem.conjugate(b)
    monkeypatch.setattr("straightedge.solvers.sparse.problem.BLOCK_ROWS", 7)
    parts = problem.minimiser(b), problem.primal(W), problem.conjugate(b)
    np.testing.assert_allclose(W, whole[0], atol=1e-13)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-13)
    assert parts[1:] == pytest.approx(whole[1:], rel=1e-13)


def test_softmax_starts_with_weights_of_the_size_of_the_answers_and_a_row_tells_its_gap():
    """Many rows that pull one way at a small reg: uniform p would mean weights of 1/(2 reg) times their mean."""
    rng = np.random.default_rng(1)
    X, y = sp.csr_matrix(rng.random((400, 3))), (rng.random(400) < 0.2).astype(np.int64)
    objective = build_objective(
        SparseRows(X), torch.from_numpy(y), 2, [1e-5], FitSettings(solver="sparse_dual_ascent")
    )
    problem = SparseProblem(Configuration.of(objective), 1e-3)
    b, W = first_point(problem)
    assert problem.conjugate(b) - problem.penalty(W) > 0 and np.abs(W).max() < 100
    p = np.array([0.2, 0.3, 0.5])
    S = np.log(p) + 0.01 * rng.standard_normal(3)
    divergence = np.log(np.exp(S).sum()) - S @ p + p @ np.log(p)
    assert softmax(S.copy(), p.copy(), 0, 2.0, 1.0, np.empty(3)) == pytest.approx(divergence, rel=0.05)


@pytest.mark.parametrize("loss", HINGES + SMOOTH)
def test_dual_variables_and_score_gradients_belong_together(loss):
    form = FORMS[get_loss(loss).geometry]
    _, y, rng = sparse_problem(2)
    A = torch.from_numpy(rng.standard_normal((len(y), 1, 3)))
    S = A.clone()
    value = get_loss(loss).value_and_gradient(A, torch.from_numpy(y))[:, 0]
    b = form.from_scores(A[:, 0].numpy(), y)
    np.testing.assert_allclose(form.to_scores(b, y), A[:, 0].numpy(), atol=1e-12)
    fenchel_young = value - (S * A).sum(dim=(1, 2))
    np.testing.assert_allclose(form.values(b, y), fenchel_young.numpy(), atol=1e-10)


@pytest.mark.parametrize("loss", HINGES + SMOOTH[1:])
def test_one_column_has_the_bounds_of_two(loss):
    """P and D of w and α are those of the two columns and the dual variables that they stand for."""
    X, y, rng = sparse_problem(6, c=2)
    asked = FitSettings(loss=loss, solver="sparse_dual_ascent")
    objective = build_objective(SparseRows(X), torch.from_numpy(y), 2, [1e-2], asked)
    one, two = problem_of(Configuration.of(objective), 1e-8), SparseProblem(Configuration.of(objective), 1e-8)
    alpha = rng.random((len(y), 1))
    w = one.minimiser(alpha)
    W = np.empty((len(w), 2))
    one.write_whole(w, W.T)
    assert one.primal(w) == pytest.approx(two.primal(W), rel=1e-12)
    A = one.form.to_scores(alpha, y) * [[-1.0, 1.0]]
    b = two.form.from_scores(A, y)
    np.testing.assert_allclose(two.minimiser(b), W, atol=1e-12)
    bound = two.conjugate(b) - two.penalty(W)
    assert one.conjugate(alpha) - one.penalty(w) == pytest.approx(bound, rel=1e-12)
    np.testing.assert_allclose(one.own_dual(b), alpha, atol=1e-12)


@pytest.mark.parametrize(
    "loss", [pytest.param("softmax", marks=pytest.mark.long), pytest.param("svm", marks=pytest.mark.slow)]
)
def test_weights_in_float32_end_with_bounds_of_float64(loss):
    """Where a small reg makes W so large that float32 would not do, the fit goes on in float64."""
    X, y, _ = sparse_problem(8)
    solution = fitted(loss, X, y, [1e-6], 1e-4, max_passes=100_000)
    sharp = fitted(loss, X, y, [1e-6], 1e-6, max_passes=100_000)
    value, W = float(solution.objective[0]), solution.W[0].numpy().T
    assert solution.status[0].value == "certified"
    assert float(solution.dual[0]) <= float(sharp.objective[0]) * (1 + 1e-10)
    assert value == pytest.approx(primal(loss, X, y, W, 1e-6, np.ones(len(y))), rel=1e-12)


@pytest.mark.parametrize(("loss", "tol", "C"), [("softmax", 1e-9, 3), ("svm", 1e-4, 3), ("svm", 1e-6, 2)])
def test_a_killed_fit_goes_on_to_the_same_bits(loss, tol, C):
    X, y, _ = sparse_problem(4, c=C)
    asked = FitSettings(loss=loss, tol=tol, solver="sparse_dual_ascent")
    states = []

    def objective():
        return build_objective(SparseRows(X), torch.from_numpy(y), C, [1e-1, 1e-3], asked)

    whole = solve(objective(), asked, checkpoint=lambda loop: states.append(loop.state()))
    again = solve(objective(), asked, resume=states[len(states) // 2])
    assert torch.equal(whole.W, again.W)


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"penalty": WeightedRidge([1.0] * 999 + [2.0])}, "a plain ridge"),
        ({"loss": "one_vs_rest_logistic"}, "exact updates"),
        ({"solver": "lbfgs"}, "dense rows"),
    ],
)
def test_what_sparse_rows_cannot_do_is_refused_by_name(settings, missing):
    X = sp.random(2100, 1000, 0.002, random_state=0, format="csr")
    y = np.arange(2100) % 3
    asked = FitSettings(**settings)
    objective = build_objective(SparseRows(X), torch.from_numpy(y), 3, [1e-2], asked)
    with pytest.raises(InputError, match=missing) as caught:
        solve(objective, asked)
    assert caught.value.code == "solver-does-not-fit"
