"""Names for what is wrong in the regulariser: what reg adds to loss and gradient, against reg · ΣW²."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.reference import Floats
from straightedge.gradcheck.report import Diagnosis, GradCheckRow

CLOSE = 1e-5


def diagnose_regulariser(
    rows: Sequence[GradCheckRow], amount: float, W: Floats, reg: float, n_samples: int
) -> list[Diagnosis]:
    """Return the likely mistakes, and conventions that differ from the notes.

    Args:
        rows: The rows of the regulariser.
        amount: What reg adds to the loss at W.
        W: (D, C).
        reg: Strength, above 0.
        n_samples: N.
    """
    square = float(np.sum(W * W))
    in_gradient = any(abs(row.analytic) > CLOSE * reg * abs(W[row.row, row.column]) for row in rows)
    if abs(amount) <= CLOSE * reg * square:
        return [mistake("regulariser-missing-in-loss" if in_gradient else "regulariser-missing")]
    if _close(amount, reg):
        return [mistake("reg-added")]
    if any(row.verdict == "mistake" for row in rows):
        return _name_gradient(rows, reg, n_samples)
    return _remarks(amount, W, reg)


def _name_gradient(rows: Sequence[GradCheckRow], reg: float, n_samples: int) -> list[Diagnosis]:
    wrong = [row for row in rows if row.verdict == "mistake"]
    body = [row for row in rows if not row.is_bias]
    if body and all(row.is_bias and row.analytic == 0 for row in wrong):
        return [mistake("regulariser-bias-row")]
    factors = {
        "regulariser-missing-in-gradient": 0.0,
        "regulariser-two-missing": 0.5,
        "regulariser-twice": 2.0,
        "regulariser-sign": -1.0,
        "regulariser-divided": 1 / n_samples,
        "regulariser-without-reg": 1 / reg,
    }
    ratios = np.array([row.analytic / row.numeric if row.numeric else np.nan for row in wrong])
    names = [code for code, factor in factors.items() if np.allclose(ratios, factor, rtol=1e-4, atol=1e-9)]
    return [mistake(names[0])] if names else []


def _remarks(amount: float, W: Floats, reg: float) -> list[Diagnosis]:
    square = float(np.sum(W * W))
    if _close(amount, reg * square):
        return []
    if _close(amount, reg * square / 2):
        return [remark("half-convention")]
    free = _close(amount, reg * float(np.sum(W[:-1] ** 2)))
    return [remark("bias-free" if free else "other-regulariser")]


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))
