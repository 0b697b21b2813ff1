"""``fit SOURCE`` without ``--reg``: how reg is chosen, what is said of it, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier, LinearClassifierCV
from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.fitting import FitSettings
from straightedge.selection import automatic
from straightedge.selection.automatic import FEW_ROWS, FEW_SHOT_VALUES, MANY_FOLDED, VALUES, is_past_the_best
from straightedge.selection.path import default_grid
from straightedge.splits import NEVER, fold_of_rows, hold_out
from straightedge.training import TrainingRows
from straightedge.workflow import FitOptions, run_fit
from straightedge.workflow.automatic import decided, path_settings, scored_by_folds


def dataset(n: int, *, validation: bool = False, classes: int = 2) -> Dataset:
    X, y = np.zeros((n, 2), np.float32), np.arange(n) % classes
    own = Split(X[:4], y[:4]) if validation else None
    return Dataset("rows", tuple(map(str, range(classes))), Split(X, y), own, SealedSplit(Split(X, y)))


def options(**given: object) -> FitOptions:
    return FitOptions("rows", "out", **given)  # type: ignore[arg-type]


def test_folds_choose_where_rows_are_few_and_a_held_out_tenth_where_they_are_many() -> None:
    few = decided(options(), dataset(FEW_ROWS))
    assert (few.split.folds, few.choice.one_standard_error) == (3, True)
    assert decided(options(), dataset(MANY_FOLDED - 1)).split.folds == 5
    assert decided(options(), dataset(FEW_ROWS + 1)).split.folds is None
    assert decided(options(), dataset(100, validation=True)).split.folds is None
    assert decided(options(), dataset(3)).split.folds == 2  # a class of one row is held out by no fold
    assert decided(options(), dataset(2)).split.folds is None


@pytest.mark.parametrize(
    "given",
    [{"reg": 0.1}, {"path": True}, {"regs": [0.1, 1.0]}, {"folds": 3}, {"protocol": "clip"}, {"solver": "sgd"}],
    ids=lambda given: next(iter(given)),
)
def test_what_was_asked_for_is_left_as_it_is(given: dict[str, object]) -> None:
    asked = options(**given)
    assert decided(asked, dataset(100)) == asked


def test_the_chosen_value_is_fitted_to_the_usual_gap_and_compared_ones_are_not() -> None:
    assert options().settings().tol == 1e-4
    assert path_settings(options(), FitSettings(tol=1e-4)).tol == 1e-3
    assert path_settings(options(path=True), FitSettings(tol=1e-4)).tol == 1e-4


def test_scores_of_few_rows_a_class_are_means_over_two_deals_of_folds() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    X = (np.eye(3)[y] + 0.3 * rng.normal(size=(24, 3))).astype(np.float64)
    training = TrainingRows(X, y, 3, FitSettings(tol=1e-6))
    asked = replace(options(), folds=4)
    found = scored_by_folds(training, asked, [0.1], partial(fold_of_rows, y), memory=float("inf"), solve=_solve)
    deals = []
    for deal in range(2):
        fold, scores = fold_of_rows(y, 4, deal), torch.zeros(24, 3, dtype=torch.float64)
        for k in range(4):
            part = training.part(np.flatnonzero(fold != k))
            W = _solve(part.objective([0.1]), training.settings).W
            scores[fold == k] = part.scores(W, None, np.flatnonzero(fold == k))[:, 0].double()
        deals.append(scores)
    assert torch.allclose(found.scores[:, 0].double(), torch.stack(deals).mean(dim=0), atol=1e-4)
    assert len(found.fits) == 8


def _solve(objective, settings, **given):  # type: ignore[no-untyped-def]
    from straightedge.fitting import solve

    return solve(objective, settings, **given)


def test_a_fit_without_reg_says_how_it_was_chosen(tmp_path: Path) -> None:
    result = run_fit(FitOptions("digits", str(tmp_path / "run"), progress=False, suspects=False))
    chosen = result["selection"]
    assert chosen["splits"] == "3 folds"
    assert chosen["n_values"] == len(result["path"]) == VALUES
    assert chosen["rule"].startswith("the largest reg within one standard error")
    assert result["reg"] == chosen["chosen_reg"]
    assert result["gap"] <= 1e-4
    assert result["status"] == "certified"
    assert result["test"]["accuracy"] > 0.95


EDGE = pytest.mark.filterwarnings("ignore:.*choice-at-the-edge")  # noise alone wants the largest reg


def _right_out_of_fold(X: np.ndarray, y: np.ndarray, fold: np.ndarray, reg: float) -> np.ndarray:
    return np.concatenate(
        [
            LinearClassifier(reg=reg).fit(X[fold != k], y[fold != k]).predict(X[fold == k]) == y[fold == k]
            for k in range(fold.max() + 1)
        ]
    )


@EDGE
@pytest.mark.parametrize("n", [300, FEW_ROWS + 100])
def test_the_estimator_chooses_as_the_command_does(n: int) -> None:
    rng = np.random.default_rng(1)
    y = np.arange(n) % 3
    X = np.eye(3)[y] + 0.5 * rng.normal(size=(n, 3))
    found = LinearClassifierCV().fit(X, y)
    fold = fold_of_rows(y, 5) if n <= FEW_ROWS else np.where(np.isin(np.arange(n), hold_out(y)[1]), 0, NEVER)
    assert len(found.regs_) == VALUES
    right = np.array([_right_out_of_fold(X, y, fold, reg) for reg in found.regs_])
    assert found.scores_ == pytest.approx(right.mean(axis=1), abs=0.01)  # of fits at a rougher gap
    best = found.scores_.max()
    lost = right[found.scores_.argmax()].astype(float) - right
    error = lost.std(axis=1) / lost.shape[1] ** 0.5 + 0.005 if n <= FEW_ROWS else 0.0
    near = found.scores_ >= best - error
    assert near[found.regs_.index(found.reg_)]
    assert found.gap_ <= 1e-3


@EDGE
def test_few_rows_a_class_are_dealt_twice_and_few_rows_are_never_judged_by_their_own_fit() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(40) % 4
    X = rng.normal(size=(40, 60))  # noise: a fit of a row's own label would be right
    found = LinearClassifierCV().fit(X, y)
    assert len(found.regs_) == FEW_SHOT_VALUES
    assert found.scores_.max() < 0.6 < found.score(X, y)


@EDGE
def test_smaller_values_are_left_out_once_the_first_fold_is_past_the_best() -> None:
    rng = np.random.default_rng(3)
    y = np.arange(900) % 2
    X = rng.normal(size=(900, 300)) + 0.1 * y[:, None]  # many weak columns: a small reg fits the noise
    found = LinearClassifierCV().fit(X, y)
    every = LinearClassifierCV(regs=default_grid(float((X**2).sum(axis=1).mean()) + 1, VALUES), tol=1e-2).fit(X, y)
    assert len(found.regs_) < len(every.regs_)
    assert found.reg_ == pytest.approx(every.reg_)
    assert found.scores_ == pytest.approx(every.scores_[: len(found.scores_)], abs=0.01)


@pytest.mark.parametrize(
    ("right", "log_odds", "past"),
    [
        ([60, 70, 80], [1, 1, 1], False),  # still rising
        ([60, 80, 79], [1, 1, 1.3], False),  # fallen once, and the log loss has not risen
        ([60, 80, 70], [1, 1, 9], True),  # fallen once, and the log loss has risen
        ([60, 80, 90], [1, 1, 9], False),  # the log loss has risen, and more rows are right
        ([80, 70, 80], [1, 1, 1], True),  # two values without more rows right
    ],
)
def test_values_are_past_the_best_when_fewer_rows_are_right(
    right: list[int], log_odds: list[float], past: bool
) -> None:
    signs = torch.tensor([[1.0] * n + [-1.0] * (100 - n) for n in right]).T
    margins = signs * torch.tensor(log_odds)
    scores = torch.stack([torch.zeros(100, 3), margins], dim=2)
    assert is_past_the_best(scores, torch.ones(100, dtype=torch.int64)) is past


@EDGE
def test_values_tried_later_are_those_of_all_values_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    y = np.arange(60) % 3
    X = np.eye(3)[y] @ rng.normal(size=(3, 20)) + rng.normal(size=(60, 20))
    training, deals = (TrainingRows(X, y, 3, FitSettings(tol=1e-8)), [fold_of_rows(y, 3, deal) for deal in (0, 1)])
    monkeypatch.setattr(automatic, "WORTH_STOPPING", 0)
    monkeypatch.setattr(automatic, "is_past_the_best", lambda scores, y: scores.shape[1] == 5)
    found = automatic.scored_while_better(training, [1, 0.3, 0.1, 0.03, 0.01, 0.003], deals, may_stop=True)
    every = automatic.scored_while_better(training, [1, 0.3, 0.1, 0.03, 0.01], deals, may_stop=False)
    torch.testing.assert_close(found.scores, every.scores, rtol=1e-3, atol=1e-3)
    assert [len(fit.status) for fit in found.fits] == [5] * 6


def test_where_every_value_is_right_the_smallest_reg_is_not_chosen() -> None:
    """The log loss of classes far apart falls with reg for ever: a hundredth of it is no reason."""
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = 10 * np.eye(3)[y] + random.normal(size=(60, 3))
    found = LinearClassifierCV().fit(X, y)
    assert (found.scores_ == 1).sum() > 2
    assert found.reg_ > found.regs_[-1] * 10
