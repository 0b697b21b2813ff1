"""Which hinges of dense rows go by the dual problems of compressed rows, and that their answers are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.rows import Rows
from straightedge.solvers.base import Limits, minimize
from straightedge.solvers.sparse import SparseDualAscent, dense_rows
from straightedge.solvers.sparse.solver import LEAD


@pytest.fixture
def many_weights(monkeypatch):
    """Let 25 classes of 12 features be as many weights as Newton steps are no way for."""
    monkeypatch.setattr(dense_rows, "FEW_WEIGHTS", 300)


def dense_problem(reg, loss="crammer_singer", n_classes=25, bias="penalized"):
    """Dense rows of 12 features; ρ = mean ‖x̂‖²/(2 reg N) is about 0.016/reg."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 12)), torch.arange(400) % n_classes
    asked = FitSettings(loss=loss, tol=1e-4, solver="sparse_dual_ascent", bias=bias)
    return build_objective(Rows(X), y, n_classes, [reg], asked), asked


def test_many_classes_go_this_way_where_rows_hardly_disturb_one_another():
    objective, asked = dense_problem(0.4)
    alone, other = solve(objective, asked), solve(objective, replace(asked, solver="hinge_alm"))
    assert alone.status[0].value == other.status[0].value == "certified"
    assert float(other.dual[0]) <= float(alone.objective[0])
    assert float(alone.dual[0]) <= float(other.objective[0])


@pytest.mark.parametrize(
    "other",
    [
        {"reg": 0.05},
        {"loss": "svm"},
        {"loss": "svm", "reg": 4e-3},
        {"loss": "svm", "reg": 4e-3, "n_classes": 5},
        {"bias": "free"},
    ],
)
def test_other_hinges_do_not(other):
    assert SparseDualAscent.supports(dense_problem(**{"reg": 0.4} | other)[0]) == "needs sparse rows"
    assert SparseDualAscent.supports(dense_problem(0.4)[0]) is None


def test_weston_and_watkins_hinge_of_very_many_classes_does_where_their_biases_are_free(monkeypatch):
    monkeypatch.setattr(dense_rows, "MANY_BIASES", 25)
    objective, asked = dense_problem(0.4, "svm", bias="free")
    alone, other = solve(objective, asked), solve(objective, replace(asked, solver="semismooth_newton"))
    assert alone.status[0].value == other.status[0].value == "certified"
    assert float(other.dual[0]) <= float(alone.objective[0])
    assert float(alone.dual[0]) <= float(other.objective[0])
    assert SparseDualAscent.supports(dense_problem(0.4, "svm")[0]) == "needs sparse rows"


@pytest.mark.usefixtures("many_weights")
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_weston_and_watkins_hinge_of_strongly_coupled_rows_begins_at_the_lagrangian(bias):
    objective, asked = dense_problem(4e-3, "svm", bias=bias)  # ρ is 4
    solver = SparseDualAscent()
    found = minimize(objective, solver, Limits(1e-4))
    other = solve(objective, replace(asked, solver="semismooth_newton"))
    assert found.status[0].value == other.status[0].value == "certified"
    assert float(other.dual[0]) <= float(found.objective[0])
    assert float(found.dual[0]) <= float(other.objective[0])
    led = [row for row in found.trace if row["n_passes"] < LEAD]
    assert led and all(row["dual"] == 0 for row in led)  # float32's bounds are not taken
    assert led[-1]["objective"] < led[0]["objective"]
    assert solver.lead is None


@pytest.mark.usefixtures("many_weights")
def test_a_fit_that_ends_while_the_lagrangian_leads_is_proven():
    objective, _ = dense_problem(4e-3, "svm")
    found = minimize(objective, SparseDualAscent(), Limits(1e-4, max_passes=10))
    exact = objective.in_dtype(torch.float64).evaluate(found.W).objective
    assert found.status[0].value == "max_passes"
    assert float(found.objective[0]) == pytest.approx(float(exact[0]), rel=1e-12)


@pytest.mark.usefixtures("many_weights")
def test_a_fit_that_is_resumed_while_the_lagrangian_leads_ends_with_the_same_bits():
    objective, _ = dense_problem(4e-3, "svm")
    states: list[dict[str, torch.Tensor]] = []
    whole = minimize(
        objective, SparseDualAscent(), Limits(1e-4), checkpoint=lambda loop: states.append(loop.state())
    )
    early, late = states[3], states[-3]
    assert any(".lead." in name for name in early) and not any(".lead." in name for name in late)
    for state in (early, late):
        again = minimize(objective, SparseDualAscent(), Limits(1e-4), resume=state)
        assert torch.equal(again.W, whole.W) and torch.equal(again.dual, whole.dual)
