"""Small NumPy tables go a short way: the same answers as by the long way, without torch, and first of all."""

import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression

from straightedge import LinearClassifier, SoftmaxClassifier
from straightedge.errors import InputError
from straightedge.estimators import quick
from straightedge.newton import blocks, descent, direct, tall, wide
from straightedge.newton.blocks import RowBlocks
from straightedge.newton.problem import contrasts
from straightedge.newton.rules import OF_TWO, SECOND_ORDER
from straightedge.newton.work import Size

LOADS = [load_iris, load_wine, load_breast_cancer]


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize("reg", [1e-1, 1e-6])
@pytest.mark.parametrize("load", LOADS)
def test_the_short_way_finds_what_the_long_way_finds(load, reg, loss):
    X, y = load(return_X_y=True)
    short = LinearClassifier(loss, reg=reg, tol=1e-10).fit(X, y)
    long = LinearClassifier(loss, reg=reg, tol=1e-10, callbacks=[]).fit(X, y)
    np.testing.assert_allclose(short.W_, long.W_, rtol=0, atol=1e-7 * np.abs(long.W_).max())
    assert short.objective_ == pytest.approx(long.objective_, rel=1e-12)
    assert short.status_ == long.status_ == "certified"
    assert max(short.gap_, long.gap_) <= 1e-10
    assert short.value_range_ == long.value_range_
    assert set(vars(short)) == set(vars(long))
    assert short.trace_[0].keys() == long.trace_[0].keys()
    np.testing.assert_array_equal(short.predict(X), long.predict(X))


def test_a_small_fit_and_its_predictions_import_no_torch():
    code = (
        "import sys; from sklearn.datasets import load_iris; from straightedge import SoftmaxClassifier; "
        "X, y = load_iris(return_X_y=True); model = SoftmaxClassifier(reg=1e-3).fit(X, y.astype(str)); "
        "assert model.predict(X)[0] == '0'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("X", "y", "code"),
    [
        ([[1.0, np.nan], [0.0, 1.0]], [0, 1], "x-not-finite"),
        ([[1.0, np.inf], [0.0, 1.0]], [0, 1], "x-not-finite"),
        ([[1.0, 1e16], [0.0, 1.0]], [0, 1], "x-too-large"),
        ([[1.0, 2.0], [0.0, 1.0]], [0, 0], "labels-single-class"),
        ([[1.0, 2.0], [0.0, 1.0]], [0, 1, 1], "labels-length"),
    ],
)
def test_what_is_wrong_with_a_plain_table_is_still_said(X, y, code):
    X, y = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    with pytest.raises(InputError) as caught:
        SoftmaxClassifier().fit(X, y)
    assert caught.value.code == code
    model = SoftmaxClassifier().fit(*load_iris(return_X_y=True))
    if code.startswith("x-"):
        with pytest.raises(InputError) as caught:
            model.predict(np.hstack([X, X]))
        assert caught.value.code == code


def test_too_few_passes_are_a_status_and_a_warning():
    with pytest.warns(match="stopped after"):
        model = SoftmaxClassifier(reg=1e-6, tol=1e-10, max_passes=6).fit(*load_iris(return_X_y=True))
    assert model.status_ == "max_passes" and model.gap_ > 1e-10
    assert model.dual_ <= model.objective_


def tall_table(n_classes, dtype, N=50_000):
    rng = np.random.default_rng(4)
    X = (rng.normal(size=(N, 6)) * np.logspace(0, 1, 6) * 8 + 100).clip(0, 255).astype(dtype)
    scores = ((X - 100) / 60) @ rng.normal(size=(6, n_classes)) + rng.gumbel(size=(N, n_classes))
    return X, scores.argmax(axis=1)


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_many_rows_are_solved_from_a_sample_to_the_same_optimum(dtype, n_classes, loss):
    X, y = tall_table(n_classes, dtype)
    short = LinearClassifier(loss, reg=1e-4, tol=1e-8).fit(X, y)
    assert short.trace_[-1]["solver"] == "newton" and short.gap_ <= 1e-8 and short.status_ == "certified"
    rows = np.hstack([X.astype(np.float64), np.ones((len(X), 1))])
    value, gradient = _plain(rows, y, short.W_, 1e-4, loss)
    assert short.objective_ == pytest.approx(value, rel=1e-12)
    assert (gradient**2).sum() / 4e-4 <= 1.01e-8 * value, "the certificate is not true"


