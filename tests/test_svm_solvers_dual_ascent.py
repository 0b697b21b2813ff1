"""Dual coordinate ascent: its subproblem, its agreement with the other hinge solver, and when it is chosen."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from torch import Tensor

from straightedge.errors import InputError
from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers import choose_solver
from straightedge.solvers.base import Limits, Status, minimize
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.dual_ascent import AscentSubproblem, DualAscent, row_coupling
from straightedge.solvers.hinge.dual_kernel import ascend, common_shift
from straightedge.solvers.hinge.gathered.solver import SemismoothNewton
from straightedge.solvers.hinge.path import HingePath


def problem(seed: int = 0, n: int = 300, d: int = 12, c: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % c
    centres = torch.randn(c, d, generator=generator, dtype=torch.float64)
    return centres[y] + torch.randn(n, d, generator=generator, dtype=torch.float64) * 1.5, y


def objective_of(X: Tensor, y: Tensor, reg: list[float], **kwargs: object) -> Objective:
    return Objective(Rows(X), y, int(y.max()) + 1, HingeLoss(), reg, **{"dtype": X.dtype, **kwargs})


@pytest.mark.parametrize("seed", range(8))
def test_subproblem_is_solved_exactly(seed):
    """γ = Σ clip(v − γ, 0, K) makes α = clip(v − γ, 0, K) the minimiser of ½‖α − v‖² + ½(Σα)² in the box."""
    random = np.random.default_rng(seed)
    v, cap, label = random.normal(size=6) * 3, float(random.uniform(0.1, 2)), int(random.integers(6))
    others = np.delete(v, label)
    gamma = common_shift(v, label, cap, 0.0)
    alpha = np.clip(others - gamma, 0, cap)
    best = scipy_minimize(
        lambda a: 0.5 * ((a - others) ** 2).sum() + 0.5 * a.sum() ** 2,
        np.full(5, cap / 2),
        jac=lambda a: a - others + a.sum(),
        bounds=[(0, cap)] * 5,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert alpha.sum() == pytest.approx(gamma, abs=1e-12)
    np.testing.assert_allclose(alpha, best.x, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_agrees_with_the_augmented_lagrangian(dtype):
    X, y = problem()
    if dtype == torch.uint8:
        X = (X * 20 + 128).clamp(0, 255)
    X = X.to(dtype)
    affine = AffineMap(shift=X.double().mean(dim=0), scale=1 / X.double().std(dim=0))
    weights = torch.rand(len(y), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights[::7] = 0.0
    kind = torch.float32 if dtype == torch.uint8 else dtype
    objective = objective_of(X, y, [1.0, 3.0], affine=affine, weights=weights, dtype=kind)
    ascent = minimize(objective, DualAscent(), Limits(1e-4))
    other = minimize(objective, HingeALM(), Limits(1e-4))
    assert ascent.status == other.status == [Status.CERTIFIED] * 2
    torch.testing.assert_close(ascent.objective, other.objective, rtol=2e-4, atol=0)
    assert bool((ascent.dual <= other.objective).all() and (other.dual <= ascent.objective).all())


@pytest.mark.long
def test_same_seed_gives_the_same_bits_and_a_resumed_run_too():
    X, y = problem(1)
    objective = objective_of(X.float(), y, [0.1])
    states: list[dict[str, Tensor]] = []
    whole = minimize(
        objective,
        DualAscent(seed=4),
        Limits(1e-4),
        checkpoint=lambda loop: states.append({k: v.clone() for k, v in loop.state().items()}),
    )
    again = minimize(objective, DualAscent(seed=4), Limits(1e-4))
    assert torch.equal(whole.W, again.W)
    assert len(states) > 6  # short epochs among them
    for state in states:
        resumed = minimize(objective, DualAscent(seed=4), Limits(1e-4), resume=state)
        assert torch.equal(whole.W, resumed.W)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-3), (torch.float32, 1e-5), (torch.float64, 1e-3)])
def test_the_value_is_looked_at_once_the_bound_hardly_rises(dtype, tol, monkeypatch):
    X, y = problem(2, n=600)
    looks, bounds = [], AscentSubproblem._bounds

    def look(fit: AscentSubproblem) -> tuple[float, float]:
        looks.append(fit.epochs)
        return bounds(fit)

    monkeypatch.setattr(AscentSubproblem, "_bounds", look)
    fit = minimize(objective_of(X.to(dtype) / 5, y, [0.1]), DualAscent(), Limits(tol))
    assert fit.status == [Status.CERTIFIED] and float(fit.gap[0]) <= tol
    assert looks[0] == 1 and len(set(looks)) < looks[-1]  # the first, from W = 0, is
    assert (len(looks) > len(set(looks))) == (tol == 1e-5)  # W anew, where rounding would count
    looks.clear()
    regs = [0.1, 0.08]
    path = minimize(objective_of(X.to(dtype) / 5, y, regs), DualAscent(), Limits(tol))
    assert path.status == [Status.CERTIFIED] * 2 and looks.count(1) == 1  # no first one from an answer


def test_a_fit_stopped_after_an_epoch_has_the_W_of_that_epoch():
    X, y = problem(2, n=600)
    fit = minimize(objective_of(X / 5, y, [0.1]), DualAscent(), Limits(1e-9, max_passes=1))
    assert fit.status == [Status.MAX_PASSES]
    assert float(fit.gap[0]) < 0.5 and float(fit.objective[0]) < 3.0  # P(0) is C − 1


def test_strided_labels_are_no_other_loop():
    X, y = problem(2, n=600)
    both = torch.stack([y, y], dim=1)
    assert not both[:, 0].is_contiguous()
    strided = minimize(objective_of(X, both[:, 0], [1.0]), DualAscent(), Limits(1e-3))
    assert torch.equal(strided.W, minimize(objective_of(X, y, [1.0]), DualAscent(), Limits(1e-3)).W)
    assert all(signature[2].layout == "C" for signature in ascend.signatures)


def test_warm_start_along_a_path():
    X, y = problem(2, n=600)
    X = X / 5  # rows that hardly disturb one another: what dual ascent is for
    path = minimize(objective_of(X, y, [0.12, 0.1]), DualAscent(), Limits(1e-4))
    alone = minimize(objective_of(X, y, [0.1]), DualAscent(), Limits(1e-4))
    assert path.status == [Status.CERTIFIED] * 2
    assert float(path.n_passes[1]) <= float(alone.n_passes[0])


@pytest.mark.parametrize(
    ("solver", "regs"),
    [
        pytest.param(HingePath, [3.0, 2.0, 1e-2, 5e-3, 2e-3], marks=pytest.mark.slow),
        pytest.param(HingePath, [3.0, 1e-2], marks=pytest.mark.long),
        (DualAscent, [3.0, 2.0]),
    ],
)
def test_a_path_goes_on_from_any_step_to_the_same_bits(solver, regs):
    X, y = problem(3)
    objective = objective_of(X.float() / 2, y, regs)
    states: list[dict[str, Tensor]] = []
    whole = minimize(
        objective,
        solver(seed=4),
        Limits([1e-4] * len(regs)),
        checkpoint=lambda loop: states.append({k: v.clone() for k, v in loop.state().items()}),
    )
    assert whole.status == [Status.CERTIFIED] * len(regs)
    for state in states:
        resumed = minimize(objective, solver(seed=4), Limits([1e-4] * len(regs)), resume=state)
        assert torch.equal(whole.W, resumed.W)
        assert torch.equal(whole.n_passes, resumed.n_passes)


def test_a_path_takes_each_value_by_the_faster_solver():
    X, y = problem(3)
    objective = objective_of(X.float() / 2, y, [3.0, 1e-3])
    solver, kinds = HingePath(), []
    path = minimize(
        objective, solver, Limits(1e-4), callbacks=[lambda row: kinds.append(type(solver.fit).__name__)]
    )
    assert "AscentSubproblem" in kinds and kinds[-1] == "BlockSubproblem"
    other = minimize(objective, HingeALM(), Limits(1e-4))
    torch.testing.assert_close(path.objective, other.objective, rtol=2e-4, atol=0)


@pytest.mark.long
def test_a_stalled_path_goes_on_by_newton_steps_from_any_step_to_the_same_bits(monkeypatch):
    X, y = problem(5, n=150)
    objective = objective_of(X.float() / 2, y, [1e-3, 1e-5])
    monkeypatch.setattr("straightedge.solvers.hinge.path.LEAST_BUDGET", 4)
    monkeypatch.setattr(SemismoothNewton, "cost", classmethod(lambda cls, objective: 0.0))
    solver, kinds, states = HingePath(), [], []
    whole = minimize(
        objective,
        solver,
        Limits(1e-5),
        callbacks=[lambda row: kinds.append(type(solver.fit).__name__)],
        checkpoint=lambda loop: states.append({k: v.clone() for k, v in loop.state().items()}),
    )
    assert whole.status == [Status.CERTIFIED] * 2
    assert "BlockSubproblem" in kinds and kinds[-1] == "Subproblem"
    exact = minimize(objective.in_dtype(torch.float64), SemismoothNewton(), Limits(1e-9))
    assert bool((whole.objective >= exact.dual).all() and (whole.dual <= exact.objective).all())
    torch.testing.assert_close(whole.objective, exact.objective, rtol=1.1e-5, atol=0)
    for state in states:
        resumed = minimize(objective, HingePath(), Limits(1e-5), resume=state)
        assert torch.equal(whole.W, resumed.W)


def test_chosen_where_rows_hardly_disturb_one_another():
    X = torch.randint(0, 255, (8000, 3000), dtype=torch.uint8)  # more entries than are gathered in float64
    y = torch.arange(8000) % 3
    affine = AffineMap(shift=torch.zeros(3000), scale=torch.full((3000,), 1 / 255))
    few = objective_of(X[:100], y[:100], [1.0], affine=affine, dtype=torch.float32)
    much = objective_of(X, y, [1e-3], affine=affine, dtype=torch.float32)
    little = objective_of(X, y, [10.0], affine=affine, dtype=torch.float32)
    assert row_coupling(much) == pytest.approx(1000 / (2e-3 * 8000), rel=0.02)
    assert choose_solver("auto", little).name == "dual_ascent"
    assert choose_solver("auto", much).name == "hinge_path"
    assert choose_solver("auto", few).name != "dual_ascent"
    path = objective_of(X, y, [10.0, 1e-3], affine=affine, dtype=torch.float32)
    assert choose_solver("auto", path).name == "hinge_path"


@pytest.mark.parametrize(("loss", "bias"), [(HingeLoss(), "free"), (CrammerSingerLoss(), "penalized")])
def test_refuses_what_it_cannot_solve(loss, bias):
    X, y = problem()
    objective = Objective(Rows(X), y, 4, loss, [0.1], bias=bias)
    with pytest.raises(InputError) as refusal:
        choose_solver("dual_ascent", objective)
    assert refusal.value.code == "solver-does-not-fit"
