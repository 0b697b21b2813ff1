"""What a design is: rows with everything between them and the scores, and the products with it.

X̂ is rows, mapped, with a constant 1 appended. A design owns the rows, the map, the device, the ranks, the workers
and the float type of the products; nothing above it multiplies with X or applies a map. It knows no labels, no loss
and no reg.

A member says how W becomes columns for the rows as they lie (`fold`, `unfold`), which products read them, and how
mapped rows are gathered. Every operation on all rows follows from these.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from straightedge.design.gram import GRAM_ROWS, RUN, add_gram, gathered_blocks, mirrored, panels, spread
from straightedge.design.pairs import PairProducts
from straightedge.design.passes import Passes
from straightedge.distributed import guarded_sum
from straightedge.kernels import gram_applied
from straightedge.workers import block_spans, with_smaller_blocks

ROUGH_ABOVE = 2_000_000  # entries of X̂ above which what only decides the pace is computed in float32
SAMPLED = 2**19  # entries of X̂ that a mean over rows looks at: a few milliseconds
IN_CACHE = 2**16  # entries of mapped rows that are looked at together: half a megabyte at most
LEAST_SAMPLED = 32  # rows of any length that it looks at
MOST_SHARES = 8
"""Parts that a sample is summed in; not the number of workers, which must not change a float32 sum."""
SHARED_SUMS = 2**23
"""Numbers of all parts' sums; where there would be more, workers share the columns instead."""
VISITED = 512  # rows that `in_order` maps together

Adder = Callable[[list[tuple[int, int]], Tensor], None]
"""Adds what is summed over the rows of some spans to a total."""


