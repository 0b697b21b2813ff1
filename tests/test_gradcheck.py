"""The gradient check: right gradients pass, kinks are told from mistakes, planted mistakes are named."""

import json

import numpy as np
import pytest
import torch

from straightedge import course
from straightedge.errors import InputError
from straightedge.gradcheck import check_gradient, with_rows
from straightedge.losses import LOSSES
from support.gradcheck_mistakes import no_maximum, softmax, svm, table


def problem(n_samples=12, n_features=6, n_classes=5, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n_samples, n_features))
    X[:, -1] = 1
    return generator.standard_normal((n_features, n_classes)), X, generator.integers(0, n_classes, n_samples)


COURSE = [
    pytest.param(getattr(course, f"{name}_loss_{version}"), name, id=f"{name}_{version}")
    for name in ("svm", "softmax")
    for version in ("naive", "vectorized")
]


@pytest.mark.parametrize(("function", "name"), COURSE)
@pytest.mark.long
def test_the_losses_of_the_course_have_right_gradients(function, name):
    n_problems = 4 if "naive" in function.__name__ else 20
    for seed in range(n_problems):
        W, X, y = problem(8, 4 + seed, 2 + seed, seed)
        report = check_gradient(function, W, torch.from_numpy(X), torch.from_numpy(y), (0.0, 1e-5, 1.0)[seed % 3])
        assert report.ok, str(report)
        assert report.loss == name
        assert report.max_relative_error < 1e-6
        assert any(row.is_bias for row in report.rows)
        assert {row.part for row in report.rows} == {"data", "regulariser"}
        assert not report.diagnosis


@pytest.mark.parametrize("name", LOSSES)
def test_the_registered_losses_have_right_gradients(name):
    W, X, y = problem(30, 8, 6, seed=1)
    report = check_gradient(with_rows(LOSSES[name]), W, torch.from_numpy(X), torch.from_numpy(y))
    assert report.ok, str(report)
    assert report.max_relative_error < 1e-6


def details(report):
    return {item.detail for item in report.diagnosis if item.is_mistake}


PLANTED = [pytest.param(*row[1:], id=f"{row[0]} ({row[1]})") for row in table()]


@pytest.mark.parametrize(("name", "function", "codes"), PLANTED)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("is_told", [True, False], ids=["told the loss", "finds the loss"])
def test_planted_mistakes_are_caught_and_named(name, function, codes, seed, is_told):
    report = check_gradient(function, *problem(seed=seed), expected=name if is_told else None)
    assert not report.ok
    assert details(report) == codes, str(report)


@pytest.mark.parametrize("function", [svm, softmax])
def test_the_functions_the_mistakes_are_planted_in_are_right(function):
    assert check_gradient(function, *problem()).ok


def test_two_mistakes_are_both_named():
    def wrong(W, X, y, reg):
        loss, dW = svm(W, X, y, 0.0)
        return loss + reg * np.sum(W * W), len(y) * dW + reg * W

    report = check_gradient(wrong, *problem())
    assert report.mistakes == ("missing-division-by-n", "half-regulariser-gradient")
    assert details(report) == {"mean-missing", "regulariser-two-missing"}


def test_a_missing_two_is_seen_however_small_reg_is():
    def wrong(W, X, y, reg):
        loss, dW = softmax(W, X, y, reg)
        return loss, dW - reg * W

    assert check_gradient(wrong, *problem(), 1e-12).mistakes == ("half-regulariser-gradient",)


def test_a_mistake_in_a_single_entry_is_found():
    def wrong(W, X, y, reg):
        loss, dW = softmax(W, X, y, reg)
        dW[3, 2] *= 1.01
        return loss, dW

    report = check_gradient(wrong, *problem(), entries=[(0, 0), (5, 1)])
    assert report.mistakes == ("gradient-differs",)
    assert not check_gradient(wrong, *problem(), entries=[(3, 2)]).ok


def on_a_kink():
    """One sample whose margin of class 1 is 1e-7: h = 1e-5 steps over the kink."""
    W = np.array([[0.0, 1e-7, -3.0], [1.0, 0.0, 0.0]])
    return W, np.array([[1.0, 1.0]]), np.array([0])


@pytest.mark.parametrize("expected", ["svm", None])
def test_a_kink_is_a_kink_and_no_mistake(expected):
    report = check_gradient(svm, *on_a_kink(), expected=expected, entries=[(0, 1), (0, 2), (1, 2)])
    verdicts = {(row.row, row.column): row.verdict for row in report.rows if row.part == "data"}
    assert verdicts == {(0, 1): "kink", (0, 2): "ok", (1, 2): "ok"}
    assert report.ok
    assert report.n_kinks == 1
    assert report.max_relative_error < 1e-6


