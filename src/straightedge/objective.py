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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from straightedge.distributed import Communicator, guarded_sum, local
from straightedge.kernels import default_block_rows, products_for, value_and_gradient, worth_compiling
from straightedge.losses import Loss
from straightedge.penalties import Penalty, PenaltyTerm, Ridge
from straightedge.preprocess import AffineMap
from straightedge.rows import BlockPool, Rows, block_spans, default_workers, with_smaller_blocks

MOST_QUANTITIES = 4  # per-row quantities that a score function may ask to be summed
FLUSH_BLOCKS = 8  # float32 block sums are added into float64 this often


@dataclass(frozen=True)
class Block:
    """The rows and configurations a score function is looking at.

    Attributes:
        start: First row.
        stop: One past the last row.
        configs: (K',) indices of the configurations present in S, or None for all K in order.
    """

    start: int
    stop: int
    configs: Tensor | None = None


ScoreFunction = Callable[[Tensor, Block], Sequence[Tensor]]
"""Sees a block of scores S (n, K', C), overwrites it with A, returns per-row quantities (n, K') to be summed."""


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
        rows: X, N rows of D features.
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

    def __init__(
        self,
        rows: Rows,
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
        self.rows = rows
        self.device = rows.device
        self.y = y.to(self.device)
        self.n_classes = n_classes
        self.loss = loss
        penalty = penalty or Ridge(bias)
        penalty.check(rows.n_features)
        self.penalty = PenaltyTerm(penalty, torch.as_tensor(list(reg), dtype=torch.float64))
        self.affine = affine or AffineMap.identity(rows.n_features)
        double: dict[str, Any] = {"dtype": torch.float64, "device": self.device}
        self._map = (self.affine.shift.to(**double), self.affine.scale.to(**double))
        self.communicator = communicator or local()
        self.dtype = dtype
        self.block_rows = block_rows
        cores = (workers or default_workers()) if self.device.type == "cpu" else 1
        self.pool = BlockPool(cores, patient=self.communicator.size > 1)
        self.n_total = int(self._sum(torch.tensor([float(rows.n_samples)], dtype=torch.float64))[0])
        self.weights = self._normalised(weights)
        self.fold = fold if fold is not None else torch.zeros(self.n_configs, dtype=torch.int64)
        self._cache: dict[str, Tensor] = {}

    @property
    def n_configs(self) -> int:
        """Number of configurations K."""
        return len(self.penalty.reg)

    @property
    def reg(self) -> Tensor:
        """(K,) float64 on the CPU: the strength of each configuration's penalty."""
        return self.penalty.reg

    @property
    def bias(self) -> str:
        """Whether the bias is "penalized" or "free"."""
        return self.penalty.penalty.bias

    @property
    def shape(self) -> tuple[int, int, int]:
        """(K, C, D + 1), the shape of W inside solvers."""
        return self.n_configs, self.n_classes, self.rows.n_features + 1

    def select(self, configs: Tensor) -> Objective:
        """Return the same objective for some of the configurations (K',) int64; data is shared."""
        part = copy.copy(self)
        part.penalty, part.fold = self.penalty.select(configs), self.fold[configs]
        return part

    def subset(self, index: Tensor) -> Objective:
        """Return the objective over some of this rank's rows, each of weight 1: its sums are sums, no means.

        Args:
            index: (n,) int64, rising; may be empty.
        """
        part = copy.copy(self)
        part.rows, part.y = self.rows.subset(index), self.y[index]
        part.weights, part.n_total, part._cache = None, 1, {}
        return part

    def in_dtype(self, dtype: torch.dtype) -> Objective:
        """Return the same objective with products in another float type; data is shared."""
        other = copy.copy(self)
        other.dtype = dtype
        return other

    # ---------------------------------------------------------------- one pass

    def sweep(
        self, W: Tensor, score_function: ScoreFunction, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Go over all rows once: scores, whatever is done with them, and the weighted sum X̂ᵀA.

        Args:
            W: (K, C, D + 1) on mapped rows.
            score_function: Called for each block with S (n, K', C) and its `Block`; it overwrites S with A
                and returns per-row quantities (n, K').
            gradient: False leaves out X̂ᵀA (then S need not be overwritten).

        Returns:
            sums (m, K) float64: the weighted sums of the m per-row quantities, and V (K, C, D + 1) float64 =
            Σ_i w_i x̂_i a_iᵀ, zeros if ``gradient`` is False. Both over all ranks.
        """
        counts: list[int] = []

        def own_sums() -> Tensor:
            flat, n_quantities = with_smaller_blocks(
                self.block_rows or self._default_block_rows(),
                lambda block_rows: self._own_sums(W, score_function, gradient, block_rows),
            )
            counts.append(n_quantities)
            return flat

        scalars, V = self.summed(own_sums, W)
        return scalars[: counts[-1]].cpu(), V

    def no_sums(self) -> Tensor:
        """Return zeros laid out as what `summed` adds up: quantities (4, K), then XᵀA and 1ᵀA (K·C, D + 1)."""
        K, C, width = self.shape
        return torch.zeros(MOST_QUANTITIES * K + K * C * width, dtype=torch.float64, device=self.device)

    def summed(self, own_sums: Callable[[], Tensor], W: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums over all ranks of what ``own_sums`` gives for raw rows: quantities (4, K), and V.

        Args:
            own_sums: This rank's, laid out like `no_sums`.
            W: (K, C, D + 1), the same on every rank.
        """
        flat = guarded_sum(self.communicator, own_sums, self.no_sums(), witness=W)
        if self.weights is None:
            flat /= self.n_total
        scalars, raw = self.sums_of(flat)
        return scalars, self.unfolded(raw).view(self.shape)

    def folded(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """Return W (K, C, D + 1) with the map folded in, for raw rows: weight (K·C, D) and offset (K·C,)."""
        return _folded(W, self._map, self.dtype, self.device)

    def unfolded(self, raw: Tensor) -> Tensor:
        """Return XᵀA and 1ᵀA (M, D + 1) float64 of raw rows as those of mapped ones: the chain rule of the fold."""
        shift, scale = self._map
        return torch.cat([scale * (raw[:, :-1] - shift * raw[:, -1:]), raw[:, -1:]], dim=1)

    def _own_sums(
        self, W: Tensor, score_function: ScoreFunction, gradient: bool, block_rows: int
    ) -> tuple[Tensor, int]:
        """Return this rank's sums, laid out for one all-reduce, and the number of quantities."""
        folded = self.folded(W)
        spans = block_spans(self.rows.n_samples, block_rows, self._fold_edges())

        def work(share: Iterator[tuple[int, int]]) -> _PassSums:
            sums = _PassSums(self, folded, gradient, block_rows)
            for start, stop in share:
                sums.add_block(score_function, start, stop)
            return sums.close()

        parts = self.pool.run(spans, work)
        flat = self.no_sums()
        scalars, raw = self.sums_of(flat)
        for part in parts:  # in the order of the workers: the same bits every time
            for row, value in zip(scalars, part.scalars, strict=False):
                row += value
            if gradient:
                raw[:, :-1] += part.G
                raw[:, -1] += part.columns
        count = max(len(part.scalars) for part in parts) or MOST_QUANTITIES  # no row of ours: zeros for all
        assert count <= MOST_QUANTITIES
        return flat, count

    def sums_of(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Return the views of a pass's sums: quantities (m, K) and XᵀA, 1ᵀA as (K·C, D + 1)."""
        K, C, width = self.shape
        split = MOST_QUANTITIES * K
        return flat[:split].view(MOST_QUANTITIES, K), flat[split:].view(K * C, width)

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
            return (value_and_gradient(self.loss, S, self.y[block.start : block.stop], compiled=compiled),)

        compiled = worth_compiling(self.rows, self.n_configs * self.n_classes)
        sums, V = self.sweep(W, score_function)
        return self.evaluation(W, sums[0], V)

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
        sums = self.class_sums()[self.fold]  # (K, C, D + 1)
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
            n_folds = 1 if self.weights is None else self.weights.shape[0]
            whole = self.in_dtype(torch.float64)  # a proof rests on them, whatever the products' type
            whole.penalty = self.penalty.at(torch.ones(n_folds))
            whole.fold = torch.arange(n_folds)

            def one_hot(S: Tensor, block: Block) -> Sequence[Tensor]:
                index = self.y[block.start : block.stop].view(-1, 1, 1).expand(-1, S.shape[1], 1)
                S.zero_().scatter_(2, index, 1.0)
                return ()

            W = torch.zeros(whole.shape, dtype=torch.float64, device=self.device)
            self._cache["class_sums"] = whole.sweep(W, one_hot)[1]
        return self._cache["class_sums"]

    def scores(self, W: Tensor) -> Tensor:
        """Return X̂W of this rank's rows: (N, K, C) in the working type."""
        K, C, _ = self.shape
        out = torch.empty(self.rows.n_samples, K, C, dtype=self.dtype, device=self.device)
        plain = copy.copy(self)
        plain.weights = None  # a row of weight 0 has a score like any other
        plain.communicator = local()  # ranks may ask for scores of different numbers of blocks, or not at all

        def keep(S: Tensor, block: Block) -> Sequence[Tensor]:
            out[block.start : block.stop] = S
            return ()

        plain.sweep(W, keep, gradient=False)
        return out

    # ---------------------------------------------------------------- helpers

    def _sum(self, value: Tensor) -> Tensor:
        return self.communicator.all_reduce(value)

    def _normalised(self, weights: Tensor | None) -> Tensor | None:
        if weights is None:
            return None
        table = torch.atleast_2d(torch.as_tensor(weights, dtype=torch.float64)).to(self.device)
        total = self._sum(table.sum(dim=1))
        shares: Tensor = table / total[:, None]
        return shares

    def _default_block_rows(self) -> int:
        if self.device.type != "cpu":
            return default_block_rows(self.rows, self.n_configs * self.n_classes, self.dtype, self.affine)
        wide = self.n_configs * self.n_classes > 256 or self.rows.n_features > 4096
        return 512 if not wide else 1024

    def _fold_edges(self) -> list[int]:
        """Where the set of folds with any weight changes: blocks do not cross, so whole folds are skipped."""
        if self.weights is None or self.weights.shape[0] == 1:
            return []
        present = self.weights > 0
        changes = (present[:, 1:] != present[:, :-1]).any(dim=0).nonzero().flatten() + 1
        return changes.tolist() if len(changes) <= 4 * self.weights.shape[0] else []


class _PassSums:
    """One worker's part of a pass: its buffers and its running sums."""

    def __init__(
        self, objective: Objective, folded: tuple[Tensor, Tensor], gradient: bool, block_rows: int
    ) -> None:
        self.objective = objective
        self.weight, self.offset = folded
        self.gradient = gradient
        K, C, width = objective.shape
        self.products = products_for(
            objective.rows, block_rows, objective.dtype, objective.affine, n_columns=len(self.weight)
        )
        self.products.use(self.weight, self.offset)
        self.scalars: list[Tensor] = []
        double: dict[str, Any] = {"dtype": torch.float64, "device": objective.device}
        self.G = torch.zeros(K * C, width - 1, **double) if gradient else torch.empty(0)
        self.columns = torch.zeros(K * C, **double)
        self._configs: Tensor | None = None
        self._key: tuple[int, ...] | None = None
        self._pending_blocks = 0

    def add_block(self, score_function: ScoreFunction, start: int, stop: int) -> None:
        """Scores of the block, the score function, and the block's share of X̂ᵀA."""
        objective = self.objective
        row_weights = self._row_weights(start, stop)
        if self._configs is not None and not len(self._configs):
            return  # the rows are held out by every configuration that is left
        self.products.load(start, stop)
        S = self.products.scores()
        C = objective.n_classes
        K = objective.n_configs if self._configs is None else len(self._configs)
        view = S[:, : K * C].unflatten(1, (K, C))
        quantities = score_function(view, Block(start, stop, self._configs))
        self._add_scalars(quantities, row_weights)
        if not self.gradient:
            return
        if row_weights is not None:
            view *= row_weights[:, :, None].to(view.dtype)
        self.products.add_gradient(S)
        self._add(self.columns, S[:, : K * C].sum(dim=0))
        self._pending_blocks += 1
        if self._pending_blocks == FLUSH_BLOCKS:
            self._flush()

    def close(self) -> _PassSums:
        """Add what is pending and return self."""
        self._flush()
        return self

    def _flush(self) -> None:
        if self.gradient and self._pending_blocks:
            self._add(self.G, self.products.take()[: self._width_used()])
        self._pending_blocks = 0

    def _width_used(self) -> int:
        K = self.objective.n_configs if self._configs is None else len(self._configs)
        return K * self.objective.n_classes

    def _add(self, total: Tensor, part: Tensor) -> None:
        """Add the part of the present configurations to the total of all."""
        if self._configs is None:
            total += part
        else:
            total.unflatten(0, (-1, self.objective.n_classes))[self._configs] += part.unflatten(
                0, (-1, self.objective.n_classes)
            ).to(torch.float64)

    def _add_scalars(self, quantities: Sequence[Tensor], row_weights: Tensor | None) -> None:
        objective = self.objective
        while len(self.scalars) < len(quantities):
            self.scalars.append(
                torch.zeros(objective.n_configs, dtype=torch.float64, device=objective.device)
            )
        for total, rows in zip(self.scalars, quantities, strict=False):
            if row_weights is None:
                part = rows.sum(dim=0, dtype=torch.float64)
            else:
                part = (rows.to(torch.float64) * row_weights).sum(dim=0)
            if self._configs is None:
                total += part
            else:
                total[self._configs] += part

    def _row_weights(self, start: int, stop: int) -> Tensor | None:
        """Return (n, K') weights of the block, and drop the configurations none of its rows belongs to."""
        objective = self.objective
        if objective.weights is None:
            return None
        table = objective.weights[:, start:stop]
        if table.shape[0] > 1:
            self._present((table > 0).any(dim=1)[objective.fold.to(table.device)])
        fold = objective.fold if self._configs is None else objective.fold[self._configs]
        return table[fold.to(table.device)].t()

    def _present(self, present: Tensor) -> None:
        key = None if bool(present.all()) else tuple(present.nonzero().flatten().tolist())
        if key == self._key:
            return
        self._flush()
        self._key = key
        self._configs = None if key is None else torch.tensor(key, dtype=torch.int64)
        weight, offset = self.weight, self.offset
        if self._configs is not None:
            C = self.objective.n_classes
            weight = weight.unflatten(0, (-1, C))[self._configs].flatten(0, 1)
            offset = offset.unflatten(0, (-1, C))[self._configs].flatten()
        self.products.use(weight, offset)


def _folded(
    W: Tensor, affine: tuple[Tensor, Tensor], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Fold the affine map, its shift and scale on the device, into W and lay it out for the products.

    Returns:
        weight (K·C, D) and offset (K·C,).
    """
    flat = W.to(device=device, dtype=torch.float64).flatten(0, 1)
    shift, scale = affine
    weight = flat[:, :-1] * scale
    offset = flat[:, -1] - weight @ shift
    return weight.to(dtype), offset.to(dtype)
