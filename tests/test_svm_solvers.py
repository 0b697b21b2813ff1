"""The solvers of the hinges: the optimum of an independent quadratic program, and bounds that never lie."""

import clarabel
import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss
from straightedge.objective import Objective
from straightedge.penalties import PenaltyTerm
from straightedge.rows import Rows
from straightedge.solvers.base import Limits, Loop, Solution, Status, minimize
from straightedge.solvers.hinge.blocks.directions import gcr, pcg
from straightedge.solvers.hinge.blocks.hessian import Hessian
from straightedge.solvers.hinge.blocks.preconditioner import Metric
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.blocks.subproblem import BlockSubproblem
from straightedge.solvers.hinge.gathered.solver import SemismoothNewton
from straightedge.solvers.hinge.half_pass import adjoint
from straightedge.solvers.hinge.sequential import WarmStart

SOLVERS = [HingeALM, SemismoothNewton]
LOSSES = [HingeLoss, CrammerSingerLoss, OneVsRestHingeLoss]


def problem(seed: int, n: int = 40, d: int = 4, c: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % c
    centres = torch.randn(c, d, generator=generator, dtype=torch.float64)
    return centres[y] + torch.randn(n, d, generator=generator, dtype=torch.float64) * 1.5, y


def margin_rows(loss: HingeLoss, x: np.ndarray, label: int, n_classes: int) -> list[tuple[np.ndarray, int]]:
    """Rows g with z = 1 + g·vec(W), and the number of the slack each is charged to within the sample."""
    rows = []
    for j in range(n_classes):
        g = np.zeros((n_classes, len(x)))
        if isinstance(loss, OneVsRestHingeLoss):
            g[j] = -x if j == label else x
            rows.append((g.ravel(), j))
        elif j != label:
            g[j], g[label] = x, -x
            rows.append((g.ravel(), 0 if isinstance(loss, CrammerSingerLoss) else len(rows)))
    return rows


def quadratic_program(
    X: Tensor, y: Tensor, loss: HingeLoss, reg: float, weights: Tensor, bias: str, scale: float = 1.0
) -> float:
    """The optimum by an interior-point solver: min reg ‖W‖² + Σ w ξ with ξ ≥ z and ξ ≥ 0; scale·W inside."""
    data = np.hstack([X.numpy(), np.ones((len(X), 1))]) / scale
    if bias == "free":
        data[:, -1] = 1.0
    reg = reg / scale**2
    n_classes, width = int(y.max()) + 1, data.shape[1]
    constraints, slack_of, cost = [], [], []
    for x, label, weight in zip(data, y.tolist(), weights.tolist(), strict=True):
        rows = margin_rows(loss, x, label, n_classes)
        first = len(cost)
        cost += [weight] * (max(slack for _, slack in rows) + 1)
        constraints += [g for g, _ in rows]
        slack_of += [first + slack for _, slack in rows]
    penalty = np.full((n_classes, width), 2 * reg)
    if bias == "free":
        penalty[:, -1] = 0.0
    n_slack, m = len(cost), len(constraints)
    P = sparse.diags(np.concatenate([penalty.ravel(), np.zeros(n_slack)]), format="csc")
    charged = sparse.coo_matrix((-np.ones(m), (np.arange(m), slack_of)), shape=(m, n_slack))
    A = sparse.vstack(
        [
            sparse.hstack([sparse.csc_matrix(np.array(constraints)), charged]),
            sparse.hstack([sparse.csc_matrix((n_slack, penalty.size)), -sparse.identity(n_slack)]),
        ],
        format="csc",
    )
    bound = np.concatenate([-np.ones(m), np.zeros(n_slack)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    q = np.concatenate([np.zeros(penalty.size), cost])
    answer = clarabel.DefaultSolver(P, q, A, bound, [clarabel.NonnegativeConeT(len(bound))], settings).solve()
    assert "Solved" in str(answer.status)
    return float(answer.obj_val)


def fitted(X: Tensor, y: Tensor, loss: HingeLoss, reg: list[float], tol: float, **kwargs: object) -> Solution:
    dtype, solver = kwargs.pop("dtype", torch.float64), kwargs.pop("solver", HingeALM)
    objective = Objective(Rows(X.to(dtype)), y, int(y.max()) + 1, loss, reg, dtype=dtype, workers=1, **kwargs)
    return minimize(objective, solver(), Limits(tol, max_passes=3000))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reg", [1.0, 1e-2, pytest.param(1e-4, marks=pytest.mark.long)])
def test_optimum_is_that_of_a_quadratic_program(loss, reg, weighted, bias, solver):
    X, y = problem(3)
    weights = torch.rand(len(y), generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    weights[::9] = 0.0  # rows that count for nothing
    weights = weights / weights.sum() if weighted else torch.full((len(y),), 1 / len(y), dtype=torch.float64)
    truth = quadratic_program(X, y, loss(), reg, weights, bias)
    tol = 1e-8 if solver is SemismoothNewton else 1e-4 if loss is CrammerSingerLoss else 1e-6
    solution = fitted(X, y, loss(), [reg], tol, solver=solver, weights=weights if weighted else None, bias=bias)
    assert solution.status == [Status.CERTIFIED]
    assert float(solution.objective[0]) == pytest.approx(truth, abs=1e-9, rel=tol)
    assert float(solution.dual[0]) <= truth + 1e-9
    assert float(solution.objective[0]) >= truth - 1e-9


def test_bounds_never_lie():
    """On random problems stopped at any step, bound ≤ optimum ≤ objective, in float32 too."""
    generator = torch.Generator().manual_seed(11)
    for seed in range(12):
        loss = LOSSES[seed % 3]()
        X, y = problem(seed, n=20 + seed, c=2 + seed % 3)
        reg = float(10 ** (-4 * torch.rand(1, generator=generator)))
        weights = torch.rand(len(y), generator=generator, dtype=torch.float64)
        weights /= weights.sum()
        bias = ("penalized", "free")[seed % 2]
        dtype = (torch.float32, torch.float64)[seed // 2 % 2]
        X = X.to(torch.float32).to(torch.float64)
        truth = quadratic_program(X, y, loss, reg, weights, bias)
        objective = Objective(Rows(X.to(dtype)), y, int(y.max()) + 1, loss, [reg], weights=weights, bias=bias)
        solver = SOLVERS[seed // 3 % 2]()
        loop = Loop(objective, solver, Limits(1e-7))
        loop.start(None)
        for _ in range(1 + seed):
            if loop.active.numel():
                loop.step()
        if loop.active.numel():
            _, value, bound = solver.certify(torch.tensor([0]))
        else:
            value, bound = loop.best.primal, loop.best.dual
        assert float(value[0]) >= truth - 1e-9
        assert float(bound[0]) <= truth + 1e-9


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.long
def test_float32_is_certified_in_float64(loss):
    X, y = problem(5, n=120, d=6, c=4)
    solution = fitted(X, y, loss(), [1e-2], 1e-3, dtype=torch.float32)
    finer = fitted(X, y, loss(), [1e-2], 1e-5, dtype=torch.float32)
    assert solution.status == finer.status == [Status.CERTIFIED]
    assert float(solution.dual[0]) <= float(finer.objective[0]) <= float(solution.objective[0]) + 1e-9


@pytest.mark.long
def test_a_path_with_folds_gives_each_its_own_optimum():
    X, y = problem(7, n=90, d=6, c=3)
    fold_weights = torch.ones(2, 90, dtype=torch.float64)
    fold_weights[0, ::3] = 0.0
    fold_weights[1, 1::3] = 0.0
    reg, fold = [1e-1, 1e-2, 1e-2, 1e-1], torch.tensor([0, 1, 0, 1])
    together = fitted(X, y, HingeLoss(), reg, 1e-6, weights=fold_weights, fold=fold)
    assert together.status == [Status.CERTIFIED] * 4
    for k in range(4):
        weights = fold_weights[fold[k]] / fold_weights[fold[k]].sum()
        kept = weights > 0
        truth = quadratic_program(X[kept], y[kept], HingeLoss(), reg[k], weights[kept], "penalized")
        assert float(together.objective[k]) == pytest.approx(truth, rel=2e-6)


@pytest.mark.long
def test_a_path_costs_less_than_its_parts():
    X, y = problem(9, n=600, d=8, c=4)
    reg = [1e-1, 5e-2, 2.5e-2, 1.2e-2, 6e-3, 3e-3]
    path = fitted(X, y, HingeLoss(), reg, 1e-3)
    alone = sum(float(fitted(X, y, HingeLoss(), [value], 1e-3).n_passes[0]) for value in reg)
    assert path.status == [Status.CERTIFIED] * 6
    assert float(path.n_passes.sum()) < 0.75 * alone


def test_resumed_run_goes_on_to_the_same_bits():
    X, y = problem(2, n=80, d=5, c=3)
    objective = Objective(Rows(X), y, 3, HingeLoss(), [1e-1, 1e-2], workers=1)
    states: list[dict[str, Tensor]] = []
    whole = minimize(
        objective,
        HingeALM(),
        Limits(1e-4),
        checkpoint=lambda loop: states.append({k: v.clone() for k, v in loop.state().items()}),
    )
    assert len(states) > 6
    for state in (states[2], states[len(states) // 2], states[-2]):
        resumed = minimize(objective, HingeALM(), Limits(1e-4), resume=state)
        assert torch.equal(resumed.W, whole.W)
        assert torch.equal(resumed.dual, whole.dual)


@pytest.mark.long
def test_warm_start_from_a_given_W_needs_fewer_passes():
    X, y = problem(4, n=300, d=10, c=4)
    first = fitted(X, y, HingeLoss(), [1e-2], 1e-6)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [1e-2], dtype=torch.float64, workers=1)
    again = minimize(objective, HingeALM(), Limits(1e-6), W=first.W)
    assert again.status == [Status.CERTIFIED]
    assert float(again.n_passes[0]) < float(first.n_passes[0])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_semismooth_newton_minds_neither_separable_data_nor_a_tiny_reg(loss, bias):
    X, y = problem(8, n=90, d=5, c=3)
    X = X + 20 * torch.nn.functional.one_hot(y, 5)
    solution = fitted(X, y, loss(), [1.0, 1e-3, 1e-7], 1e-8, solver=SemismoothNewton, bias=bias)
    assert solution.status == [Status.CERTIFIED] * 3


def test_interrupt_keeps_the_best_so_far():
    X, y = problem(6, n=100, d=6, c=3)
    objective = Objective(Rows(X), y, 3, HingeLoss(), [1e-3], workers=1)
    seen = []

    def stop(row):
        seen.append(row)
        if len(seen) == 4:
            raise KeyboardInterrupt

    solution = minimize(objective, HingeALM(), Limits(1e-9), callbacks=[stop])
    assert solution.status == [Status.INTERRUPTED]
    assert float(solution.objective[0]) <= seen[0]["objective"]
    assert float(solution.gap[0]) < 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("on_disk", [False, True])
def test_hessian_products_are_those_of_the_dense_hessian(loss: type[HingeLoss], on_disk: bool) -> None:
    X, y = problem(3, n=60, d=5, c=4)
    rows = Rows(Unread(X.numpy())) if on_disk else Rows(X)
    weights = torch.linspace(1, 2, len(y), dtype=torch.float64)
    objective = Objective(rows, y, 4, loss(), [0.01], weights=weights[None], dtype=torch.float64)
    mu, own = 0.7, weights / weights.sum()
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(4, 6, generator=generator, dtype=torch.float64) / 3
    direction = torch.randn(4, 6, generator=generator, dtype=torch.float64)

    def smoothed_gradient(at: Tensor) -> tuple[Tensor, Tensor]:
        z = objective.loss.margins(objective.scores(at[None]), y)
        b = objective.loss.project(z / mu, y)
        A = objective.loss.to_scores(b.clone(), y)[:, 0]
        data = torch.cat([X, torch.ones(len(X), 1, dtype=torch.float64)], dim=1)
        return b, (A * own[:, None]).t() @ data + 2 * 0.01 * at

    b, gradient = smoothed_gradient(W)
    hessian = Hessian.at(objective, Metric(objective), b, mu, own, complete=True)
    assert hessian.rest is None
    step = 1e-7  # short enough that no pair reaches a bound
    change = (smoothed_gradient(W + step * direction)[1] - gradient) / step
    torch.testing.assert_close(hessian.times(direction, direction), change, rtol=1e-6, atol=1e-6)


def newton_system(reg: float, decades: float) -> tuple[Hessian, Tensor]:
    """Return a Hessian whose metric is fitted, of features over so many decades, and a gradient."""
    X, y = problem(3, n=200, d=8, c=4)
    X = X * torch.logspace(0, -decades, 8, dtype=torch.float64)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [reg], dtype=torch.float64)
    own = torch.full((200,), 1 / 200, dtype=torch.float64)
    b = torch.full((200, 1, 4), 0.5, dtype=torch.float64)
    hessian = Hessian.at(objective, Metric(objective), b, 0.1, own, complete=True)
    hessian.metric.fit(hessian.curvature, objective.penalty)
    return hessian, torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_least_residuals_are_those_of_the_whole_space_and_ahead_of_conjugate_gradients() -> None:
    hessian, gradient = newton_system(1e-4, decades=3)
    for forcing in (0.3, 0.1, 1e-6):
        residual, spent = {}, {}
        for method in (pcg, gcr):
            solution, spent[method] = method(hessian, gradient, forcing)
            residual[method] = hessian.times(solution, solution) + gradient
            assert float(residual[method].norm()) <= forcing * float(gradient.norm()) * (1 + 1e-6)
        assert spent[gcr] <= spent[pcg]


def test_few_remembered_directions_still_lower_the_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    hessian, gradient = newton_system(1e-2, decades=0)
    monkeypatch.setattr("straightedge.solvers.hinge.blocks.directions.REMEMBERED_BYTES", 1)
    solution, _ = gcr(hessian, gradient, 1e-2)
    assert float((hessian.times(solution, solution) + gradient).norm()) <= 1e-2 * float(gradient.norm())


def test_a_renewed_metric_has_a_new_blunt_one() -> None:
    X, y = problem(3, n=60, d=5, c=4)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64)
    metric = Metric(objective)
    metric.blunt.fit(0.3, objective.penalty)
    assert metric.blunt is metric.blunt and metric.blunt.made_for == (0.3, 0.01)
    assert metric.made_for == (0.0, 0.0)
    metric.refit(objective, torch.arange(30))
    assert metric.blunt.made_for == (0.0, 0.0) and metric.blunt.moment is metric.moment


def test_images_by_the_metric_stand_for_products_with_the_moment() -> None:
    X, y = problem(3, n=60, d=5, c=4)
    for bias in ("penalized", "free"):
        objective = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64, bias=bias)
        metric = Metric(objective)
        metric.fit(0.3, objective.penalty)
        image = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        direction = metric.solve(image)
        torch.testing.assert_close(metric.times_moment(direction, image), direction @ metric.moment)


def test_a_factor_serves_while_what_reg_adds_is_near_to_what_it_was_made_with() -> None:
    X, y = problem(3, n=60, d=5, c=4)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64)
    metric = Metric(objective)

    def ridge(reg: float) -> PenaltyTerm:
        return objective.penalty.at(torch.tensor([reg], dtype=torch.float64))

    metric.fit(0.4, ridge(0.01))
    for kappa, reg in ((4.0, 0.1), (0.4, 0.00085), (0.4, 0.059)):  # in any scale; too large does less harm
        metric.fit(kappa, ridge(reg))
        assert metric.made_for == (0.4, 0.01)
    for kappa, reg in ((0.4, 0.0008), (0.4, 0.061), (0.04, 0.01)):
        metric.fit(0.4, ridge(0.01))
        metric.fit(kappa, ridge(reg))
        assert metric.made_for == (kappa, reg)
        metric.made_for = (0.0, 0.0)


def test_the_metric_is_made_anew_from_the_rows_with_curvature_once_products_have_cost_as_much() -> None:
    X, y = problem(3, n=600, d=5, c=4)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64)
    metric, own = Metric(objective), torch.full((600,), 1 / 600, dtype=torch.float64)
    b = torch.full((600, 1, 4), 0.5, dtype=torch.float64)
    b[300:] = 0.0
    hessian = Hessian.at(objective, metric, b, 1.0, own, complete=True)
    assert len(hessian.index) == 300
    assert not metric.is_stale(objective, hessian.cost, hessian.index)
    metric.products = 1000
    assert metric.is_stale(objective, hessian.cost, hessian.index)
    metric.refit(objective, hessian.index)
    data = torch.cat([X[:300], torch.ones(300, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(metric.moment, data.t() @ data / 300)
    metric.products = 1000
    assert not metric.is_stale(objective, hessian.cost, hessian.index)  # it has seen these rows


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_a_free_bias_moves_where_no_pair_is_between_its_bounds(loss, seed, monkeypatch):
    monkeypatch.setattr("straightedge.solvers.hinge.blocks.subproblem.FIRST_MU", 1.2)
    X, y = problem(seed)
    for tol in (1e-2, 1e-3):
        solution = fitted(X, y, loss(), [1.0], tol, bias="free")
        assert solution.status == [Status.CERTIFIED]
        assert float(solution.n_passes[0]) < 100


def test_a_path_goes_on_only_where_reg_falls_in_one_fold() -> None:
    X, y = problem(5, n=60)
    whole = torch.ones(2, 60, dtype=torch.float64) / 60
    objective = Objective(
        Rows(X), y, 3, HingeLoss(), [1.0, 0.1, 0.01, 1.0], weights=whole, fold=torch.tensor([0, 0, 0, 1])
    )
    parts = [objective.select(torch.tensor([k])) for k in range(4)]
    solver = HingeALM()

    def goes_on(earlier: int, last: int, now: int) -> bool:
        solver.answers = [
            WarmStart(int(p.fold[0]), float(p.reg[0]), *[torch.empty(0)] * 3) for p in (parts[earlier], parts[last])
        ]
        return solver._goes_on(parts[now])

    assert goes_on(0, 1, 2)
    assert not goes_on(0, 1, 1)  # again, in float64
    assert not goes_on(0, 2, 1)
    assert not goes_on(1, 2, 3)


class Unread:
    """A row source: what reads rows from disk looks like this."""

    def __init__(self, X: np.ndarray) -> None:
        self.X, self.shape, self.dtype = X, X.shape, X.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return some rows."""
        return self.X[start:stop]


def on_its_way(loss: type[HingeLoss], steps: int) -> BlockSubproblem:
    """A fit of the augmented Lagrangian after a few steps."""
    X, y = problem(5, n=300, d=6, c=3)
    solver = HingeALM()
    solver.start(Objective(Rows(X), y, 3, loss(), [1e-3], dtype=torch.float64), None, torch.tensor([1e-3]))
    for _ in range(steps):
        solver.step()
    assert isinstance(solver.fit, BlockSubproblem)
    return solver.fit


@pytest.mark.parametrize("loss", LOSSES)
def test_dual_steps_solve_the_smoothed_problem(loss: type[HingeLoss]) -> None:
    fit = on_its_way(loss, steps=6)
    y = fit.objective.y
    former = fit.b

    def bound(b: Tensor) -> float:
        V = adjoint(fit.objective, fit.loss.to_scores(b.clone(), y), fit.weights)
        return float(fit.objective.dual_value(V[None], torch.tensor([fit.sum(b)[0]], dtype=torch.float64))[0])

    fit._solve_dual()
    best = fit.best.primal
    assert bound(fit.b) <= best
    assert best - bound(fit.b) <= max(0.5 * (best - bound(former)), 2 * fit.smoothing)


def test_a_metric_of_rows_with_curvature_keeps_half_of_what_it_was_and_is_restored_to_the_same_bits() -> None:
    X, y = problem(3, n=600, d=5, c=4)
    objective = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64)
    solver, data = HingeALM(), torch.cat([X, torch.ones(600, 1, dtype=torch.float64)], dim=1)
    solver.start(objective, None, torch.tensor([1e-3], dtype=torch.float64))
    solver.metric = metric = Metric(objective, torch.arange(300))
    metric.refit(objective, torch.arange(200, 500))  # 200 of them are new
    first, new = (rows.t() @ rows / len(rows) for rows in (data[:300], data[300:500]))
    torch.testing.assert_close(metric.moment, (first + new) / 2)
    again = HingeALM()
    again.restore(objective, solver.state(), solver.tols)
    assert again.metric is not None and torch.equal(again.metric.moment, metric.moment)
    metric.refit(objective, torch.arange(203, 503))  # three rows of six features: too few
    torch.testing.assert_close(metric.moment, data[203:503].t() @ data[203:503] / 300)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_dual_step_moves_the_same_rows_from_those_that_can_move_and_from_all(loss: type[HingeLoss]) -> None:
    fit = on_its_way(loss, steps=4)
    hessian = Hessian.at(fit.objective, fit.metric, fit.b, fit.control.mu, fit.weights, complete=True)
    assert hessian.rest is None and 0 < len(hessian.index) < 300
    direction = torch.randn(3, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / 5
    few = fit._moved(hessian, direction)
    hessian.rest = torch.zeros(3, 1)
    every = fit._moved(hessian, direction)
    assert not torch.equal(few, fit.b)
    torch.testing.assert_close(few, every, rtol=1e-12, atol=1e-14)


def test_a_path_takes_the_metric_from_the_rows_that_move_at_the_answer_before() -> None:
    X, y = problem(3, n=600, d=5, c=4)
    part = Objective(Rows(X), y, 4, HingeLoss(), [0.01], dtype=torch.float64)
    b = torch.ones(600, 1, 4, dtype=torch.float64)
    b[::3] = 0.5
    data = torch.cat([X, torch.ones(600, 1, dtype=torch.float64)], dim=1)
    empty, W = torch.empty(0), torch.zeros(4, 6)
    metric = HingeALM()._metric(part, WarmStart(0, 0.1, W, b, empty))
    assert metric.index is not None and metric.index.tolist() == list(range(0, 600, 3))
    torch.testing.assert_close(metric.moment, data[::3].t() @ data[::3] / 200)
    b[30:] = 1.0  # ten rows of six features: too few
    for last in (None, WarmStart(0, 0.1, W, b, empty)):
        metric = HingeALM()._metric(part, last)
        assert metric.index is None
        torch.testing.assert_close(metric.moment, data.t() @ data / 600)
