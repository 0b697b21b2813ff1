"""Folds that share their passes: the answers of separate fits, in fewer passes, and nothing of what is held out."""

import numpy as np
import pytest
import torch

from straightedge.fitting import FitSettings, solve
from straightedge.rows import Rows
from straightedge.selection import cross_validate
from straightedge.selection.folds import one_by_one
from straightedge.selection.shared_folds import SharedFolds, shared_solver
from straightedge.solvers.base import Limits, Loop
from straightedge.solvers.curvature_pairs import CurvaturePairs, inner
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.whitening import cohort_moments
from straightedge.splits import NEVER, fold_of_rows
from straightedge.training import TrainingRows

N, D, C, FOLDS = 240, 9, 3, 4
REGS = [1.0, 1e-2, 1e-1]


def rows_of(seed: int = 0, **more):
    """Return training rows for L-BFGS, some of which no fold holds out, and the fold of each."""
    random = np.random.default_rng(seed)
    X = (random.normal(size=(N, D)) * 10.0 ** random.uniform(-1, 1, D) + 40 * random.normal(size=D)).astype(
        np.float32
    )
    y = random.integers(0, C, N)
    fold = fold_of_rows(y, FOLDS, seed)
    fold[:7] = NEVER
    settings = FitSettings(tol=1e-8, solver="lbfgs")
    return TrainingRows(X, y, C, settings, "standardize", (D,), **more), fold


def shared(training, fold) -> SharedFolds:
    return SharedFolds(training, fold, [training.part(np.flatnonzero(fold != k)) for k in range(FOLDS)])


@pytest.mark.parametrize("weights", [None, "some", "balanced"])
def test_folds_together_are_the_fits_of_each(weights):
    own = torch.from_numpy(np.random.default_rng(1).integers(0, 4, N).astype(float)) if weights == "some" else None
    training, fold = rows_of(weights=own, class_weight="balanced" if weights == "balanced" else None)
    folds = shared(training, fold)
    assert shared_solver(folds.parts, REGS, np.inf) == "lbfgs"
    asked = {"memory": np.inf, "starts": None, "callbacks": (), "solve": solve}
    together, apart = folds.solve(REGS, "lbfgs", **asked), one_by_one(folds.parts, REGS, **asked)
    for one, other in zip(together, apart, strict=True):
        assert [s.value for s in one.status] == ["certified"] * len(REGS)
        torch.testing.assert_close(one.objective, other.objective, rtol=2e-8, atol=0)
        torch.testing.assert_close(one.n_passes, other.n_passes, rtol=0.1, atol=2)


def test_folds_that_share_read_the_rows_once_for_all(monkeypatch):
    training, fold = rows_of()
    read = []
    block = Rows.block
    monkeypatch.setattr(Rows, "block", lambda self, a, b, out: (read.append(b - a), block(self, a, b, out))[1])
    asked = {"memory": np.inf, "starts": None, "callbacks": (), "solve": solve}
    folds, counts = shared(training, fold), []
    for work in (lambda: folds.solve(REGS, "lbfgs", **asked), lambda: one_by_one(folds.parts, REGS, **asked)):
        read.clear()
        work()
        counts.append(sum(read))
    assert counts[0] < 0.6 * counts[1]


def test_folds_go_one_by_one_where_little_memory_or_another_solver_is_asked_for():
    training, fold = rows_of()
    parts = shared(training, fold).parts
    vectors = 50 * 4 * C * (D + 1) * FOLDS
    assert shared_solver(parts, REGS, vectors + 9 * N * FOLDS) == "lbfgs"  # one value of reg at a time
    assert shared_solver(parts, REGS, 0.5 * vectors) is None
    assert shared_solver(parts[:1], REGS, np.inf) is None
    newton = TrainingRows(training.X, training.y, C, FitSettings(solver="newton"), "standardize", (D,))
    assert shared_solver(shared(newton, fold).parts, REGS, np.inf) is None


def test_values_that_do_not_fit_at_once_come_back_in_their_order():
    training, fold = rows_of()
    memory = 50 * 4 * C * (D + 1) * FOLDS + 9 * N * FOLDS
    few, all_at_once = (cross_validate(training, REGS, fold, memory=size) for size in (memory, np.inf))
    np.testing.assert_array_equal(few.rows, np.flatnonzero(fold != NEVER))
    torch.testing.assert_close(few.scores, all_at_once.scores, rtol=0, atol=1e-2)
    for one, other in zip(few.fits, all_at_once.fits, strict=True):
        torch.testing.assert_close(one.objective, other.objective, rtol=2e-8, atol=0)
    assert {row["reg"] for row in few.trace} == set(REGS)


