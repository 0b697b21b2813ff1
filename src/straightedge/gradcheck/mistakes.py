"""The mistakes that have a name: a code, a finer word for where it shows, and what the notes have instead."""

from straightedge.gradcheck.report import Diagnosis

MISTAKES = {
    # what the function is, returns and does
    "raises": "the function ends in an exception: {error}",
    "stub": "the function is not written yet: {found}",
    "no-pair": "the function returns {found}: it must return the pair (loss, dW)",
    "pair-swapped": "the function returns (dW, loss): it must return (loss, dW), in this order",
    "returns-a-list": "{part} is a Python {kind}: make it {instead}",
    "loss-has-shape": "the loss has the shape {shape}: it must be one number, the mean over all samples",
    "gradient-shape": "dW has the shape {found}, it must have that of W, {expected}",
    "transposed": "dW is transposed: it must be (D, C), Xᵀ A and not Aᵀ X",
    "integer-gradient": "dW holds integers ({kind}), which cut off every fraction: make it in W's type",
    "weights-and-bias-apart": "the gradients of weights and bias are returned apart: here the bias is the last "
    "row of W (X has a column of 1), so dW alone holds both",
    "argument-changed": "the function writes into {names}: work on copies",
    "accumulates-between-calls": "each call adds to the answer of the calls before: set dW to 0 in the function",
    "answers-differ": "two calls with the same arguments give different answers",
    # value and gradient of the mean
    "loss-mean-missing": "the loss is a sum over samples: its 1/N is missing",
    "mean-missing": "dW is N times too large: its 1/N is missing (dW / N)",
    "mean-twice": "dW is N times too small: it is divided by N twice",
    "loss-mean-twice": "the loss is N times too small: it is divided by N twice",
    "class-mean": "the loss is divided by the number of classes C too: the mean goes over samples alone, the "
    "classes are summed (torch.nn.MultiMarginLoss divides)",
    "class-mean-in-gradient": "dW is divided by the number of classes C: the mean goes over samples alone",
    "loss-sign": "the loss has the wrong sign",
    "sign": "dW has the wrong sign: it must point uphill",
    "factor": "dW is off by a factor of 2",
    "one-over-n-per-class": "each class is divided by the number of its own samples: divide all of dW by N",
    "bias-row": "the bias row of dW is 0: the last row of W, the bias, is left out of the gradient",
    "class-index": "a wrong class is indexed: the right class of sample i is y[i], the pair (arange(N), y)",
    "gradient-missing": "the data term of dW is 0",
    # the hinge
    "right-class-counted": "the margin of the right class is counted (it is always 1): leave out j = y[i]",
    "no-maximum-with-zero": "margins below 0 are added as well: it is max(0, s_j − s_y + 1)",
    "margin-one-missing": "the margin lacks its + 1: it is s_j − s_y + 1",
    "wrong-margin": "the margin is s_j − s_y + {delta:.6g}: Δ must be 1",
    "squared-hinge": "the margins are squared: the notes sum max(0, s_j − s_y + 1) itself",
    "squared-hinge-in-gradient": "dW is that of squared margins, 2·max(0, m): the mask is 1 where m > 0",
    "mask-count": "on the right class X[i] is taken once: it must be taken once for every open margin of the row",
    "mask-count-missing": "the mask is 0 on the right class: dW[:, y[i]] −= X[i] is missing",
    "mask-count-sign": "the mask is plus the count on the right class, it must be minus",
    "mask-right-class": "the right class is counted in its own mask: the count is one too large",
    "mask-margins": "dW is made of the margins; the mask is 1 where the margin is open, whatever its size",
    "count-over-whole-matrix": "the right class's mask counts the open margins of all rows: count each row's own",
    "count-over-samples": "the right class's mask counts over samples: count over the classes of each row (axis 1)",
    # softmax
    "log-missing": "the loss is made of p[y], its logarithm is missing: it is −log p[y]",
    "minus-one-missing": "the −1 of the right class (case ①) is missing: it is Xᵀ(P − Y), not XᵀP",
    "minus-one-sign": "the right class has p + 1, case ① is p − 1",
    "minus-one-everywhere": "1 is taken from every class; only the right one (case ①) has p − 1",
    "other-classes-missing": "only the right class has a gradient: case ②, p for the others, is missing",
    "probability-times-one-minus": "a derivative of the probability, p(1 − p), stands in dW: that of −log p[y] is "
    "p − 1 on the right class and p on the others",
    "not-normalised": "dW uses exp(s) that is not divided by its sum over the classes",
    "maximum-not-subtracted": "when all scores of a row move by 1e4, the loss must stay as it is and does not: "
    "subtract max(s) of each row first",
    # the regulariser
    "regulariser-missing": "reg changes nothing: reg * sum(W*W) and 2 * reg * W are missing",
    "regulariser-missing-in-loss": "reg * sum(W*W) is missing in the loss (dW has its part)",
    "regulariser-missing-in-gradient": "2 * reg * W is missing in dW",
    "regulariser-two-missing": "dW has half of the penalty's derivative, the 2 of (W²)′ is missing: 2 * reg * W",
    "half-regulariser-value": "the loss has reg/2 * sum(W*W), dW has 2 * reg * W: both with the 1/2, or neither",
    "regulariser-twice": "dW has the regulariser twice: it is 2 * reg * W",
    "regulariser-sign": "the regulariser has the wrong sign in dW: it is + 2 * reg * W",
    "regulariser-divided": "the regulariser in dW is divided by N: add 2 * reg * W after the division",
    "regulariser-bias-row": "the loss penalises the bias row, dW does not: 2 * reg * W goes over all of W",
    "regulariser-bias-row-in-gradient": "dW penalises the bias row, the loss does not",
    "regulariser-without-reg": "dW has 2 * W without reg: it is 2 * reg * W",
    "reg-added": "the loss has reg + sum(W*W) (as the scan of the notes reads): it is reg * sum(W*W)",
    "l1-penalty": "the penalty is that of absolute values, reg * sum(|W|): it is reg * sum(W*W)",
    "l1-penalty-in-gradient": "dW has reg * sign(W), the derivative of sum(|W|): that of sum(W*W) is 2 * reg * W",
    "other-regulariser": "what reg adds to the loss is not reg * sum(W*W)",
    # where no name fits
    "other-loss": "the value is that of another loss, {found}: expected {expected}",
    "not-finite": "the loss or dW is not finite ({found}) where scores are about 1",
    "value-differs": "the loss without regulariser is not that of the notes",
    "gradient-differs": "dW is not the derivative of the loss",
}

