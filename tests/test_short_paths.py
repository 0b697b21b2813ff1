"""Paths of small tables go without the loop: the same answers, proven, as with it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine

from straightedge import LinearClassifier
from straightedge.newton.engine import Engine
from straightedge.selection import fit_path

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


def test_two_classes_and_more_features_than_rows_are_proven_on_the_rows():
    X, y = load_digits(return_X_y=True)
    X, y = X[y < 2][:30] / 16, y[y < 2][:30]
    path = fit_path(X, y, REGS, tol=1e-8, preprocess="standardize")
    alone = [LinearClassifier(reg=reg, tol=1e-8, preprocess="standardize").fit(X, y) for reg in REGS]
    assert path.status == ["certified"] * 4
    assert np.allclose(path.objective, [one.objective_ for one in alone], rtol=1e-8)


def test_an_interrupted_path_keeps_what_it_has(monkeypatch):
    X, y = load_digits(return_X_y=True)
    step, reached = Engine.step, []

    def interrupted(engine):
        reached.append(engine)
        if len(reached) == 3:
            raise KeyboardInterrupt
        return step(engine)

    monkeypatch.setattr(Engine, "step", interrupted)
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
