"""The path, the splits, the choice of reg.

Every value of reg, and every fold, is a configuration of one objective: X is read once for all of them. Nothing
here takes a test split: the choice is made from training and validation samples alone, and the sealed test split
is opened by the caller afterwards, for the one final model.

References:
    Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 7.10 (cross-validation
    and the one-standard-error rule).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from torch import Tensor

from straightedge.calibration import find_temperature
from straightedge.distributed import Communicator, local, row_range
from straightedge.errors import InputError, warn
from straightedge.estimators import LinearClassifier, training_set
from straightedge.evaluation import evaluate
from straightedge.fitting import FitSettings, build_objective, checked_reg, one_or_many, solve
from straightedge.losses import is_probabilistic
from straightedge.moments import affine_from, moments
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.solvers.base import Callback, Solution

METRICS = ("accuracy", "balanced_accuracy", "log_loss")
VECTORS = 50  # (C, D + 1) vectors a solver keeps for one configuration: L-BFGS pairs, sums of the workers
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


# -------------------------------------------------------------------- splits


def hold_out(y: np.ndarray, size: float | int = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (training, validation) row indices, stratified by class where every class has two samples.

    Args:
        y: (N,) labels.
        size: A share in (0, 1), or a number of samples.
        seed: Seed of the shuffle.
    """
    counts = np.bincount(y)
    n_validation = size if isinstance(size, int) and size >= 1 else math.ceil(len(y) * size)
    rng = np.random.default_rng(seed)
    if counts[counts > 0].min() >= 2 and n_validation >= len(counts[counts > 0]) <= len(y) - n_validation:
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=int(n_validation), random_state=seed)
        train, validation = next(splitter.split(np.zeros(len(y)), y))
    else:
        shuffled = rng.permutation(len(y))
        train, validation = shuffled[n_validation:], shuffled[:n_validation]
    return np.sort(train), np.sort(validation)


