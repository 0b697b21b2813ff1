"""The certificate never lies: P is what loops say, and no bound lies above what an outside solver reaches."""

import math

import numpy as np
import pytest
import torch

from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import LOSSES
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from support.linear_problems import Problem, needs_solver, random_problem

BATCHES = 10  # of 4 problems for each loss: 200 in all
SLACK = 1e-9


def optimum(problem):
    """Return an upper bound on min P that is tight: our answer at a tiny gap, and scipy's where it applies."""
    smooth = LOSSES[problem.loss].smooth
    ours = problem.solve(tol=1e-9 if smooth else 1e-6, max_passes=200)
    best = problem.value(ours.W[0].numpy())
    if smooth and problem.X.dtype != np.uint8:  # scipy has no metric for raw pixels
        best = min(best, problem.scipy_optimum())
    return best, ours


def assert_honest(problem, solution, best):
    """P as reported is P of W; the gap as reported covers the true error; the bound is below the optimum."""
    W = solution.W[0].numpy()
    value, gap = problem.value(W), float(solution.gap[0])
    slack = SLACK * max(1.0, value)
    assert math.isclose(float(solution.objective[0]), value, rel_tol=1e-9, abs_tol=SLACK)
    assert gap * value >= value - best - slack
    assert float(solution.dual[0]) <= best + slack
    assert (solution.status[0].value == "certified") == (gap <= solution_tolerance(solution))


def solution_tolerance(solution):
    return float(solution.message[0].split("≤" if "≤" in solution.message[0] else ">")[1].split(";")[0])


def batches():
    """The first batches of each loss run always, a second one of hinges as a long test, the rest as slow ones."""
    for loss in LOSSES:
        for batch in range(BATCHES):
            slow = batch >= (5 if LOSSES[loss].smooth else 2)
            mark = [pytest.mark.slow] if slow else [pytest.mark.long] * (batch > 0 and not LOSSES[loss].smooth)
            yield pytest.param(loss, batch, marks=mark, id=f"{loss}-{batch}")


@pytest.mark.parametrize(("loss", "batch"), list(batches()))
def test_never_lies(loss, batch):
    needs_solver(loss)
    tight = 0
    for seed in range(4 * batch, 4 * batch + 4):
        problem = random_problem(seed, loss)  # dtype, weights and bias go round with the seed
        best, ours = optimum(problem)
        assert_honest(problem, ours, best)
        tight += float(ours.gap[0]) < 1e-2
        stopped_early = ({"max_passes": 1 + seed % 4}, {"max_passes": 12}, {"tol": 1e-2})[seed % 3]
        assert_honest(problem, problem.solve(**{"tol": 1e-8, **stopped_early}), best)
    assert tight, "no problem was solved at all"


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("seed", range(1))
def test_the_bound_at_any_w_is_below_the_optimum(loss, bias, seed):
    """No solver in it: `Objective.evaluate` at random W, float64, never proves more than is true."""
    problem = random_problem(500 + seed, loss, dtype="float64", bias=bias)
    if not LOSSES[loss].smooth:
        needs_solver(loss)
    best, _ = optimum(problem)
    objective = problem.objective()
    generator = torch.Generator().manual_seed(seed)
    for size in (0, 1e-3, 0.1, 1, 30):
        W = size * torch.randn(
            1, problem.n_classes, problem.rows.shape[1], generator=generator, dtype=torch.float64
        )
        found = objective.evaluate(W)
        assert float(found.dual[0]) <= best + SLACK * max(1.0, best)
        error = problem.value(W[0].numpy()) - best
        assert float(found.gap[0]) >= error - SLACK * max(1.0, error)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_float32_products_are_certified_in_float64(loss, bias, dtype):
    needs_solver(loss)
    problem = random_problem(77, loss, n_rows=120, dtype=dtype, bias=bias, weighted=True)
    best, _ = optimum(problem)
    for tol in (1e-2, 1e-4):
        settings = FitSettings(loss=loss, bias=bias, tol=tol, workers=1)
        rough = problem.objective(tol=tol).in_dtype(torch.float32)
        found = solve(rough, settings)
        assert_honest(problem, found, best)
        assert found.status[0].value == "certified", found.message


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_more_features_than_samples(loss, bias):
    needs_solver(loss)
    rng = np.random.default_rng(0)
    problem = Problem(loss, rng.normal(size=(12, 60)), np.arange(12) % 3, 3, 1e-2, bias)
    found = problem.solve(tol=1e-6)
    assert found.status[0].value == "certified", found.message
    assert_honest(problem, found, optimum(problem)[0])


