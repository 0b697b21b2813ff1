"""The regularisation path: every value of reg is a configuration of one objective, X is read once for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.errors import InputError
from straightedge.evaluation.intervals import share_interval
from straightedge.fitting import VECTORS, FitSettings, build_objective, solve
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.parameters import checked_reg, one_or_many
from straightedge.preprocess import AffineMap
from straightedge.solvers.base import Callback, Solution
from straightedge.solvers.solution import joined
from straightedge.sparse_rows import open_rows
from straightedge.views import Described, Facts, amount, frame, names
from straightedge.views.fitted_plots import PathDisplay

DEFAULT_SIZE = 16
DEFAULT_RANGE = (-7.25, -2.25)  # log10 of reg over the mean square norm of a row: 5.6e-8 to 5.6e-3
SPARSE_RANGE = (-6.25, -2.25)  # the same for sparse rows: texts are known best at 1e-6 to 1e-5, and below, a
# tenth of reg costs ten times the passes
Solve = Callable[..., Solution]
"""Called as ``solve(objective, settings, W=..., callbacks=...)``; a run folder's checkpoints come in here."""


def default_grid(mean_square_norm: float, size: int = DEFAULT_SIZE, *, sparse: bool = False) -> list[float]:
    """Return values of reg, log-spaced around the data's scale, largest first.

    Args:
        mean_square_norm: The mean of ‖x̂‖² over the training rows: reg is compared with the curvature of the
            loss, which is of this size.
        size: How many.
        sparse: Whether the rows are sparse.
    """
    lowest, highest = SPARSE_RANGE if sparse else DEFAULT_RANGE
    exponents = np.linspace(highest, lowest, size)
    return [float(f"{max(mean_square_norm, 1e-12) * 10.0**e:.3g}") for e in exponents]


def solve_path(
    objective_of: Callable[[Sequence[float]], Objective],
    reg: Sequence[float],
    settings: FitSettings,
    *,
    memory: float = math.inf,
    tol: Sequence[float] | None = None,
    callbacks: Sequence[Callback] = (),
    W: Tensor | None = None,
    solve: Solve = solve,
) -> Solution:
    """Solve every value of reg, as many at once as memory allows.

    Args:
        objective_of: Gives the objective for a list of values.
        reg: K values.
        settings: Gap, limits, solver.
        memory: Bytes the solver's vectors may take.
        tol: (K,) a gap for each value; the one of the settings for all when None.
        callbacks: Called with each trace row.
        W: (K, C, D + 1) start, or None.
        solve: What solves one group.
    """
    shape = objective_of([reg[0]]).shape
    groups, place = in_groups(reg, group_size(shape, len(reg), memory))
    parts = []
    for group in groups:
        start = None if W is None else W[group]
        own = {} if tol is None else {"tol": [tol[k] for k in group]}
        part = objective_of([reg[k] for k in group])
        parts.append(solve(part, settings, W=start, callbacks=callbacks, **own))
    return joined(parts, place)


def in_groups(reg: Sequence[float], size: int) -> tuple[list[list[int]], Tensor]:
    """Return positions of values, the largest first, in groups of at most ``size``, and the place of each value.

    One group is left in its order, so that its answers need not be moved: solvers find the largest by themselves.
    """
    if len(reg) <= size:
        return [list(range(len(reg)))], torch.arange(len(reg))
    order = sorted(range(len(reg)), key=lambda k: -reg[k])
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    return groups, torch.tensor(order).argsort()


