"""The door to the products of a pass: `products_for` gives the portable ones or, where they apply, faster ones.

Who calls need not know which: all keep the contract of `Products`. Triton (fused kernels on CUDA) and Numba
(compiled loops on the CPU) are imported only behind the door.
"""

from __future__ import annotations

from straightedge.kernels.base import PortableProducts, Products, blas_width
from straightedge.kernels.door import (
    bending_loop,
    default_block_rows,
    gram_applied,
    pair_loops,
    products_for,
    value_and_gradient,
    worth_compiling,
)

__all__ = [
    "PortableProducts",
    "Products",
    "bending_loop",
    "blas_width",
    "default_block_rows",
    "gram_applied",
    "pair_loops",
    "products_for",
    "value_and_gradient",
    "worth_compiling",
]