@pytest.mark.parametrize("distance", [3e-6, 1e-7, -1e-7, -3e-6])
def test_a_kink_of_a_loss_without_a_name_is_seen_by_its_bend(distance):
    def absolute(W, X, y, reg):
        S = X @ W
        return np.abs(S).mean() + reg * np.sum(W * W), X.T @ np.sign(S) / S.size + 2 * reg * W

    W = np.array([[distance, 0.5]])
    report = check_gradient(absolute, W, np.ones((1, 1)), np.zeros(1, dtype=int), entries=[(0, 0), (0, 1)])
    assert [row.verdict for row in report.rows if row.part == "data"] == ["kink", "ok"]
    assert report.ok
    assert [item.code for item in report.diagnosis] == ["unknown-loss"]


def test_a_wrong_entry_on_a_kink_is_still_a_mistake():
    def wrong(W, X, y, reg):
        loss, dW = svm(W, X, y, reg)
        return loss, dW + 5

    report = check_gradient(wrong, *on_a_kink(), entries=[(0, 1)])
    assert report.rows[0].verdict == "mistake"


def test_nothing_but_kinks_proves_nothing():
    report = check_gradient(svm, *on_a_kink(), entries=[(0, 1)])
    assert report.rows[0].verdict == "kink"
    assert not [row for row in report.rows if row.part == "data" and row.verdict == "ok"]
    assert not report.ok


def test_small_entries_are_lifted_out_of_the_rounding():
    W, X, y = problem(40, 6, 5, seed=2)
    X[:, 0] *= 1e-9
    X[:, 1] *= 1e6
    W[1] *= 1e-6
    report = check_gradient(softmax, W, X, y, entries=[(row, column) for row in range(6) for column in range(5)])
    assert report.ok
    assert report.max_relative_error < 1e-6


def test_conventions_are_remarks_and_not_mistakes():
    def halved(W, X, y, reg):
        return softmax(W, X, y, reg / 2)

    def free_bias(W, X, y, reg):
        kept = W.copy()
        kept[-1] = 0
        loss, dW = softmax(W, X, y, 0.0)
        return loss + reg * np.sum(kept**2), dW + 2 * reg * kept

    def over_samples(W, X, y, reg):
        return softmax(W, X, y, reg / len(y))

    for function, code in (
        (halved, "half-convention"),
        (free_bias, "bias-free"),
        (over_samples, "mean-convention"),
    ):
        report = check_gradient(function, *problem())
        assert report.ok, str(report)
        assert [item.code for item in report.diagnosis] == [code]


def test_arguments_are_left_as_they_are():
    arguments = [torch.from_numpy(array) for array in problem()]
    copies = [argument.clone() for argument in arguments]
    check_gradient(course.svm_loss_vectorized, *arguments)
    assert all(torch.equal(one, two) for one, two in zip(arguments, copies, strict=True))


def test_the_report_is_json_even_with_numbers_that_are_not():
    report = check_gradient(lambda W, X, y, reg: (np.nan, np.nan * W), *problem(), expected="softmax")
    assert report.mistakes == ("not-finite",)
    answer = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (answer["ok"], answer["max_relative_error"]) == (False, None)
    overflowing = check_gradient(no_maximum, *problem()).to_dict()
    answer = json.loads(json.dumps(overflowing, allow_nan=False))
    values = {row["place"]: row["value"] for row in answer["values"]}
    assert values["scores + 1e4"] is None
    assert values["given W"] > 0


W, X, Y = problem()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param((W, X[:, :-1], Y, 0.1), "gradcheck-shapes", id="wrong width"),
        pytest.param((W, X, Y[:-1], 0.1), "gradcheck-shapes", id="len(y) ≠ N"),
        pytest.param((W, X * np.nan, Y, 0.1), "gradcheck-numbers", id="NaN in X"),
        pytest.param((W, X, Y + 5, 0.1), "gradcheck-numbers", id="label ≥ C"),
        pytest.param((W, X, Y, -0.1), "gradcheck-numbers", id="reg negative"),
    ],
)
def test_bad_arguments_are_refused(arguments, code):
    with pytest.raises(InputError) as caught:
        check_gradient(svm, *arguments)
    assert caught.value.code == code


def test_other_bad_arguments_are_refused():
    with pytest.raises(InputError, match="gradcheck-loss"):
        check_gradient(svm, W, X, Y, expected="hinge")


@pytest.mark.gpu
def test_a_function_of_cuda_tensors_gets_cuda_tensors():
    report = check_gradient(
        course.softmax_loss_vectorized, W, torch.from_numpy(X).cuda(), torch.from_numpy(Y).cuda()
    )
    assert report.ok


