"""Names for what is wrong in the regulariser: what reg adds to loss and gradient, against reg · ΣW²."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.reference import Floats
from straightedge.gradcheck.report import Diagnosis, ValueRow


@dataclass(frozen=True)
class Added:
    """What reg adds to the answers of a function at one W.

    Attributes:
        W: (D, C), no entry near 0.
        reg: Strength, above 0.
        n_samples: N.
        amount: What the loss grows by.
        gradient: What dW grows by, (D, C).
        tolerance: Relative error up to which two numbers are the same.
        rounding: Absolute error of `gradient`, as the data term's digits are cut off.
    """

    W: Floats
    reg: float
    n_samples: int
    amount: float
    gradient: Floats
    tolerance: float
    rounding: float

    def is_amount(self, amount: float) -> bool:
        """Whether the loss grows by this."""
        return abs(self.amount - amount) <= self.tolerance * max(abs(amount), abs(self.amount))

    def is_gradient(self, gradient: Floats) -> bool:
        """Whether dW grows by this."""
        slack = self.tolerance * max(float(np.linalg.norm(gradient)), self.reg * float(np.linalg.norm(self.W)))
        return float(np.linalg.norm(self.gradient - gradient)) <= slack + self.rounding


@dataclass(frozen=True)
class Convention:
    """A penalty that courses use: factor · reg · ΣW², over all rows of W or all but the bias row."""

    factor: float
    is_bias_free: bool
    remarks: tuple[str, ...]

    def amount(self, added: Added) -> float:
        """Return the penalty."""
        return self.factor * added.reg * float(np.sum(self.weights(added.W) ** 2))

    def weights(self, W: Floats) -> Floats:
        """Return W, with a bias row of 0 where it is free."""
        return np.vstack([W[:-1], np.zeros_like(W[:1])]) if self.is_bias_free else W


def diagnose_regulariser(added: Added, *, is_told: bool, has_wrong_rows: bool) -> list[Diagnosis]:
    """Return the likely mistakes, and the conventions that differ from the notes.

    Args:
        added: What reg adds.
        is_told: Whether the caller says that it should be a loss of the notes; an unknown penalty is then a
            mistake.
        has_wrong_rows: Whether differences speak against an entry.
    """
    W, reg = added.W, added.reg
    square = float(np.sum(W * W))
    if abs(added.amount) <= added.tolerance * reg * square:
        in_gradient = not added.is_gradient(0 * W)
        return [mistake("regulariser-missing-in-loss" if in_gradient else "regulariser-missing")]
    if added.is_amount(reg):
        return [mistake("reg-added")]
    if any(added.is_amount(factor * reg * float(np.abs(W).sum())) for factor in (1.0, 0.5)):
        return [mistake("l1-penalty")]
    convention = _convention(added)
    if convention is not None:
        return _name_gradient(added, convention, has_wrong_rows=has_wrong_rows)
    other = mistake("other-regulariser") if is_told else remark("other-regulariser")
    return [other, *([mistake("gradient-differs")] if has_wrong_rows else [])]


def penalty_row(added: Added, *, is_told: bool) -> ValueRow:
    """Return the penalty beside that of the convention it follows.

    Where it follows none, that of the notes is right only if the caller says that their loss is meant or the
    penalty is a known slip; of any other penalty nothing is known.
    """
    convention = _convention(added)
    if (
        convention is None
        and not is_told
        and diagnose_regulariser(added, is_told=False, has_wrong_rows=False) == [remark("other-regulariser")]
    ):
        return ValueRow("penalty", added.amount, None, True)
    right = (convention or next(_conventions(added.n_samples))).amount(added)
    return ValueRow("penalty", added.amount, right, convention is not None)


def _convention(added: Added) -> Convention | None:
    matching = (one for one in _conventions(added.n_samples) if added.is_amount(one.amount(added)))
    return next(matching, None)


def _conventions(n_samples: int) -> Iterator[Convention]:
    """The notes' first, then those of other courses."""
    for is_bias_free in (False, True):
        free = ("bias-free",) if is_bias_free else ()
        yield Convention(1.0, is_bias_free, free)
        yield Convention(0.5, is_bias_free, ("half-convention", *free))
        yield Convention(1 / n_samples, is_bias_free, ("mean-convention", *free))
        yield Convention(0.5 / n_samples, is_bias_free, ("half-convention", "mean-convention", *free))


def _name_gradient(added: Added, convention: Convention, *, has_wrong_rows: bool) -> list[Diagnosis]:
    remarks = [remark(code) for code in convention.remarks]
    right = 2 * convention.factor * added.reg * convention.weights(added.W)
    if added.is_gradient(right):
        return remarks
    for detail, gradient in _slips(added, convention, right):
        if added.is_gradient(gradient):
            return [mistake(detail)]
    return [*remarks, *([mistake("gradient-differs")] if has_wrong_rows else [])]


def _slips(added: Added, convention: Convention, right: Floats) -> Iterator[tuple[str, Floats]]:
    """What stands in dW instead of the derivative of the penalty."""
    W, reg = added.W, added.reg
    is_half = "half-convention" in convention.remarks
    yield "regulariser-missing-in-gradient", 0 * W
    yield "regulariser-two-missing", right / 2
    yield ("half-regulariser-value" if is_half else "regulariser-twice"), 2 * right
    yield "regulariser-sign", -right
    yield "regulariser-divided", right / added.n_samples
    yield "regulariser-without-reg", right / reg
    yield "l1-penalty-in-gradient", reg * np.sign(W)
    bias = 2 * convention.factor * reg * W[-1:]
    detail = "regulariser-bias-row-in-gradient" if convention.is_bias_free else "regulariser-bias-row"
    yield detail, np.vstack([right[:-1], bias if convention.is_bias_free else 0 * bias])
