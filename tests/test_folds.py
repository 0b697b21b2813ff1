"""A fold has seen its own training rows alone: what it holds out, labels and values, changes nothing of it."""

from __future__ import annotations

import itertools
from contextlib import suppress

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.svm import LinearSVC

from straightedge import LinearClassifier, LinearClassifierCV
from straightedge.cli.fit_screen import print_result
from straightedge.errors import InputError
from straightedge.fitting import FitSettings
from straightedge.losses import LOSSES
from straightedge.selection import cross_validate
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.splits import fold_of_rows, hold_out
from straightedge.training import TrainingRows
from straightedge.workflow import FitOptions, run_fit

REGS = [1.0, 1e-1]
N, D, C, FOLDS = 40, 7, 3, 2


def data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows whose features differ in place and size, random labels, and folds."""
    random = np.random.default_rng(seed)
    X = (random.normal(size=(N, D)) + random.normal(size=D)) * 10.0 ** random.uniform(-1, 1, D)
    y = random.integers(0, C, N)
    return X, y, fold_of_rows(y, FOLDS, seed)


def solvers_of(loss: str) -> list[str]:
    """Return "auto" and every solver that takes the loss."""
    X, y, _ = data(1)
    objective = TrainingRows(X, y, C, FitSettings(loss=loss)).part().objective(REGS)
    found = ["auto"]
    for name in SOLVERS:
        with suppress(InputError):
            choose_solver(name, objective)
            found.append(name)
    return found


CASES = [(loss, solver) for loss in LOSSES for solver in solvers_of(loss)]
EXACT = [(loss, solver) for loss, solver in CASES if solver != "sgd"]
SGD = [pytest.param(loss, "sgd", marks=pytest.mark.long) for loss in ("softmax", "svm")]
DESCENTS = 6  # passes of stochastic descent, which needs thousands to the tolerances of the others
ENDINGS = [  # a loss, a solver, a tolerance, and whether folds are given a start
    *(pytest.param(*case, 0.3, True, marks=[pytest.mark.long] * (case[1] == "hinge_path")) for case in EXACT),
    *((loss, "auto", 1e-3, False) for loss in LOSSES),
    *(pytest.param(*case, 1e-6, True, marks=pytest.mark.long) for case in EXACT),
    *(pytest.param(*case.values, 0.3, True, marks=pytest.mark.long) for case in SGD),
    *(
        pytest.param(*case, tol, started, marks=pytest.mark.slow)  # all of them, those above once more
        for case in EXACT
        for tol in (0.3, 1e-3, 1e-6)
        for started in (False, True)
    ),
]


@pytest.mark.parametrize(("loss", "solver", "tol", "started"), ENDINGS)
@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_what_a_fold_holds_out_changes_neither_its_weights_nor_its_scores(loss, solver, tol, started):
    X, y, fold = data(1)
    settings = FitSettings(loss=loss, solver=solver, tol=tol, max_passes=DESCENTS if solver == "sgd" else 200)

    def folds(rows, labels):
        training = TrainingRows(rows, labels, C, settings, "standardize")
        former = cross_validate(training, [10 * max(REGS)], fold) if started else None
        found = cross_validate(training, REGS, fold, former=former)
        return [fit.W for fit in found.fits], found.scores

    W, scores = folds(X, y)
    held_out = np.flatnonzero(fold == 0)
    spoiled, permuted = X.copy(), y.copy()
    permuted[held_out] = np.random.default_rng(2).permutation(y[held_out])
    spoiled[held_out[:10]] = 100 * X[held_out[:10]] + 7  # a map that has seen these is another one
    other_W, other_scores = folds(spoiled, permuted)
    np.testing.assert_allclose(other_W[0], W[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(other_scores[held_out[10:]], scores[held_out[10:]], rtol=1e-6, atol=1e-6)
    assert (other_W[1] - W[1]).abs().max() > 1e-4  # the other fold was trained on all of that


@pytest.mark.parametrize(("loss", "solver"), [*EXACT, SGD[0]])
def test_each_fold_is_a_separate_fit_of_its_rows(loss, solver):
    X, y, fold = data(3)
    passes, bar = (DESCENTS, 1.0) if solver == "sgd" else (3000, 1e-3)
    settings = FitSettings(loss=loss, solver=solver, tol=1e-3, max_passes=passes)
    found = cross_validate(TrainingRows(X, y, C, settings, "standardize"), REGS, fold).fits
    for (f, reg), value, gap in zip(
        itertools.product(range(FOLDS), REGS),
        torch.cat([fit.objective for fit in found]).tolist(),
        torch.cat([fit.gap for fit in found]).tolist(),
        strict=True,
    ):
        alone = LinearClassifier(loss, reg=reg, tol=1e-4, max_passes=3000, preprocess="standardize")
        alone.fit(X[fold != f], y[fold != f])
        assert alone.status_ == "certified" and gap <= bar
        rounding = 1e-12 * value  # a gap is proven of W; the two values themselves are rounded
        assert abs(value - alone.objective_) <= gap * value + alone.gap_ * alone.objective_ + rounding


@pytest.mark.parametrize("n_classes", [2, 3, 7, 20])
def test_rows_are_held_out_as_scikit_learn_does(n_classes):
    random = np.random.default_rng(n_classes)
    for seed in range(20):
        y = np.append(np.repeat(np.arange(n_classes), 2), random.integers(0, n_classes, 60) ** 2 % n_classes)
        n = int(random.integers(n_classes, len(y) - n_classes))
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=n, random_state=seed)
        _, expected = next(splitter.split(y, y))
        left = np.setdiff1d(np.arange(len(y)), expected)
        if len(np.unique(y[left])) == n_classes:  # else one of them is left in training
            np.testing.assert_array_equal(hold_out(y, n, seed)[1], np.sort(expected))


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_the_held_out_split_is_scored_by_a_fit_of_the_other_rows(loss, tmp_path):
    random = np.random.default_rng(5)
    X, y = random.normal(size=(80, 6)), random.integers(0, 2, 80)
    train, validation = hold_out(y, 0.25, 0)
    X[validation[0]] = 1e3  # would move a map that has seen it far away
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    asked = {"loss": loss, "regs": [0.3, 0.03], "validation_size": 0.25, "tol": 1e-6, "progress": False}
    metrics = run_fit(FitOptions(str(tmp_path / "rows.npz"), str(tmp_path / "run"), **asked))
    for row in metrics["path"]:
        alone = LinearClassifier(loss, reg=row["reg"], preprocess="standardize", tol=1e-6)
        alone.fit(X[train], y[train])
        assert row["validation"]["accuracy"] == alone.score(X[validation], y[validation])
        assert np.isclose(row["objective"], alone.objective_, rtol=3e-6)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_folds_judge_one_value_of_reg_too(tmp_path):
    X, y, _ = data(2)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    asked = {"reg": 0.1, "folds": 4, "tol": 1e-6, "suspects": False, "progress": False}
    metrics = run_fit(FitOptions(str(tmp_path / "rows.npz"), str(tmp_path / "run"), **asked))
    fold, right = fold_of_rows(y, 4, 0), 0.0
    for k in range(4):
        alone = LinearClassifier(reg=0.1, preprocess="standardize", tol=1e-6).fit(X[fold != k], y[fold != k])
        right += (alone.predict(X[fold == k]) == y[fold == k]).sum()
    assert metrics["validation"]["kind"] == "out of fold"
    assert metrics["validation"]["accuracy"] == right / N and metrics["suspects"] == []
    with pytest.raises(InputError, match="search-folds"):
        FitOptions("digits", "run", solver="sgd", search=True, folds=4).checked()


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_one_sample_a_class_leaves_nothing_to_choose_by(tmp_path):
    random = np.random.default_rng(0)
    means, y = random.normal(size=(10, 32)), np.repeat(np.arange(10), 30)
    X, X_test = means + random.normal(size=(10, 32)), means[y] + random.normal(size=(300, 32))
    np.savez(tmp_path / "one.npz", X_train=X, y_train=np.arange(10), X_test=X_test, y_test=y)
    asked = {"protocol": "clip", "progress": False}
    metrics = run_fit(FitOptions(str(tmp_path / "one.npz"), str(tmp_path / "run"), **asked))
    alone = LinearClassifier(reg=1.0, bias="free").fit(X, np.arange(10)).score(X_test, y)
    assert metrics["test"]["accuracy"] > alone - 0.03  # the largest of 96 tied values is far below
    assert any("none could be held out to choose reg by" in note for note in metrics["notes"])


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_a_class_of_one_takes_validation_from_no_other_class(tmp_path, capsys):
    X, y = np.random.default_rng(0).normal(size=(61, 5)), np.append(np.arange(60) % 3, 3)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    for name, change in {"one": {"reg": 0.1}, "folds": {"regs": [1.0, 0.1], "folds": 3}}.items():
        asked = {"progress": False} | change
        metrics = run_fit(FitOptions(str(tmp_path / "rows.npz"), str(tmp_path / name), **asked))
        assert metrics["validation"]["n"] == 60
        assert any("1 class has one sample" in note and ": 3;" in note for note in metrics["notes"])
    print_result(metrics, as_json=False)
    assert "best of 2 values of reg" in " ".join(capsys.readouterr().out.split())
    assert "best of 2 values of reg" in (tmp_path / "folds" / "report.html").read_text()


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_values_that_are_not_certified_are_counted(tmp_path, capsys):
    X, y, _ = data(4)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    asked = {"regs": [10.0, 1e-3], "folds": 2, "max_passes": 2, "solver": "lbfgs", "tol": 1e-6}
    metrics = run_fit(FitOptions(str(tmp_path / "rows.npz"), str(tmp_path / "run"), progress=False, **asked))
    n_certified = sum(row["status"] == "certified" for row in metrics["path"])
    assert metrics["selection"]["n_certified"] == n_certified < 2
    notes = " ".join(metrics["notes"])
    assert "of 4 fits of folds are not certified" in notes and "of the chosen reg" in notes
    print_result(metrics | {"run": "run", "report": "report.html"}, as_json=False)
    assert f"{n_certified} of 2 certified" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_class_weights_count_the_rows_of_the_fold_alone(weighted):
    X, y, fold = data(6)
    weights = torch.from_numpy(np.random.default_rng(7).integers(1, 4, N).astype(float)) if weighted else None
    settings = FitSettings(tol=1e-10)
    rows = TrainingRows(X, y, C, settings, "standardize", None, weights, "balanced", list(range(C)))
    found = cross_validate(rows, [0.1], fold)
    for k in range(FOLDS):
        train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        alone = LinearClassifier(reg=0.1, tol=1e-10, preprocess="standardize", class_weight="balanced")
        alone.fit(X[train], y[train], None if weights is None else weights[train].numpy())
        wanted = torch.from_numpy(alone.decision_function(X[held]))
        np.testing.assert_allclose(found.scores[np.searchsorted(found.rows, held), 0], wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_weights_are_repetitions_in_folds_whose_copies_stay_together(loss):
    X, y, fold = data(8)
    copies = np.random.default_rng(9).integers(1, 4, N)
    settings = FitSettings(loss=loss, tol=1e-10)
    weights = torch.from_numpy(copies.astype(float))
    found = cross_validate(TrainingRows(X, y, C, settings, "standardize", weights=weights), REGS, fold)
    index = np.repeat(np.arange(N), copies)
    repeated = cross_validate(TrainingRows(X[index], y[index], C, settings, "standardize"), REGS, fold[index])
    np.testing.assert_allclose(repeated.scores, found.scores[index], rtol=0, atol=1e-4)
    for alone, weighted in zip(repeated.fits, found.fits, strict=True):
        np.testing.assert_allclose(alone.objective, weighted.objective, rtol=1e-8, atol=0)


# -------------------------------------------------------------------- random labels

SHAPES = [pytest.param(120, 200, 2, id="two classes"), pytest.param(90, 150, 4, id="four classes")]
VALUES = [10.0, 1.0, 0.1, 0.01]


def twin(loss: str, reg: float, n: int, n_classes: int):
    """Return what minimises the same on rows with a constant column: scikit-learn's, else our own alone."""
    C = 1 / (reg * n) if n_classes == 2 else 1 / (2 * reg * n)
    if loss == "softmax":
        return LogisticRegression(C=C, fit_intercept=False, max_iter=5000)
    several = {"one_vs_rest": "ovr", "crammer_singer": "crammer_singer"}
    names = {"svm": "hinge", "crammer_singer": "hinge", "squared_hinge": "squared_hinge"}
    if n_classes == 2 and loss in names:
        return LinearSVC(C=C, loss=names[loss], fit_intercept=False, max_iter=200_000, tol=1e-5)
    if loss in several:
        own = {"C": 1 / (2 * reg * n), "loss": "hinge", "multi_class": several[loss]}
        return LinearSVC(**own, fit_intercept=False, max_iter=200_000, tol=1e-5)
    return LinearClassifier(loss, reg=reg, tol=1e-3)