def _plain(rows, y, W, reg, loss):
    """P(W) and its gradient from the formulas."""
    S, own = rows @ W, (np.arange(len(y)), y)
    if loss == "softmax":
        E = np.exp(S - S.max(axis=1, keepdims=True))
        A = E / E.sum(axis=1, keepdims=True)
        values = -np.log(A[own])
        A[own] -= 1
    else:
        Z = np.maximum(0, 1 + S - S[own][:, None])
        Z[own] = 0
        values, A = (Z**2).sum(axis=1), 2 * Z
        A[own] = -A.sum(axis=1)
    return values.mean() + reg * (W**2).sum(), rows.T @ A / len(y) + 2 * reg * W


@pytest.mark.parametrize("reg", [1e-1, 1e-6])
@pytest.mark.parametrize(("dtype", "n_classes"), [(np.float32, 2), (np.float64, 4), (np.uint8, 3)])
def test_fewer_rows_than_features_are_solved_by_their_inner_products(dtype, n_classes, reg):
    rng = np.random.default_rng(6)
    X = (rng.normal(size=(120, 3000)) * 30 + 128).clip(0, 255).astype(dtype)
    y = np.arange(120) % n_classes
    assert quick.fit("softmax", X, y, reg, 1e-8, 1000) is not None
    model = SoftmaxClassifier(reg=reg, tol=1e-8).fit(X, y)
    assert model.status_ == "certified" and model.gap_ <= 1e-8
    rows = np.hstack([X.astype(np.float64), np.ones((len(X), 1))])
    value, gradient = _plain(rows, y, model.W_, reg, "softmax")
    assert model.objective_ == pytest.approx(value, rel=1e-8)
    assert (gradient**2).sum() / (4 * reg) <= 1.01e-8 * value, "the certificate is not true"


@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 1e-4), (np.float64, 1e-9)])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_nearly_orthogonal_rows_are_solved_in_a_few_steps_in_the_space_of_w(dtype, tol, n_classes):
    rng = np.random.default_rng(12)
    X = rng.normal(size=(400, 600)).astype(dtype)
    rows = RowBlocks(X, np.arange(400) % n_classes, n_classes, SECOND_ORDER["softmax"])
    found = descent.minimise(rows, 1e-3, tol, rough=dtype == np.float32)
    size = Size(400, 601, n_classes, n_classes - 1)
    exact = wide.minimise(RowBlocks(X[:, ::-1], rows.y, n_classes, rows.loss), size, 1e-3, 1e-10, rough=False)
    assert found is not None and exact is not None and found.gap <= tol
    assert -1e-12 <= found.objective - exact.objective <= tol * found.objective
    assert found.n_passes <= 2 * descent.steps(rows, 3.0) * np.log10(1 / tol) / 4


def test_features_that_go_together_are_told_from_those_that_do_not():
    rng = np.random.default_rng(13)
    apart, together = rng.normal(size=(300, 900)), rng.normal(size=(300, 3)) @ rng.normal(size=(3, 900))
    y, rule = np.arange(300) % 3, SECOND_ORDER["softmax"]
    flat, steep = (RowBlocks(X, y, 3, rule).spread for X in (apart, together))
    exact = np.linalg.eigvalsh(apart @ apart.T + 1)
    assert flat == pytest.approx(exact.var() / exact.mean() ** 2, rel=0.2)
    assert steep > 50
    assert np.isinf(descent.steps(RowBlocks(together, y, 3, rule), 3.0))


def test_equal_rows_and_a_constant_feature_leave_a_wide_fit_sound():
    rng = np.random.default_rng(7)
    X = np.repeat(rng.normal(size=(30, 400)), 2, axis=0)
    X[:, 0] = 3.0
    found = quick.fit("softmax", X, np.repeat(np.arange(30) % 3, 2), 1e-5, 1e-8, 1000)
    assert found is not None and found[0].gap <= 1e-8


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, ">i4"])
def test_whole_labels_are_counted_as_they_are_sorted(dtype):
    values = np.array([-128, 3, 127, 3] if np.dtype(dtype).kind == "i" else [2**64 - 1, 2**64 - 9, 2**64 - 2])
    y = np.tile(values.astype(dtype), 100)[::2]
    for found, expected in zip(quick.counted(y), np.unique(y, return_inverse=True), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(60_000, 5), (300, 2000), (150, 4)])