@pytest.mark.parametrize("name", ["svm", "softmax"])
@pytest.mark.long
def test_a_right_gradient_is_never_called_wrong(name):
    """Weights from 1e-3 to 10, reg from 1e-6 to 1e3: saturated probabilities, entries near the rounding."""
    for seed in range(40):
        generator = np.random.default_rng(seed)
        n_samples, n_features, n_classes = (int(generator.integers(2, top)) for top in (40, 40, 100))
        W, X, y = problem(n_samples, n_features, n_classes, seed)
        W *= 10 ** generator.uniform(-3, 1)
        report = check_gradient({"svm": svm, "softmax": softmax}[name], W, X, y, 10 ** generator.uniform(-6, 3))
        assert report.ok, str(report)
        assert report.max_relative_error < 1e-6


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("svm", "softmax")])
def test_with_nothing_expected_the_answer_says_which_known_loss_it_is(name):
    W, X, y = problem(30, 8, 6, seed=1)
    arguments = W, torch.from_numpy(X), torch.from_numpy(y)
    report = check_gradient(with_rows(LOSSES[name]), *arguments)
    assert report.loss == name
    assert report.verdict == f"gradient and value are right: it is the loss of {LOSSES[name].title}"
    told = check_gradient(with_rows(LOSSES[name]), *arguments, expected="softmax")
    assert told.mistakes == ("other-loss",)
    assert LOSSES[name].title in told.diagnosis[0].text


def test_a_margin_that_nobody_writes_is_named_with_its_size():
    def wide(W, X, y, reg):
        loss, dW = svm(4 * W, X, y, 0.0)  # max(0, 4 m) / 4 = max(0, m), with a quarter of the Δ
        return loss / 4 + reg * np.sum(W * W), dW + 2 * reg * W

    report = check_gradient(wide, *problem(), expected="svm")
    assert report.mistakes == ("wrong-margin",)
    assert "s_j − s_y + 0.25" in report.diagnosis[0].text


def test_float32_is_told_apart_from_a_kink():
    def single(W, X, y, reg):
        loss, dW = svm(np.float32(W), np.float32(X), y, np.float32(reg))
        return float(loss), dW.astype(np.float64)

    for seed in range(10):
        report = check_gradient(single, *problem(40, 8, 5, seed=seed))
        assert report.ok, str(report)
        assert report.loss == "svm"
        assert [item.code for item in report.diagnosis] == ["single-precision"]
    absent = check_gradient(lambda W, X, y, reg: (single(W, X, y, reg)[0], 0 * W), *problem())
    assert "gradient-missing" in {item.detail for item in absent.diagnosis}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (1.0, "no-pair"),
        ((1.0, W, W, W), "no-pair"),
        (("1.0", W), "no-pair"),
        ((1.0, {"W": W[:-1], "b": W[-1]}), "weights-and-bias-apart"),
        ((1.0, (W, W[-1])), "weights-and-bias-apart"),
        ((np.ones(1), W), "loss-has-shape"),
        ((W, 1.0), "pair-swapped"),
        (([1.0], W), "returns-a-list"),
        ((1.0, np.zeros(W.shape, dtype=int)), "integer-gradient"),
        ((0, np.zeros(W.shape, dtype=int)), "stub"),
        ((1.0, W[:-1]), "gradient-shape"),
        ((1.0, np.full(W.shape, "a")), "no-pair"),
        ((1.0, 3.0), "gradient-shape"),
        (None, "stub"),
    ],
)
def test_what_is_no_loss_and_gradient_is_named(answer, code):
    report = check_gradient(lambda W, X, y, reg: answer, W, X, Y)
    assert report.mistakes == (code,)
    assert not report.ok


@pytest.mark.parametrize("part", ["loss", "dW"])
def test_answers_at_random_are_named(part):
    generator = np.random.default_rng(0)

    def random_part(W, X, y, reg):
        size = 1 + generator.random()  # what it adds to the answer before is of the same direction every time
        return (size, W) if part == "loss" else (1.0, generator.standard_normal(W.shape))

    for _ in range(5):
        assert check_gradient(random_part, W, X, Y).mistakes == ("answers-differ",)


def test_an_unknown_penalty_is_not_called_that_of_the_notes():
    def with_norm(W, X, y, reg):
        loss, dW = course.softmax_loss_vectorized(W, X, y, 0.0)
        norm = np.linalg.norm(W)
        return loss + reg * norm, dW + reg * W / norm

    report = check_gradient(with_norm, W, X, Y)
    assert report.ok and report.loss == "softmax"
    assert report.verdict.endswith("with another penalty")
    assert all(row.is_ok for row in report.values) and report.where == ""
    assert check_gradient(with_norm, W, X, Y, expected="softmax").mistakes == ("other-regulariser",)
