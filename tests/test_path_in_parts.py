"""A path by L-BFGS in parts: few values first, then those between them from a cubic along log reg."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier
from straightedge.fitting import FitSettings, build_objective
from straightedge.rows import Rows
from straightedge.selection import fit_path
from straightedge.solvers.base import Limits, minimize
from straightedge.solvers.lbfgs import WhitenedLBFGS
from straightedge.solvers.newton import Newton
from straightedge.solvers.path_in_parts import between, parts_of
from straightedge.status import Status

REGS = np.logspace(-1, -4, 10).tolist()


def drawn(N=3000, D=40, C=5):
    """Rows of classes that overlap, of unlike columns."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) * np.logspace(0, -2, D)
    return X, (X @ rng.standard_normal((D, C)) * 3 + rng.gumbel(size=(N, C))).argmax(axis=1)


@pytest.mark.parametrize("order", [1, -1])
def test_each_value_of_each_fold_is_in_one_part_and_the_ends_are_in_the_first(order):
    reg = torch.tensor([*REGS, *REGS][::order], dtype=torch.float64)
    fold = torch.tensor([0, 1]).repeat_interleave(10)
    parts = parts_of(reg, fold)
    assert sorted(torch.cat(parts).tolist()) == list(range(20))
    assert parts[0].tolist() == ([0, 8, 9, 10, 18, 19] if order > 0 else [0, 1, 9, 10, 11, 19])


@pytest.mark.parametrize(
    "reg", [REGS[:5], [*REGS[:5], 0.0], np.logspace(-1, -7, 10), [1e-2] * 10], ids=["few", "zero", "far", "same"]
)
def test_values_that_are_few_or_no_path_stay_together(reg):
    reg = torch.tensor(reg, dtype=torch.float64)
    assert parts_of(reg, torch.zeros(len(reg), dtype=torch.int64)) is None


def test_what_is_a_cubic_in_log_reg_is_found_exactly_in_its_own_fold():
    reg = torch.tensor([*REGS, *REGS], dtype=torch.float64)
    fold = torch.tensor([0, 1]).repeat_interleave(10)
    places = (reg.log() + fold)[:, None, None]
    W = torch.cat([places**3 - places, 2 * places**2 + fold[:, None, None]], dim=2)
    known = torch.tensor([19, 3, 0, 7, 9, 12, 15, 10])
    wanted = torch.tensor([2, 17, 8])
    assert torch.allclose(between(reg, fold, wanted, known, W), W[wanted], rtol=1e-9)


def test_a_path_in_parts_has_the_answers_of_single_fits_in_fewer_passes_than_all_at_once():
    X, y = drawn()
    asked = {"solver": "lbfgs", "tol": 1e-5}
    path = fit_path(X, y, REGS, **asked)
    together = fit_path(X, y, REGS, **asked, max_seconds=1e6)  # in a given time each has its share
    assert path.status == together.status == ["certified"] * 10
    assert path.reg == REGS
    single = [LinearClassifier(reg=reg, **asked).fit(X, y) for reg in REGS[::3]]
    assert np.allclose(path.objective[::3], [one.objective_ for one in single], rtol=2e-5)
    assert path.solution.n_passes.sum() < 0.75 * together.solution.n_passes.sum()


def path_objective():
    X, y = drawn(500)
    asked = FitSettings(tol=1e-5, solver="lbfgs", workers=1)
    return build_objective(Rows(X), torch.from_numpy(y), 5, REGS, asked)


def test_a_path_that_is_watched_and_kept_has_the_same_bits_from_wherever_it_goes_on():
    limits, saved, rows = Limits(1e-5), [], []
    kept = minimize(
        path_objective(),
        WhitenedLBFGS(),
        limits,
        callbacks=[rows.append],
        checkpoint=lambda loop: saved.append(loop.state()),
    )
    alone = minimize(path_objective(), WhitenedLBFGS(), limits)
    assert torch.equal(kept.W, alone.W)
    assert {row["reg"] for row in rows[:3]} == {REGS[0], REGS[8], REGS[9]}
    for state in saved[::5]:
        resumed = minimize(path_objective(), WhitenedLBFGS(), limits, resume=state)
        assert torch.equal(resumed.W, kept.W)
        assert torch.equal(resumed.n_passes, kept.n_passes)


def test_another_solver_goes_on_with_all_that_are_left():
    saved = []
    limits = Limits(1e-5)
    minimize(path_objective(), WhitenedLBFGS(), limits, checkpoint=lambda loop: saved.append(loop.state()))
    resumed = minimize(path_objective(), Newton(), limits, resume=saved[3])
    assert resumed.status == [Status.CERTIFIED] * 10


def test_a_turn_stopped_before_its_first_point_begins_there(monkeypatch):
    expected = minimize(path_objective(), WhitenedLBFGS(), Limits(1e-5))
    starts, start, saved = [], WhitenedLBFGS.start, []

    def stopped(self, *given):
        starts.append(self)
        if len(starts) == 2:
            raise KeyboardInterrupt
        return start(self, *given)

    monkeypatch.setattr(WhitenedLBFGS, "start", stopped)
    limits = Limits(1e-5)
    minimize(path_objective(), WhitenedLBFGS(), limits, checkpoint=lambda loop: saved.append(loop.state()))
    resumed = minimize(path_objective(), WhitenedLBFGS(), limits, resume=saved[-1])
    assert torch.equal(resumed.W, expected.W)


def test_after_a_ctrl_c_no_further_part_is_begun(monkeypatch):
    X, y = drawn(500)
    steps, step = [], WhitenedLBFGS.step

    def interrupted(self):
        steps.append(self)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(WhitenedLBFGS, "step", interrupted)
    path = fit_path(X, y, REGS, solver="lbfgs", tol=1e-8)
    assert len(steps) == 3
    assert set(path.solution.status) == {Status.INTERRUPTED}
    assert np.all(path.dual <= path.objective)
    assert np.isfinite(path.objective).all()