def peer_score(loss: str, X: np.ndarray, y: np.ndarray, folds: int) -> float:
    """Return the best out-of-fold accuracy over the values, each fold fitted by itself."""
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(X, y))
    right = np.zeros(len(VALUES))
    for k, (train, test) in itertools.product(range(len(VALUES)), splits):
        peer = twin(loss, VALUES[k], len(train), len(np.unique(y)))
        own = isinstance(peer, LinearClassifier)  # which appends the constant itself
        rows = X if own else np.column_stack([X, np.ones(len(X))])
        right[k] += (peer.fit(rows[train], y[train]).predict(rows[test]) == y[test]).sum()
    return float(right.max() / len(y))


def best_scores(loss: str, shape: tuple[int, int, int], seed: int, folder=None) -> tuple[float, float]:
    """Return the best score of ours, by the estimator or by the command in ``folder``, and of the peer."""
    n, width, n_classes = shape
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(n, width)), random.integers(0, n_classes, n)
    peer = peer_score(loss, X, y, 3)
    if folder is None:
        return float(LinearClassifierCV(loss, regs=VALUES, cv=3).fit(X, y).scores_.max()), peer
    np.savez(folder / f"{seed}.npz", X=X, y=y)
    asked = {"loss": loss, "regs": VALUES, "folds": 3, "preprocess": "none", "progress": False}
    metrics = run_fit(FitOptions(str(folder / f"{seed}.npz"), str(folder / f"run-{seed}"), **asked))
    assert metrics["validation"]["kind"] == "out of fold"
    return metrics["validation"]["accuracy"], peer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", LOSSES)
