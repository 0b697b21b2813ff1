"""Every registered solver keeps the protocol; L-BFGS and SGD; limits, Ctrl-C, and going on from a saved state."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import LOSSES, SoftmaxLoss
from straightedge.losses.hinge import HingeLoss
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.parameters import checked_reg, one_reg
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver, preconditioner
from straightedge.solvers.base import Limits, Loop, Status, minimize, relative_gap
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.protocol import Progress
from straightedge.solvers.sgd import SCHEDULES, MinibatchSGD
from straightedge.workers import BlockPool
from support.linear_problems import needs_solver, random_problem


def digits(reg, *, loss="softmax", dtype=None, n=300, **settings):
    X, y = load_digits(return_X_y=True)
    rows = Rows(X[:n].astype(np.uint8))
    asked = FitSettings(loss=loss, **{"workers": 1, **settings})
    affine = fit_affine(rows, "center")
    objective = build_objective(rows, torch.as_tensor(y[:n]), 10, reg, asked, affine=affine)
    return objective if dtype is None else objective.in_dtype(dtype)


def fitting_pairs():
    """All pairs; minibatches take long however small the problem is, so one loss stands for the quick ones."""
    return [
        pytest.param(
            solver,
            loss,
            id=f"{solver}-{loss}",
            marks=[] if solver != "sgd" else pytest.mark.long if loss in ("softmax", "svm") else pytest.mark.slow,
        )
        for solver in ["auto", *SOLVERS]
        for loss in LOSSES
    ]


@pytest.mark.parametrize(("name", "loss"), fitting_pairs())
def test_every_solver_certifies_every_loss_it_fits_or_says_what_is_missing(name, loss):
    needs_solver(loss)
    problem = random_problem(21, loss, dtype="float64")
    problem.reg = 0.05
    settings = FitSettings(loss=loss, bias=problem.bias, solver=name, tol=1e-6, workers=1, max_passes=5000)
    try:
        found = solve(problem.objective(), settings)
    except InputError as error:
        assert error.code == "solver-does-not-fit" and name != "auto"
        assert any(word in str(error) for word in (loss, "bias", "folds", "sparse rows"))
        return
    if name == "sgd":
        assert found.status == [Status.EPOCHS]
        return
    assert found.status == [Status.CERTIFIED], found.message
    assert math.isclose(float(found.objective[0]), problem.solve(tol=1e-7).objective[0], rel_tol=2e-6)


def test_an_unknown_solver_is_refused():
    with pytest.raises(InputError, match="lbfgs") as caught:
        choose_solver("simplex", digits([0.1]))
    assert caught.value.code == "solver-unknown"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_path_at_once_is_each_value_alone(dtype):
    reg = [10.0, 1.0, 0.1, 0.3]
    settings = FitSettings(tol=1e-7, workers=1)
    together = solve(digits(reg, dtype=dtype), settings)
    for k, value in enumerate(reg):
        alone = solve(digits([value], dtype=dtype), settings)
        assert together.status[k] == alone.status[0] == Status.CERTIFIED
        assert math.isclose(float(together.objective[k]), float(alone.objective[0]), rel_tol=2e-7)
        assert float(together.gap[k]) <= 1e-7


def test_whitening_is_the_whole_game():
    """Features of very unlike size: the condition number is in the millions, the passes are not."""
    X, y = load_digits(return_X_y=True)
    X = X[:300] * np.logspace(0, -3, 64)
    objective = build_objective(Rows(X), torch.as_tensor(y[:300]), 10, [1e-4], FitSettings(workers=1))
    found = solve(objective, FitSettings(tol=1e-4, workers=1))
    assert found.status == [Status.CERTIFIED]
    assert float(found.n_passes[0]) < 150


def test_float32_that_stands_still_is_left_for_float64():
    """The gap asked for is below what float32 gradients can prove, and no line search fails for it."""
    found = solve(digits([0.03], dtype=torch.float32), FitSettings(tol=1e-9, workers=1))
    assert found.status == [Status.CERTIFIED], found.message


def test_a_bound_of_an_earlier_point_is_not_what_a_proof_at_w_finds():
    loop = Loop(digits([1e-2], dtype=torch.float32, n=60), WhitenedLBFGS(), Limits(tol=1e-3))
    loop.start(None)
    primal, exhausted = loop.best.primal.clone() / 2, torch.zeros(1, dtype=torch.bool)
    loop._absorb(Progress(loop.best.W + 1, primal, primal * 0.9999, 1.0, exhausted, primal * 0.01))
    assert float(loop.best.gap[0]) < 1e-3 < float(loop.best.own_gap[0])
    assert loop.active.tolist() == [0]  # the solver takes another step, and does not go on in float64


def test_lbfgs_takes_no_metric_of_another_problem():
    used, fresh, tol = WhitenedLBFGS(), WhitenedLBFGS(), torch.tensor([1e-3])
    used.start(digits([1.0]), None, tol)
    used.start(digits([1e-4]), None, tol)
    fresh.start(digits([1e-4]), None, tol)
    torch.testing.assert_close(used.direction, fresh.direction, rtol=0, atol=0)


def test_a_start_is_used_and_left_as_it_was():
    objective = digits([1.0])
    settings = FitSettings(tol=1e-6, workers=1)
    cold = solve(objective, settings)
    kept = cold.W.clone()
    warm = solve(objective, settings, W=cold.W)
    assert float(warm.n_passes[0]) <= 2 < float(cold.n_passes[0])
    solve(digits([0.5]), settings, W=cold.W)
    assert torch.equal(cold.W, kept), "the caller's start was changed"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tol", [1e-3, 1e-9])
@pytest.mark.parametrize("after", [1, 4, 9])
def test_lbfgs_goes_on_from_a_state_to_the_same_bits(dtype, tol, after):
    """From float32 with its refinement in float64 as well: configurations leave at different times."""
    reg = [10.0, 1.0, 0.3]
    assert_resumes(lambda: Loop(digits(reg, dtype=dtype, n=200), WhitenedLBFGS(), Limits(tol=tol)), after)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_goes_on_from_a_state_to_the_same_bits(momentum):
    def loop():
        solver = MinibatchSGD([0.01, 0.001], batch_size=50, epochs=6, momentum=momentum, seed=3)
        return Loop(digits([1e-2, 1e-3], n=200), solver, Limits(tol=1e-9))

    assert_resumes(loop, 2)


def assert_resumes(make, after):
    whole = make()
    whole.start(None)
    saved = None
    while whole.active.numel():
        if whole.iteration == after:
            saved = whole.state()
        whole.step()
    assert saved is not None, "it ended before it was interrupted"
    resumed = make()
    resumed.restore(saved)
    assert resumed.iteration == after
    while resumed.active.numel():
        resumed.step()
    one, other = whole.finish(), resumed.finish()
    for part in ("W", "objective", "dual", "gap", "n_passes"):
        assert torch.equal(getattr(one, part), getattr(other, part)), part
    assert one.status == other.status and one.message == other.message


# -------------------------------------------------------------------- how a fit ends


def test_ctrl_c_in_a_callback_returns_the_best_w_with_its_gap():
    def press(row):
        if row["iteration"] == 5:
            raise KeyboardInterrupt

    objective = digits([0.1])
    found = solve(objective, FitSettings(tol=1e-10, workers=1), callbacks=[press])
    assert found.status == [Status.INTERRUPTED] and "interrupted" in found.message[0]
    at = objective.evaluate(found.W)
    assert math.isclose(float(at.objective[0]), float(found.objective[0]), rel_tol=1e-12)
    best = solve(objective, FitSettings(tol=1e-10, workers=1))
    true = float(at.objective[0] - best.objective[0]) / float(at.objective[0])
    assert true <= float(found.gap[0]) < 1
    assert len(found.trace) == 5


@pytest.mark.parametrize("block", [0, 30])
def test_ctrl_c_in_a_block_returns_within_it(block):
    class Pressed(Rows):
        seen = 0

        def block(self, start, stop, buffer):
            Pressed.seen += 1
            if Pressed.seen == block + 1:
                raise KeyboardInterrupt
            return super().block(start, stop, buffer)

    X, y = load_digits(return_X_y=True)
    settings = FitSettings(workers=1, tol=1e-7, solver="lbfgs")  # newton reads the rows once
    objective = build_objective(Pressed(X), torch.as_tensor(y), 10, [1.0], settings)
    objective.design.block_rows = 256
    found = solve(objective, settings)
    assert found.status == [Status.INTERRUPTED]
    assert Pressed.seen == block + 1
    assert not bool(found.gap.isnan().any())
    assert bool((found.gap < 1e-7).logical_not().all())


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        pytest.param({"max_passes": 3}, Status.MAX_PASSES, "stopped after [34] passes; larger reg or more passes"),
        pytest.param({"max_seconds": 1e-9}, Status.MAX_SECONDS, "time limit"),
        pytest.param({"tol": 1e-60}, Status.STALLED, "no more digits"),
        pytest.param({"tol": 1e-2}, Status.CERTIFIED, r"^certified: gap \S+ ≤ 1e-02$"),
    ],
)
def test_messages_can_be_read(limit, status, words):
    found = solve(digits([1.0]), FitSettings(**{"tol": 1e-8, "workers": 1, "solver": "lbfgs", **limit}))
    assert found.status == [status]
    assert re.search(words, found.message[0]), found.message
    assert (status is Status.CERTIFIED) == found.message[0].startswith("certified")


def test_the_trace_has_a_row_for_each_step_with_falling_bounds():
    rows = []
    found = solve(digits([1.0, 0.3]), FitSettings(tol=1e-6, workers=1), callbacks=[rows.append])
    assert rows == found.trace
    keys = {"iteration", "n_passes", "seconds", "reg", "objective", "dual", "gap", "solver"}
    assert all(set(row) == keys for row in rows)
    for reg in (1.0, 0.3):
        own = [row for row in rows if row["reg"] == reg]
        assert all(a["objective"] >= b["objective"] for a, b in pairwise(own))
        assert all(a["dual"] <= b["dual"] for a, b in pairwise(own))
        assert all(a["n_passes"] <= b["n_passes"] for a, b in pairwise(own))


def test_gaps_of_nothing_are_infinite_not_nan():
    gap = relative_gap(
        torch.tensor([math.inf, 1.0, 0.0]).double(), torch.tensor([-math.inf, math.nan, 0.0]).double()
    )
    assert gap.tolist() == [math.inf, math.inf, 0.0]


@pytest.mark.parametrize(
    ("reg", "code"),
    [
        pytest.param(0, "reg-zero", id="reg 0"),
        pytest.param(-1e-3, "reg-invalid", id="reg negative"),
        pytest.param(math.nan, "reg-invalid", id="reg NaN"),
        pytest.param(math.inf, "reg-invalid", id="reg infinite"),
        pytest.param("strong", "reg-invalid", id="reg text"),
        pytest.param("0.1", "reg-invalid", id="reg a number as text"),
        pytest.param(None, "reg-invalid", id="reg None"),
        pytest.param(True, "reg-invalid", id="reg True"),
        pytest.param([], "reg-invalid", id="no reg"),
        pytest.param([1e-2, [1]], "reg-invalid", id="reg nested"),
    ],
)
def test_reg_is_checked(reg, code):
    with pytest.raises(InputError) as caught:
        checked_reg(reg)
    assert caught.value.code == code
    assert checked_reg([1e-3, np.float32(2)]) == [1e-3, 2.0] and one_reg(0.0, exact=False) == 0.0


@pytest.mark.parametrize(
    ("name", "value"), [("tol", 0), ("tol", math.nan), ("tol", "small"), ("max_passes", -1), ("max_seconds", 0)]
)
def test_settings_that_make_no_sense_are_refused(name, value):
    with pytest.raises(InputError, match=name) as caught:
        FitSettings(**{name: value}).checked()
    assert caught.value.code == f"{name.replace('_', '-')}-invalid"


# -------------------------------------------------------------------- SGD


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_comes_near_the_optimum_on_digits(schedule, momentum):
    objective = digits([1.0])
    best = float(solve(objective, FitSettings(tol=1e-6, workers=1)).objective[0])
    solver = MinibatchSGD(1e-3 * (1 - momentum), epochs=10, batch_size=10, momentum=momentum, schedule=schedule)
    found = minimize(objective, solver, Limits(tol=1e-9))
    assert found.status == [Status.EPOCHS] and "not certified" in found.message[0]
    assert best <= float(found.objective[0]) < 1.15 * best
    assert 1 - best / float(found.objective[0]) <= float(found.gap[0])


def test_sgd_picks_a_rate_of_its_own():
    objective = digits([1e-2], dtype=torch.float32)
    found = minimize(objective, MinibatchSGD(epochs=6, batch_size=10), Limits(tol=1e-9))
    assert float(found.objective[0]) < 0.5 * math.log(10)


def test_many_heads_are_single_heads_given_the_same_batches():
    rates, reg = [1e-3, 3e-4, 1e-2], [1e-2, 1e-1, 1e-3]
    start = 1e-3 * torch.randn(3, 10, 65, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def run(rates, reg, W):
        solver = MinibatchSGD(rates, epochs=3, batch_size=50, momentum=0.5, seed=7)
        return minimize(digits(reg, n=300), solver, Limits(tol=1e-9), W=W)

    together = run(rates, reg, start)
    for k in range(3):
        alone = run(rates[k], reg[k : k + 1], start[k : k + 1])
        torch.testing.assert_close(together.W[k], alone.W[0], rtol=1e-9, atol=1e-12)
        assert math.isclose(float(together.objective[k]), float(alone.objective[0]), rel_tol=1e-9)


def test_a_head_that_diverges_does_not_spoil_the_others():
    found = minimize(digits([1e-2, 1e-2]), MinibatchSGD([1e12, 1e-3], epochs=3, batch_size=10), Limits(tol=1e-9))
    assert bool(found.W.isfinite().all()) and not bool(found.gap.isnan().any())
    alone = minimize(digits([1e-2]), MinibatchSGD(1e-3, epochs=3, batch_size=10), Limits(tol=1e-9))
    assert float(found.objective[1]) < 1.0
    assert math.isclose(float(found.objective[1]), float(alone.objective[0]), rel_tol=0.1)


def test_the_same_seed_draws_the_same_batches():
    def run(seed):
        return minimize(digits([1e-2]), MinibatchSGD(1e-3, epochs=2, seed=seed), Limits()).W

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_sgd_with_weights_is_unbiased_and_may_have_reg_zero():
    X, y = load_digits(return_X_y=True)
    weights = torch.as_tensor((y != 3).astype(float))
    settings = FitSettings(workers=1)
    objective = build_objective(Rows(X), torch.as_tensor(y), 10, [0.0], settings, weights=weights)
    found = minimize(objective, MinibatchSGD(1e-3, epochs=3), Limits())
    assert float(found.gap[0]) == math.inf
    scores = objective.scores(found.W)[:, 0]
    assert float((scores.argmax(dim=1) == 3).double().mean()) < 0.01  # nothing taught it the class of weight 0


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"schedule": "step"}, "schedule-unknown"),
        ({"momentum": 1.0}, "momentum-invalid"),
        ({"learning_rate": 0.0}, "learning-rate-invalid"),
        ({"learning_rate": [0.1, math.nan]}, "learning-rate-invalid"),
    ],
)
def test_settings_of_sgd_are_checked(settings, code):
    with pytest.raises(InputError) as caught:
        MinibatchSGD(**settings)
    assert caught.value.code == code


def test_sgd_refuses_folds_by_name():
    X, y = load_digits(return_X_y=True)
    table = torch.rand(2, len(y))
    objective = build_objective(
        Rows(X), torch.as_tensor(y), 10, [0.1, 0.1], FitSettings(), weights=table, fold=torch.arange(2)
    )
    with pytest.raises(InputError, match="folds") as caught:
        minimize(objective, MinibatchSGD(0.1), Limits())
    assert caught.value.code == "solver-does-not-fit"


@pytest.mark.parametrize("size", [1, 2, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_factor_is_the_same_by_lapack_and_by_torch(size: int, dtype: torch.dtype) -> None:
    A = torch.randn(size, size + 5, generator=torch.Generator().manual_seed(size), dtype=dtype)
    M = A @ A.t() + torch.eye(size, dtype=dtype)
    by_torch = preconditioner._torch_inverse(M)
    found = preconditioner.inverse_factor(M)
    assert torch.equal(found, found.tril())
    assert found.is_contiguous()
    torch.testing.assert_close(found, by_torch)


def test_a_matrix_that_has_no_factor_gets_a_larger_diagonal() -> None:
    M = torch.ones(3, 3, dtype=torch.float64) - 1e-9 * torch.eye(3, dtype=torch.float64)
    kept = M.clone()
    assert preconditioner._lapack_inverse(M) is None
    assert torch.equal(M, kept)
    assert preconditioner._torch_inverse(M) is None
    assert bool(preconditioner.inverse_factor(M).isfinite().all())


def test_torch_has_its_threads_again_after_a_pass_and_after_a_fit_that_wanted_one() -> None:
    former = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        pool = BlockPool(2)
        assert pool.run([(0, 1), (1, 2)], lambda share: torch.get_num_threads()) == [1, 1]
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError):
            pool.run([(0, 1)], lambda share: 1 // 0)
        assert torch.get_num_threads() == 3
        seen = []
        X, y = torch.randn(40, 600, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
        for loss, solver in ((SoftmaxLoss(), WhitenedLBFGS()), (HingeLoss(), HingeALM())):
            objective = Objective(Rows(X), y, 2, loss, [0.1])
            minimize(objective, solver, Limits(1e-2), callbacks=[lambda row: seen.append(torch.get_num_threads())])
            assert seen[-1] == (1 if solver.one_thread else 3)
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(former)
