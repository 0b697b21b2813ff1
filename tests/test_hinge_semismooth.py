"""The solver of moderate hinge problems: what others stalled on, every kind of data, proofs, resuming."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import get_loss
from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers import choose_solver
from straightedge.solvers.base import Limits, Solution, Status, minimize
from straightedge.solvers.hinge import SemismoothNewton
from straightedge.solvers.hinge.gathered import newton, usual
from straightedge.solvers.hinge.gathered import problem as stretching
from straightedge.solvers.hinge.gathered import solver as gathering
from straightedge.solvers.hinge.gathered.ascent import Ascent
from straightedge.solvers.hinge.gathered.margins import PairMargins, SharedMargins, SignedMargins
from straightedge.solvers.hinge.gathered.newton import newton_step
from straightedge.solvers.hinge.gathered.problem import Bounds, HingeProblem
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace, KernelSpace
from support.hinge_problems import HingeCase, hinge_case
from test_svm_solvers import quadratic_program

LOSSES = [HingeLoss, CrammerSingerLoss, OneVsRestHingeLoss]
SECONDS = 30.0  # for one fit


def fitted(case: HingeCase, tol: float = 1e-3) -> Solution:
    settings = FitSettings(loss=case.loss, bias=case.bias, tol=tol, workers=1, max_seconds=10 * SECONDS)
    weights = None if case.weights is None else torch.as_tensor(case.weights)
    rows, y = Rows(case.X), torch.as_tensor(case.y)
    return solve(build_objective(rows, y, case.n_classes, [case.reg], settings, weights=weights), settings)


def certified(solution: Solution) -> bool:
    return solution.status == [Status.CERTIFIED] * len(solution.status)


def embeddings(n: int, d: int, n_classes: int, spread: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    return ((rng.normal(size=(n_classes, d)) * spread)[y] + rng.normal(size=(n, d))), y


def plain(X: np.ndarray, y: np.ndarray, reg: float, loss: str = "svm", **more: object) -> HingeCase:
    settings = {"bias": "penalized", "weights": None, "about": "", **more}
    return HingeCase(loss, X, y, int(y.max()) + 1, reg, **settings)


@pytest.mark.parametrize("reg", [1e-2, *(pytest.param(reg, marks=pytest.mark.long) for reg in (1e-4, 1e-6))])
def test_overlapping_embeddings_are_certified(reg: float) -> None:
    X, y = embeddings(2000, 768, 5, spread=0.04)
    assert certified(fitted(plain(X, y, reg)))


def test_two_overlapping_classes_and_wide_rows_are_certified() -> None:
    X = np.random.default_rng(0).normal(size=(3000, 600))
    assert certified(fitted(plain(X, (X[:, 0] > 0).astype(int), 1e-3)))
    X, y = embeddings(200, 20_000, 3)
    solution = fitted(plain(X, y, 1e-2), tol=1e-4)
    assert certified(solution)
    assert float(solution.n_passes[0]) < 10


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 40), marks=pytest.mark.long)], ids=str)
def test_rows_of_weight_zero_and_nearly_zero_count_for_what_they_are(seeds: range) -> None:
    for seed in seeds:
        rng = np.random.RandomState(seed)
        X, y, weights = rng.rand(15, 30), rng.randint(0, 3, 15), rng.randint(0, 5, 15).astype(float)
        weights[:3], y[:3] = 1.0, range(3)
        loss = ("svm", "crammer_singer", "one_vs_rest")[seed % 3]
        whole = fitted(plain(X, y, 1e-4, loss, weights=weights), tol=1e-6)
        kept = weights > 0
        part = fitted(plain(X[kept], y[kept], 1e-4, loss, weights=weights[kept]), tol=1e-6)
        assert certified(whole) and certified(part)
        torch.testing.assert_close(whole.objective, part.objective, rtol=2e-6, atol=0)
        weights[~kept] = 1e-6
        assert certified(fitted(plain(X, y, 1e-4, loss, weights=weights), tol=1e-6))


@pytest.mark.long
def test_every_fold_of_wine_is_certified() -> None:
    wine = load_wine()
    order = np.random.default_rng(0).permutation(len(wine.target))
    for loss in LOSSES[:2]:
        weights = torch.ones(5, len(order), dtype=torch.float64)
        for fold in range(5):
            weights[fold, fold::5] = 0.0
        reg, fold = [10.0**-k for k in range(8)] * 5, torch.arange(5).repeat_interleave(8)
        X, y = wine.data[order], torch.as_tensor(wine.target[order])
        objective = Objective(Rows(X), y, 3, loss(), reg, weights=weights, fold=fold, dtype=torch.float64)
        solution = minimize(objective, choose_solver("auto", objective), Limits(1e-3))
        assert certified(solution) and len(solution.status) == 40


@pytest.mark.parametrize("seed", range(30))
def test_random_problems_are_certified(seed: int) -> None:
    case = hinge_case(seed, largest=1e5)
    solution = fitted(case)
    assert certified(solution), (case.about, solution.message)


@pytest.mark.long
@pytest.mark.parametrize("seed", [64, 96, 198, 208])
def test_problems_on_which_newton_steps_from_far_away_do_not_arrive(seed: int) -> None:
    """Many classes, few rows, weights of six decades: what epochs of dual ascent have to begin."""
    assert certified(fitted(hinge_case(seed)))


@pytest.mark.slow
def test_three_hundred_random_problems() -> None:
    results = {seed: fitted(hinge_case(seed)) for seed in range(300)}
    late = [seed for seed, solution in results.items() if solution.seconds > SECONDS]
    failed = [seed for seed, solution in results.items() if not certified(solution)]
    assert len(failed) + len(late) <= 60, (failed, late)
    for seed in failed:
        assert "rounding" not in results[seed].message[0], hinge_case(seed).about
    for seed in sorted(results, key=lambda seed: hinge_case(seed).size)[:60]:
        _agrees_with_a_quadratic_program(hinge_case(seed), results[seed])


@pytest.mark.parametrize("seed", range(12))
def test_bounds_hold_against_an_independent_solver(seed: int) -> None:
    case = hinge_case(seed, largest=1e3)
    _agrees_with_a_quadratic_program(case, fitted(case))


def _agrees_with_a_quadratic_program(case: HingeCase, solution: Solution) -> None:
    shares = np.ones(len(case.y)) if case.weights is None else case.weights
    scale = np.sqrt(np.square(case.X).sum(axis=1).mean() + 1)  # of a row; the solver asks for columns near 1
    kept = shares > 0
    truth = quadratic_program(
        torch.as_tensor(case.X[kept]),
        torch.as_tensor(case.y[kept]),
        get_loss(case.loss),
        case.reg,
        torch.as_tensor(shares[kept] / shares.sum()),
        case.bias,
        scale=scale,
    )
    slack = 1e-6 * truth
    assert float(solution.dual[0]) <= truth + slack, case.about
    assert float(solution.objective[0]) >= truth - slack, case.about


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.long
def test_fine_tolerances_and_tiny_reg(loss: type[HingeLoss], bias: str, n_classes: int) -> None:
    X, y = embeddings(40, 5, n_classes, spread=1.0)
    for separable in (0.0, 20.0):
        rows = Rows(X + separable * np.eye(5)[y])
        regs = [1.0, 1e-3, 1e-7]
        objective = Objective(rows, torch.as_tensor(y), n_classes, loss(), regs, bias=bias, dtype=torch.float64)
        assert certified(minimize(objective, SemismoothNewton(), Limits(1e-8)))


@pytest.mark.parametrize(("wide", "steps", "fewest"), [(False, 1, 7), (True, 1, 7), (False, 8, 3)])
def test_resumed_run_goes_on_to_the_same_bits(
    wide: bool, steps: int, fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("straightedge.solvers.hinge.gathered.ascent.LOADING_COST", 0.0)  # both stages
    monkeypatch.setattr(usual, "MOST_STEPS", steps)  # before each checkpoint
    X, y = embeddings(60, 80 if wide else 6, 3, spread=0.5)
    objective = Objective(Rows(X), torch.as_tensor(y), 3, HingeLoss(), [1e-2, 1e-4], workers=1)
    states: list[dict[str, torch.Tensor]] = []

    def keep(loop: object) -> None:
        states.append({name: value.clone() for name, value in loop.state().items()})  # type: ignore[attr-defined]

    whole = minimize(objective, SemismoothNewton(), Limits(1e-6), checkpoint=keep)
    assert certified(whole) and len(states) >= fewest
    for state in (states[1], states[len(states) // 2], states[-2]):
        resumed = minimize(objective, SemismoothNewton(), Limits(1e-6), resume=state)
        assert torch.equal(resumed.W, whole.W) and torch.equal(resumed.dual, whole.dual)


def _small_problem(kind: str, space: type, *, free: bool = False) -> tuple[HingeProblem, np.random.Generator]:
    rng = np.random.default_rng(3)
    X, y, weights = rng.normal(size=(12, 4)), rng.integers(0, 3, 12), rng.random(12) + 0.1
    margins = {
        "pairs": PairMargins(y, 3),
        "shared": SharedMargins(y, 3),
        "signed": SignedMargins(1.0 - 2 * (y > 0)),
    }
    rows = space(X) if space is FeatureSpace else space(X @ X.T)
    repair = (lambda sums: (0.0, np.zeros((12, 3)), 0.0)) if free else None
    return HingeProblem(margins[kind], rows, weights / weights.sum(), 0.1, repair), rng


@pytest.mark.parametrize("kind", ["pairs", "shared", "signed"])
@pytest.mark.parametrize("space", [FeatureSpace, KernelSpace])
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("form", ["woodbury", "direct", "cg"])
def test_a_newton_step_solves_the_linearised_problem(
    kind: str, space: type, free: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no b changes its face, one step brings 2 reg (W − W(b)) to 0, by each form of the system."""
    if form == "direct" and space is KernelSpace:
        pytest.skip("not applicable: there are no features")
    monkeypatch.setattr(newton, "cheapest_form", lambda *_: form)
    monkeypatch.setattr(newton, "CG_RESIDUAL", 1e-12)
    monkeypatch.setattr(newton, "CG_RESIDUAL_IN_SPAN", 1e-12)
    if form == "cg":  # the other forms are not to do its work
        monkeypatch.setattr(newton, "FORMS", {"cg": newton.FORMS["cg"]})
    problem, rng = _small_problem(kind, space, free=free)
    mu = 1e4  # b moves little
    centre = problem.margins.project(rng.random((12, problem.margins.n_margins)) * 0.9)
    centre = problem.margins.from_adjoint(problem.margins.adjoint(centre))
    point, bias = problem.from_dual(centre), np.zeros(problem.margins.n_columns)

    def at(point: object, bias: np.ndarray) -> tuple[np.ndarray, object, np.ndarray]:
        z = problem.margins.margins(point.scores + bias)  # type: ignore[attr-defined]
        b = problem.margins.project(centre + z / mu)
        return b, point.plus(problem.from_dual(b), -1.0), problem.column_sums(b)  # type: ignore[attr-defined]

    b, residual, sums = at(point, bias)
    step, shift = newton_step(problem, b, mu, residual, sums)
    if free:  # a bias moves b far at this smoothing: the equation is looked at a short way along
        step, shift = step.times(1e-6), 1e-6 * shift
    _, after, sums_after = at(point.plus(step, 1.0), bias + shift)
    left = 1 - 1e-6 if free else 0.0
    tolerance = 1e-9 * float(np.abs(residual.scores).max())
    np.testing.assert_allclose(after.scores, left * residual.scores, atol=tolerance)
    if free:
        np.testing.assert_allclose(sums_after, left * sums, atol=1e-9)


