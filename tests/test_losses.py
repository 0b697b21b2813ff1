"""Every registered loss against loops, central differences, its conjugate and the properties it must have."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from straightedge import course
from straightedge.errors import InputError
from straightedge.gradcheck import check_gradient
from straightedge.losses import LOSSES, HingeLoss, PiecewiseLinearLoss, get_loss, is_probabilistic
from support.linear_problems import CONJUGATES, LOOPS

ALL = pytest.mark.parametrize("name", LOSSES)
HINGES = pytest.mark.parametrize("name", [n for n, loss in LOSSES.items() if loss.piecewise_linear])
SHIFTS_CANCEL = pytest.mark.parametrize("name", [n for n, loss in LOSSES.items() if loss.shift_invariant])
few = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)


def scores_and_labels(seed, n=7, K=1, n_classes=None, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    C = n_classes or 2 + seed % 6
    S = scale * torch.randn(n, K, C, generator=generator, dtype=torch.float64)
    return S, torch.randint(C, (n,), generator=generator)


def value_and_gradient(name, S, y):
    A = S.clone()
    return LOSSES[name].value_and_gradient(A, y), A


def test_every_registered_loss_has_its_oracles():
    assert set(LOOPS) == set(CONJUGATES) == set(LOSSES)
    assert all(loss.name == name for name, loss in LOSSES.items())


@ALL
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_are_those_of_the_loops(name, dtype):
    S, y = scores_and_labels(3, n=20, K=3, n_classes=5)
    values, _ = value_and_gradient(name, S.to(dtype), y)
    expected = [[LOOPS[name](S[i, k].tolist(), int(y[i])) for k in range(3)] for i in range(20)]
    assert values.dtype == dtype
    torch.testing.assert_close(values.double(), torch.tensor(expected, dtype=torch.float64), rtol=2e-6, atol=2e-6)


@ALL
def test_a_block_may_have_any_strides(name):
    S, y = scores_and_labels(4, n=9, K=2, n_classes=4)
    wide = torch.full((9, 16), torch.nan, dtype=torch.float64)
    view = wide[:, :8].unflatten(1, (2, 4))
    view.copy_(S)
    values, A = value_and_gradient(name, S, y)
    torch.testing.assert_close(LOSSES[name].value_and_gradient(view, y), values, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(wide[:, :8].unflatten(1, (2, 4)), A, rtol=1e-14, atol=1e-15)
    assert bool(wide[:, 8:].isnan().all()), "columns beyond the scores were touched"


@pytest.mark.parametrize(
    ("name", "loops"), [("svm", course.svm_loss_naive), ("softmax", course.softmax_loss_naive)]
)
@few
@given(seed=seeds)
def test_loss_and_gradient_are_those_of_the_notes(name, loops, seed):
    S, y = scores_and_labels(seed)
    values, A = value_and_gradient(name, S, y)
    identity = torch.eye(S.shape[2], dtype=torch.float64)
    loss, dW = loops(identity, S[:, 0], y, 0.0)  # X = S and W = I: scores are S, dW = SᵀA/N
    assert math.isclose(float(values.mean()), float(loss), rel_tol=1e-12)
    torch.testing.assert_close(S[:, 0].T @ A[:, 0] / len(y), dW, rtol=1e-10, atol=1e-12)


@SHIFTS_CANCEL
@few
@given(seed=seeds, shift=st.floats(-100, 100))
def test_rows_of_the_gradient_sum_to_zero_and_a_shift_changes_nothing(name, seed, shift):
    S, y = scores_and_labels(seed)
    values, A = value_and_gradient(name, S, y)
    assert float(A.sum(dim=2).abs().max()) < 1e-12 * max(1.0, float(A.abs().max())) * A.shape[2]
    moved, moved_A = value_and_gradient(name, S + shift, y)
    torch.testing.assert_close(moved, values, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moved_A, A, rtol=1e-9, atol=1e-9)


@ALL
@few
@given(seed=seeds)
def test_permuting_classes_permutes_the_answer(name, seed):
    S, y = scores_and_labels(seed)
    order = torch.randperm(S.shape[2], generator=torch.Generator().manual_seed(seed))
    values, A = value_and_gradient(name, S, y)
    permuted, permuted_A = value_and_gradient(name, S[:, :, order], order.argsort()[y])
    torch.testing.assert_close(permuted, values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(permuted_A, A[:, :, order], rtol=1e-12, atol=1e-12)


@ALL
@few
@given(seed=seeds, t=st.floats(0, 1))
def test_convex_along_every_segment_and_above_its_tangents(name, seed, t):
    one, y = scores_and_labels(seed)
    other = scores_and_labels(seed + 1, n_classes=one.shape[2])[0]
    (v_one, A), (v_other, _) = value_and_gradient(name, one, y), value_and_gradient(name, other, y)
    between, _ = value_and_gradient(name, t * one + (1 - t) * other, y)
    assert bool((between <= t * v_one + (1 - t) * v_other + 1e-10).all())
    assert bool((v_other >= v_one + ((other - one) * A).sum(dim=2) - 1e-10).all())
    assert bool((v_one >= 0).all())


@ALL
def test_gradient_by_central_differences(name):
    generator = torch.Generator().manual_seed(5)
    X = torch.randn(25, 6, generator=generator, dtype=torch.float64)
    X[:, -1] = 1
    y = torch.randint(4, (25,), generator=generator)

    def function(W, X, y, reg):
        S = (X @ W)[:, None, :]
        values = LOSSES[name].value_and_gradient(S, y)
        return values.mean() + reg * (W * W).sum(), X.T @ S[:, 0] / len(X) + 2 * reg * W

    W = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    report = check_gradient(function, W, X, y, 0.1, expected=name if name in ("svm", "softmax") else None)
    assert report.ok, str(report)


@ALL
@few
@given(seed=seeds)
def test_fenchel_young_equality_with_the_conjugate_by_hand(name, seed):
    S, y = scores_and_labels(seed)
    values, A = value_and_gradient(name, S, y)
    by_identity = values - (S * A).sum(dim=2)
    by_hand = [CONJUGATES[name](A[i, 0].numpy(), int(y[i])) for i in range(len(y))]
    np.testing.assert_allclose(by_identity[:, 0], by_hand, atol=1e-9)


@ALL
@few
@given(seed=seeds, sharp=st.floats(0.1, 30))
def test_a_free_bias_is_repaired_to_a_feasible_dual_point(name, seed, sharp):
    n = 12
    S, y = scores_and_labels(seed, n=n, n_classes=2 + seed % 4, scale=sharp)
    C = S.shape[2]
    y[:C] = torch.arange(C)
    weights = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    weights /= weights.sum()
    _, A = value_and_gradient(name, S, y)
    residual = (weights[:, None] * A[:, 0]).sum(dim=0)
    shares = torch.zeros(C, dtype=torch.float64).index_add_(0, y, weights)
    reference = LOSSES[name].dual_reference(residual[None], shares[None])
    theta = float(reference.theta[0])
    assert 0 <= theta <= 1
    repaired = (1 - theta) * A[:, 0] + theta * reference.rows[0][y]
    assert float((weights[:, None] * repaired).sum(dim=0).abs().max()) < 1e-13 * (1 + float(A.abs().max()))
    by_class = [CONJUGATES[name](reference.rows[0, c].numpy(), c) for c in range(C)]  # asserts its domain
    assert math.isclose(
        float(reference.conjugate[0]),
        float(shares @ torch.tensor(by_class, dtype=torch.float64)),
        rel_tol=1e-10,
        abs_tol=1e-10,
    )


@ALL
def test_an_absent_class_gives_no_nan_in_the_repair(name):
    shares = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    for residual in ([0.0, 0.0, 0.0], [0.1, -0.3, 0.2]):
        reference = LOSSES[name].dual_reference(torch.tensor([residual], dtype=torch.float64), shares)
        for part in (reference.theta, reference.rows, reference.conjugate):
            assert bool(part.isfinite().all())


@HINGES
@few
@given(seed=seeds)
def test_projection_is_the_nearest_point_of_the_dual_set(name, seed):
    loss = LOSSES[name]
    S, y = scores_and_labels(seed, n=5)
    b = loss.project(S.clone(), y)
    other = loss.project(scores_and_labels(seed + 7, n=5, n_classes=S.shape[2])[0], y)
    apart = (S - b) * (other - b)
    if not loss.own_margin:
        wrong = torch.ones_like(S, dtype=torch.bool).scatter_(2, y.view(-1, 1, 1), False)
        apart = apart * wrong  # the right class's entry of b is 0 whatever was there
    assert float(apart.sum(dim=2).max()) <= 1e-10
    a = loss.to_scores(b.clone(), y)
    for row, label in zip(a[:, 0].numpy(), y.tolist(), strict=True):
        CONJUGATES[name](row, label)  # asserts the domain


@HINGES
def test_conjugates_of_dual_variables_are_those_by_hand(name):
    loss = LOSSES[name]
    S, y = scores_and_labels(5, n=9, n_classes=4)
    b = loss.project(S.clone(), y)
    A = loss.to_scores(b.clone(), y)[:, 0].numpy()
    expected = [CONJUGATES[name](row, label) for row, label in zip(A, y.tolist(), strict=True)]
    for found in (loss.neg_conjugate(b, y), PiecewiseLinearLoss.neg_conjugate(loss, b, y)):
        torch.testing.assert_close(found[:, 0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@HINGES
def test_margins_change_by_the_differences_of_scores_that_the_loss_names(name):
    loss = LOSSES[name]
    S, y = scores_and_labels(6, n=9, n_classes=4)
    step = scores_and_labels(7, n=9, n_classes=4)[0]
    change = loss.margin_change(step.clone(), y)
    apart = loss.margins(S + step, y) - loss.margins(S.clone(), y)
    torch.testing.assert_close(change, apart, rtol=1e-12, atol=1e-12)
    padded = torch.cat([step, torch.zeros(9, 1, 1, dtype=torch.float64)], dim=2)  # column −1: no class
    for i in range(9):
        for j in range(4):
            plus, minus = (int(c) for c in loss.differences(torch.tensor(j), y[i]))
            if loss.own_margin or j != int(y[i]):
                assert float(change[i, 0, j]) == pytest.approx(float(padded[i, 0, plus] - padded[i, 0, minus]))


@HINGES
@few
@given(seed=seeds)
def test_support_is_attained_by_the_subgradient(name, seed):
    loss = LOSSES[name]
    S, y = scores_and_labels(seed)
    z = loss.margins(S.clone(), y)
    b = loss.subgradient(z.clone())
    torch.testing.assert_close((b * z).sum(dim=2), loss.support(z), rtol=1e-12, atol=1e-12)


@ALL
@pytest.mark.parametrize(
    ("dtype", "largest"),
    [
        pytest.param(torch.float64, 1e4, id="scores of ±1e4"),
        pytest.param(torch.float32, 1e4, id="scores of ±1e4 in float32"),
        pytest.param(torch.float64, 1e308, id="scores of ±1e308"),
        pytest.param(torch.float32, 3e38, id="scores of ±3e38 in float32"),
    ],
)
def test_loss_is_finite_and_never_nan(name, dtype, largest):
    S = torch.tensor([[[largest, -largest, 0]], [[-largest, largest, 0]], [[0, -largest, largest]]], dtype=dtype)
    values, A = value_and_gradient(name, S, torch.tensor([1, 1, 0]))
    assert bool(values.isfinite().all()) and bool(A.isfinite().all())
    assert float(values.sum()) < math.inf and float(values[0, 0]) > 1e-9 * largest


def test_known_values():
    y = torch.arange(10)
    zero = torch.zeros(10, 1, 10, dtype=torch.float64)
    assert math.isclose(float(value_and_gradient("softmax", zero, y)[0][0, 0]), math.log(10))
    assert float(value_and_gradient("svm", zero, y)[0][0, 0]) == 9
    S, y = scores_and_labels(11, n=30, n_classes=6)
    theirs = torch.nn.MultiMarginLoss()(S[:, 0], y)  # divided by the number of classes
    assert math.isclose(float(value_and_gradient("svm", S, y)[0].mean()), 6 * float(theirs), rel_tol=1e-12)


def test_a_tie_takes_the_subgradient_zero_as_the_notes_do():
    S = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    assert float(value_and_gradient("svm", S, torch.tensor([0]))[1].abs().max()) == 0.0


def test_an_unknown_loss_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="softmax, svm") as caught:
        get_loss("hinge")
    assert caught.value.code == "loss-unknown"


def test_losses_say_what_they_are():
    assert [name for name, loss in LOSSES.items() if not loss.smooth] == [
        name for name, loss in LOSSES.items() if isinstance(loss, PiecewiseLinearLoss) and loss.piecewise_linear
    ]
    assert all(loss.title and loss.phrase and loss.formula for loss in LOSSES.values())
    assert [name for name in LOSSES if is_probabilistic(name)] == ["softmax"]
    assert not is_probabilistic("a loss of another version")


def test_a_subclass_is_not_given_the_kernel_of_another_function():
    class Wider(HingeLoss):
        """Another function."""

    assert HingeLoss.kernel and HingeLoss.geometry
    assert Wider.kernel is None and Wider.geometry is None
