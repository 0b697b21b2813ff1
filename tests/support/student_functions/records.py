"""What the corpus knows about each of its functions, and the closed list of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

LossFunction = Callable[..., Any]

# Mistakes that show in the value or in the gradient.
VALUE_MISTAKES = {
    "gradient-sign": "the gradient of the data loss, or the whole gradient, points the other way",
    "missing-division-by-n": "the value, the gradient or both are sums over the rows, not means",
    "missing-regulariser-gradient": "the penalty is in the value and not in the gradient",
    "missing-regulariser-value": "the penalty is in the gradient and not in the value",
    "half-regulariser-gradient": "the value has reg·ΣW², the gradient reg·W",
    "half-regulariser-value": "the value has ½reg·ΣW², the gradient 2reg·W",
    "no-maximum-with-zero": "the SVM adds margins below zero as well",
    "wrong-margin": "the SVM's Δ is not 1",
    "squared-hinge": "the SVM squares its margins, in the value or in both",
    "divided-by-classes": "the mean is over rows and classes",
    "correct-class-counted": "the correct class's own margin, which is Δ, is in the sum",
    "count-over-whole-matrix": "the correct class's gradient counts the open margins of all rows",
    "correct-class-gradient-missing": "the correct class has no gradient",
    "correct-class-gradient-once": "the correct class's gradient takes X[i] once, not once per open margin",
    "one-over-n-per-class": "a class's column of the gradient is divided by the rows of that class, not by N",
    "probability-times-one-minus": "a derivative of the probability, p(1 − p), stands for the gradient",
    "missing-minus-one": "the score gradient is p, without − 1 at the correct class",
    "l1-penalty": "the penalty is reg·Σ|W|, in the value or in both",
    "maximum-not-subtracted": "softmax overflows where all scores are large",
}
# Mistakes in what a function raises, returns, keeps or changes.
FORM_MISTAKES = {
    "raises": "the function ends in an exception",
    "loss-has-shape": "the loss is an array with at least one axis",
    "returns-a-list": "the loss or the gradient is a Python list",
    "stub": "the function returns nothing, or a loss of zero with a gradient of zeros",
    "integer-gradient": "the gradient holds integers",
    "accumulates-between-calls": "each call adds to the gradient of the calls before",
    "changes-arguments": "the function changes W, X or y in place",
    "gradient-shape": "the gradient's shape is not that of W",
    "weights-and-bias-apart": "the gradients of weights and bias are returned apart",
}


@dataclass(frozen=True)
class StudentFunction:
    """One function ``(W, X, y, reg) -> (loss, dW)`` as a student might write it, and what is true of it.

    Attributes:
        name: The function's name, unique in the corpus.
        function: The function. W has the shape (D, C), X (N, D), y (N,) with int64 labels.
        kind: The loss that was meant, "svm" or "softmax".
        framework: What it takes, "numpy" or "torch".
        mistake: A key of `VALUE_MISTAKES` or `FORM_MISTAKES`; None where the function is right.
        regulariser: "full" where the value's penalty is (or was meant to be) reg·ΣW², "half" where it is ½reg·ΣW².
        part: "held back" where it is kept for the end, unread by whoever changes the gradient check; "later" where
            it was written after that, by somebody who had not read the check; else "seen".
        dtype: What the function computes in, "float64" or "float32", whatever it is given.
    """

    name: str
    function: LossFunction
    kind: str
    framework: str
    mistake: str | None
    regulariser: str
    part: Literal["seen", "held back", "later"]
    dtype: str


# The parts of the corpus by how the names of their files begin.
PARTS: dict[str, Literal["held back", "later"]] = {"held_back": "held back", "later": "later"}

FOUND: list[StudentFunction] = []


def _recorded(
    kind: str, framework: str, mistake: str | None, regulariser: str, dtype: str
) -> Callable[[LossFunction], LossFunction]:
    def record(function: LossFunction) -> LossFunction:
        module = function.__module__.rpartition(".")[2]
        part = next((name for start, name in PARTS.items() if module.startswith(start)), "seen")
        FOUND.append(
            StudentFunction(function.__name__, function, kind, framework, mistake, regulariser, part, dtype)
        )
        return function

    return record


def right(
    kind: str, framework: str, *, regulariser: str = "full", dtype: str = "float64"
) -> Callable[[LossFunction], LossFunction]:
    """Record a function whose value and gradient are right; the function itself stays as it is."""
    return _recorded(kind, framework, None, regulariser, dtype)


def wrong(
    kind: str, framework: str, mistake: str, *, regulariser: str = "full"
) -> Callable[[LossFunction], LossFunction]:
    """Record a function that has one mistake; the function itself stays as it is."""
    return _recorded(kind, framework, mistake, regulariser, "float64")