def test_where_conjugate_gradients_do_not_arrive_a_factored_form_takes_the_step(monkeypatch):
    problem, rng = _small_problem("pairs", FeatureSpace, free=False)
    b = rng.random((12, problem.margins.n_margins)) * 0.9
    b = problem.margins.from_adjoint(problem.margins.adjoint(b))
    point = problem.space.at(rng.normal(size=(3, problem.space.dimension)))
    monkeypatch.setattr(newton, "CG_STEPS", 1)
    steps = []
    for form in ("cg", "woodbury"):
        monkeypatch.setattr(newton, "cheapest_form", lambda *_, form=form: form)
        steps.append(newton_step(problem, b, 1e-3, point, np.zeros(3))[0].coordinates)
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-9)


def test_inner_products_keep_the_order_of_the_rows_asked_for() -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    for rows in ([5, 2, 9], [4, 4, 1, 29]):
        index = np.array(rows)
        np.testing.assert_allclose(FeatureSpace(X).gram(index), X[index] @ X[index].T)
        np.testing.assert_allclose(KernelSpace(X @ X.T).gram(index), X[index] @ X[index].T)


@pytest.mark.parametrize("kind", ["pairs", "shared", "signed"])
@pytest.mark.parametrize("space", [FeatureSpace, KernelSpace])
def test_epochs_never_lower_the_dual(kind: str, space: type) -> None:
    problem, _ = _small_problem(kind, space)
    ascent = Ascent.begin(problem, Bounds.at_zero(problem), 1e-3, Bounds.at_zero(problem).b)
    values = []
    while ascent.bounds.gap > 1e-3:
        ascent.advance()
        b, own = ascent.duals, problem.dual(ascent.duals, problem.from_dual(ascent.duals))
        np.testing.assert_allclose(problem.margins.project(b), b, atol=1e-15)
        values.append(own)
    assert all(after >= before - 1e-12 for before, after in pairwise(values))
    assert 2 < len(values) < 60


