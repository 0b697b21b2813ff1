"""A pass at the best bias: the minimum over the bias, the gradient of the rest, and a bound."""

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier
from straightedge.losses import LOSSES
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.best_bias import LEAST_WIDTH, BestBias

N, D, C, TOL = 300, 5, 4, 1e-6
LIKELY = ("softmax", "one_vs_rest_logistic")


def problem(loss: str, *, weighted: bool = False, width: int = D, bias: str = "free") -> Objective:
    draw = np.random.default_rng(3)
    y = draw.integers(0, C, N)
    X = draw.normal(size=(N, width)) + 2 * draw.normal(size=(C, width))[y]
    weights = torch.from_numpy(draw.uniform(0.5, 2, N)) if weighted else None
    rows, labels = Rows(torch.from_numpy(X)), torch.from_numpy(y)
    kind = LOSSES[loss]
    return Objective(rows, labels, C, kind, [1e-3], weights=weights, bias=bias, dtype=torch.float64)


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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LIKELY)
def test_a_penalised_bias_of_long_rows_is_at_its_minimum_too(loss, weighted):
    objective = problem(loss, weighted=weighted, width=LEAST_WIDTH, bias="penalized")
    best = BestBias.of(objective, TOL)
    assert best is not None
    W = torch.zeros(objective.shape, dtype=torch.float64)
    W[..., :-1] = 0.01 * torch.from_numpy(np.random.default_rng(1).normal(size=(1, C, LEAST_WIDTH)))
    W[0, :, -1] = torch.tensor([3.0, -2.0, 1.0, -4.0])
    moved, found = best.at(W)
    plain = objective.evaluate(moved)
    assert torch.equal(moved[..., :-1], W[..., :-1])
    left = plain.gradient[..., -1]
    assert float((left * left / (4 * objective.reg)).sum()) <= 0.01 * TOL * float(plain.objective)
    assert torch.allclose(found.objective, plain.objective, rtol=1e-12)
    assert torch.allclose(found.gradient, plain.gradient, atol=1e-12)
    assert torch.allclose(found.gap, plain.gap, rtol=1e-9)


def test_long_rows_of_classes_that_differ_take_fewer_passes_with_the_best_penalised_bias(monkeypatch):
    draw = np.random.default_rng(0)
    X = draw.normal(size=(2000, LEAST_WIDTH)) * np.arange(1, LEAST_WIDTH + 1) ** -0.5
    y = np.minimum(draw.geometric(0.2, 2000) - 1, 19)
    options = {"loss": "softmax", "reg": 1e-5, "preprocess": "none", "solver": "lbfgs"}
    quick = LinearClassifier(**options).fit(X, y)
    monkeypatch.setattr(BestBias, "of", lambda *_: None)
    slow = LinearClassifier(**options).fit(X, y)
    assert quick.status_ == slow.status_ == "certified"
    assert quick.trace_[-1]["n_passes"] <= 0.9 * slow.trace_[-1]["n_passes"]


def test_there_is_none_where_a_class_has_no_rows_or_few_entries_a_row_and_a_penalised_bias():
    objective = problem("softmax")
    lacking = objective.for_labels(objective.y.clamp_max(C - 2))
    assert BestBias.of(lacking, TOL) is None
    penalised = Objective(objective.rows, objective.y, C, objective.loss, [1e-3], dtype=torch.float64)
    assert BestBias.of(penalised, TOL) is None
    assert BestBias.of(problem("squared_hinge"), TOL) is None
