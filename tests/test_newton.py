"""Newton for smooth losses: the same optimum as independent references at every shape, and bounds that hold."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
)

from straightedge import LinearClassifier, SoftmaxClassifier
from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.losses import LOSSES as REGISTERED
from straightedge.losses import SoftmaxLoss, SquaredHingeLoss
from straightedge.newton.continuation import FormerAnswer, continued, extrapolated
from straightedge.newton.curvature import pairs
from straightedge.newton.exact import exact_direction
from straightedge.newton.problem import SmoothProblem, Table, contrasts
from straightedge.newton.rules import SECOND_ORDER
from straightedge.objective import Objective
from straightedge.penalties import WeightedRidge
from straightedge.rows import Rows
from straightedge.selection import fit_path
from straightedge.solvers.base import Limits, Loop, Status
from straightedge.solvers.newton import Newton

LOSSES = {"softmax": SoftmaxLoss(), "squared_hinge": SquaredHingeLoss()}
CURVED = [loss for loss in REGISTERED.values() if loss.second_order is not None]
SHAPES = {
    "small": (60, 4, 3),
    "two classes": (80, 6, 2),
    "middle": (300, 40, 8),
    "many classes": (200, 10, 25),
    "one feature": (40, 1, 3),
    "wide": (30, 200, 3),
    "square": (50, 49, 2),
}


def table(shape, seed=0, scale=0.0):
    N, D, C = SHAPES[shape]
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * np.logspace(0, scale, D)
    y = (X[:, : min(D, 3)] @ rng.normal(size=(min(D, 3), C)) + rng.gumbel(size=(N, C))).argmax(1)
    y[:C] = np.arange(C)
    return X, y


def objective_of(X, y, reg, loss="softmax", **settings):
    asked = FitSettings(loss=loss, workers=1, **{k: v for k, v in settings.items() if k == "bias"})
    others = {k: v for k, v in settings.items() if k != "bias"}
    return build_objective(Rows(X), torch.as_tensor(y), int(y.max()) + 1, reg, asked, **others)


def reference(X, y, reg, loss, bias="penalized", weights=None, constant=1.0):
    """The value at the optimum by SciPy's trust-region Newton, from the plain formulas."""
    N, C = len(X), int(y.max()) + 1
    F = np.hstack([X, np.full((N, 1), constant)])
    w = np.full(N, 1 / N) if weights is None else weights / weights.sum()
    seen = np.ones((F.shape[1], 1))
    seen[-1] = bias == "penalized"

    def value_and_gradient(flat):
        W = flat.reshape(F.shape[1], C)
        S = F @ W
        if loss == "softmax":
            E = np.exp(S - S.max(1, keepdims=True))
            P = E / E.sum(1, keepdims=True)
            value = -np.log(P[np.arange(N), y])
            A = P - np.eye(C)[y]
        else:
            Z = np.maximum(0, 1 + S - S[np.arange(N), y][:, None])
            Z[np.arange(N), y] = 0
            value = (Z**2).sum(1)
            A = 2 * Z
            A[np.arange(N), y] = -A.sum(1)
        G = F.T @ (w[:, None] * A) + 2 * reg * seen * W
        return w @ value + reg * (seen * W**2).sum(), G.ravel()

    found = scipy_minimize(
        value_and_gradient,
        np.zeros(F.shape[1] * C),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 50},
    )
    return found.fun, found.x.reshape(F.shape[1], C)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_optimum_is_that_of_an_independent_minimiser(shape, bias, loss):
    X, y = table(shape)
    found = solve(objective_of(X, y, [1e-2], loss, bias=bias), FitSettings(tol=1e-9, loss=loss, solver="newton"))
    value, W = reference(X, y, 1e-2, loss, bias)
    assert found.status == [Status.CERTIFIED], found.message
    assert math.isclose(float(found.objective[0]), value, rel_tol=2e-9)
    assert float(found.dual[0]) <= value * (1 + 1e-12)
    W = W - W.mean(axis=1, keepdims=True)
    ours = found.W[0].numpy().T
    np.testing.assert_allclose(ours - ours.mean(axis=1, keepdims=True), W, atol=2e-3 * np.abs(W).max())