@pytest.mark.parametrize("kind", ["pairs", "shared", "signed"])
@pytest.mark.parametrize("space", [FeatureSpace, KernelSpace])
def test_epochs_alone_arrive_though_a_row_is_nothing_and_columns_lie_first(kind: str, space: type) -> None:
    problem, rng = _small_problem(kind, space)
    X = np.asfortranarray(rng.normal(size=(12, 4)))
    X[3] = 0.0
    rows = FeatureSpace(X) if space is FeatureSpace else KernelSpace(X @ X.T)
    problem = HingeProblem(problem.margins, rows, problem.weights, 0.1)
    ascent = Ascent.begin(problem, Bounds.at_zero(problem), 1e-9, Bounds.at_zero(problem).b)
    while ascent.gap > 1e-9 and ascent.epochs < 2000:
        ascent.advance()
    assert ascent.bounds.gap <= 1e-9
    point = problem.from_dual(ascent.bounds.b)  # the bounds are those of what they say they belong to
    assert ascent.bounds.dual == problem.dual(ascent.bounds.b, point)
    best = rows.at(ascent.bounds.coordinates)
    assert ascent.bounds.primal == pytest.approx(problem.primal(best, ascent.bounds.bias), rel=1e-12)


@pytest.mark.parametrize("length", [1e-3, 0.9, 30.0])
@pytest.mark.parametrize("worth", [1e-1, 1e-6])
def test_a_multiple_is_as_good_as_the_best_one_but_for_what_is_no_worth(length: float, worth: float) -> None:
    problem, rng = _small_problem("shared", FeatureSpace)
    point = problem.from_dual(problem.margins.project(rng.random((12, 3)))).times(length)
    nothing = np.zeros(3)
    s, value = problem.stretched(point, nothing, worth)
    assert value == pytest.approx(problem.primal(point.times(s), nothing), rel=1e-12)
    best = min(problem.primal(point.times(t), nothing) for t in np.linspace(0.0, 2.0 * s, 4001))
    assert value <= best + worth


