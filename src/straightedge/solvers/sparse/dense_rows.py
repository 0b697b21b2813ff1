"""Dense rows as compressed ones: for squared hinges where rows can be told apart, and for hinges of many classes.

Nearly all pairs of a row and a class are then at a margin of about 1, and Newton steps from one set of violated
margins to the next gain little: isolet at reg 1e-4 is not there after 1,000 passes. The dual has no such sets to
guess, and exact row problems are there in 30 to 900 epochs. See `newton.work.Size.is_flat`.

Crammer and Singer's hinge of many classes goes this way where one row's step hardly moves another's scores: a visit
moves few classes of W, and some ten epochs do. That of Weston and Watkins does where it moves them much: there the
augmented Lagrangian has a W soon and a bound for it late or never, and epochs that begin at its dual variables have
both. Of very many classes it does, too, where the biases are free.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from straightedge.design import SparseDesign
from straightedge.newton.work import MANY_CLASSES
from straightedge.objective import Objective
from straightedge.solvers.hinge.dual_ascent import row_coupling
from straightedge.solvers.protocol import missing
from straightedge.solvers.work import is_crowded
from straightedge.sparse_rows import SparseRows

ALL_CLASSES_MOVE = {"weston_watkins"}
ON_SIMPLEX = {"crammer_singer"}
PIECEWISE_QUADRATIC = {"squared_hinge", "one_vs_rest_squared_hinge"}
LARGEST_TABLE = 20_000_000  # entries of X: 28 bytes each, table, values and columns, are 560 MB
WEAK_COUPLING = 0.25  # ρ up to which Crammer and Singer's hinge goes this way: at 0.2 in a third of the time
STRONG_COUPLING = 3.0  # ρ from which that of Weston and Watkins does: at 2 the Lagrangian needs no help
FEW_WEIGHTS = 20_000  # of W: Newton steps then have both in time
MANY_BIASES = 500  # free ones: 1,000 classes of 10 rows take 19 s at reg 1e-2, where steps on blocks do not arrive


def needs_of_dense_rows(objective: Objective) -> str | None:
    """Return what is missing for dense rows to be compressed and solved so, or None."""
    design, quadratic = objective.design, objective.loss.geometry in PIECEWISE_QUADRATIC
    suits = quadratic or _hardly_coupled(objective) or _has_free_biases(objective) or follows_lagrangian(objective)
    return missing(
        (suits, "sparse rows"),
        (design.n_entries <= LARGEST_TABLE, f"sparse rows, or at most {LARGEST_TABLE:,} numbers"),
        (objective.device.type == "cpu" and design.in_memory, "rows in the CPU's memory"),
        (design.one_map, "one map for all configurations"),
    )


def _hardly_coupled(objective: Objective) -> bool:
    """Tell whether Crammer and Singer's hinge has many classes, and rows that hardly disturb one another."""
    many = objective.loss.geometry in ON_SIMPLEX and objective.n_classes >= MANY_CLASSES
    return many and objective.penalty.uniform and row_coupling(objective) <= WEAK_COUPLING


def _has_free_biases(objective: Objective) -> bool:
    """Tell whether Weston and Watkins' hinge has so many free biases that Newton steps find no bound for them."""
    free = objective.loss.geometry in ALL_CLASSES_MOVE and objective.penalty.free_bias
    return free and objective.n_classes >= MANY_BIASES and is_crowded(objective)


def follows_lagrangian(objective: Objective) -> bool:
    """Tell whether Weston and Watkins' hinge has many classes and many rows, which disturb one another much."""
    _, C, width = objective.shape
    many = objective.loss.geometry in ALL_CLASSES_MOVE and C >= MANY_CLASSES and C * width > FEW_WEIGHTS
    return many and is_crowded(objective) and row_coupling(objective) >= STRONG_COUPLING


def compressed(objective: Objective) -> tuple[SparseRows, np.ndarray]:
    """Return the mapped rows without the constant, compressed, and what was taken from each of them (D,).

    That is the mean row of a table whose bias is free, and makes up for it: rows around their mean disturb one
    another less. On isolet half the epochs are left.
    """
    design, shift = objective.design, np.zeros(objective.design.n_features)
    if isinstance(design, SparseDesign):
        return design.rows, shift
    table = design.to(torch.float64).table()[:, :-1].numpy()
    if objective.penalty.free_bias:
        weights = objective.row_weights.of_one(len(table), objective.device).numpy()
        shift = weights @ table
        table = table - shift
    return SparseRows(csr_matrix(table)), shift
