"""The door to the products of a pass: `products_for` gives the portable ones or, where they apply, faster ones.

Who calls need not know which: all keep the contract of `Products`. Triton (fused kernels on CUDA) and Numba
(compiled loops on the CPU) are imported only behind the door.
"""

from __future__ import annotations

from straightedge.kernels.base import PortableProducts, Products, blas_width
from straightedge.kernels.door import (
    cpu_loops,
    default_block_rows,
    gram_applied,
    products_for,
    value_and_gradient,
    worth_compiling,
)

__all__ = [
    "PortableProducts",
    "Products",
    "blas_width",
    "cpu_loops",
    "default_block_rows",
    "gram_applied",
    "products_for",
    "value_and_gradient",
    "worth_compiling",
]