# Finer words whose mistake goes by a wider name: the wider one is the code, the finer one stays the detail.
CODES = {
    "transposed": "gradient-shape",
    "argument-changed": "changes-arguments",
    "loss-mean-missing": "missing-division-by-n",
    "mean-missing": "missing-division-by-n",
    "class-mean": "divided-by-classes",
    "class-mean-in-gradient": "divided-by-classes",
    "sign": "gradient-sign",
    "right-class-counted": "correct-class-counted",
    "mask-right-class": "correct-class-counted",
    "margin-one-missing": "wrong-margin",
    "squared-hinge-in-gradient": "squared-hinge",
    "mask-count": "correct-class-gradient-once",
    "mask-count-missing": "correct-class-gradient-missing",
    "minus-one-missing": "missing-minus-one",
    "regulariser-missing-in-loss": "missing-regulariser-value",
    "regulariser-missing-in-gradient": "missing-regulariser-gradient",
    "regulariser-two-missing": "half-regulariser-gradient",
    "l1-penalty-in-gradient": "l1-penalty",
}

REMARKS = {
    "half-convention": "the penalty is reg/2 * sum(W*W); the notes have no 1/2: their reg is half of this",
    "mean-convention": "the penalty is divided by N; the notes' is not: their reg is N times smaller than this",
    "bias-free": "the bias row is not penalised; the notes penalise it",
    "other-regulariser": "the penalty is not reg * sum(W*W)",
    "unknown-loss": "the value is not that of a known loss: only the differences speak",
    "log-of-zero": "where another score lies far above the right one, p[y] rounds to 0 and its logarithm is "
    "lost; with shifted = s − max(s) the loss is log(sum(exp(shifted))) − shifted[y], for any scores",
    "single-precision": "the function computes in a lower precision than float64, so differences show fewer digits",
}


def mistake(detail: str, **facts: object) -> Diagnosis:
    """Return the diagnosis of a mistake; `facts` fill its sentence."""
    return Diagnosis(CODES.get(detail, detail), MISTAKES[detail].format(**facts), True, detail)


def remark(code: str) -> Diagnosis:
    """Return a remark: another convention than the notes', no mistake."""
    return Diagnosis(code, REMARKS[code], False, code)