@pytest.mark.parametrize("loss", LOSSES)
def test_row_weights_count_like_repetitions(loss):
    X, y = table("small")
    times = np.random.default_rng(1).integers(0, 4, len(X))
    settings = FitSettings(tol=1e-12, loss=loss, solver="newton")
    weighed = solve(objective_of(X, y, [1e-3], loss, weights=torch.as_tensor(times)), settings)
    repeated = solve(objective_of(np.repeat(X, times, 0), np.repeat(y, times), [1e-3], loss), settings)
    torch.testing.assert_close(weighed.W, repeated.W, rtol=0, atol=1e-5)
    assert weighed.status == repeated.status == [Status.CERTIFIED]


@pytest.mark.parametrize("reg", [1e-1, 1e-4, 1e-8])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_raw_tables_are_certified_at_every_reg(load, reg):
    """Columns from 1e-3 to 1e3, classes that separate, reg down to 1e-8."""
    X, y = load(return_X_y=True)
    C, N = int(y.max()) + 1, len(y)
    ours = SoftmaxClassifier(reg=reg, tol=1e-9).fit(X, y)
    assert ours.status_ == "certified" and ours.gap_ <= 1e-9
    F = np.hstack([X, np.ones((N, 1))])
    S = F @ ours.W_
    E = np.exp(S - S.max(1, keepdims=True))
    A = E / E.sum(1, keepdims=True) - np.eye(C)[y]
    gradient = F.T @ A / N + 2 * reg * ours.W_
    assert (gradient**2).sum() / (4 * reg) <= 2e-9 * ours.objective_, "the certificate is not true"