def test_ctrl_c_keeps_the_best_weights_with_a_true_gap(shape, monkeypatch):
    """Raised in the fourth evaluation of the loss: by a sample, by a place, or by a step."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=shape)
    y = (X[:, 0] + rng.normal(size=len(X)) > 0).astype(int)
    seen = {"count": 0}
    name = "overwrite" if shape[0] > 1000 else "at"

    def interrupted(honest, S, y):
        seen["count"] += 1
        if seen["count"] == (16 if shape[0] > 1000 else 4):
            raise KeyboardInterrupt
        return honest(S, y)

    for rule in (SECOND_ORDER["softmax"], OF_TWO["softmax"]):
        monkeypatch.setattr(rule, name, partial(interrupted, getattr(rule, name)))
    with pytest.warns(match="interrupted"):
        model = SoftmaxClassifier(reg=1e-5, tol=1e-12).fit(X, y)
    assert model.status_ == "interrupted"
    rows = np.hstack([X, np.ones((len(X), 1))])
    value, _ = _plain(rows, y, model.W_, 1e-5, "softmax")
    assert model.objective_ == pytest.approx(value, rel=1e-9)
    assert 0 <= model.dual_ <= value


@pytest.mark.parametrize(
    ("n_classes", "dtype", "order"),
    [(3, np.float64, "C"), (4, np.float64, "F"), (7, np.float32, "C"), (3, np.uint8, "F"), (11, np.uint8, "C")],
)
def test_a_pass_of_blocks_is_that_of_all_rows(n_classes, dtype, order, monkeypatch):
    """Of fewer classes than features and of more, of rows in the products' type or not, with a block cut short."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**14)
    rng = np.random.default_rng(14)
    X = np.array(4 * rng.random((500, 6)), dtype, order=order)
    y, W = np.arange(500) % n_classes, rng.normal(size=(n_classes, 7))
    loss, V = RowBlocks(X, y, n_classes, SECOND_ORDER["softmax"]).sums(W, np.float64)
    rows = np.hstack([X, np.ones((500, 1))])
    value, gradient = _plain(rows, y, W.T, 0.0, "softmax")
    assert loss / 500 == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(V.T / 500, gradient, atol=1e-12)


def test_a_first_step_that_looks_like_the_last_is_the_proof():
    X, y = tall_table(2, np.float32)
    found = quick.fit("softmax", X / 100, y, 1e-1, 1e-3, 1000)
    assert found is not None and found[0].gap <= 1e-3 and found[0].n_passes == 2


@pytest.mark.parametrize(
    ("size", "is_tall"),
    [
        (Size(17_000, 21, 2, 1), False),
        (Size(19_000, 21, 2, 1), True),
        (Size(20_000, 17, 26, 25), True),
        (Size(20_000, 61, 10, 9), True),
        (Size(18_500, 81, 12, 11), False),  # the sample's Hessian would cost 34 passes
        (Size(500_000, 61, 10, 9), True),
        (Size(500_000, 121, 10, 9), False),
    ],
)
def test_a_sample_is_for_many_rows_and_few_unknowns(size, is_tall):
    assert size.is_tall == is_tall and tall.fits(size) == is_tall
    assert not (is_tall and direct.fits(size)), "two ways for one problem"


def test_a_middling_number_of_rows_starts_from_a_sample_and_ends_at_the_optimum():
    X, y = tall_table(3, np.float64, 19_000)
    short = SoftmaxClassifier(reg=1e-5, tol=1e-8).fit(X, y)
    value, gradient = _plain(np.hstack([X, np.ones((len(X), 1))]), y, short.W_, 1e-5, "softmax")
    assert short.status_ == "certified" and short.objective_ == pytest.approx(value, rel=1e-12)
    assert (gradient**2).sum() / 4e-5 <= 1.01e-8 * value


def test_a_tall_fit_is_the_same_for_any_number_of_workers():
    X, y = tall_table(3, np.float32)
    found = [
        RowBlocks(X, y, 3, SECOND_ORDER["softmax"], workers=n).sums(np.ones((3, 7)), np.float32) for n in (1, 3)
    ]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-6)


