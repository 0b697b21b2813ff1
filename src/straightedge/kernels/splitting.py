"""How float32 accuracy comes out of matrix units that take 11 or 8 bits: operands as sums of exact parts.

uint8 and float16 rows are exact in float16, bfloat16 rows in bfloat16: only W and A need splitting, X never. Two
float16 parts hold 22 bits of an entry, three bfloat16 parts all 24. float16 has a narrow range, so each column
is first scaled by a power of two, which rounds nothing: its largest entry then lies in [2^14, 2^15), and what
float16 cannot see of an entry is below 2^-40 of the column's largest.

| rows | parts | what is dropped | products of a tensor core |
|---|---|---|---|
| uint8, float16 | 2 × float16 | 2^-22 of an entry, 2^-40 of the column's largest | 2 |
| bfloat16 | 3 × bfloat16 | nothing | 3 |
| float32 | 1 × float32, by Triton's tf32x3 | 2^-22 of an entry | 3 of TF32 |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOP = 15  # largest entry of a scaled column is below 2^TOP; float16 ends at 2^16


@dataclass(frozen=True)
class Kind:
    """How rows of one type are multiplied.

    Attributes:
        operand: What the tensor cores are given.
        n_parts: Parts of the float32 operand.
        scaled: Whether columns are scaled first.
    """

    operand: torch.dtype
    n_parts: int
    scaled: bool


KINDS = {
    "uint8": Kind(torch.float16, 2, True),
    "float16": Kind(torch.float16, 2, True),
    "bfloat16": Kind(torch.bfloat16, 3, False),
    "float32": Kind(torch.float32, 1, False),
}


def column_scale(largest: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Return powers of two (M,) float32 by which columns are multiplied before the split, and their inverses.

    Args:
        largest: (M,) largest absolute value of each column.
        kind: As above; ones where it is not scaled.
    """
    one = torch.ones_like(largest, dtype=torch.float32)
    if not kind.scaled:
        return one, one
    exponent = TOP - torch.frexp(largest).exponent
    exponent = torch.where(largest > 0, exponent, 0).clamp(-126, 126)  # the inverse is a normal number too
    return torch.ldexp(one, exponent), torch.ldexp(one, -exponent)


def split_weight(weight: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Split W for the score product.

    Args:
        weight: (M, D) float32 or float64, the map folded in.
        kind: Of the rows it will meet.

    Returns:
        parts (P, M, D) in the operand's type with Σ parts · unscale[:, None] ≈ weight, and unscale (M,) float32.
    """
    scale, unscale = column_scale(weight.abs().amax(dim=1), kind)
    rest = weight * scale[:, None]
    parts = torch.empty(kind.n_parts, *weight.shape, dtype=kind.operand, device=weight.device)
    for part in parts:
        part.copy_(rest)
        rest -= part
    return parts, unscale
