"""What a loss is: a function of one row of scores and its label. It never sees X.

Conventions, for every loss of this package:

* ``S`` (n, K, C) is a block of scores of n samples under K configurations; ``y`` (n,) are the labels.
* ``value_and_gradient`` **overwrites S with A = ∂ℓ/∂S**, the score gradient, and returns the values (n, K):
  the block is in cache, and a second array of its size would cost as much as the arithmetic.
* Every loss is convex in the scores with infimum 0, so by the Fenchel–Young equality a ∈ ∂ℓ(s) has
  −ℓ*(a) = ℓ(s) − ⟨s, a⟩, and for t in [0, 1]: −ℓ*(t a) ≥ −t ℓ*(a). Certificates rest on these two lines.

References:
    Shalev-Shwartz and Zhang, "Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization",
    JMLR 2013, section 2. Blondel, Martins and Niculae, "Learning with Fenchel-Young Losses", JMLR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from straightedge.later import later
from straightedge.newton.curvature import SecondOrder

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = later("torch")


def largest_loss(dtype: torch.dtype) -> float:
    """Return the value at which a loss is cut off: beyond every sensible score, and sums of 1e8 stay finite."""
    return float(torch.finfo(dtype).max) * 1e-8


def label_index(S: Tensor, y: Tensor) -> Tensor:
    """Return the index (n, K, 1) of the right class's column in S (n, K, C), for gather and scatter."""
    return y.view(-1, 1, 1).expand(-1, S.shape[1], 1)


@dataclass(frozen=True)
class DualReference:
    """A dual point whose rows depend on the class alone, used to repair the constraint of a free bias.

    Attributes:
        theta: (K,) share of the reference in the mixture (1 − θ) A + θ A_ref, in [0, 1].
        rows: (K, C, C) float64; ``rows[k, c]`` is the score gradient of every sample of class c.
        conjugate: (K,) float64; the mean of −ℓ* of the reference.
    """

    theta: Tensor
    rows: Tensor
    conjugate: Tensor


class Loss(Protocol):
    """The contract of a loss; a member inherits from this class and states only what differs.

    Attributes:
        name: The word for it on the command line and in files.
        title: What a page calls a classifier that minimises it.
        phrase: What a sentence calls it: "the mean … of 50,000 samples".
        formula: ℓ(s, y) in a line of text.
        smooth: Whether the gradient is Lipschitz, so that a quasi-Newton method converges on it.
        piecewise_linear: Whether it keeps the contract of `piecewise.PiecewiseLinearLoss`.
        shift_invariant: Whether the same number added to all scores of a row changes nothing.
        probabilistic: Whether scores are log-odds: softmax(scores) are the model's probabilities.
        tolerance: The relative gap that is worth asking for where nobody asks for another.
        learning_rate: How many times the usual first learning rate minibatch SGD can take.
        sklearn_class: The scikit-learn classifier that an export calls the model.
        in_notes: Whether the course's notes have it.
        kernel: The word for its fast kernels, None where there are none. Never inherited: a subclass is another
            function.
        geometry: The word for its margins and B together, for solvers whose core is written for some of them; or
            None, and never inherited.
        second_order: What Newton's method asks of it; None where it does not say, and never inherited.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    phrase: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    smooth: ClassVar[bool] = True
    piecewise_linear: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = False
    probabilistic: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-3
    learning_rate: ClassVar[float] = 0.3
    sklearn_class: ClassVar[str] = "LinearSVC"
    in_notes: ClassVar[bool] = False
    kernel: ClassVar[str | None] = None
    geometry: ClassVar[str | None] = None
    second_order: ClassVar[SecondOrder | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take back what a subclass must not inherit."""
        super().__init_subclass__(**kwargs)
        for name in ("kernel", "geometry", "second_order"):
            if name not in vars(cls):
                setattr(cls, name, None)

    def curvature(self, n_classes: int) -> float:
        """Return κ for ``n_classes`` classes: an upper estimate of the mean curvature of ℓ along one score.

        Preconditioners are factors of κ X̂ᵀX̂/N plus the penalty's Hessian.
        """
        ...

    def value_and_gradient(self, S: Tensor, y: Tensor) -> Tensor:
        """Return ℓ for each row and configuration, and overwrite S with its gradient.

        Args:
            S: (n, K, C) scores, float32 or float64, any strides; overwritten by A.
            y: (n,) int64 labels in [0, C).

        Returns:
            (n, K) values, same dtype as S, each ≥ 0.
        """
        ...

    def dual_reference(self, residual: Tensor, shares: Tensor) -> DualReference:
        """Return the class-wise dual point that cancels the column sums of A.

        Args:
            residual: (K, C) float64, the weighted column sums of A.
            shares: (K, C) float64, the weighted share of each class (rows sum to 1).

        Raises:
            NotImplementedError: The loss has no certificate when the bias is not penalised.
        """
        raise NotImplementedError(f"{self.name} has no certificate when the bias is free")
