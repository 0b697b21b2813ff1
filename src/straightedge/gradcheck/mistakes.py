"""The mistakes that have a name: a stable code, and one sentence that says what the notes have instead."""

from __future__ import annotations

from straightedge.gradcheck.report import Diagnosis

MISTAKES = {
    # value and gradient of the mean
    "loss-mean-missing": "the loss is a sum over samples: its 1/N is missing",
    "mean-missing": "dW is N times too large: its 1/N is missing (dW / N)",
    "mean-twice": "dW is N times too small: it is divided by N twice",
    "loss-mean-twice": "the loss is N times too small: it is divided by N twice",
    "loss-sign": "the loss has the wrong sign",
    "sign": "dW has the wrong sign",
    "factor": "dW is off by a factor of 2",
    "bias-row": "the bias row of dW is 0: the last row of W, the bias, is left out of the gradient",
    "transposed": "dW is transposed: it should be (D, C), Xᵀ A and not Aᵀ X",
    "class-index": "a wrong class is indexed: the right class of sample i is y[i], the pair (arange(N), y)",
    "gradient-missing": "the data term of dW is 0",
    # the hinge
    "right-class-counted": "the margin of the right class is counted (it is always 1): leave out j = y[i]",
    "margin-one-missing": "the margin lacks its + 1: it is s_j − s_y + 1",
    "mask-count": "on the right class the mask must be minus the count of the open margins of that row",
    "mask-count-missing": "the mask is 0 on the right class: dW[:, y[i]] −= X[i] is missing",
    "mask-count-sign": "the mask is plus the count on the right class, it must be minus",
    "mask-right-class": "the right class is counted in its own mask: the count is one too large",
    "mask-margins": "dW is made of the margins; the mask is 1 where the margin is open, whatever its size",
    # softmax
    "minus-one-missing": "the −1 of the right class (case ①) is missing: it is Xᵀ(P − Y), not XᵀP",
    "minus-one-sign": "the right class has p + 1, case ① is p − 1",
    "minus-one-everywhere": "1 is taken from every class; only the right one (case ①) has p − 1",
    "other-classes-missing": "only the right class has a gradient: case ②, p for the others, is missing",
    "not-normalised": "dW uses exp(s) that is not divided by its sum over the classes",
    "maximum-not-subtracted": "scores of ±1e4 give no finite result: subtract max(s) of each row first",
    # the regulariser
    "regulariser-missing": "reg changes nothing: reg * sum(W*W) and 2 * reg * W are missing",
    "regulariser-missing-in-loss": "reg * sum(W*W) is missing in the loss (dW has its part)",
    "regulariser-missing-in-gradient": "2 * reg * W is missing in dW",
    "regulariser-two-missing": "dW has reg * W: the 2 of the derivative of W² is missing, it is 2 * reg * W",
    "regulariser-twice": "dW has the regulariser twice: it is 2 * reg * W",
    "regulariser-sign": "the regulariser has the wrong sign in dW: it is + 2 * reg * W",
    "regulariser-divided": "the regulariser in dW is divided by N: add 2 * reg * W after the division",
    "regulariser-bias-row": "the loss penalises the bias row, dW does not: 2 * reg * W goes over all of W",
    "regulariser-without-reg": "dW has 2 * W without reg: it is 2 * reg * W",
    "reg-added": "the loss has reg + sum(W*W) (as the scan of the notes reads): it is reg * sum(W*W)",
    # the function itself
    "argument-changed": "the function writes into W, X or y: work on copies",
    "single-precision": "the function answers float64 arguments in a lower precision: make dW in W's type",
    "value-differs": "the loss without regulariser is not that of the notes at this W",
    "gradient-differs": "dW differs from the gradient of the notes in entries that were not among the rows",
}

REMARKS = {
    "class-mean": "the loss is the mean over classes too, as in torch.nn.MultiMarginLoss; the notes sum them",
    "half-convention": "the penalty is reg/2 * sum(W*W); the notes have no 1/2: their reg is half of this",
    "bias-free": "the bias row is not penalised; the notes penalise it",
    "other-regulariser": "the penalty is not reg * sum(W*W)",
    "unknown-loss": "the value is not that of a loss of the notes: only the differences speak",
}


def mistake(code: str) -> Diagnosis:
    """Return the diagnosis of a mistake."""
    return Diagnosis(code, MISTAKES[code])


def remark(code: str) -> Diagnosis:
    """Return a remark: another convention than the notes', no mistake."""
    return Diagnosis(code, REMARKS[code], is_mistake=False)


def wrong_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> Diagnosis:
    """Return the diagnosis of a dW that has not the shape of W."""
    if found == expected[::-1]:
        return mistake("transposed")
    return Diagnosis("gradient-shape", f"dW has shape {found}, it should have that of W, {expected}")
