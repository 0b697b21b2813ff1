"""The losses of the course: loops are the specification, autograd and known values the outside references."""

import math

import pytest
import torch

from straightedge import course
from straightedge.errors import InputError

PAIRS = [
    pytest.param(course.svm_loss_naive, course.svm_loss_vectorized, id="svm"),
    pytest.param(course.softmax_loss_naive, course.softmax_loss_vectorized, id="softmax"),
]
ALL = [course.svm_loss_naive, course.svm_loss_vectorized, course.softmax_loss_naive, course.softmax_loss_vectorized]


def problem(n_samples, n_features, n_classes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n_samples, n_features, generator=generator, dtype=dtype)
    X[:, -1] = 1
    y = torch.randint(n_classes, (n_samples,), generator=generator)
    W = torch.randn(n_features, n_classes, generator=generator, dtype=dtype)
    return W, X, y


def relative(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize(("naive", "vectorized"), PAIRS)
def test_loops_and_matrices_agree_on_twenty_random_problems(naive, vectorized):
    for seed in range(20):
        n_classes = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 20, 25, 32, 40, 60, 80, 100)[seed]
        reg = (0.0, 1e-3, 0.7)[seed % 3]
        W, X, y = problem(3 + 120 // n_classes, 5 + seed, n_classes, seed)
        loss, dW = naive(W, X, y, reg)
        fast_loss, fast_dW = vectorized(W, X, y, reg)
        assert relative(fast_loss, loss) < 1e-9
        assert relative(fast_dW, dW) < 1e-9


@pytest.mark.parametrize("loss_function", ALL)
@pytest.mark.parametrize("reg", [0.0, 0.3])
def test_gradient_is_that_of_autograd(loss_function, reg):
    W, X, y = problem(20, 6, 5, seed=3)
    W_taped = W.clone().requires_grad_()
    loss, _ = loss_function(W_taped, X, y, reg)
    (expected,) = torch.autograd.grad(loss, W_taped)
    assert relative(loss_function(W, X, y, reg)[1], expected) < 1e-12


def test_values_are_those_of_torch():
    W, X, y = problem(30, 6, 4, seed=4)
    entropy = torch.nn.functional.cross_entropy(X @ W, y) + 0.2 * (W**2).sum()
    hinge = 4 * torch.nn.functional.multi_margin_loss(X @ W, y) + 0.2 * (W**2).sum()
    assert course.softmax_loss_vectorized(W, X, y, 0.2)[0].item() == pytest.approx(entropy.item(), rel=1e-12)
    assert course.svm_loss_vectorized(W, X, y, 0.2)[0].item() == pytest.approx(hinge.item(), rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 10, 100])
@pytest.mark.parametrize("loss_function", ALL)
def test_value_at_zero_weights(loss_function, n_classes):
    _, X, y = problem(6, 4, n_classes)
    loss, _ = loss_function(torch.zeros(4, n_classes, dtype=torch.float64), X, y, 0.5)
    expected = n_classes - 1 if "svm" in loss_function.__name__ else math.log(n_classes)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [1e4, 1e38, 1e308])
@pytest.mark.parametrize("loss_function", [course.softmax_loss_naive, course.softmax_loss_vectorized])
def test_softmax_is_finite_for_large_scores(loss_function, size):
    X = torch.tensor([[size], [-size / 2]], dtype=torch.float64)
    W = torch.tensor([[0.5, -0.5, 0.0]], dtype=torch.float64)
    loss, dW = loss_function(W, X, torch.tensor([1, 1]), 0.1)  # the second sample is right: loss 0
    assert loss.item() == pytest.approx(size / 2 + 0.05, rel=1e-12)
    assert torch.isfinite(dW).all()


@pytest.mark.parametrize("loss_function", [course.softmax_loss_naive, course.softmax_loss_vectorized])
def test_softmax_is_finite_for_scores_of_1e4_in_float32(loss_function):
    X = torch.tensor([[1.0], [-1.0]])
    loss, dW = loss_function(torch.tensor([[1e4, -1e4]]), X, torch.tensor([1, 0]), 1e-3)
    assert loss.item() == pytest.approx(2e4 + 2e5, rel=1e-6)
    assert torch.isfinite(dW).all()


