"""Second moments of mapped rows, from a sample: what preconditioners are factors of.

A sample is short runs of rows, evenly spaced, so that files are read in order; every rank gives its share.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from straightedge.workers import block_spans

RUN = 64  # rows read together
GRAM_ROWS = 512  # rows of one product of the Gram matrix
PANELS = 6  # column panels of its lower triangle: 1/2 + 1/12 of the work of the square

Reader = Callable[[int, int, Tensor], None]
"""Writes the mapped rows of a span, without the constant, into a buffer (n, D)."""


def spread(n_rows: int, sample: int) -> list[tuple[int, int]]:
    """Return runs of at most 64 rows, evenly spaced over the data, with ``sample`` rows in all."""
    if sample >= n_rows:
        return block_spans(n_rows, RUN)
    n_runs = max(1, sample // RUN)
    starts = [n_rows * i // n_runs for i in range(n_runs)]
    return [(start, min(start + RUN, n_rows)) for start in starts]


def gathered_blocks(
    read: Reader, spans: Iterable[tuple[int, int]], width: int, like: Tensor, within: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield the mapped rows x̂ of the spans in blocks of up to `GRAM_ROWS` (n, width), the constant last.

    Args:
        read: See `Reader`.
        spans: Spans of rows.
        width: D + 1.
        like: Gives type and device.
        within: (N,) bool, the rows that are wanted; None for all.
    """
    block = torch.ones(GRAM_ROWS, width, dtype=like.dtype, device=like.device)
    filled = 0
    for start, stop in spans:
        if within is not None and not bool(within[start:stop].any()):
            continue
        if filled + stop - start > GRAM_ROWS:
            yield block[:filled]
            filled = 0
        read(start, stop, block[filled : filled + stop - start, :-1])
        filled += stop - start if within is None else _kept(block[filled:], within[start:stop])
    if filled:
        yield block[:filled]


def _kept(rows: Tensor, wanted: Tensor) -> int:
    """Move the wanted ones of the first rows to the front, and return their number."""
    own = rows[: len(wanted)][wanted]
    rows[: len(own)] = own
    return len(own)


def panels(width: int) -> list[tuple[int, int]]:
    """Return the spans of columns in which a Gram matrix of so many columns is taken."""
    return block_spans(width, max(256, -(-width // PANELS)))


def add_gram(total: Tensor, block: Tensor, columns: Iterable[tuple[int, int]]) -> None:
    """Add X̂ᵀX̂ of a block to some columns of ``total``, from the diagonal down (and a little above it)."""
    for left, right in columns:
        total[left:, left:right].addmm_(block[:, left:].t(), block[:, left:right])


def mirrored(total: Tensor) -> Tensor:
    """Write the lower triangle of a square matrix over its upper one and return the matrix."""
    for left, right in panels(len(total)):
        diagonal = total[left:right, left:right]
        diagonal.copy_(diagonal.tril() + diagonal.tril(-1).T)
        total[left:right, right:] = total[right:, left:right].T
    return total
