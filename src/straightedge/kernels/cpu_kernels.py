"""The loops that Numba compiles for CPUs, in one place: products of a pass, of pairs, sums over margins, losses."""

from straightedge.kernels.margin_sums import add_margin_sums
from straightedge.kernels.pair_products import visit_pairs
from straightedge.kernels.row_losses import hinge_rows, softmax_rows
from straightedge.kernels.row_products import add_gram, add_rows, map_rows, score_rows

__all__ = [
    "add_gram",
    "add_margin_sums",
    "add_rows",
    "hinge_rows",
    "map_rows",
    "score_rows",
    "softmax_rows",
    "visit_pairs",
]