def test_the_moment_of_a_fold_is_that_of_its_training_rows_behind_its_map():
    training, fold = rows_of()
    folds = shared(training, fold)
    moments = cohort_moments(folds.objective(REGS), 10_000)
    for part, found in zip(folds.parts, moments, strict=True):
        expected = part.objective([1.0]).design.second_moment(10_000)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_feature_that_one_fold_alone_lacks_is_not_taken_from_another_map():
    training, fold = rows_of()
    training.X[fold != 1, 2] = 5.0  # constant in the training rows of fold 1, which holds the others out
    folds = shared(training, fold)
    assert not folds.objective(REGS).design.maps_alike
    for part, found in zip(folds.parts, cohort_moments(folds.objective(REGS), 10_000), strict=True):
        expected = part.objective([1.0]).design.second_moment(10_000)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_loop_of_folds_goes_on_to_the_same_bits():
    training, fold = rows_of()
    objective = shared(training, fold).objective(REGS)
    limits = Limits(1e-7, max_passes=500)
    whole = Loop(objective, WhitenedLBFGS(memory=4), limits)
    whole.start(None)
    states = []
    while whole.active.numel():
        whole.step()
        states.append((len(whole.active), whole.state()))
    K = objective.n_configs
    late = next(state for active, state in states if 0 < active < K - FOLDS)  # some have left by then
    other = Loop(objective, WhitenedLBFGS(memory=4), limits)
    other.restore(late)
    while other.active.numel():
        other.step()
    assert torch.equal(other.best.W, whole.best.W) and other.status == whole.status


# -------------------------------------------------------------------- pairs


def two_loops(pairs, gradient, solve_metric):
    """Return −H∇P by the two-loop recursion of Liu and Nocedal over (step, change) pairs, oldest first."""
    q, weights = gradient.clone(), []
    for step, change in reversed(pairs):
        weights.append(float(step @ q) / float(step @ change))
        q -= weights[-1] * change
    step, change = pairs[-1]
    r = solve_metric(q) * (float(step @ change) / float(change @ solve_metric(change)))
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        r += (weight - float(change @ r) / float(step @ change)) * step
    return -r


@pytest.mark.parametrize("n_pairs", [1, 3, 5, 6, 13])
def test_directions_are_those_of_the_two_loop_recursion(n_pairs):
    most, K, size = 6, 3, (2, 4)
    random = torch.Generator().manual_seed(n_pairs)

    def draw(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    root = draw(8, 8)
    hessian, metric = root @ root.T + torch.eye(8), torch.diag(torch.rand(8, generator=random).double() + 0.5)
    pairs = CurvaturePairs.none(torch.zeros(K, *size, dtype=torch.float64), most)
    known = [[] for _ in range(K)]
    for turn in range(n_pairs):
        configs = torch.arange(K) if turn % 2 == 0 else torch.tensor([0, 2])  # a search goes on in one
        step = draw(len(configs), 8)
        change = step @ hessian
        change[-1] *= -1 if turn == 2 else 1  # no curvature: it is left out
        turned = change @ metric
        shaped = (part.view(-1, *size) for part in (step, change, turned))
        pairs.add(configs, *shaped)
        for k, own_step, own_change in zip(configs.tolist(), step, change, strict=True):
            if float(own_step @ own_change) > 0:
                known[k].append((own_step, own_change))
    pairs.keep(torch.tensor([0, 2]))
    gradient = draw(2, 8)
    found = pairs.descent(torch.arange(2), gradient.view(-1, *size), (gradient @ metric).view(-1, *size))
    for direction, own, k in zip(found, gradient, (0, 2), strict=True):
        expected = two_loops(known[k][-most:], own, lambda v: v @ metric)
        torch.testing.assert_close(direction.flatten(), expected, rtol=1e-9, atol=1e-9)
    assert bool((inner(found, gradient.view(-1, *size)) < 0).all())


def test_memory_of_lbfgs_grows_without_a_copy_of_what_it_has():
    pairs = CurvaturePairs.none(torch.zeros(1, 2, 3, dtype=torch.float64), 20)
    places = set()
    for turn in range(12):
        step = torch.eye(6, dtype=torch.float64)[turn % 6].view(1, 2, 3)
        pairs.add(torch.arange(1), step, step, step)
        places.update(chunk.data_ptr() for chunk in pairs.steps[0])
    assert [chunk.data_ptr() in places for chunk in pairs.steps[0]] == [True] * len(places)
    assert sum(len(chunk) for chunk in pairs.steps[0]) == 15  # of twelve, not of the twenty that there may be
