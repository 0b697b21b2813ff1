"""Paths of many rows of few columns: each value from the answers before, with a Hessian that serves several."""

from __future__ import annotations

import numpy as np
import pytest

from straightedge import LinearClassifier
from straightedge.newton import tall
from straightedge.selection import fit_path
from straightedge.solvers import newton

REGS = np.logspace(-1, -5, 13).tolist()


def drawn(N=20_000, D=8, C=12, dtype=np.float64):
    """Rows of classes that overlap, drawn from a softmax."""
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((N, D)).astype(dtype), rng.standard_normal((D, C))
    return X, (X @ W + rng.gumbel(size=(N, C))).argmax(axis=1)


@pytest.fixture
def hessians(monkeypatch):
    """The regs at which a path makes a Hessian."""
    made, renew = [], tall.TallPath._renew

    def counted(self, problem, W):
        made.append(problem.reg)
        renew(self, problem, W)

    monkeypatch.setattr(tall.TallPath, "_renew", counted)
    return made


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_a_tall_path_has_the_answers_of_single_fits_in_fewer_passes(dtype, preprocess, hessians):
    X, y = drawn()
    X = ((X + 5) * 20).astype(dtype) if dtype == np.uint8 else X.astype(dtype)
    regs = [reg * 1000 for reg in REGS] if dtype == np.uint8 and preprocess == "none" else REGS
    path = fit_path(X, y, regs, tol=1e-5, preprocess=preprocess)
    assert path.status == ["certified"] * len(regs)
    assert 1 <= len(hessians) <= len(regs)
    single = [LinearClassifier(reg=reg, tol=1e-5, preprocess=preprocess).fit(X, y) for reg in regs[::6]]
    assert np.allclose(path.objective[::6], [one.objective_ for one in single], rtol=2e-5)
    assert path.solution.n_passes.mean() <= 6
    assert [row["iteration"] for row in path.solution.trace] == list(range(1, len(path.solution.trace) + 1))


def test_a_hessian_serves_several_values_and_answers_before_lead_on(hessians):
    X, y = drawn(C=26, D=16)
    path = fit_path(X, y, REGS, tol=1e-4)
    assert path.status == ["certified"] * len(REGS)
    assert len(hessians) <= len(REGS) / 2
    assert path.solution.n_passes.mean() <= 5


def test_values_that_are_far_apart_begin_at_a_sample_each(hessians):
    X, y = drawn(C=26, D=16)
    regs = [1e-5, 1e-1, 1e-3]
    path = fit_path(X, y, regs, tol=1e-6)
    assert path.status == ["certified"] * 3
    assert hessians == sorted(regs, reverse=True)


def test_equal_values_of_reg_have_the_same_answer():
    X, y = drawn()
    path = fit_path(X, y, [1e-3, 1e-2, 1e-3], tol=1e-6)
    assert path.status == ["certified"] * 3
    assert path.objective[0] == pytest.approx(path.objective[2], rel=1e-6)


@pytest.mark.parametrize("at", [1, 2, 7])
def test_an_interrupted_tall_path_keeps_what_it_has(at, monkeypatch):
    X, y = drawn()
    passes = []

    def check():
        passes.append(1)
        if len(passes) == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(newton, "_check", check)
    path = fit_path(X, y, REGS, tol=1e-4)
    assert path.status[-1] == "interrupted"
    assert np.all(np.isfinite(path.objective)) and np.all(path.dual <= path.objective)
    assert (path.status[0] == "certified") == (at == 7)


def test_weighted_rows_go_the_other_way(monkeypatch):
    monkeypatch.setattr(tall.TallPath, "answer", lambda *_: pytest.fail("rows are weighted"))
    X, y = drawn()
    assert fit_path(X, y, [1e-2], sample_weight=1.0 + (y > 3)).status == ["certified"]


def test_where_passes_are_too_few_the_loop_goes_on():
    X, y = drawn()
    path = fit_path(X, y, [1e-2, 1e-5], tol=1e-9, max_passes=4)
    assert set(path.status) <= {"max_passes", "certified"} and "max_passes" in path.status