class Design(Passes):
    """X̂ (N, D + 1) of one rank, and products with it; see `Passes` for the arguments."""

    _remembered: dict[tuple[int, torch.dtype], Tensor] | None = None
    """Second moments by rows of the sample and float type, for the fits that follow; None keeps none."""

    @abstractmethod
    def gather(self, index: Tensor, out: Tensor) -> Tensor:
        """Write the mapped rows x̂ of an index (n,) int64, in any order, into ``out`` (n, D + 1) and return it."""

    @abstractmethod
    def read(self, start: int, stop: int, out: Tensor) -> None:
        """Write the mapped rows ``start:stop``, without the constant, into ``out`` (stop − start, D)."""

    @abstractmethod
    def subset(self, index: Tensor) -> Design:
        """Return the design of some of this rank's rows, a rising index (n,) int64, which may be empty."""

    # ---------------------------------------------------------------- what it may say

    def remembering(self) -> Design:
        """Return the same design for many fits in little memory; data are shared.

        It computes its second moments once, and in one part: each part would be as large as they are.
        """
        other = copy.copy(self)
        other._remembered = {}
        return other

    def to(self, dtype: torch.dtype) -> Design:
        """Return the same design with products in another float type; data are shared."""
        other = copy.copy(self)
        other.dtype = dtype
        return other

    @property
    def one_map(self) -> bool:
        """Whether all configurations see the same X̂."""
        return True

    @property
    def maps_alike(self) -> bool:
        """Whether all configurations use the same raw features, so that `remapped` applies."""
        return True

    @property
    def unselected(self) -> Design:
        """This design before some configurations were selected, mapped for the first; see `remapped`."""
        return self

    def remapped(self, moment: Tensor, config: int) -> Tensor:
        """Return X̂ᵀX̂/n (D + 1, D + 1) of rows of `unselected` as that of the same rows in a configuration."""
        return moment

    def map_numbers(self, n_configs: int) -> Tensor:
        """Return (K,) int64: configurations of the same number see the same X̂."""
        return torch.zeros(n_configs, dtype=torch.int64)

    def select(self, configs: Tensor) -> Design:
        """Return the design of some of the configurations (K',) int64, where each has an X̂ of its own."""
        return self

    def loops(self, n_columns: int) -> ModuleType | None:
        """Return the compiled loops where they are worth loading for a pass with so many columns, else None."""
        return None

    def map_rows(self, index: Tensor, out: Tensor) -> Tensor:
        """Do as `gather`, for callers that have compiled loops at work: by one of them where rows lie in memory."""
        return self.gather(index, out)

    def pairs(self, row: Tensor, plus: Tensor, minus: Tensor) -> PairProducts | None:
        """Return products of pairs of a row and a difference of two columns, where rows can be visited singly.

        Args:
            row: (P,) rows.
            plus: (P,) column that is added; −1 for none.
            minus: (P,) column that is subtracted; −1 for none.
        """
        return None

    # ---------------------------------------------------------------- rows, and what is known of them

    @property
    def width(self) -> int:
        """D + 1."""
        return self.n_features + 1

    @property
    def n_entries(self) -> int:
        """Entries N · D of this rank's rows."""
        return self.n_samples * self.n_features

    @property
    def rough(self) -> Design:
        """The design in float32 where data are large, for what decides the pace and not the answer."""
        return self.to(torch.float32) if self.n_total * self.width > ROUGH_ABOVE else self

    def row_norms(self, index: Tensor) -> Tensor:
        """Return ‖x̂‖² (n,) float64 of the rows of an index."""
        parts = index.split(max(1, IN_CACHE // self.width))
        out = torch.empty(len(parts[0]), self.width, **self._like)
        norms = [
            torch.linalg.vector_norm(self.gather(part, out[: len(part)]), dim=1, dtype=torch.float64)
            for part in parts
        ]
        return torch.cat(norms).square()

    def mean_square_norm(self, sample: int = 512) -> float:
        """Return the mean of ‖x̂‖² over evenly spaced rows of this rank, fewer of them where rows are long."""
        count = min(sample, self.n_samples, max(LEAST_SAMPLED, SAMPLED // self.width))
        return float(self.row_norms(torch.arange(count, device=self.device) * self.n_samples // count).mean())

    def table(self) -> Tensor:
        """Return all mapped rows X̂ (N, D + 1) of this rank, the constant last, in the products' type."""
        out = torch.ones(self.n_samples, self.width, **self._like)
        with_smaller_blocks(max(512, self.n_samples // 8), lambda size: self._read_all(out, size))
        return out

    def _read_all(self, out: Tensor, block_rows: int) -> None:
        for start, stop in block_spans(self.n_samples, block_rows):
            self.read(start, stop, out[start:stop, :-1])

    def in_order(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (index, mapped rows) of this rank in the given order; the next rows are mapped meanwhile."""
        buffers = [torch.empty(VISITED, self.width, **self._like) for _ in range(2)]
        parts = order.split(VISITED)
        with ThreadPoolExecutor(1, "straightedge", torch.set_num_threads, (1,)) as executor:
            following = executor.submit(self.map_rows, parts[0], buffers[0][: len(parts[0])])
            for place, index in enumerate(parts):
                rows = following.result()
                if place + 1 < len(parts):
                    after = parts[place + 1]
                    following = executor.submit(self.map_rows, after, buffers[(place + 1) % 2][: len(after)])
                yield index, rows

    def second_moment(self, sample_rows: int, within: Tensor | None = None) -> Tensor:
        """Return X̂ᵀX̂/n (D + 1, D + 1) of a sample of n rows of all ranks, in the products' type.

        Args:
            sample_rows: n, about.
            within: (N,) bool, the rows of this rank that the sample is taken from; None for all.
        """
        kept = {} if self._remembered is None or within is not None else self._remembered
        if (key := (sample_rows, self.dtype)) not in kept:
            apart = within is None and self._remembered is None and MOST_SHARES * self.width**2 <= SHARED_SUMS
            add = self._by_rows(self._lower_gram, within) if apart else partial(self._by_columns, within)
            kept[key] = mirrored(self._sampled(sample_rows, (self.width, self.width), add, within))
        return kept[key]

    def _lower_gram(self, within: Tensor | None, share: Iterator[tuple[int, int]]) -> Tensor:
        total = torch.zeros(self.width, self.width, **self._like)
        for block in gathered_blocks(self.read, share, self.width, total, within):
            add_gram(total, block, panels(self.width))
        return total

    def _by_columns(self, within: Tensor | None, spans: list[tuple[int, int]], total: Tensor) -> None:
        """Add X̂ᵀX̂ of the spans to its lower triangle; workers share its columns, and no sum is there twice."""
        columns = panels(self.width)
        for block in gathered_blocks(self.read, spans, self.width, total, within):
            add = partial(add_gram, total, block)
            self.pool.run(columns, add, shares=len(columns))

    def mean_squares(self, sample_rows: int, within: Tensor | None = None) -> Tensor:
        """Return the mean square of each mapped feature (D + 1,) of a sample; see `second_moment`."""
        return self._sampled(sample_rows, (self.width,), self._by_rows(self._squares, within), within)

    def _squares(self, within: Tensor | None, share: Iterator[tuple[int, int]]) -> Tensor:
        total = torch.zeros(self.width, **self._like)
        for block in gathered_blocks(self.read, share, self.width, total, within):
            total += block.square().sum(dim=0)
        return total

    def _by_rows(
        self, work: Callable[[Tensor | None, Iterator[tuple[int, int]]], Tensor], within: Tensor | None
    ) -> Adder:
        """Return what adds to a total the sums that workers have of their shares of the rows."""

        def add(spans: list[tuple[int, int]], total: Tensor) -> None:
            own = partial(work, within)
            for part in self.pool.results(spans, own, group=GRAM_ROWS // RUN, shares=MOST_SHARES):
                total += part

        return add

    def _sampled(self, sample_rows: int, shape: tuple[int, ...], add: Adder, within: Tensor | None) -> Tensor:
        """Return the mean over a sample's rows, of all ranks, of what ``add`` adds to a total for their spans."""
        share = 1.0 if within is None else max(1, int(within.sum())) / self.n_samples
        spans = spread(self.n_samples, max(1, int(sample_rows / share) // self.communicator.size))
        size = math.prod(shape) + 1

        def own_sums() -> Tensor:
            packed = torch.zeros(size, **self._like)
            add(spans, packed[:-1].view(shape))
            counts = (stop - start if within is None else int(within[start:stop].sum()) for start, stop in spans)
            packed[-1] = float(sum(counts))
            return packed

        like = torch.empty(1, **self._like).expand(size)  # a size and a type take no memory
        summed = guarded_sum(self.communicator, own_sums, like)
        return summed[:-1].div_(summed[-1]).view(shape)

    def gram_applied(self, R: Tensor, G: Tensor) -> Tensor:
        """Return G RᵀR (M, D + 1) for a factor R (D + 1, D + 1), by this design's workers."""
        return gram_applied(R, G, self.pool)
