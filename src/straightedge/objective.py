"""P(W) = mean loss + reg R(W), for K configurations, in one pass over blocks of rows.

A configuration is a column group of one wide matrix product: its own W, its own reg, its own row weights (a
fold is a set of row weights, and so is a class weight). X is read once for all of them. One pass computes,
block by block while the block is in cache,

    S = X̂ W,   ℓ and A = ∂ℓ/∂S,   V += X̂ᵀ A

and from the three sums the value, the gradient and a lower bound on the optimum:

    P = mean ℓ + reg R(W),   ∇P = V + reg ∇R(W),   D = −mean ℓ*(a) − (reg R)*(−V) ≤ min P ≤ P.

For the ridge R is ‖W‖², ∇P is V + 2 reg W and (reg R)*(−V) is ‖V‖²/(4 reg); see `straightedge.penalties`.

X̂ = (X − shift) · scale with a constant 1 appended is never built: the map is folded into W before the pass and
into V after it (`preprocess.AffineMap`).

References:
    The notes, ③–⑦ and "Softmax". Rockafellar, "Convex Analysis", 1970, section 31, for the dual.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from straightedge.design import Block, DenseDesign, Design, RowWeights, ScoreFunction
from straightedge.distributed import Communicator
from straightedge.kernels import value_and_gradient
from straightedge.losses import Loss
from straightedge.nested import Held
from straightedge.penalties import Penalty, PenaltyTerm, Ridge
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.workers import BlockPool

__all__ = ["Block", "Evaluation", "Objective", "ScoreFunction"]


@dataclass(frozen=True)
class Evaluation:
    """What one pass knows about W.

    Attributes:
        objective: (K,) float64, P(W).
        gradient: (K, C, D + 1) float64, ∇P(W).
        dual: (K,) float64, a lower bound on min P; −inf where reg is 0.
        V: (K, C, D + 1) float64, X̂ᵀA weighted: the data part of the gradient.
        gap: (K,) float64, P(W) − D ≥ P(W) − min P, without the cancellation of the difference where there is
            a formula: ‖∇P‖²/(4 reg).
    """

    objective: Tensor
    gradient: Tensor
    dual: Tensor
    V: Tensor
    gap: Tensor


class Objective:
    """The regularised mean loss of K linear classifiers over one set of rows.

    Args:
        rows: X, N rows of D features; or a `Design`, which then says what the arguments from ``communicator`` on
            and ``affine`` would.
        y: (N,) int64 labels in [0, n_classes).
        n_classes: C.
        loss: A member of `straightedge.losses`.
        reg: K values ≥ 0, one a configuration.
        affine: The map from raw rows to the classifier's; identity by default.
        weights: Row weights (N,), or (F, N) of which configuration k uses row ``fold[k]``; each row ≥ 0, scaled
            here to sum to 1 over all ranks. None weighs every row 1/N.
        fold: (K,) int64, the row of ``weights`` each configuration uses.
        bias: "penalized" (the bias row is part of ‖W‖²) or "free"; for the ridge.
        penalty: R, a member of `straightedge.penalties`; by default the ridge ‖W‖².
        communicator: Sums over ranks; each rank holds its own rows.
        dtype: float32 or float64, the type of the products; sums over blocks are float64 in either.
        block_rows: Rows of a block; chosen by the width of W when None.
        workers: Worker threads on the CPU; the cores of this process when None.

    Shapes:
        Inside solvers W is (K, C, D + 1): configuration, class, feature with the bias last. This is the layout
        Wᵀ in which both products of a pass run at full speed (THEORY of the pass: docs/architecture.md).
    """

    reg = Held[Tensor]("penalty")
    """(K,) float64 on the CPU: the strength of each configuration's penalty."""
    device = Held[torch.device]("design")
    """Where products run."""
    dtype = Held[torch.dtype]("design")
    """Float type of the products."""
    communicator = Held[Communicator]("design")
    """Sums over ranks."""
    pool = Held[BlockPool]("design")
    """The workers."""
    n_samples = Held[int]("design")
    """Rows of this rank."""
    n_total = Held[int]("design")
    """Rows of all ranks."""
    fold = Held[Tensor]("row_weights")
    """(K,) int64, the set of row weights of each configuration."""

    def __init__(
        self,
        rows: Rows | Design,
        y: Tensor,
        n_classes: int,
        loss: Loss,
        reg: Sequence[float],
        *,
        affine: AffineMap | None = None,
        weights: Tensor | None = None,
        fold: Tensor | None = None,
        bias: str = "penalized",
        penalty: Penalty | None = None,
        communicator: Communicator | None = None,
        dtype: torch.dtype = torch.float32,
        block_rows: int | None = None,
        workers: int | None = None,
    ) -> None:
        if isinstance(rows, Design):
            self.design = rows
        else:
            self.design = DenseDesign(
                rows, affine, communicator=communicator, dtype=dtype, block_rows=block_rows, workers=workers
            )
        self.y = y.to(self.device)
        self.n_classes = n_classes
        self.loss = loss
        penalty = penalty or Ridge(bias)
        penalty.check(self.design.n_features)
        self.penalty = PenaltyTerm(penalty, torch.as_tensor(list(reg), dtype=torch.float64))
        folds = fold if fold is not None else torch.zeros(self.n_configs, dtype=torch.int64)
        self.row_weights = RowWeights(self._normalised(weights), folds, 1 / self.n_total)
        self.labels: Tensor | None = None
        self._cache: dict[str, Tensor] = {}

    @property
    def n_configs(self) -> int:
        """Number of configurations K."""
        return len(self.penalty.reg)

    @property
    def bias(self) -> str:
        """Whether the bias is "penalized" or "free"."""
        return self.penalty.penalty.bias

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K, C, D + 1), the shape of W inside solvers."""
        return self.n_configs, self.n_classes, self.design.width

    @property
    def rows(self) -> Rows:
        """X of a dense design."""
        assert isinstance(self.design, DenseDesign), "this design has no rows of its own"
        return self.design.rows

    @property
    def affine(self) -> AffineMap:
        """The map of a dense design."""
        assert isinstance(self.design, DenseDesign), "this design has no affine map of its own"
        return self.design.affine

    @property
    def weights(self) -> Tensor | None:
        """(F, N) sets of row weights, each of sum 1, or None."""
        return self.row_weights.table

    def select(self, configs: Tensor) -> Objective:
        """Return the same objective for some of the configurations (K',) int64; data is shared."""
        part = copy.copy(self)
        part.penalty, part.row_weights = self.penalty.select(configs), self.row_weights.select(configs)
        part.design = self.design.select(configs)
        if part.design is not self.design:
            part._cache = {}
        part.labels = None if self.labels is None else self.labels[configs]
        return part

    def subset(self, index: Tensor) -> Objective:
        """Return the objective over some of this rank's rows, each of weight 1: its sums are sums, no means.

        Args:
            index: (n,) int64, rising; may be empty.
        """
        part = copy.copy(self)
        part.design, part.y = self.design.subset(index), self.y[index]
        part.row_weights, part._cache = RowWeights(None, self.fold, 1.0), {}
        part.labels = None if self.labels is None else self.labels[:, index]
        return part

    def in_dtype(self, dtype: torch.dtype) -> Objective:
        """Return the same objective with products in another float type; data is shared."""
        other = copy.copy(self)
        other.design = self.design.to(dtype)
        return other

    def for_labels(self, y: Tensor) -> Objective:
        """Return the objective of other labels (N,) int64 on the same rows."""
        other = copy.copy(self)
        other.y, other._cache = y.to(self.device), {}
        return other

    def for_reg(self, reg: Sequence[float], labels: Tensor | None = None) -> Objective:
        """Return the objective of K other values of reg on the same rows; where given, with labels (K, N) of each.

        Labels of each need a solver that asks for values and gradients alone, and a penalised bias.
        """
        other = copy.copy(self)
        other.penalty = PenaltyTerm(self.penalty.penalty, torch.as_tensor(list(reg), dtype=torch.float64))
        other.row_weights = replace(self.row_weights, fold=torch.zeros(len(reg), dtype=torch.int64))
        other.labels = labels
        return other

    # ---------------------------------------------------------------- one pass

    def sweep(self, W: Tensor, score_function: ScoreFunction, *, gradient: bool = True) -> tuple[Tensor, Tensor]:
        """Go over all rows once, with this objective's row weights; see `Design.sweep`."""
        return self.design.sweep(W, score_function, self.row_weights, gradient=gradient)

    def scores(self, W: Tensor) -> Tensor:
        """Return X̂W of this rank's rows: (N, K, C) in the working type."""
        return self.design.scores(W)

    def evaluate(self, W: Tensor, *, scores: Tensor | None = None) -> Evaluation:
        """Return value, gradient and lower bound at W, from one pass.

        Args:
            W: (K, C, D + 1).
            scores: (N, K, C) to be filled with X̂W, or None.
        """

        def score_function(S: Tensor, block: Block) -> Sequence[Tensor]:
            if scores is not None:
                if block.configs is None:
                    scores[block.start : block.stop] = S
                else:
                    scores[block.start : block.stop, block.configs] = S.to(scores.dtype)
            return (self.losses(S, block),)

        sums, V = self.sweep(W, score_function)
        return self.evaluation(W, sums[0], V)

    def losses(self, S: Tensor, block: Block) -> Tensor:
        """Return the losses (n, K) of a block of scores (n, K, C), which become their gradients."""
        if self.labels is not None:
            return self._of_own_labels(S, self.labels[:, block.start : block.stop])
        compiled = self.design.loops(self.n_configs * self.n_classes) is not None
        return value_and_gradient(self.loss, S, self.y[block.start : block.stop], compiled=compiled)

    def at_zero(self) -> Evaluation:
        """Return `evaluate` at W = 0, by the sums of each class: its rows have one gradient in the scores."""
        W = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        if self.labels is not None:
            return self.evaluate(W)
        A = torch.zeros(self.n_classes, 1, self.n_classes, dtype=torch.float64, device=self.device)
        losses = self.loss.value_and_gradient(A, torch.arange(self.n_classes, device=self.device))
        sums = self.design.class_sums(self.y, self.n_classes, self.row_weights)
        V = (A[:, 0].t().to(self.dtype) @ sums.to(self.dtype)).to(torch.float64)
        return self.evaluation(W, (sums[..., -1] @ losses[:, 0]).cpu(), V)

    def value_at_zero(self) -> Tensor:
        """Return (K,) float64: P(0), the loss of a row of zero scores, whatever the data."""
        S = torch.zeros(1, self.n_configs, self.n_classes, dtype=torch.float64)
        return self.loss.value_and_gradient(S, torch.zeros(1, dtype=torch.int64))[0]

    def _of_own_labels(self, S: Tensor, labels: Tensor) -> Tensor:
        """Return the losses (n, K) of a block of scores (n, K, C) for labels (K, n); scores become gradients."""
        losses = [value_and_gradient(self.loss, S[:, k : k + 1], y, compiled=False) for k, y in enumerate(labels)]
        return torch.cat(losses, dim=1)

    def evaluation(self, W: Tensor, mean_loss: Tensor, V: Tensor) -> Evaluation:
        """Assemble value, gradient and dual from a pass's sums, by −ℓ*(a) = ℓ − ⟨s, a⟩."""
        W64 = W.to(torch.float64)
        objective = mean_loss + self.penalty.value(W64)
        gradient = V + self.penalty.gradient(W64)
        conjugate = mean_loss - (W64 * V).sum(dim=(1, 2)).cpu()
        dual = self.dual_value(V, conjugate)
        gap = (objective - dual).clamp_min(0)
        natural = self.penalty.natural_gap(gradient)
        fine = torch.where(gap > 1e-12 * objective, gap, natural)
        gap = torch.where(natural.isfinite(), torch.minimum(natural, fine), gap)
        return Evaluation(objective, gradient, dual, V, gap)

    def dual_value(self, V: Tensor, conjugate: Tensor) -> Tensor:
        """Return a lower bound on min P from a dual point's sums.

        For t in [0, 1], tA is a dual point too, and the penalty knows the best t. A free bias asks for
        Σ_i w_i a_i = 0 as well, reached by mixing with the loss's `dual_reference`.

        Args:
            V: (K, C, D + 1) float64, Σ w_i x̂_i a_iᵀ.
            conjugate: (K,) float64, Σ w_i (−ℓ*(a_i)).

        Returns:
            (K,) float64 on the CPU.
        """
        if self.penalty.free_bias:
            V, conjugate = self._repaired(V, conjugate)
        return self.penalty.best_bound(V, conjugate)

    def _repaired(self, V: Tensor, conjugate: Tensor) -> tuple[Tensor, Tensor]:
        sums = self.class_sums()[self.fold] if self.design.one_map else self._class_sums(self.row_weights)
        reference = self.loss.dual_reference(V[..., -1].cpu(), sums[..., -1].cpu())
        theta = reference.theta[:, None, None].to(V.device)
        other = reference.rows.to(V.device).transpose(1, 2) @ sums.to(V.device)
        mixed = (1 - theta) * V + theta * other
        conjugate = (1 - reference.theta) * conjugate + reference.theta * reference.conjugate
        return self.penalty.without_bias(mixed), conjugate

    # ---------------------------------------------------------------- facts about the data

    def class_sums(self) -> Tensor:
        """Return (F, C, D + 1) float64: Σ of w_i x̂_i over each class, for each set of row weights."""
        if "class_sums" not in self._cache:
            every = torch.arange(self.row_weights.n_sets)
            self._cache["class_sums"] = self._class_sums(replace(self.row_weights, fold=every))
        return self._cache["class_sums"]

    def _class_sums(self, weights: RowWeights) -> Tensor:
        """Return (K', C, D + 1) float64: the class sums of each of so many configurations, from one pass."""
        whole = self.design.to(torch.float64)  # a proof rests on them, whatever the products' type
        return whole.class_sums(self.y, self.n_classes, weights)

    def _normalised(self, weights: Tensor | None) -> Tensor | None:
        if weights is None:
            return None
        table = torch.atleast_2d(torch.as_tensor(weights, dtype=torch.float64)).to(self.device)
        total = self.communicator.all_reduce(table.sum(dim=1))
        shares: Tensor = table / total[:, None]
        return shares