def test_random_labels_are_not_predicted(loss):
    ours, peer = best_scores(loss, (60, 100, 2), 0)
    assert abs(ours - peer) <= 0.03 and ours < 0.7


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "width", "n_classes"), SHAPES)
def test_random_labels_score_what_scikit_learn_finds(loss, n, width, n_classes):
    draws = {"softmax": 12, "svm": 6}.get(loss, 3)  # of twelve, the means differ by 0.001 at most
    found = [best_scores(loss, (n, width, n_classes), seed) for seed in range(draws)]
    ours, peers = np.mean(found, axis=0)
    assert abs(ours - peers) <= 0.03 and ours < 1 / n_classes + 0.1


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", LOSSES)
def test_random_labels_score_in_the_command_what_scikit_learn_finds(loss, tmp_path):
    ours, peers = np.mean([best_scores(loss, (120, 200, 2), seed, tmp_path) for seed in range(2)], axis=0)
    assert abs(ours - peers) <= 0.03 and ours < 0.6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "width", "n_classes"), SHAPES)
@pytest.mark.parametrize("by_command", [False, True])
def test_twelve_draws_of_random_labels_score_what_scikit_learn_finds(
    loss, n, width, n_classes, by_command, tmp_path
):
    folder = tmp_path if by_command else None
    found = [best_scores(loss, (n, width, n_classes), seed, folder) for seed in range(12)]
    ours, peers = np.mean(found, axis=0)
    assert abs(ours - peers) <= 0.03 and ours < 1 / n_classes + 0.1