def test_scikit_learn_finds_the_same_coefficients():
    X, y = load_iris(return_X_y=True)
    ours = SoftmaxClassifier(reg=1e-2, bias="free").fit(X, y)
    theirs = LogisticRegression(C=1 / (2 * 1e-2 * len(y)), tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", ["small", "middle"])
def test_a_path_and_folds_are_each_problem_alone(shape, loss):
    X, y = table(shape)
    reg = [1e-1, 1e-4, 1e-2, 1e-3]
    rng = np.random.default_rng(2)
    weights = torch.as_tensor(rng.integers(0, 2, (2, len(X))), dtype=torch.float64)
    fold = torch.tensor([0, 1, 1, 0])
    settings = FitSettings(tol=1e-10, loss=loss, solver="newton")
    together = solve(objective_of(X, y, reg, loss, weights=weights, fold=fold), settings)
    for k, value in enumerate(reg):
        alone = solve(objective_of(X, y, [value], loss, weights=weights[fold[k]]), settings)
        assert together.status[k] == alone.status[0] == Status.CERTIFIED
        assert math.isclose(float(together.objective[k]), float(alone.objective[0]), rel_tol=1e-9)


@pytest.mark.parametrize(("shape", "after"), [("small", 1), ("small", 2), ("middle", 1), ("middle", 4)])
def test_newton_goes_on_from_a_state_to_the_same_bits(shape, after):
    X, y = table(shape)

    def make():
        return Loop(objective_of(X, y, [1e-2, 1e-5, 1e-3]), Newton(), Limits(tol=1e-10))

    whole, saved = make(), None
    whole.start(None)
    while whole.active.numel():
        if whole.iteration == after:
            saved = whole.state()
        whole.step()
    assert saved is not None, "it ended before it was interrupted"
    resumed = make()
    resumed.restore(saved)
    while resumed.active.numel():
        resumed.step()
    for part in ("W", "objective", "dual", "gap", "n_passes"):
        assert torch.equal(getattr(whole.finish(), part), getattr(resumed.finish(), part)), part


@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_bounds_hold_at_every_step(bias):
    X, y = table("middle")
    best = solve(objective_of(X, y, [1e-3], bias=bias), FitSettings(tol=1e-11, solver="newton"))
    optimum = float(best.objective[0])
    assert len(best.trace) > 3
    for row in best.trace:
        assert row["dual"] <= optimum * (1 + 1e-12) and row["objective"] >= optimum * (1 - 1e-12)


@pytest.mark.parametrize("loss", CURVED, ids=lambda loss: loss.name)
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_curvature_is_the_derivative_of_the_score_gradient(loss, n_classes):
    rng = np.random.default_rng(3)
    S, y = rng.normal(size=(n_classes, 20)), rng.integers(0, n_classes, 20)
    T, h = rng.normal(size=(n_classes, 20)), 1e-6
    rule = loss.second_order
    found = rule.at(S, y)
    moved = (rule.at(S + h * T, y).gradient - rule.at(S - h * T, y).gradient) / (2 * h)
    np.testing.assert_allclose(found.product(T), moved, atol=1e-6)
    Q = contrasts(n_classes)
    entries = found.entries(Q)
    for index, (a, b) in enumerate(zip(*pairs(n_classes - 1), strict=True)):
        column = np.repeat(Q[:, b : b + 1], 20, axis=1)
        np.testing.assert_allclose(entries[index], Q[:, a] @ found.product(column), atol=1e-12)
    diagonal = np.stack([found.product(np.eye(n_classes)[:, [j]] * np.ones(20))[j] for j in range(n_classes)])
    np.testing.assert_allclose(found.mean_diagonal(), diagonal.mean(axis=0), atol=1e-12)
    A = torch.as_tensor(S.T[:, None].copy())
    value = loss.value_and_gradient(A, torch.as_tensor(y))
    np.testing.assert_allclose(found.value, value[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.gradient, A[:, 0].T, atol=1e-12)
    overwritten = S.copy()
    np.testing.assert_allclose(rule.overwrite(overwritten, y), found.value, atol=1e-12)
    np.testing.assert_allclose(overwritten, found.gradient, atol=1e-12)


def test_contrasts_are_an_orthonormal_basis_of_what_sums_to_nothing():
    Q = contrasts(6)
    np.testing.assert_allclose(Q.T @ Q, np.eye(5), atol=1e-14)
    np.testing.assert_allclose(Q.sum(axis=0), 0, atol=1e-14)


def test_newton_says_what_it_lacks():
    X, y = table("small")
    with pytest.raises(InputError, match="smooth") as caught:
        solve(objective_of(X, y, [1e-2], "svm"), FitSettings(loss="svm", solver="newton"))
    assert caught.value.code == "solver-does-not-fit"


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
def test_small_problems_are_taken_far_beyond_the_gap_asked_for(loss):
    """The gap asked for is 1e-4; digits beyond it cost little there."""
    X, y = load_iris(return_X_y=True)
    assert LinearClassifier(loss, reg=1e-2).fit(X, y).gap_ < 1e-18


def test_uint8_rows_with_a_map_are_those_of_the_mapped_table():
    X, y = load_digits(return_X_y=True)
    raw = SoftmaxClassifier(reg=1e-2, tol=1e-10, preprocess="standardize", solver="newton").fit(
        X.astype("uint8"), y
    )
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    plain = SoftmaxClassifier(reg=1e-2, tol=1e-10, solver="newton").fit(Z, y)
    assert math.isclose(raw.objective_, plain.objective_, rel_tol=1e-6)  # moments are float32's
    assert isinstance(raw.decision_function(X), np.ndarray)


def test_the_same_input_gives_the_same_bits():
    X, y = load_digits(return_X_y=True)
    first, second = (SoftmaxClassifier(reg=1e-4).fit(X, y).W_ for _ in range(2))
    assert np.array_equal(first, second)


def test_reg_of_every_configuration_keeps_its_own_objective():
    X, y = table("two classes")
    objective = objective_of(X, y, [1e-1, 1e-3])
    assert isinstance(objective, Objective)
    found = solve(objective, FitSettings(tol=1e-10))
    for k, reg in enumerate([1e-1, 1e-3]):
        assert math.isclose(float(found.objective[k]), reference(X, y, reg, "softmax")[0], rel_tol=1e-9)


@pytest.mark.parametrize("loss", REGISTERED)
def test_weights_count_like_repetitions_with_default_settings(loss):
    """scikit-learn's own checks, to 1e-7 in the scores; the default gap of 1e-4 alone would miss it by far."""
    check_sample_weight_equivalence_on_dense_data(loss, LinearClassifier(loss))
    check_sample_weight_equivalence_on_sparse_data(loss, LinearClassifier(loss))


@pytest.mark.parametrize(("n_classes", "bias"), [(2, "penalized"), (4, "free")])
def test_tall_problems_start_from_a_sample_and_end_at_the_optimum_of_all_rows(n_classes, bias):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(50_000, 6))
    y = (X @ rng.normal(size=(6, n_classes)) + rng.gumbel(size=(50_000, n_classes))).argmax(1)
    found = solve(objective_of(X, y, [1e-3], bias=bias), FitSettings(tol=1e-8, solver="newton"))
    assert found.status == [Status.CERTIFIED], found.message
    value, _ = reference(X, y, 1e-3, "softmax", bias)
    assert math.isclose(float(found.objective[0]), value, rel_tol=2e-8)
    assert len(found.trace) <= 8


@pytest.mark.parametrize("penalty", [None, WeightedRidge(np.ones(1500))], ids=["span", "diagonal"])
@pytest.mark.parametrize("reg", [1e-1, 1e-3, 1e-6])
def test_more_features_than_rows(reg, penalty):
    """In the span of the rows, and where the penalty does not say that it may be rotated by the diagonal."""
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(60, 1500)), rng.integers(0, 3, 60)
    settings = FitSettings(tol=1e-8, solver="newton", penalty=penalty, workers=1)
    ours = solve(build_objective(Rows(X), torch.as_tensor(y), 3, [reg], settings), settings)
    assert ours.status == [Status.CERTIFIED], ours.message
    roots, vectors = np.linalg.eigh(X @ X.T + 1)  # the same problem of 60 columns
    value = reference_without_bias(vectors * np.sqrt(np.maximum(roots, 0)), y, reg)
    assert math.isclose(float(ours.objective[0]), value, rel_tol=1e-5)  # SciPy's end at reg 1e-6
    assert float(ours.dual[0]) <= value * (1 + 1e-12)


