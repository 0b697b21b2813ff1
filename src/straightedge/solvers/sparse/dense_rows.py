"""Dense rows as compressed ones, for the squared hinges where rows can be told apart.

Nearly all pairs of a row and a class are then at a margin of about 1, and Newton steps from one set of violated
margins to the next gain little: isolet at reg 1e-4 is not there after 1,000 passes. The dual has no such sets to
guess, and exact row problems are there in 30 to 900 epochs. See `newton.work.Size.is_flat`.
"""

from __future__ import annotations

import torch
from scipy.sparse import csr_matrix

from straightedge.design import Design, SparseDesign
from straightedge.objective import Objective
from straightedge.solvers.protocol import missing
from straightedge.sparse_rows import SparseRows

PIECEWISE_QUADRATIC = {"squared_hinge", "one_vs_rest_squared_hinge"}
LARGEST_TABLE = 20_000_000  # entries of X: 28 bytes each, table, values and columns, are 560 MB


def needs_of_dense_rows(objective: Objective) -> str | None:
    """Return what is missing for dense rows to be compressed and solved so, or None."""
    design = objective.design
    return missing(
        (objective.loss.geometry in PIECEWISE_QUADRATIC, "sparse rows"),
        (design.n_entries <= LARGEST_TABLE, f"sparse rows, or at most {LARGEST_TABLE:,} numbers"),
        (objective.device.type == "cpu" and design.in_memory, "rows in the CPU's memory"),
        (design.one_map, "one map for all configurations"),
    )


def compressed(design: Design) -> SparseRows:
    """Return the mapped rows of a design, without the constant: sparse ones as they are, a table's compressed."""
    if isinstance(design, SparseDesign):
        return design.rows
    return SparseRows(csr_matrix(design.to(torch.float64).table()[:, :-1].numpy()))