@pytest.mark.parametrize(
    "loss", [pytest.param(loss, marks=[] if LOSSES[loss].smooth else pytest.mark.long) for loss in LOSSES]
)
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_gaps_behind_a_map_with_weights_and_folds(loss, bias):
    """Two folds and two values of reg in one objective: each is certified for its own problem."""
    needs_solver(loss)
    problem = random_problem(41, loss, n_rows=40, dtype="float64", bias=bias, weighted=False)
    D = problem.X.shape[1]
    shift, scale = (torch.linspace(-1, 1, D, dtype=torch.float64), torch.linspace(0.5, 2, D, dtype=torch.float64))
    affine = AffineMap(shift, scale)
    table = torch.stack([torch.arange(40) % 2 == f for f in (0, 1)]).double()
    table[:, : problem.n_classes] = 1
    settings = FitSettings(loss=loss, bias=bias, tol=1e-5, workers=1, max_passes=5000)
    regs = [problem.reg, 10 * problem.reg] * 2
    whole = build_objective(
        Rows(problem.X), torch.as_tensor(problem.y), problem.n_classes, regs, settings,
        affine=affine, weights=table, fold=torch.tensor([0, 0, 1, 1]),
    )  # fmt: skip
    found = solve(whole, settings)
    mapped = affine.apply(torch.as_tensor(problem.X))[:, :-1].numpy()
    for k in range(4):
        alone = Problem(loss, mapped, problem.y, problem.n_classes, regs[k], bias, table[k // 2].numpy())
        value, (best, _) = alone.value(found.W[k].numpy()), optimum(alone)
        assert math.isclose(value, float(found.objective[k]), rel_tol=1e-9)
        assert float(found.gap[k]) * value >= value - best - SLACK
        assert found.status[k].value == "certified", found.message[k]


def test_an_honest_gap_at_reg_1e_12():
    X = np.random.default_rng(0).normal(size=(40, 5))
    problem = Problem("softmax", X, (X[:, 0] > 0).astype(int), 2, 1e-12)
    found = problem.solve(tol=1e-4, max_passes=5)
    assert found.status[0].value == "max_passes" and "not certified" in found.message[0]
    assert float(found.gap[0]) > 1e-4
    finer = problem.solve(tol=1e-12, max_passes=200)
    assert float(found.objective[0] - finer.objective[0]) <= float(found.gap[0] * found.objective[0])
    assert math.isclose(float(finer.objective[0]), problem.value(finer.W[0].numpy()), rel_tol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_class_without_weight_is_never_nan(loss):
    needs_solver(loss)
    problem = random_problem(9, loss, dtype="float64", bias="free", weighted=False)
    problem = Problem(loss, problem.X, problem.y, problem.n_classes + 1, problem.reg, "free")
    found = problem.solve(tol=1e-4, max_passes=30)
    assert not bool(found.gap.isnan().any()) and bool(found.W.isfinite().all())
    assert math.isclose(float(found.objective[0]), problem.value(found.W[0].numpy()), rel_tol=1e-9)


def test_two_ranks_worth_of_sums_prove_the_same():
    """The bound is made of sums over rows: any split of the rows gives the same one."""
    problem = random_problem(12, "softmax", dtype="float64", bias="free", weighted=False)

    class Twice:
        rank, size = 0, 2

        def all_reduce(self, value):
            return 2 * value

        def all_reduce_max(self, value):
            return value

    W = torch.randn(1, problem.n_classes, problem.rows.shape[1], dtype=torch.float64)
    args = (torch.as_tensor(problem.y), problem.n_classes, LOSSES["softmax"], [problem.reg])
    whole = Objective(Rows(problem.X), *args, bias="free", dtype=torch.float64, communicator=Twice()).evaluate(W)
    torch.testing.assert_close(whole.dual, problem.objective().evaluate(W).dual, rtol=1e-12, atol=1e-12)
