"""The path, the folds, the choice of reg.

Every value of reg is a configuration of one objective: X is read once for all of them. A fold is a fit of its own
training rows, with its own map (`training`). Nothing here takes a test split: the choice is made from training and
validation samples alone, and the sealed test split is opened by the caller afterwards, for the one final model.

References:
    Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 7.10 (cross-validation
    and the one-standard-error rule).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from straightedge.calibration import find_temperature
from straightedge.errors import InputError, warn
from straightedge.estimators import LinearClassifier, training_set
from straightedge.evaluation import evaluate
from straightedge.fitting import VECTORS, FitSettings, build_objective, checked_reg, one_or_many, solve
from straightedge.losses import is_probabilistic
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.solvers.base import Callback, Solution, Status
from straightedge.splits import folds_that_count, undivided
from straightedge.training import TrainingPart, TrainingRows

METRICS = ("accuracy", "balanced_accuracy", "log_loss")
SAME = 1e-9  # values of a metric nearer than this are equal: rounding tells them apart
WIDTH = 3.92  # standard errors in a 95 % interval
LEAST_SECONDS = 1e-3  # time limit of a fold whose turn comes after the time is up: it ends at its start
DEFAULT_SIZE = 16
DEFAULT_RANGE = (-7.25, -2.25)  # log10 of reg over the mean square norm of a row: 5.6e-8 to 5.6e-3

Solve = Callable[..., Solution]
"""Called as ``solve(objective, settings, W=..., callbacks=...)``; a run folder's checkpoints come in here."""


def default_grid(mean_square_norm: float, size: int = DEFAULT_SIZE) -> list[float]:
    """Return values of reg, log-spaced around the data's scale, largest first.

    Args:
        mean_square_norm: The mean of ‖x̂‖² over the training rows: reg is compared with the curvature of the
            loss, which is of this size.
        size: How many.
    """
    exponents = np.linspace(DEFAULT_RANGE[1], DEFAULT_RANGE[0], size)
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
    order = sorted(range(len(reg)), key=lambda k: -reg[k])
    shape = objective_of([reg[0]]).shape
    size = group_size(shape, len(reg), memory)
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    parts = []
    for group in groups:
        start = None if W is None else W[group]
        own = {} if tol is None else {"tol": [tol[k] for k in group]}
        part = objective_of([reg[k] for k in group])
        parts.append(solve(part, settings, W=start, callbacks=callbacks, **own))
    place = torch.tensor([k for group in groups for k in group]).argsort()
    return joined(parts, place)