@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_equal_rows_leave_the_span_sound(bias):
    """Their Gram is singular; the certificate is that of the rows as they are."""
    rng = np.random.default_rng(7)
    X = np.repeat(rng.normal(size=(20, 90)), 2, axis=0)
    y = rng.integers(0, 3, 40)
    objective = objective_of(X, y, [1e-4, 1e-2], bias=bias)
    found = solve(objective, FitSettings(tol=1e-9, solver="newton"))
    assert found.status == [Status.CERTIFIED] * 2, found.message
    at = objective.in_dtype(torch.float64).evaluate(found.W)
    torch.testing.assert_close(at.objective, found.objective, rtol=1e-12, atol=0)
    assert bool((at.objective - at.dual <= 2e-9 * at.objective).all())


def reference_without_bias(Z, y, reg):
    """The value at the optimum for a table that has its constant among its columns."""
    return reference(Z, y, reg, "softmax", constant=0.0)[0]


def test_a_path_takes_few_passes_beside_its_single_fits():
    X, y = load_digits(return_X_y=True)
    reg = np.logspace(-1, -6, 16).tolist()
    path = fit_path(X[::2], y[::2], reg, tol=1e-4)
    singles = [SoftmaxClassifier(reg=one, tol=1e-4, solver="newton").fit(X[::2], y[::2]) for one in reg]
    assert path.status == [single.status_ for single in singles] == ["certified"] * 16
    np.testing.assert_allclose(path.objective, [single.objective_ for single in singles], rtol=2e-4)
    assert float(path.solution.n_passes.sum()) <= 6 / 16 * sum(single.n_passes_ for single in singles)