@pytest.mark.parametrize("loss_function", ALL)
def test_float32_agrees_with_float64_and_keeps_its_type(loss_function):
    W, X, y = problem(25, 8, 6, seed=5)
    loss, dW = loss_function(W.float(), X.float(), y, 0.1)
    exact_loss, exact_dW = loss_function(W, X, y, 0.1)
    assert loss.dtype == dW.dtype == torch.float32
    assert loss.dim() == 0
    assert relative(loss.double(), exact_loss) < 1e-6
    assert relative(dW.double(), exact_dW) < 1e-6


@pytest.mark.parametrize("loss_function", ALL)
def test_no_argument_changes_and_no_tape_is_needed(loss_function):
    arguments = problem(10, 5, 4, seed=6)
    copies = [argument.clone() for argument in arguments]
    with torch.inference_mode():
        loss, dW = loss_function(*arguments, 0.1)
    assert all(torch.equal(one, two) for one, two in zip(arguments, copies, strict=True))
    assert not loss.requires_grad
    assert dW.shape == arguments[0].shape


@pytest.mark.parametrize("loss_function", ALL)
@pytest.mark.parametrize("label_type", [torch.int32, torch.uint8])
def test_labels_of_any_integer_type(loss_function, label_type):
    W, X, y = problem(10, 5, 4, seed=7)
    assert torch.equal(loss_function(W, X, y.to(label_type), 0.1)[1], loss_function(W, X, y, 0.1)[1])


@pytest.mark.parametrize("loss_function", [course.svm_loss_naive, course.svm_loss_vectorized])
def test_svm_counts_nothing_at_a_tie(loss_function):
    W = torch.tensor([[1.0, 0.0]], dtype=torch.float64)  # s = (1, 0), y = 0: the margin is exactly 0
    loss, dW = loss_function(W, torch.ones(1, 1, dtype=torch.float64), torch.tensor([0]), 0.0)
    assert loss.item() == 0
    assert not dW.any()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"y": torch.tensor([0, 1, 3])}, "labels-range", id="label ≥ C"),
        pytest.param({"y": torch.tensor([0, -1, 1])}, "labels-range", id="label negative"),
        pytest.param({"y": torch.tensor([0, 1])}, "course-shapes", id="len(y) ≠ N"),
        pytest.param({"y": torch.tensor([0.0, 1.5, 1.0])}, "labels-type", id="float 1.5"),
        pytest.param({"y": torch.eye(3, dtype=torch.int64)}, "course-shapes", id="one-hot"),
        pytest.param({"X": torch.zeros(0, 2), "y": torch.zeros(0).long()}, "course-shapes", id="empty set"),
        pytest.param({"X": torch.zeros(3, 4)}, "course-shapes", id="wrong width"),
        pytest.param({"X": torch.zeros(3)}, "course-shapes", id="1-D X"),
        pytest.param({"reg": -1.0}, "reg-invalid", id="reg negative"),
        pytest.param({"reg": math.nan}, "reg-invalid", id="reg NaN"),
    ],
)
@pytest.mark.parametrize("loss_function", ALL)
def test_bad_arguments_are_refused(loss_function, change, code):
    good = {"W": torch.zeros(2, 3), "X": torch.zeros(3, 2), "y": torch.tensor([0, 1, 2]), "reg": 0.1}
    with pytest.raises(InputError) as caught:
        loss_function(**(good | change))
    assert caught.value.code == code


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss_function", ALL)
def test_cuda_gives_what_the_cpu_gives(loss_function, dtype):
    W, X, y = problem(12, 6, 5, seed=8, dtype=dtype)
    loss, dW = loss_function(W.cuda(), X.cuda(), y.cuda(), 0.1)
    expected_loss, expected_dW = loss_function(W, X, y, 0.1)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert dW.is_cuda
    assert relative(loss.cpu(), expected_loss) < tolerance
    assert relative(dW.cpu(), expected_dW) < tolerance