@pytest.mark.parametrize("kind", ["pairs", "shared", "signed"])
def test_a_sample_of_the_rows_says_the_multiple_and_all_of_them_its_value(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, rng = _small_problem(kind, FeatureSpace)
    columns = problem.margins.n_columns
    point = FeatureSpace(problem.space.X).at(0.1 * rng.normal(size=(columns, problem.space.dimension)))
    monkeypatch.setattr(stretching, "STRETCH_ROWS", 4)
    s, value = problem.stretched(point, np.zeros(columns), 1e-6)
    assert value == pytest.approx(problem.primal(point.times(s), np.zeros(columns)), rel=1e-12)
    some = problem.margins.part(slice(None, None, 3))
    S = point.scores
    np.testing.assert_array_equal(some.margins(S[::3]), problem.margins.margins(S)[::3])


def test_more_rows_are_gathered_where_they_hardly_disturb_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = embeddings(3000, 4, 3)
    monkeypatch.setattr(gathering, "MOST_ENTRIES", 10_000)
    few, weak, strong = (
        Objective(Rows(X[:n]), torch.as_tensor(y[:n]), 3, CrammerSingerLoss(), [reg])
        for n, reg in ((1900, 1e-6), (3000, 1e-2), (3000, 1e-4))
    )
    assert SemismoothNewton.supports(few) is None and SemismoothNewton.supports(weak) is None
    assert SemismoothNewton.supports(strong) is not None
    monkeypatch.setattr(gathering, "MOST_ENTRIES", 3000 * 5 / 2.2)
    assert SemismoothNewton.supports(weak) is not None


def test_what_does_not_fit_is_refused_by_name() -> None:
    X, y = embeddings(30, 4, 3)
    smooth = Objective(Rows(X), torch.as_tensor(y), 3, get_loss("softmax"), [1e-2])
    with pytest.raises(InputError) as refusal:
        choose_solver("semismooth_newton", smooth)
    assert refusal.value.code == "solver-does-not-fit"
    hinge = Objective(Rows(X), torch.as_tensor(y), 3, HingeLoss(), [1e-2])
    assert choose_solver("auto", hinge).name == "semismooth_newton"


def test_short_steps_go_together_and_long_ones_alone():
    assert usual.steps_a_turn(150, 5, 3, False) == usual.MOST_STEPS
    assert usual.steps_a_turn(3000, 4000, 10, False) == 1


@pytest.mark.parametrize("size", [1.0, 1e5, 1e8])
def test_shared_units_are_not_exceeded_however_large_what_is_projected(size: float) -> None:
    rng = np.random.default_rng(4)
    margins = SharedMargins(rng.integers(3, size=40), 3)
    b = margins.project(1.0 + size * rng.random((40, 3)))
    assert b.min() >= 0.0
    np.testing.assert_allclose(b.sum(axis=1), 1.0, rtol=1e-15)