def test_the_start_is_extrapolated_where_that_is_better_and_else_the_last_answer_or_none():
    X, y = load_iris(return_X_y=True)
    table = np.hstack([X, np.ones((len(X), 1))])
    weights, loss = np.full(len(X), 1 / len(X)), SECOND_ORDER["softmax"]
    places = np.log([1e-1, 3e-2, 1e-2, 3e-3])
    problems = [
        SmoothProblem(Table(table), y, weights, np.full(5, 2 * np.exp(place)), loss, contrasts(3))
        for place in places
    ]
    answers = []
    for problem, place in zip(problems[:3], places, strict=False):
        W = SoftmaxClassifier(reg=float(np.exp(place)), tol=1e-12).fit(X, y).W_.T
        answers.append(FormerAnswer(float(place), W, problem.at(W).mean_loss))
    zero = problems[3].at(problems[3].zero())
    start = continued(answers, problems[3], float(places[3]), zero)
    last = problems[3].at(answers[-1].W)
    best = SoftmaxClassifier(reg=3e-3, tol=1e-12).fit(X, y)
    assert best.objective_ <= start.value < best.objective_ + 0.05 * (last.value - best.objective_)
    np.testing.assert_allclose(extrapolated(answers, float(places[1])), answers[1].W, atol=1e-12)
    astray = [*answers[:2], FormerAnswer(answers[2].log_reg, 1e3 * answers[2].W, 0.0)]
    assert continued(astray, problems[3], float(places[3]), zero) is zero


def test_a_problem_of_another_ridge_knows_the_same_point_without_a_product():
    X, y = load_iris(return_X_y=True)
    weights, loss = np.full(len(X), 1 / len(X)), SECOND_ORDER["softmax"]
    first, second = (
        SmoothProblem(Table(X), y, weights, np.full(4, ridge), loss, contrasts(3)) for ridge in (1.0, 1e-3)
    )
    W = np.random.default_rng(0).normal(size=(3, 4))
    moved, computed = second.with_own_ridge(first.at(W)), second.at(W)
    for name in ("value", "gap", "gradient", "V", "mean_loss", "ridge"):
        np.testing.assert_allclose(getattr(moved, name), getattr(computed, name), rtol=1e-13)
    assert moved.bound() == pytest.approx(computed.bound(), rel=1e-13)


@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", ["one_vs_rest_logistic", "one_vs_rest_squared_hinge"])
def test_classes_that_do_not_touch_take_the_step_of_the_whole_hessian(loss, bias):
    rng = np.random.default_rng(5)
    X, y = np.c_[rng.standard_normal((40, 6)), np.ones(40)], np.arange(40) % 3
    ridge = np.full(7, 2e-2)
    ridge[-1] *= bias == "penalized"
    problem = SmoothProblem(Table(X), y, np.full(40, 1 / 40), ridge, SECOND_ORDER[loss], np.eye(3))
    point = problem.at(0.3 * rng.standard_normal((3, 7)))
    bends = point.terms.product(np.ones((3, 40)))  # of each class and row
    H = np.zeros((21, 21))
    for j in range(3):
        H[7 * j : 7 * j + 7, 7 * j : 7 * j + 7] = X.T @ (X * bends[j, :, None] / 40) + np.diag(ridge)
    expected = -np.linalg.solve(H, point.gradient.ravel()).reshape(3, 7)
    np.testing.assert_allclose(exact_direction(problem, point), expected, rtol=1e-9)
