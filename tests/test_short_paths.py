"""Paths of small tables go without the loop: the same answers, proven, as with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine

from straightedge import LinearClassifier
from straightedge.losses import get_loss
from straightedge.newton.engine import Engine
from straightedge.selection import fit_path
from straightedge.solvers.hinge.gathered.ascent import Ascent
from straightedge.solvers.hinge.gathered.descent import Descent
from straightedge.solvers.hinge.gathered.layout import Gathered, Layout
from straightedge.solvers.hinge.gathered.spaces import FeatureSpace
from straightedge.solvers.hinge.gathered.subproblem import Subproblem

REGS = [1e-2, 1e-4, 1e-1, 1e-3]


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize("load", [load_wine, load_digits])
def test_a_path_without_the_loop_is_the_path_of_the_loop(load, loss):
    X, y = load(return_X_y=True)
    X = X / X.max(axis=0).clip(1)
    seen = []
    short = fit_path(X, y, REGS, loss=loss, tol=1e-6)
    long = fit_path(X, y, REGS, loss=loss, tol=1e-6, callbacks=[seen.append])
    assert short.status == ["certified"] * 4
    assert np.all(np.abs(short.objective / long.objective - 1) < 1e-6)
    assert np.all(short.dual <= long.objective)
    rows = short.solution.trace
    assert rows[0].keys() == seen[0].keys()
    assert {row["reg"] for row in rows} == set(REGS)
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))


def test_steps_of_a_value_go_together():
    X, y = load_digits(return_X_y=True)
    rows = fit_path(X, y, np.logspace(-1, -6, 8).tolist(), tol=1e-6).solution.trace
    assert len(rows) <= 2 * 8, "a start and an end of each value, nothing between"


def test_two_classes_and_more_features_than_rows_are_proven_on_the_rows():
    X, y = load_digits(return_X_y=True)
    X, y = X[y < 2][:30] / 16, y[y < 2][:30]
    path = fit_path(X, y, REGS, tol=1e-8, preprocess="standardize")
    alone = [LinearClassifier(reg=reg, tol=1e-8, preprocess="standardize").fit(X, y) for reg in REGS]
    assert path.status == ["certified"] * 4
    assert np.allclose(path.objective, [one.objective_ for one in alone], rtol=1e-8)


def interrupted_at(count, kind, name, monkeypatch):
    """Have the so-many-th call of a method end in Ctrl-C; return a list that has an entry for each call."""
    method, reached = getattr(kind, name), []

    def interrupted(self, *arguments):
        reached.append(self)
        if len(reached) == count:
            raise KeyboardInterrupt
        return method(self, *arguments)

    monkeypatch.setattr(kind, name, interrupted)
    return reached


def test_an_interrupted_path_keeps_what_it_has(monkeypatch):
    X, y = load_digits(return_X_y=True)
    reached = interrupted_at(3, Engine, "step", monkeypatch)
    path = fit_path(X / 16, y, [1e-1, 1e-2, 1e-3, 1e-4], tol=1e-3)
    assert path.status[0] == "certified"
    assert path.status[-1] == "interrupted"
    assert len(reached) == 3
    assert np.all(np.isfinite(path.gap))


def test_a_path_obeys_its_limit_of_passes():
    X, y = load_digits(return_X_y=True)
    path = fit_path(X / 16, y, [1e-4, 1e-6], tol=1e-10, max_passes=10)
    assert set(path.status) == {"max_passes"}
    assert np.all(path.gap > 1e-10)


@pytest.mark.parametrize("loss", ["svm", "crammer_singer", "one_vs_rest"])
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("load", [load_iris, load_digits])
def test_a_hinge_path_without_the_loop_is_the_path_of_the_loop(load, loss, bias):
    X, y = load(return_X_y=True)
    X = X / X.max(axis=0).clip(1)
    asked = {"loss": loss, "tol": 1e-4, "bias": bias, "sample_weight": 1 + (y % 2)}
    short, long = fit_path(X, y, REGS, **asked), fit_path(X, y, REGS, callbacks=[lambda row: None], **asked)
    assert short.status == ["certified"] * 4
    assert np.all(np.abs(short.objective / long.objective - 1) < 1e-4)
    assert np.all(short.dual <= long.objective)
    assert short.solution.trace[0].keys() == long.solution.trace[0].keys()


def test_rows_with_repeated_values_of_reg_and_fewer_rows_than_features_have_a_hinge_path():
    X, y = load_digits(return_X_y=True)
    X, y = X[:40] / 16, y[:40]
    path = fit_path(X, y, [1e-2, 1e-4, 1e-2], loss="svm", tol=1e-5)
    alone = [LinearClassifier("svm", reg=reg, tol=1e-5).fit(X, y) for reg in path.reg]
    assert path.status == ["certified"] * 3
    assert np.allclose(path.objective, [one.objective_ for one in alone], rtol=1e-5)
    assert np.allclose(path.coef[0], path.coef[2], atol=1e-2)


def steps_to_the_end(descent):
    steps = 0
    while not descent.is_done:
        descent.advance()
        steps += 1
    return steps


def digits_problem(curvature):
    X, y = load_digits(return_X_y=True)
    rows = Gathered(np.arange(len(y)), X, y, np.full(len(y), 1 / len(y)), FeatureSpace(X / 16))
    return Layout(get_loss("svm"), 10, curvature).problems(rows)[0]


def test_a_jump_finds_the_free_entries_of_the_answer_at_another_reg():
    cold = Descent.begin(digits_problem(2e-3), 1e-6, None)
    steps_to_the_end(cold)
    assert steps_to_the_end(Descent.after(digits_problem(1.9e-3), 1e-6, cold.left())) <= 15


def test_where_epochs_were_enough_the_next_reg_begins_with_epochs():
    cold = Descent.begin(digits_problem(0.02), 1e-3, None)
    steps = steps_to_the_end(cold)
    near = Descent.after(digits_problem(0.01), 1e-3, cold.left())
    assert isinstance(cold.stage, Ascent) and isinstance(near.stage, Ascent)
    assert steps_to_the_end(near) <= steps + 2
    assert isinstance(near.stage, Ascent)


@pytest.mark.parametrize("callbacks", [[], [lambda row: None]], ids=["without the loop", "with it"])
@pytest.mark.parametrize("n", [60, 300], ids=["wide", "tall"])
@pytest.mark.parametrize("loss", ["svm", "one_vs_rest"])
def test_where_rows_are_separated_one_answer_is_that_of_every_smaller_reg(loss, n, callbacks):
    X, y = load_digits(return_X_y=True)
    reg = [1e-3, 1e-6, 1e-8, 1e-10, 1e-12]
    path = fit_path(X[:n] / 16, y[:n], reg, loss=loss, tol=1e-4, callbacks=callbacks)
    assert path.status == ["certified"] * 5
    passes = path.solution.n_passes.numpy()
    assert np.all(passes[3:] <= 5) and passes[0] > 5


def test_epochs_from_a_neighbours_answer_soon_make_way_for_newton_steps():
    problem, near = digits_problem(1e-4), Descent.begin(digits_problem(2e-4), 1e-3, None)
    steps_to_the_end(near)
    following, cold = Descent.after(problem, 1e-3, near.left()), Descent.begin(problem, 1e-3, None)
    for one in (following, cold):
        steps_to_the_end(one)
    assert following.epochs_work < 0.5 * cold.epochs_work
    assert abs(following.bounds.primal / cold.bounds.primal - 1) < 1e-3


def test_where_newton_steps_are_dear_the_next_reg_begins_with_epochs_again():
    cold = Descent.begin(digits_problem(2e-4), 1e-3, None)
    steps_to_the_end(cold)
    left = cold.left()
    assert left.mu > 0 and 0 < left.epochs_work < np.inf
    steps = [Descent.after(digits_problem(1e-4), 1e-3, replace(left, epochs_work=work)) for work in (0.0, 1e30)]
    assert [isinstance(one.stage, Ascent) for one in steps] == [True, False]


def test_the_answer_of_separated_rows_is_taken_further_where_others_follow():
    apart, overlapping = (Descent.begin(digits_problem(reg), 1e-2, None) for reg in (2e-6, 2e-4))
    for descent in (apart, overlapping):
        steps_to_the_end(descent)
    assert overlapping.lasting() == 0
    asked, former = apart.tol, apart.bounds.gap
    apart.lasting()
    assert apart.bounds.gap <= min(former, 0.03 * asked) and apart.tol == asked


def test_an_interrupted_hinge_path_keeps_what_it_has(monkeypatch):
    X, y = load_digits(return_X_y=True)
    reached = interrupted_at(40, Subproblem, "_step", monkeypatch)
    path = fit_path(X / 16, y, [1e-1, 1e-2, 1e-3, 1e-4, 1e-5], loss="svm", tol=1e-3)
    assert path.status[0] == "certified"
    assert path.status[-1] == "interrupted"
    assert len(reached) == 40
    assert np.all(path.dual <= path.objective)