def test_labels_are_classes_whatever_whole_numbers_they_are():
    for y in (np.array([7, -3, 7, 200], np.int16), np.array([0, 250, 3, 3], np.uint8), np.array([10**12, 5, 5, 5])):
        classes, index = quick.classes_of(np.repeat(y, 3), 12)
        expected = np.unique(y)
        np.testing.assert_array_equal(classes, expected)
        assert classes.dtype == y.dtype
        np.testing.assert_array_equal(classes[index], np.repeat(y, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_scores_are_those_of_one_product_whatever_the_blocks(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (1000, 7)).astype(dtype)
    coef, intercept = rng.normal(size=(3, 7)), rng.normal(size=3)
    monkeypatch.setattr(quick, "SCORED", 7 * 64)
    scores, extremes = quick.score(X, coef, intercept)
    np.testing.assert_allclose(scores, X.astype(np.float64) @ coef.T + intercept, rtol=1e-12, atol=1e-9)
    assert extremes == (X.min(), X.max())


@pytest.mark.slow  # not that it takes long: a busy machine must not fail the tests
@pytest.mark.parametrize("load", LOADS)
def test_small_tables_are_fitted_sooner_than_by_the_fastest_peer(load):
    """CPU seconds of one process, in turns: ours to a gap of 1e-10, the peer's to its loose tolerance of 1e-4."""
    X, y = load(return_X_y=True)
    table = np.hstack([X, np.ones((len(X), 1))])
    C = (1 if y.max() == 1 else 0.5) / (1e-3 * len(y))
    peer = LogisticRegression(C=C, fit_intercept=False, solver="newton-cholesky")
    ours, theirs = [], []
    for _ in range(15):
        ours.append(_seconds(lambda: SoftmaxClassifier(reg=1e-3, tol=1e-10).fit(X, y)))
        theirs.append(_seconds(lambda: peer.fit(table, y)))
    assert statistics.median(ours) < statistics.median(theirs)


@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_the_largest_of_equal_scores_is_the_first(n_classes, monkeypatch):
    monkeypatch.setattr(quick, "SCORED", 3 * 7)
    rng = np.random.default_rng(0)
    X, coef = rng.integers(-2, 3, (100, 3)).astype(float), rng.integers(-1, 2, (n_classes, 3)).astype(float)
    scores, value_range = quick.score(X, coef, np.zeros(n_classes))
    expected = scores.argmax(axis=1) if n_classes > 1 else scores[:, 0] > 0
    found = quick.predict(X, coef, np.zeros(n_classes))
    np.testing.assert_array_equal(found[0], expected)
    assert found[1] == value_range == (-2.0, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 7])
def test_many_predictions_take_about_as_long_as_one_product_and_its_argmax(n_classes):
    """CPU seconds of all threads, in turns; in seconds of the clock it is half of that on two cores."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 20)).astype(np.float32)
    y = rng.integers(0, n_classes, 200)
    model = SoftmaxClassifier(reg=1e-1).fit(X[:200], y)
    W = model.W_[:-1].astype(np.float32)
    ours, theirs = [], []
    for _ in range(9):
        ours.append(_seconds(lambda: model.predict(X)))
        theirs.append(_seconds(lambda: (X @ W).argmax(axis=1)))
    assert statistics.median(ours) < 1.6 * statistics.median(theirs)


def _seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def test_rows_in_the_other_order_of_bytes_are_scored_by_blocks_too(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 100, (300, 20)).astype(np.uint16), rng.integers(0, 3, 300)
    model = SoftmaxClassifier(reg=1e3).fit(X, y)
    expected = model.decision_function(X), model.predict(X)
    monkeypatch.setattr(SoftmaxClassifier, "_rows", None)  # the long way, which would copy them all
    np.testing.assert_array_equal(model.decision_function(X.astype(">u2")), expected[0])
    np.testing.assert_array_equal(model.predict(X.astype(">u2")), expected[1])


@pytest.mark.parametrize("loss", OF_TWO)
def test_two_classes_as_one_column_are_the_same_loss_to_second_order(loss):
    rng = np.random.default_rng(3)
    S, y, moved = rng.normal(size=(2, 40)) * 3, rng.integers(0, 2, 40), rng.normal(size=(1, 40))
    narrow, whole = OF_TWO[loss].at(S[1:] - S[:1], y), SECOND_ORDER[loss].at(S, y)
    np.testing.assert_allclose(narrow.value, whole.value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(narrow.gradient[0], whole.gradient[1], rtol=1e-12, atol=1e-15)
    both = whole.product(np.concatenate([-moved, moved]) / 2)
    np.testing.assert_allclose(narrow.product(moved)[0], both[1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(2 * narrow.entries(np.eye(1)), whole.entries(contrasts(2)), rtol=1e-12)
    scores = S[1:] - S[:1]
    value = OF_TWO[loss].overwrite(scores, y)
    np.testing.assert_array_equal(value, narrow.value)
    np.testing.assert_array_equal(scores, narrow.gradient)


def test_how_flat_the_gram_matrix_is_is_not_asked_where_it_decides_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3000)).astype(np.float32), rng.integers(0, 2, 200)
    rows = RowBlocks(X, y, 2, SECOND_ORDER["softmax"])
    assert np.isinf(descent.steps(rows, 2.0, most=4.0))
    assert "spread" not in vars(rows)
    assert descent.steps(rows, 2.0, most=6.0) >= 5.0
    assert "spread" in vars(rows)
