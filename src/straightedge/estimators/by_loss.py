"""The classifier of the softmax loss and that of the SVM, without the choice of a loss."""

from collections.abc import Sequence
from typing import Any

from straightedge.estimators.linear import LinearClassifier
from straightedge.status import Callback


class _OfOneLoss(LinearClassifier):
    """`LinearClassifier` without a choice of the loss."""

    def __init__(
        self,
        reg: float = 1e-3,
        *,
        tol: float = 1e-4,
        max_passes: float = 1000,
        bias: str = "penalized",
        class_weight: Any = None,
        preprocess: str = "none",
        solver: str = "auto",
        warm_start: bool = False,
        device: str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.reg = reg
        self.tol = tol
        self.max_passes = max_passes
        self.bias = bias
        self.class_weight = class_weight
        self.preprocess = preprocess
        self.solver = solver
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks


class SoftmaxClassifier(_OfOneLoss):
    """`LinearClassifier` with the softmax cross-entropy (multinomial logistic regression)."""

    _fixed_loss = "softmax"


class SVMClassifier(_OfOneLoss):
    """`LinearClassifier` with the multiclass hinge of Weston and Watkins, the SVM loss of the notes."""

    _fixed_loss = "svm"