def group_size(shape: tuple[int, int, int], n_configs: int, memory: float) -> int:
    """Return how many configurations fit into ``memory`` bytes at once: at least 1, in groups of even size."""
    one = VECTORS * 4 * shape[1] * shape[2]
    fitting = n_configs if math.isinf(memory) else max(1, int(memory // one))
    n_groups = -(-n_configs // fitting)
    return -(-n_configs // n_groups)


def joined(parts: Sequence[Solution], place: Tensor | None = None) -> Solution:
    """Put solutions of groups of configurations together; ``place`` reorders the configurations."""
    index = torch.arange(sum(len(p.gap) for p in parts)) if place is None else place
    status = [s for p in parts for s in p.status]
    message = [m for p in parts for m in p.message]
    return Solution(
        W=torch.cat([p.W for p in parts])[index],
        objective=torch.cat([p.objective for p in parts])[index],
        dual=torch.cat([p.dual for p in parts])[index],
        gap=torch.cat([p.gap for p in parts])[index],
        status=[status[i] for i in index.tolist()],
        message=[message[i] for i in index.tolist()],
        n_passes=torch.cat([p.n_passes for p in parts])[index],
        seconds=sum(p.seconds for p in parts),
        trace=[row for p in parts for row in p.trace],
    )


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
) -> Path:
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
        A `Path`: reg, coefficients on raw rows, objective, dual, gap and status of each.

    Raises:
        InputError: See `LinearClassifier.fit`; ``tol-invalid`` where there are not as many as values of reg.
    """
    tols = one_or_many(tol)
    for one in tols:
        FitSettings(tol=one).checked()
    asked = FitSettings(
        loss=loss, tol=min(tols, default=1e-3), bias=bias, device=device, **settings
    ).checked()
    data = training_set(X, y, sample_weight, class_weight, device=device)
    facts = moments(data.rows, weights=data.weights)
    affine = affine_from(facts, preprocess, data.image_shape)
    values = checked_reg(reg) if reg is not None else default_grid(facts.mean_square_norm(affine))
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
    return Path(values, data.classes, solution, affine)


@dataclass(frozen=True)
class Path:
    """K solutions along reg.

    Attributes:
        reg: The K values.
        classes: (C,) labels.
        solution: All of them, with their proofs.
        affine: The map they were fitted behind.
    """

    reg: list[float]
    classes: np.ndarray
    solution: Solution
    affine: AffineMap

    @property
    def coef(self) -> np.ndarray:
        """(K, C, D) coefficients on raw rows."""
        return np.stack([self.affine.fold(W.t())[0].t().numpy() for W in self.solution.W])

    @property
    def intercept(self) -> np.ndarray:
        """(K, C) intercepts on raw rows."""
        return np.stack([self.affine.fold(W.t())[1].numpy() for W in self.solution.W])


# -------------------------------------------------------------------- the choice


@dataclass(frozen=True)
class SelectionSettings:
    """How reg is chosen.

    Attributes:
        metric: "accuracy", "balanced_accuracy" or "log_loss".
        folds: Number of folds, or None for a held-out validation split.
        validation_size: Share or number of training samples held out where the data bring no validation split.
        one_standard_error: Take the largest reg whose metric is within one standard error of the best.
        seed: Seed of the splits.
    """

    metric: str = "accuracy"
    folds: int | None = None
    validation_size: float | int = 0.1
    one_standard_error: bool = False
    seed: int = 0

    def checked(self) -> SelectionSettings:
        """Return self; raise `InputError` ``metric-unknown``."""
        if self.metric not in METRICS:
            raise InputError(
                "metric-unknown", f"metric is {self.metric!r}", mend=f"one of: {', '.join(METRICS)}"
            )
        return self


@dataclass
class Scored:
    """One value of reg, judged on samples its W has not seen.

    Attributes:
        reg: The value.
        metrics: What `evaluation.evaluate` says of the validation samples.
        value: The metric of the choice (larger is better; log loss negated).
        error: Its standard error.
    """

    reg: float
    metrics: dict[str, Any]
    value: float
    error: float


@dataclass
class Choice:
    """The chosen reg and all that was looked at for it.

    Attributes:
        index: Position of the chosen value.
        reg: The chosen value.
        scored: Every value, judged.
        scores: (N_validation, C) scores of the chosen configuration on the validation samples: out-of-fold
            scores of the rows that folds hold out, in row order, where folds were used.
        labels: (N_validation,) their labels.
        path: The solutions of the path (trained without the validation samples; on all rows for folds).
        rule: The rule in words.
        notes: Warnings for the user.
    """

    index: int
    reg: float
    scored: list[Scored]
    scores: np.ndarray
    labels: np.ndarray
    path: Solution
    rule: str
    notes: list[str] = field(default_factory=list)


def judge(
    scores: Tensor,
    y: np.ndarray,
    reg: Sequence[float],
    settings: SelectionSettings,
    softmax: bool,
    weights: Tensor | None = None,
) -> list[Scored]:
    """Judge K configurations by their scores (N, K, C) on samples they have not seen, by weight."""
    n_classes = scores.shape[2]
    names = [str(c) for c in range(n_classes)]
    counts = None if weights is None else weights.numpy()
    out = []
    for k, value in enumerate(reg):
        own = scores[:, k].cpu().numpy()
        temperature = None if softmax else find_temperature(own, y, counts).value
        metrics = evaluate(own, y, names, temperature=temperature, weights=counts)
        out.append(Scored(value, metrics, *_value_and_error(metrics, settings.metric, metrics["n"])))
    return out


def _value_and_error(metrics: dict[str, Any], metric: str, n: float) -> tuple[float, float]:
    if metric == "accuracy":
        share = metrics["accuracy"]
        return share, math.sqrt(max(share * (1 - share), 0.25 / n) / n)
    entry = metrics[metric]
    return (entry["value"] if metric == "balanced_accuracy" else -entry["value"]), _standard_error(entry)


def _standard_error(entry: dict[str, Any]) -> float:
    """Return the standard error that a 95 % interval stands for, 0 where there is none."""
    low, high = entry["interval"] or (0.0, 0.0)
    return float(high - low) / WIDTH


def choose(scored: Sequence[Scored], settings: SelectionSettings) -> int:
    """Return the position of the chosen value: the best metric; among equals see `_among_equals`.

    With the one-standard-error rule: the largest reg within one standard error of the best.
    """
    best = max(scored, key=lambda one: (one.value, one.reg))
    if settings.one_standard_error:
        near = [k for k, one in enumerate(scored) if one.value >= best.value - best.error]
        return max(near, key=lambda k: scored[k].reg)
    return _among_equals(scored, [k for k, one in enumerate(scored) if best.value - one.value <= SAME])


def _among_equals(scored: Sequence[Scored], equals: Sequence[int]) -> int:
    """Return the largest reg whose log loss is within one standard error of the least among equals.

    Few samples give few different accuracies: a hundred values of reg tie, the largest among them, whose W is
    nearly 0. The log loss tells those apart.
    """
    found = {k: scored[k].metrics.get("log_loss") for k in equals}
    known = {k: entry for k, entry in found.items() if entry}
    if len(known) < len(equals):
        return max(equals, key=lambda k: scored[k].reg)
    least = min(known.values(), key=lambda entry: entry["value"])
    ceiling = least["value"] + _standard_error(least) + SAME
    return max((k for k in equals if known[k]["value"] <= ceiling), key=lambda k: scored[k].reg)


def rule_in_words(settings: SelectionSettings) -> str:
    """Return the rule of the choice as a phrase."""
    metric = settings.metric.replace("_", " ")
    if settings.one_standard_error:
        return f"the largest reg within one standard error of the best validation {metric}"
    if settings.metric == "log_loss":
        return "the best validation log loss"
    equals = "the largest reg within one standard error of the least log loss"
    return f"the best validation {metric}; among equals {equals}"


def cautions(
    scored: Sequence[Scored],
    index: int,
    labels: np.ndarray,
    settings: SelectionSettings,
    weights: Tensor | None = None,
) -> dict[str, str]:
    """Return what a user should know of a choice, a sentence for each code: see `warn`.

    Args:
        scored: Every value, judged.
        index: Position of the chosen one.
        labels: (n,) labels of the samples they were judged on.
        settings: How it was chosen.
        weights: (n,) what they count, or None for once each.
    """
    counts = np.bincount(labels, None if weights is None else weights.numpy())
    found = {
        "choice-at-the-edge": _at_the_end(scored, index),
        "choice-below-chance": _below_chance(scored[index], counts, settings),
    }
    return {code: sentence for code, sentence in found.items() if sentence}


def _at_the_end(scored: Sequence[Scored], index: int) -> str | None:
    order = sorted(range(len(scored)), key=lambda k: scored[k].reg)
    place = order.index(index)
    if len(order) < 2 or 0 < place < len(order) - 1:
        return None
    neighbour = scored[order[1 if place == 0 else -2]]
    if scored[index].value <= neighbour.value:
        return None  # the scores have stopped rising
    wanted = "smaller" if place == 0 else "larger"
    return (
        f"the chosen reg {scored[index].reg:.3g} is at the edge of the values tried, and scores still rise "
        f"there: try {wanted} values"
    )


def _below_chance(chosen: Scored, counts: np.ndarray, settings: SelectionSettings) -> str | None:
    """Return what is wrong where a constant answer does better; counts (C,) are of each class's samples."""
    if settings.metric == "balanced_accuracy":
        name, reached, constant = "balanced accuracy", chosen.value, 1 / int((counts > 0).sum())
    else:
        name, reached, constant = "accuracy", chosen.metrics["accuracy"], float(counts.max() / counts.sum())
    if reached >= constant:
        return None
    return (
        f"the validation {name} of the chosen reg, {reached:.4f}, is below {constant:.4f}, which always naming "
        "the largest class gives"
    )


@dataclass(frozen=True)
class OutOfFold:
    """What cross-validation found.

    Attributes:
        rows: (n,) positions of the rows that a fold holds out, rising.
        scores: (n, K, C) their scores, each from the fold that has not seen the row.
        solution: All F·K fits, fold-major.
    """

    rows: np.ndarray
    scores: Tensor
    solution: Solution

    def uncertified(self, reg: Sequence[float], index: int) -> str | None:
        """Return a sentence that counts the fits that are not certified, or None where all are.

        Args:
            reg: The K values.
            index: Position of the chosen one.
        """
        status = np.array([one is Status.CERTIFIED for one in self.solution.status]).reshape(-1, len(reg))
        if status.all():
            return None
        gaps = self.solution.gap.reshape(-1, len(reg))
        own = int((~status[:, index]).sum())
        rests = f"{own} of the chosen reg's {len(status)}, gap up to {float(gaps[:, index].max()):.1e}"
        return (
            f"{int((~status).sum())} of {status.size} fits of folds are not certified, gap up to "
            f"{float(gaps.max()):.1e} ({rests if own else 'none of the chosen reg'}): their scores are not "
            "those of the optimum"
        )


def cross_validate(
    training: TrainingRows,
    reg: Sequence[float],
    fold: np.ndarray,
    *,
    W: Tensor | None = None,
    memory: float = math.inf,
    callbacks: Sequence[Callback] = (),
    solve: Solve = solve,
) -> OutOfFold:
    """Fit every fold's training rows by themselves, and score the rows that it holds out.

    A fold's answer is a function of its own training rows alone: its map, start, preconditioner and W. Five folds
    cost as much as four fits of all rows, each reading X once for all values of reg.

    Args:
        training: The training rows.
        reg: K values.
        fold: (N,) the fold that holds each row out, or `splits.NEVER`.
        W: (K, C, D + 1) start of every fold, from a W that has seen none of these rows; by default 0. A fold that
            stops at once returns it.
        memory: Bytes the solver's vectors may take.
        callbacks: Called with each trace row.
        solve: What solves one group of values.
    """
    ends = time.monotonic() + training.settings.max_seconds
    parts, held, scores = [], [], []
    for k in range(int(fold.max()) + 1):
        part = training.part(np.flatnonzero(fold != k))
        left = max(ends - time.monotonic(), LEAST_SECONDS)
        settings = replace(training.settings, max_seconds=left)
        found = solve_path(
            part.objective, reg, settings, memory=memory, callbacks=callbacks, W=W, solve=solve
        )
        parts.append(found)
        held.append(np.flatnonzero(fold == k))
        scores.append(part.scores(found.W, training.X, held[-1]))
    rows = np.concatenate(held)
    order = np.argsort(rows)
    return OutOfFold(rows[order], torch.cat(scores)[torch.from_numpy(order)], joined(parts))


class LinearClassifierCV(LinearClassifier):
    """`LinearClassifier` that chooses reg by stratified cross-validation, all values of a fold in the same passes.

    Args:
        loss: Name of the loss.
        regs: Values to try; None means 16, log-spaced around the data's scale.
        cv: Number of folds.
        scoring: "accuracy", "balanced_accuracy" or "log_loss".
        one_standard_error: See `SelectionSettings`.
        tol: Relative gap, for the folds and the refit.
        max_passes: As in `LinearClassifier`.
        bias: As in `LinearClassifier`.
        class_weight: As in `LinearClassifier`.
        preprocess: As in `LinearClassifier`.
        solver: As in `LinearClassifier`.
        device: As in `LinearClassifier`.
        random_state: Seed of the folds, of the kinds that `LinearClassifier` takes.

    Attributes:
        reg_: The chosen value.
        regs_: The values tried.
        scores_: The metric of each.
    """

    def __init__(
        self,
        loss: str = "softmax",
        *,
        regs: Sequence[float] | None = None,
        cv: int = 5,
        scoring: str = "accuracy",
        one_standard_error: bool = False,
        tol: float = 1e-3,
        max_passes: float = 1000,
        bias: str = "penalized",
        class_weight: Any = None,
        preprocess: str = "none",
        solver: str = "auto",
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.regs = regs
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.tol = tol
        self.max_passes = max_passes
        self.bias = bias
        self.class_weight = class_weight
        self.preprocess = preprocess
        self.solver = solver
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose reg by cross-validation and fit it on all rows; see `LinearClassifier.fit`.

        Rows count by sample_weight in the fits and where answers are judged; class_weight is for the fits alone.
        """
        settings = self._settings()
        selection = SelectionSettings(
            self.scoring, self.cv, one_standard_error=self.one_standard_error, seed=settings.seed
        ).checked()
        data = self._training_set(X, y, sample_weight)
        affine = self._fitted_affine(data)
        self.regs_ = checked_reg(self.regs) if self.regs is not None else default_grid(self._scale)
        self.classes_ = data.classes
        training = TrainingRows(
            data.X,
            data.labels.numpy(),
            len(data.classes),
            settings,
            self.preprocess,
            data.image_shape,
            data.sample_weight,
            self._class_weight(data.classes.tolist()),
            data.classes.tolist(),
            self.device,
        )
        self.reg_ = self.regs_[self._chosen(training, selection, data.weights)]
        final = TrainingPart(training, None, affine).objective([self.reg_])
        self._finish(solve(final, settings), affine)
        return self

    def _class_weight(self, names: list[Any]) -> Any:
        """Return class_weight without classes that no row counts of: those have been left out."""
        if not isinstance(self.class_weight, Mapping):
            return self.class_weight
        return {name: self.class_weight[name] for name in names if name in self.class_weight}

    def _chosen(
        self, training: TrainingRows, selection: SelectionSettings, row_weights: Tensor | None
    ) -> int:
        """Return the position of the chosen reg, and say what is to be known of it."""
        y, values, sample_weight = training.y, self.regs_, training.weights
        fold = folds_that_count(y, row_weights, self.cv, selection.seed)
        found = cross_validate(training, values, fold)
        judged, counts = y[found.rows], None if sample_weight is None else sample_weight[found.rows]
        scored = judge(found.scores, judged, values, selection, is_probabilistic(self.loss), counts)
        index = choose(scored, selection)
        self.scores_ = np.array([one.value for one in scored])
        said = cautions(scored, index, judged, selection, counts)
        said["class-of-one"] = undivided(y, self.classes_.tolist()) or ""
        said["folds-not-certified"] = found.uncertified(values, index) or ""
        for code, sentence in said.items():
            if sentence:
                warn(code, sentence)
        return index