def fold_of_rows(y: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Return the fold (N,) in [0, folds) of each row, stratified by class.

    Raises:
        InputError: ``folds-invalid`` for fewer than 2 folds or more folds than samples.
    """
    if not 2 <= folds <= len(y):
        raise InputError(
            "folds-invalid", f"folds is {folds} for {len(y)} samples", mend="2 or more, at most one a sample"
        )
    smallest = int(np.bincount(y)[np.bincount(y) > 0].min())
    if smallest < folds:
        warn("folds-few-samples", f"a class has {smallest} samples, fewer than the {folds} folds")
        return np.random.default_rng(seed).permutation(np.arange(len(y)) % folds)
    splitter = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    out = np.empty(len(y), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(y)), y)):
        out[held_out] = fold
    return out


def folds_that_count(y: np.ndarray, weights: Tensor | None, folds: int, seed: int = 0) -> np.ndarray:
    """Return `fold_of_rows` of the rows of positive weight; the others, which count nowhere, are in fold 0."""
    if weights is None or bool((weights > 0).all()):
        return fold_of_rows(y, folds, seed)
    out, kept = np.zeros(len(y), dtype=np.int64), (weights > 0).numpy()
    out[kept] = fold_of_rows(y[kept], folds, seed)
    return out


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
            scores of all training rows, in row order, where folds were used.
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
    interval = entry["interval"] or [entry["value"], entry["value"]]
    error = (interval[1] - interval[0]) / 3.92
    return (entry["value"] if metric == "balanced_accuracy" else -entry["value"]), error


def choose(scored: Sequence[Scored], settings: SelectionSettings) -> int:
    """Return the position of the chosen value: the best metric, the larger reg among equals.

    With the one-standard-error rule: the largest reg within one standard error of the best.
    """
    best = max(range(len(scored)), key=lambda k: (scored[k].value, scored[k].reg))
    if not settings.one_standard_error:
        return best
    floor = scored[best].value - scored[best].error
    return max((k for k in range(len(scored)) if scored[k].value >= floor), key=lambda k: scored[k].reg)


def rule_in_words(settings: SelectionSettings) -> str:
    """Return the rule of the choice as a phrase."""
    metric = settings.metric.replace("_", " ")
    if settings.one_standard_error:
        return f"the largest reg within one standard error of the best validation {metric}"
    return f"the best validation {metric}, the larger reg among equals"


def cross_validate(
    X: Any,
    y: np.ndarray,
    n_classes: int,
    reg: Sequence[float],
    settings: FitSettings,
    *,
    fold: np.ndarray,
    affine: AffineMap,
    W: Tensor | None = None,
    row_weight: Tensor | None = None,
    memory: float = math.inf,
    callbacks: Sequence[Callback] = (),
    solve: Solve = solve,
    communicator: Communicator | None = None,
) -> tuple[Tensor, Solution]:
    """Solve every fold and every reg as configurations of one objective.

    A fold is a set of row weights: 0 on the rows it holds out. Rows are seen sorted by fold, so that a block's
    product leaves out the configurations that do not train on it.

    Args:
        X: The training rows of all ranks, in memory or a memory map; each rank reads its own.
        y: (N,) labels.
        n_classes: C.
        reg: K values.
        settings: Gap, limits, solver.
        fold: (N,) the fold that holds each row out.
        affine: The map (a fold's own mean would differ by parts in a thousand, and X be read once more).
        W: (K, C, D + 1) start for every fold, such as the path on all rows; or None.
        row_weight: (N,) weights of the rows, or None.
        memory: Bytes the solver's vectors may take.
        callbacks: Called with each trace row.
        solve: What solves one group of values.
        communicator: Who owns which rows.

    Returns:
        Out-of-fold scores (N, K, C) in row order, and the solution of all F·K configurations, fold-major.
    """
    n_folds = int(fold.max()) + 1
    communicator = communicator or local()
    first, last = row_range(len(y), communicator.rank, communicator.size)
    order = torch.from_numpy(np.argsort(fold[first:last], kind="stable")) + first
    sorted_fold = torch.from_numpy(fold)[order]
    labels = torch.from_numpy(y)[order]
    rows = Rows(X, device=settings.device, order=order)
    weights = (sorted_fold[None, :] != torch.arange(n_folds)[:, None]).to(torch.float64)
    if row_weight is not None:
        weights *= row_weight[order]
    size = group_size((1, n_classes, rows.n_features + 1), n_folds * len(reg), memory)
    per_group = max(1, size // n_folds)
    scores = torch.empty(last - first, len(reg), n_classes)
    parts = []
    for left in range(0, len(reg), per_group):
        values = list(reg[left : left + per_group])
        which = torch.arange(n_folds).repeat_interleave(len(values))
        objective = build_objective(
            rows,
            labels,
            n_classes,
            values * n_folds,
            settings,
            affine=affine,
            weights=weights,
            fold=which,
            communicator=communicator,
        )
        start = None if W is None else W[left : left + per_group].repeat(n_folds, 1, 1)
        solution = solve(objective, settings, W=start, callbacks=callbacks)
        parts.append(solution)
        for k in range(n_folds):
            held_out = order[sorted_fold == k]
            if not len(held_out):
                continue
            own = build_objective(
                Rows(X, device=settings.device, order=held_out),
                torch.from_numpy(y)[held_out],
                n_classes,
                values,
                settings,
                affine=affine,
            )
            own_W = solution.W[which == k]
            place = slice(left, left + len(values))
            scores[held_out - first, place] = own.scores(own_W).to("cpu", torch.float32)
    return communicator.gather_rows(scores), joined(parts)


class LinearClassifierCV(LinearClassifier):
    """`LinearClassifier` that chooses reg by stratified cross-validation, all folds and values in the same passes.

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
        values = checked_reg(self.regs) if self.regs is not None else default_grid(self._scale)
        path = solve_path(
            lambda part: build_objective(
                data.rows, data.labels, len(data.classes), part, settings, affine=affine, weights=data.weights
            ),
            values,
            settings,
        )
        labels = data.labels.numpy()
        scores, _ = cross_validate(
            data.X,
            labels,
            len(data.classes),
            values,
            settings,
            fold=folds_that_count(labels, data.weights, self.cv, settings.seed),
            affine=affine,
            W=path.W,
            row_weight=data.weights,
        )
        scored = judge(scores, labels, values, selection, is_probabilistic(self.loss), data.sample_weight)
        index = choose(scored, selection)
        self.reg_, self.regs_ = values[index], values
        self.scores_ = np.array([s.value for s in scored])
        self.classes_ = data.classes
        self._finish(joined([path], torch.tensor([index])), affine)
        return self
