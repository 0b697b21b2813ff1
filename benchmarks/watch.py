"""A stopwatch beside a solver: it looks at W now and then, and does not run while it looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.problem import Judge, Verdict

GROWTH = 1.06  # time between looks, until the gap is near
NEAR = 5.0  # times the asked gap: from there on every iteration is looked at
LONGEST_CURVE = 150


class Stopped(Exception):  # noqa: N818 - no error: the way out of a fit that has done enough
    """Raised inside a peer's fit to end it: the gap is reached, or the time is up."""


@dataclass
class Watch:
    """Follows one solver towards one gap.

    The solver is charged for its own time alone: what the judge takes is subtracted. So a peer is credited with
    the first of its iterations that has the gap, as if it had known when to stop.

    Args:
        judge: Evaluates W.
        tol: Relative gap asked for.
        cap: Longest time, s.

    Attributes:
        curve: (seconds, objective, gap) of every W looked at.
        status: "reached", "cap" or "stopped" (the solver ended by itself without the gap).
    """

    judge: Judge
    tol: float
    cap: float
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    status: str = "stopped"
    _began: float = 0.0
    _away: float = 0.0
    _next: float = 0.0
    _near: bool = False

    def begin(self) -> None:
        """Start the clock (again, for a fresh run)."""
        self._began, self._away, self._next = time.perf_counter(), 0.0, 0.0

    @property
    def seconds(self) -> float:
        """The solver's own time since `begin`."""
        return time.perf_counter() - self._began - self._away

    def look(self, W: Callable[[], np.ndarray]) -> None:
        """Judge the present W if it is time to; raise `Stopped` when it has the gap or the time is up."""
        now = self.seconds
        if not self._near and now < self._next and now < self.cap:
            return
        paused = time.perf_counter()
        quick = self.judge.quick(W())
        self._near = quick.gap <= NEAR * self.tol
        self._note(now, self.judge.exact(W()) if quick.gap <= 1.1 * self.tol else quick)
        self._next = GROWTH * now
        self._away += time.perf_counter() - paused
        self.check_time()

    def check_time(self) -> None:
        """Raise `Stopped` when the solver has had its time."""
        if self.seconds > self.cap:
            self.status = "cap"
            raise Stopped

    def finish(self, W: np.ndarray) -> None:
        """Judge the final W of a run that ended by itself."""
        self._note(self.seconds, self.judge.exact(W))

    def _note(self, seconds: float, verdict: Verdict) -> None:
        self.curve.append((seconds, verdict.objective, verdict.gap))
        if verdict.gap <= self.tol:
            self.status = "reached"
            raise Stopped

    def result(self) -> dict[str, object]:
        """Return the entry for the results file."""
        seconds, objective, gap = self.curve[-1] if self.curve else (self.cap, float("nan"), float("nan"))
        return {
            "status": self.status,
            "seconds": seconds,
            "objective": objective,
            "gap": gap,
            "curve": thinned(self.curve),
        }


def thinned(curve: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Return at most `LONGEST_CURVE` points, the first and the last among them."""
    if len(curve) <= LONGEST_CURVE:
        return curve
    return [curve[round(i)] for i in np.linspace(0, len(curve) - 1, LONGEST_CURVE)]
