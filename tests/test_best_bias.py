"""A pass at the best free bias: the minimum over the bias, the gradient of the rest, and a bound."""

import numpy as np
import pytest
import torch

from straightedge.losses import LOSSES
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.best_bias import BestBias

N, D, C, TOL = 300, 5, 4, 1e-6
LIKELY = ("softmax", "one_vs_rest_logistic")


def problem(loss: str, *, weighted: bool = False) -> Objective:
    draw = np.random.default_rng(3)
    y = draw.integers(0, C, N)
    X = draw.normal(size=(N, D)) + 2 * draw.normal(size=(C, D))[y]
    weights = torch.from_numpy(draw.uniform(0.5, 2, N)) if weighted else None
    rows, labels = Rows(torch.from_numpy(X)), torch.from_numpy(y)
    kind = LOSSES[loss]
    return Objective(rows, labels, C, kind, [1e-3], weights=weights, bias="free", dtype=torch.float64)


def some_weights(seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.from_numpy(np.random.default_rng(seed).normal(size=(1, C, D + 1)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LIKELY)
def test_the_bias_is_at_its_minimum_and_all_else_is_what_a_pass_finds_there(loss, weighted):
    objective = problem(loss, weighted=weighted)
    best = BestBias.of(objective, TOL)
    assert best is not None
    W, found = best.at(some_weights(1))
    assert torch.equal(W[..., :-1], some_weights(1)[..., :-1])
    plain = objective.evaluate(W)
    assert float(plain.gradient[..., -1].abs().max()) < TOL
    assert torch.allclose(found.objective, plain.objective, rtol=1e-12)
    assert torch.allclose(found.V, plain.V, atol=1e-12)
    assert torch.allclose(found.gradient[..., :-1], plain.gradient[..., :-1], atol=1e-12)
    assert not found.gradient[..., -1].any()


@pytest.mark.parametrize("loss", LIKELY)
def test_the_bias_is_found_from_far_away(loss):
    best = BestBias.of(problem(loss), TOL)
    assert best is not None
    start = some_weights(2)
    near = best.at(start)[0]
    start[0, :, -1] += torch.tensor([12.0, -9.0, 4.0, -7.0])
    far = best.at(start)[0]
    assert torch.allclose(*(W[0, :, -1] - W[0, :, -1].mean() for W in (near, far)), atol=1e-5)


@pytest.mark.parametrize("loss", LIKELY)
def test_the_start_is_w_0_with_its_best_bias_and_costs_no_pass(loss, monkeypatch):
    objective = problem(loss, weighted=True)
    best = BestBias.of(objective, TOL)
    assert best is not None
    plain = objective.evaluate(best.at_zero()[0])
    monkeypatch.setattr(type(objective.design), "scores", None)
    W, found = best.at_zero()
    assert not W[..., :-1].any()
    assert float(plain.gradient[..., -1].abs().max()) < 1e-12
    assert torch.allclose(found.objective, plain.objective, rtol=1e-12)
    assert torch.allclose(found.V, plain.V, atol=1e-12)


@pytest.mark.parametrize("loss", LIKELY)
def test_the_gap_is_a_bound_of_what_is_above_the_optimum(loss):
    best = BestBias.of(problem(loss), TOL)
    assert best is not None
    points = [best.at(some_weights(seed, scale))[1] for seed, scale in ((1, 0.1), (2, 0.3), (3, 1.0), (4, 0.01))]
    least = min(float(found.objective) for found in points)
    assert all(float(found.dual) <= least for found in points)
    assert all(float(found.objective - found.dual) == pytest.approx(float(found.gap)) for found in points)


def test_there_is_none_where_a_class_has_no_rows_or_the_bias_is_penalised():
    objective = problem("softmax")
    lacking = objective.for_labels(objective.y.clamp_max(C - 2))
    assert BestBias.of(lacking, TOL) is None
    penalised = Objective(objective.rows, objective.y, C, objective.loss, [1e-3], dtype=torch.float64)
    assert BestBias.of(penalised, TOL) is None
    assert BestBias.of(problem("squared_hinge"), TOL) is None
