"""The door to the products of a pass: `products_for` gives the portable ones or, where they apply, the fused ones.

Who calls need not know which: both keep the contract of `Products`. Triton is imported only behind the door.
"""

from __future__ import annotations

from straightedge.kernels.base import PortableProducts, Products
from straightedge.kernels.door import default_block_rows, products_for, value_and_gradient

__all__ = ["PortableProducts", "Products", "default_block_rows", "products_for", "value_and_gradient"]