def group_size(shape: tuple[int, int, int], n_configs: int, memory: float) -> int:
    """Return how many configurations fit into ``memory`` bytes at once: at least 1, in groups of even size."""
    one = VECTORS * 4 * shape[1] * shape[2]
    fitting = n_configs if math.isinf(memory) else max(1, int(memory // one))
    n_groups = -(-n_configs // fitting)
    return -(-n_configs // n_groups)


def fit_path(
    X: Any,
    y: Any,
    reg: Sequence[float] | None = None,
    *,
    loss: str = "softmax",
    tol: float | Sequence[float] = 1e-3,
    preprocess: str = "none",
    bias: str = "penalized",
    sample_weight: Any = None,
    class_weight: Any = None,
    memory: float = math.inf,
    device: str | None = None,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> RegularizationPath:
    """Fit every value of reg in one run over the data, each to a certified gap.

    Args:
        X: (N, D) rows or (N, C, H, W) images, any kind `Rows` takes.
        y: (N,) labels.
        reg: K values > 0; by default 16, log-spaced around the data's scale.
        loss: Name of the loss.
        tol: Relative gap to certify: one for all, or (K,) one for each value, such as a looser one where reg is
            so small that the last digits cost more than the rest of the path.
        preprocess: See `moments.fit_affine`.
        bias: "penalized" or "free".
        sample_weight: (N,) ≥ 0, or None; a row of weight w counts as w rows.
        class_weight: As in `LinearClassifier`.
        memory: Bytes the solver's vectors may take; more values of reg than fit go in groups.
        device: Where products run; None means where X is.
        callbacks: Called with each trace row.
        settings: Further fields of `FitSettings`.

    Returns:
        A `RegularizationPath`: reg, coefficients on raw rows, objective, dual, gap and status of each.

    Raises:
        InputError: See `LinearClassifier.fit`; ``tol-invalid`` where there are not as many as values of reg.
    """
    from straightedge.estimators.inputs import training_set  # here, not above: scikit-learn comes with it

    tols = one_or_many(tol)
    for one in tols:
        FitSettings(tol=one).checked()
    asked = FitSettings(loss=loss, tol=min(tols, default=1e-3), bias=bias, device=device, **settings).checked()
    data = training_set(X, y, sample_weight, class_weight, device=device)
    facts = moments(data.rows, weights=data.weights)
    affine = affine_from(facts, preprocess, data.image_shape)
    values = (
        checked_reg(reg) if reg is not None else default_grid(facts.mean_square_norm(affine), sparse=facts.sparse)
    )
    if len(tols) == 1:
        tols *= len(values)
    if len(tols) != len(values):
        told = f"there are {len(tols)} values of tol for {len(values)} of reg"
        raise InputError("tol-invalid", told, mend="give one for all, or one for each value")
    solution = solve_path(
        lambda part: build_objective(
            data.rows, data.labels, len(data.classes), part, asked, affine=affine, weights=data.weights
        ),
        values,
        asked,
        memory=memory,
        tol=tols,
        callbacks=callbacks,
    )
    return RegularizationPath(values, data.classes, solution, affine, loss)


@dataclass(frozen=True, repr=False)
class RegularizationPath(Described):
    """K solutions along reg.

    Attributes:
        reg: The K values.
        classes: (C,) labels.
        solution: All of them, with their proofs.
        affine: The map they were fitted behind.
        loss: Name of the loss.
    """

    reg: list[float]
    classes: np.ndarray
    solution: Solution
    affine: AffineMap
    loss: str = "softmax"

    @property
    def objective(self) -> np.ndarray:
        """(K,) the objective P at each W."""
        return self.solution.objective.numpy()

    @property
    def dual(self) -> np.ndarray:
        """(K,) below which no W has its objective."""
        return self.solution.dual.numpy()

    @property
    def gap(self) -> np.ndarray:
        """(K,) relative duality gaps."""
        return self.solution.gap.numpy()

    @property
    def status(self) -> list[str]:
        """Why each of the K fits ended, such as ``certified``."""
        return [status.value for status in self.solution.status]

    @property
    def coef(self) -> np.ndarray:
        """(K, C, D) coefficients on raw rows."""
        return np.stack([self.affine.fold(W.t())[0].t().numpy() for W in self.solution.W])

    @property
    def intercept(self) -> np.ndarray:
        """(K, C) intercepts on raw rows."""
        return np.stack([self.affine.fold(W.t())[1].numpy() for W in self.solution.W])

    def scores(self, X: Any) -> np.ndarray:
        """Return the scores (N, K, C) of rows (N, D) or images, in float64."""
        from straightedge.estimators.answers import score_rows
        from straightedge.estimators.inputs import checked_input

        rows = checked_input(X)
        blocks = [score_rows(open_rows(rows), *one)[0] for one in zip(self.coef, self.intercept, strict=True)]
        return np.stack(blocks, axis=1).astype(np.float64)

    def accuracy(self, X: Any, y: Any) -> np.ndarray:
        """Return the share (K,) of rows that each classifier has right."""
        answers = self.classes[self.scores(X).argmax(axis=2)]
        shares: np.ndarray = (answers == np.asarray(y)[:, None]).mean(axis=0)
        return shares

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame``, a row for each reg: objective, bound, gap, status and passes."""
        columns = {name: getattr(self, name) for name in ("reg", "objective", "dual", "gap", "status")}
        return frame(columns | {"n_passes": self.solution.n_passes.numpy()})

    def plot(self, X: Any = None, y: Any = None, ax: Any = None) -> PathDisplay:
        """Plot the accuracy on rows against reg, with 95 % intervals; without rows, the norms of coefficients.

        Args:
            X: Rows that were not fitted, or None.
            y: Their labels.
            ax: Axes of matplotlib; by default a new figure's.
        """
        accuracy = interval = None
        if X is not None:
            accuracy, n = self.accuracy(X, y), len(np.asarray(y))
            interval = np.array([share_interval(share * n, n) for share in accuracy]).T
        norms = np.linalg.norm(self.coef, axis=2)
        return PathDisplay(np.array(self.reg), accuracy, interval, norms, self.classes.tolist()).plot(ax)

    def _facts(self) -> Facts:
        certified = sum(status == "certified" for status in self.status)
        n_classes, n_features = self.solution.W.shape[1], self.solution.W.shape[2] - 1
        return Facts(
            f"RegularizationPath: {self.loss}, {amount(len(self.reg), 'value')} of reg",
            (
                ("reg", f"{max(self.reg):.3g} to {min(self.reg):.3g}"),
                ("certified", f"{certified} of {len(self.reg)}, relative gap up to {self.gap.max():.1e}"),
                ("objective", f"{self.objective.min():.6g} to {self.objective.max():.6g}"),
                ("coef", f"{len(self.reg)} × {n_classes} × {n_features} (reg, class, feature)"),
                ("classes", names(self.classes.tolist())),
                ("time", f"{self.solution.seconds:.2g} s"),
            ),
        )
