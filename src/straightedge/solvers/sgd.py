"""Minibatch SGD as in the course, many heads at once: each (learning rate, reg) pair is a configuration.

All heads see the same batches: the scores of a batch under K heads are one matrix product, so a search over
sixteen settings costs little more than one. SGD proves nothing on its way; after each epoch one pass gives every
head's objective and the certificate of where it stands.

References:
    The notes (training follows from ③–⑦); the course's `train_linear_classifier`. Bottou, "Stochastic Gradient
    Descent Tricks", 2012.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from straightedge.distributed import guarded_sum
from straightedge.errors import InputError
from straightedge.objective import Objective
from straightedge.solvers.protocol import Progress, Solver, missing, nothing_known
from straightedge.workers import STOP_REQUESTED

FEWEST_EPOCHS, FEWEST_BATCHES = 8, 2000  # of a run whose length was not asked for
MOST_EVALUATIONS = 25
SCHEDULES = ("constant", "cosine", "linear")


@dataclass
class SGDState:
    """What a checkpoint keeps of `MinibatchSGD`.

    Attributes:
        W: (K, C, D + 1) the points.
        velocity: (K, C, D + 1) of the heavy ball.
        rates: (K,) learning rates.
        epoch: Epochs that are done.
    """

    W: Tensor
    velocity: Tensor
    rates: Tensor
    epoch: int


class MinibatchSGD(Solver):
    """W ← W − η (X̂_bᵀA_b/n + reg ∇R(W)) on random batches, for K configurations.

    Args:
        learning_rate: η > 0, one value or one for each configuration. None picks 0.1 divided by the mean
            square norm of the rows, times the number of classes: the order of the largest stable one for
            softmax.
        batch_size: Rows of a batch.
        epochs: Passes over the data worth of batches; None gives 8, or as many as make 2,000 batches.
        momentum: In [0, 1); heavy ball.
        schedule: "constant" (the course), "cosine" or "linear" decay to 0.
        seed: Seed of the batches.
    """

    name = "sgd"
    State = SGDState
    refines = False
    seeded = True

    def __init__(
        self,
        learning_rate: float | Sequence[float] | None = None,
        *,
        batch_size: int = 200,
        epochs: int | None = None,
        momentum: float = 0.0,
        schedule: str = "cosine",
        seed: int = 0,
    ) -> None:
        if schedule not in SCHEDULES:
            what = f"schedule is {schedule!r}"
            raise InputError("schedule-unknown", what, mend=f"one of: {', '.join(SCHEDULES)}")
        if not 0 <= momentum < 1:
            raise InputError("momentum-invalid", f"momentum is {momentum!r}", mend="give a number in [0, 1)")
        rates = [learning_rate] if isinstance(learning_rate, (int, float)) else list(learning_rate or [])
        if any(not 0 < rate < math.inf for rate in rates):
            what = f"learning rate is {learning_rate!r}"
            raise InputError("learning-rate-invalid", what, mend="a number above 0")
        self.rates = torch.tensor(rates, dtype=torch.float64)
        self.batch_size, self.asked_epochs = batch_size, epochs
        self.momentum, self.schedule, self.seed = momentum, schedule, seed

    @classmethod
    def supports(cls, objective: Objective) -> str | None:
        """See `Solver.supports`."""
        folds = objective.row_weights.n_sets > 1
        penalty = objective.penalty.penalty
        return missing(
            (not folds, "the same batches for all heads: no folds"),
            (objective.design.one_map, "one map for all configurations"),
            (penalty.smooth, f"a smooth penalty, and {penalty.name} has kinks"),
        )

    @classmethod
    def cost(cls, objective: Objective) -> float:
        """See `Solver.cost`: infinite, since no number of epochs reaches a small gap."""
        return math.inf

    def start(self, objective: Objective, W: Tensor | None, tol: Tensor) -> Progress:
        """See `Solver.start`. Starts at small random weights, as the course does, unless W is given."""
        self._prepare(objective)
        generator = torch.Generator().manual_seed(self.seed)
        first = 1e-4 * torch.randn(objective.shape, generator=generator) if W is None else W
        self.W = first.to(objective.device, objective.dtype).clone()
        self.velocity = torch.zeros_like(self.W)
        self.epoch = 0
        return self._evaluate()

    def _prepare(self, objective: Objective) -> None:
        obstacle = self.supports(objective)
        if obstacle:
            raise InputError("solver-does-not-fit", f"sgd {obstacle}", mend="solver='auto'")
        self.objective = objective
        enough = -(-FEWEST_BATCHES * self.batch_size // objective.n_total)
        self.epochs = self.asked_epochs or max(FEWEST_EPOCHS, enough)
        K, _, width = objective.shape
        zeros = torch.zeros(K, 1, width, dtype=objective.dtype, device=objective.device)
        self._hessian = objective.penalty.hessian_diagonal(zeros)
        if not len(self.rates):
            self.rates = torch.full((K,), self._natural_rate(), dtype=torch.float64)
        elif len(self.rates) == 1:
            self.rates = self.rates.expand(K).clone()

    def _natural_rate(self) -> float:
        design = self.objective.design
        first = torch.arange(min(512, design.n_samples), device=design.device)
        square = self._mean(lambda: design.row_norms(first).mean().to(design.dtype), ())
        return 0.1 * self.objective.n_classes / float(square.clamp_min(1e-12))

    def _mean(self, own: Callable[[], Tensor], shape: tuple[int, ...]) -> Tensor:
        """Return the mean over all rows that the ranks' means over their own, of this shape, stand for."""
        objective = self.objective
        if objective.communicator.size == 1:
            return own()
        share = objective.n_samples / objective.n_total
        like = torch.empty(math.prod(shape), dtype=objective.dtype, device=objective.device)
        return guarded_sum(objective.communicator, lambda: own().flatten() * share, like).view(shape)

    def step(self) -> Progress:
        """Run an epoch of batches (some, where there are many) and evaluate once.

        An interrupted step is as if it had not begun.
        """
        before = self.W.clone(), self.velocity.clone(), self.epoch
        try:
            at_once = -(-self.epochs // MOST_EVALUATIONS)
            for _ in range(max(1, min(at_once, self.epochs - self.epoch))):
                self._run_epoch()
            return self._evaluate()
        except BaseException:
            self.W, self.velocity, self.epoch = before
            raise

    def _run_epoch(self) -> None:
        objective = self.objective
        n_rows, communicator = objective.n_samples, objective.communicator
        n_batches = max(1, math.ceil(objective.n_total / self.batch_size))
        # one seed an epoch (and rank): a resumed run draws the same batches
        first = communicator.rank << 40
        generator = torch.Generator().manual_seed(first + self.seed * 1_000_003 + self.epoch + 1)
        size = min(max(1, self.batch_size // communicator.size), n_rows)
        buffer = torch.empty(size, objective.design.width, dtype=objective.dtype, device=objective.device)
        for batch in range(n_batches):
            index = torch.randint(n_rows, (size,), generator=generator)
            done = (self.epoch + batch / n_batches) / self.epochs
            self._update(index, buffer, self._decay(done))
            if STOP_REQUESTED.is_set() and communicator.size == 1:
                raise KeyboardInterrupt
        self.epoch += 1

    def _decay(self, done: float) -> float:
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1 - done if self.schedule == "linear" else 1.0

    def _update(self, index: Tensor, buffer: Tensor, decay: float) -> None:
        """W ← W + v, v ← momentum v − η (X̂_bᵀA_b/n + reg ∇R(W)), for every head at its own η."""
        objective = self.objective
        K, C, width = objective.shape
        rates = decay * self.rates
        if objective.communicator.size > 1:
            self._update_together(index, buffer, rates)
            return
        A, rows = self._score_gradient(index, buffer, rates)
        if self.momentum:
            self.velocity.mul_(self.momentum).sub_(self._decrease(rates))
            self.velocity.view(K * C, width).addmm_(A.t(), rows)
            self.W += self.velocity
        elif objective.penalty.quadratic:  # W ← (1 − η H) W − η X̂ᵀA/n, in two sweeps over W
            self.W.mul_(1 - rates.to(self.W)[:, None, None] * self._hessian)
            self.W.view(K * C, width).addmm_(A.t(), rows)
        else:
            self.W.sub_(self._decrease(rates)).view(K * C, width).addmm_(A.t(), rows)

    def _decrease(self, rates: Tensor) -> Tensor:
        """Return η times the penalty's gradient."""
        return rates.to(self.W)[:, None, None] * self.objective.penalty.gradient(self.W)

    def _update_together(self, index: Tensor, buffer: Tensor, rates: Tensor) -> None:
        """Do as `_update` with a batch that every rank has drawn its part of."""
        shape = self.objective.shape

        def own() -> Tensor:
            A, rows = self._score_gradient(index, buffer, rates)
            return (A.t() @ rows).view(shape)

        change = self._mean(own, shape)
        self.velocity.mul_(self.momentum).sub_(self._decrease(rates)).add_(change)
        self.W += self.velocity

    def _score_gradient(self, index: Tensor, buffer: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
        """Return −η A/n (n, K·C) of a batch and its mapped rows (n, D + 1)."""
        objective = self.objective
        K, C, width = objective.shape
        rows = objective.design.gather(index, buffer)
        S = (rows @ self.W.view(K * C, width).t()).view(-1, K, C)
        index = index.to(objective.device)
        objective.loss.value_and_gradient(S, objective.y[index])
        if objective.weights is not None:
            S *= (objective.weights[0, index] * objective.n_total).to(S)[:, None, None]
        S *= (-rates.to(S) / len(index))[None, :, None]
        return S.view(-1, K * C), rows

    def _evaluate(self) -> Progress:
        evaluation = self.objective.evaluate(self.W)
        value = evaluation.objective.nan_to_num(nan=torch.inf, posinf=torch.inf)
        # a head that diverged is told by its value; it must not poison the batch products of the others
        lost = ~(value < 1e12)
        self.W[lost.to(self.W.device)] = 0.0
        self.velocity[lost.to(self.W.device)] = 0.0
        dual = torch.where(lost, -torch.inf, evaluation.dual)
        finished = torch.full((self.objective.n_configs,), self.epoch >= self.epochs)
        value = torch.where(lost, torch.inf, value)
        return Progress(self.W.clone(), value, dual, 2.0 if self.epoch else 1.0, finished)

    def keep(self, positions: Tensor) -> None:
        """See `Solver.keep`."""
        self.objective = self.objective.select(positions)
        device = positions.to(self.W.device)
        self.W, self.velocity, self.rates = self.W[device], self.velocity[device], self.rates[positions]
        self._hessian = self._hessian[device]

    def state(self) -> SGDState:
        """See `Solver.state`."""
        return SGDState(self.W, self.velocity, self.rates, self.epoch)

    def restore(self, objective: Objective, state: SGDState, tol: Tensor) -> Progress:
        """See `Solver.restore`."""
        self.rates = state.rates
        self._prepare(objective)
        self.W, self.velocity, self.epoch = state.W, state.velocity, state.epoch
        return nothing_known(self.W)
