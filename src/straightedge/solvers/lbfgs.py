"""Whitened L-BFGS for smooth losses, K configurations at once, one pass a step.

Each configuration is at its own point of its own line search: a step evaluates all trial points in one pass,
accepts those that pass, and shortens the others by the cubic through both ends. Value, gradient and certificate
of the trial come from the same pass, so an accepted first trial, the usual case in the whitening metric, costs
one pass in all.

One configuration alone is proven by the pass that is foreseen to be its last, which is in float64: at the trial
point, or at the combination of the last points whose gradient is least.

References:
    Liu and Nocedal, "On the limited memory BFGS method", Math. Prog. 45, 1989 (two-loop recursion). Hager and
    Zhang, "A new conjugate gradient method with guaranteed descent", SIAM J. Optim. 16, 2005 (approximate Wolfe
    condition, which still holds where differences of P are below rounding).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from straightedge.newton.work import METRIC_ROWS, Size
from straightedge.objective import Evaluation, Objective
from straightedge.solvers.best_bias import BestBias, Passes
from straightedge.solvers.curvature_pairs import CurvaturePairs, inner
from straightedge.solvers.least_gradient import LeastGradient
from straightedge.solvers.path_in_parts import parts_of
from straightedge.solvers.protocol import Progress, Solver, missing, nothing_known
from straightedge.solvers.state import given_to, taken_from
from straightedge.solvers.whitening import Whitening
from straightedge.workers import torch_threads

ARMIJO = 1e-4
MEMORY = 20
LONGEST_SEARCH = 12  # trials in one line search; a float type that needs more has run out of digits
LONGEST_WAIT = 40  # passes in which the certificate may fail to improve, before rounding is what holds it up
FINEST = 1e-14  # relative gaps above this are within the reach of float64
LESS = 1.5  # by how many times a step gains less than the one before: seen are 0.2 to 8
FIRST_GAIN = 50  # by how many times the first step lessens a small gap at least: seen are 50 to a million
FIRST_GAIN_OF_FREE = 100  # the same where the bias is free, and is the best one when that is judged


@dataclass
class LBFGSPoint:
    """Where the line searches of K configurations are.

    Attributes:
        W: (K, C, D + 1) the points.
        value: (K,) P there.
        gradient: (K, C, D + 1) ∇P there.
        turned: (K, C, D + 1) M⁻¹∇P there.
        direction: (K, C, D + 1) of the line searches.
        slope: (K,) of P along them.
        length: (K,) of the next trials.
        trials: (K,) that line searches have taken.
        finest: (K,) the smallest gaps seen.
        waited: (K,) passes since then.
        pairs: Steps and changes of the gradient.
        last: The last points of one configuration alone; None for several.
    """

    W: Tensor
    value: Tensor
    gradient: Tensor
    turned: Tensor
    direction: Tensor
    slope: Tensor
    length: Tensor
    trials: Tensor
    finest: Tensor
    waited: Tensor
    pairs: CurvaturePairs
    last: LeastGradient | None


class WhitenedLBFGS(Solver):
    """L-BFGS whose initial matrix is the whitening metric's inverse.

    Args:
        memory: Pairs (ΔW, Δ∇P) remembered.
        sample_rows: Rows of the Gram matrix's sample.
    """

    name = "lbfgs"
    State = LBFGSPoint
    together = True  # all configurations take their step in one pass, and keep their vectors

    def __init__(self, memory: int = MEMORY, sample_rows: int = METRIC_ROWS) -> None:
        self.sizes = memory, sample_rows
        self.metric: Whitening | None = None

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        loss, penalty = objective.loss, objective.penalty.penalty
        return missing(
            (loss.smooth, f"a smooth loss, and {loss.name} has kinks"),
            (penalty.smooth, f"a smooth penalty, and {penalty.name} has kinks"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: a pass a step, the metric applied, and the metric once for all configurations."""
        K, C, width = objective.shape
        rule = objective.loss.second_order
        free = C - (rule is not None and rule.shift_invariant)
        return Size(objective.n_total, width, C, free, rule is None or rule.curved).lbfgs(K)

    def turns(self, objective: Objective) -> list[Tensor]:
        """See `Solver.turns`: a path in parts, of one metric; see `path_in_parts`.

        Other devices than the CPU take all values in hardly more time than some of them.
        """
        self.metric = self._whitening(objective)
        alike = objective.labels is None and objective.device.type == "cpu"
        parts = parts_of(objective.reg, objective.fold) if alike else None
        return super().turns(objective) if parts is None else parts

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. Starts at W = 0 by default, where P is known: log C for softmax."""
        self._prepare(objective, tol)
        device, dtype = objective.device, objective.dtype
        first, evaluation = self.passes.at_zero() if W is None else self.passes.at(W.to(device, dtype))
        self.W = first.to(device, dtype, copy=True)  # it is changed in place
        self.value = evaluation.objective.clone()
        self.gradient = evaluation.gradient.to(objective.dtype)
        self.turned = self._metric.solve(self.gradient)
        self.pairs = CurvaturePairs.none(self.W, self.sizes[0])
        self.direction = -self.turned
        self.length = torch.ones(objective.n_configs, dtype=torch.float64)
        self.slope = inner(self.gradient, self.direction).cpu()
        self.last = None
        if objective.n_configs == 1 and (objective.penalty.uniform or isinstance(self.passes, BestBias)):
            gain = FIRST_GAIN_OF_FREE if objective.penalty.free_bias else FIRST_GAIN
            self.last = LeastGradient.none(self.W[0], float(tol[0]), float(evaluation.gap[0]) / gain)
        self._remember()
        return self._progress(evaluation)

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return self.passes.objective

    def _prepare(self, objective: Objective, tol: Tensor) -> None:
        """Set up the metric and the line searches; a metric of other turns (float32, say) serves a restart, too."""
        self.passes = BestBias.of(objective, float(tol[0])) or Passes(objective)
        K = objective.n_configs
        metric = None if self.metric is None else self.metric.of(objective)
        self.metric = self._whitening(objective) if metric is None else metric
        self.trials = torch.zeros(K, dtype=torch.int64)
        self.finest = torch.full((K,), torch.inf, dtype=torch.float64)  # the smallest gap seen
        self.waited = torch.zeros(K, dtype=torch.int64)  # passes since then

    def _whitening(self, objective: Objective) -> Whitening:
        return Whitening(objective, objective.loss.curvature(objective.n_classes), self.sizes[1])

    @property
    def _metric(self) -> Whitening:
        assert self.metric is not None, "the solver was not started"
        return self.metric

    def step(self) -> Progress:
        """Evaluate every configuration's trial point in one pass, or a combination of one's last points."""
        last = self.last
        if last is not None:
            curvature = float(self.objective.penalty.curvature[0])
            if (W := last.combination(float(self.value[0]), curvature)) is not None:
                return self._judged(W.view(self.W.shape), last.tol)[1]
        trial = self.W + self.length.to(self.W)[:, None, None] * self.direction
        if last is not None and last.foreseen <= last.tol * float(self.value[0]):
            evaluation, found = self._judged(trial, last.tol)
            if found.proven:
                return found
            moved = found.W
        else:
            moved, evaluation = self.passes.at(trial)
        trial = moved.to(trial)
        gradient = evaluation.gradient.to(self.objective.dtype)
        slope = inner(gradient, self.direction).cpu()
        accepted = self._acceptable(evaluation.objective, slope)
        self._shorten(evaluation.objective, slope, ~accepted)
        self.value[accepted] = evaluation.objective[accepted]
        if bool(accepted.any()):
            with torch_threads(1):  # small products, one after the other: a team spins between them
                self._foresee(evaluation)
                self._move(trial, gradient, accepted.nonzero().flatten())
                self._remember()
        return self._progress(evaluation, trial)

    def _judged(self, W: Tensor, tol: float) -> tuple[Evaluation, Progress]:
        """Return what a pass in float64 finds at W (1, C, D + 1): the answer, if its gap is what is asked for."""
        W, found = self.passes.at(W, double=True)
        proven = bool(found.gap <= tol * found.objective)
        going_on = torch.zeros(1, dtype=torch.bool)
        return found, Progress(W, found.objective, found.dual, 1.0, going_on, found.gap, proven)

    def _foresee(self, evaluation: Evaluation) -> None:
        if self.last is not None:
            former, gap = (
                float(self.objective.penalty.distance(gradient)[0])
                for gradient in (self.gradient, evaluation.gradient)
            )
            self.last.foreseen = gap * min(1.0, LESS * gap / max(former, 1e-300))

    def _remember(self) -> None:
        if self.last is not None:
            self.last.add(self.W[0], self.gradient[0])

    def _acceptable(self, value: Tensor, slope: Tensor) -> Tensor:
        """Armijo's condition, or the approximate Wolfe condition where P no longer tells points apart."""
        decrease = value <= self.value + ARMIJO * self.length * self.slope
        noise = 4 * torch.finfo(self.objective.dtype).eps * self.value.abs()
        flat = (value <= self.value + noise) & (slope.abs() <= 0.9 * self.slope.abs())
        return value.isfinite() & (decrease | flat)

    def _move(self, trial: Tensor, gradient: Tensor, accepted: Tensor) -> None:
        """Go to the trial points of some configurations (K',) int64, and begin their next line searches."""
        here = accepted.to(self.W.device)
        new, turned = gradient[here], self._metric.solve(gradient, accepted)
        self.pairs.add(accepted, trial[here] - self.W[here], new - self.gradient[here], turned - self.turned[here])
        self.W[here], self.gradient[here], self.turned[here] = trial[here], new, turned
        direction = self.pairs.descent(accepted, new, turned)
        self.direction[here] = direction
        self.length[accepted] = 1.0
        self.slope[accepted] = inner(new, direction).cpu()

    def _shorten(self, value: Tensor, slope: Tensor, rejected: Tensor) -> None:
        """Move to the minimiser of the cubic through value and slope at both ends, kept inside [0.1, 0.7]."""
        t = self.length
        d1 = self.slope + slope - 3 * (value - self.value) / t
        root = (d1.square() - self.slope * slope).clamp_min(0).sqrt()
        best = t * (1 - (slope + root - d1) / (slope - self.slope + 2 * root))
        ratio = torch.where(best.isfinite(), best / t, 0.3).clamp(0.1, 0.7)
        self.length = torch.where(rejected, t * ratio, t)
        self.trials = torch.where(rejected, self.trials + 1, 0)

    def _progress(self, evaluation: Evaluation, at: Tensor | None = None) -> Progress:
        finer = evaluation.gap < 0.9 * self.finest
        self.finest = torch.where(finer, evaluation.gap, self.finest)
        self.waited = torch.where(finer, 0, self.waited + 1)
        exhausted = (self.trials >= LONGEST_SEARCH) | ~(self.slope < 0)
        stuck = self.waited >= LONGEST_WAIT
        if self.objective.dtype == torch.float64:  # there, a wait is the problem's own until the last digits
            stuck &= self.finest < FINEST * self.value
        exhausted |= stuck
        W = self.W if at is None else at
        return Progress(W, evaluation.objective, evaluation.dual, 1.0, exhausted, evaluation.gap)

    def certify(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """See `Solver.certify`; with the best free bias."""
        if not isinstance(self.passes, BestBias):
            return None
        W, found = self.passes.at(self.W, double=True)
        return W, found.objective, found.dual

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`."""
        self.passes = replace(self.passes, objective=self.objective.select(positions))
        self._metric.keep(positions)
        device = positions.to(self.W.device)
        for name in ("W", "gradient", "turned", "direction"):
            setattr(self, name, getattr(self, name)[device])
        for name in ("value", "trials", "length", "slope", "finest", "waited"):
            setattr(self, name, getattr(self, name)[positions])
        self.pairs.keep(positions)

    def state(self) -> LBFGSPoint:
        """See `Solver.state`."""
        return taken_from(LBFGSPoint, self)

    def restore(self, objective: Objective, state: LBFGSPoint, tol: Tensor) -> Progress:
        """See `Solver.restore`; the metric is computed again, to the same bits."""
        self._prepare(objective, tol)
        given_to(self, state)
        return nothing_known(self.W)
