"""Exact search along a direction: scores move on a line, so that no trial reads the rows again."""

from collections.abc import Callable

import numpy as np

from straightedge.newton.curvature import SecondOrder
from straightedge.newton.problem import Point, Scored, SmoothProblem

FLAT = 0.1  # the search ends where the slope is this share of its start: Newton's quadratic convergence survives it
LONGEST = 12  # trials; each halves the bracket at worst
MOST_TRIALS = 40  # along kept scores: where a hinge's corner is sharp 12 did not find the way down


def search(problem: SmoothProblem, point: Point, direction: np.ndarray, *, rough: bool = False) -> Point:
    """Return W + t d with |φ′(t)| ≤ FLAT |φ′(0)|, φ(t) = P(W + t d), by Newton's method inside a bracket.

    Args:
        problem: The problem.
        point: Where the search starts.
        direction: (C, D), a direction of descent.
        rough: Whether float32 says enough of the point that is found, whose scores are those moved there.
    """
    moves = problem.moves(direction, rough=rough)
    own = _penalty_slopes(problem, point, direction)
    slope0 = abs(float(np.vdot(point.gradient, direction)))
    t, low, high, S = 1.0, 0.0, np.inf, point.scored.S
    for _ in range(LONGEST):
        there = problem.scored(S + moves if t == 1.0 else S + t * moves)
        slope = float(np.vdot(there.pull, moves)) + own[0] + t * own[1]
        if abs(slope) <= FLAT * slope0:
            carried = there if problem.carries or rough else None
            return problem.at(point.W + t * direction, carried, rough=rough)
        bend = _bend(problem, there, moves) + own[1]
        low, high = (low, t) if slope > 0 else (t, high)
        t = inside(t - slope / bend if bend > 0 else np.nan, low, high)
    return problem.at(point.W + t * direction)


def _penalty_slopes(problem: SmoothProblem, point: Point, direction: np.ndarray) -> tuple[float, float]:
    """Return the penalty's slope at t = 0 and its second derivative along the direction."""
    seen = problem.ridge * direction
    return float(np.vdot(seen, point.W)), float(np.vdot(seen, direction))


def _bend(problem: SmoothProblem, there: Scored, T: np.ndarray) -> float:
    """Return Σ w_i ⟨t_i, B_i t_i⟩ for columns t_i: the loss's second derivative along the direction."""
    return float(np.einsum("jn,jn->n", there.terms.product(T), T) @ problem.weights)


def length(
    loss: SecondOrder, y: np.ndarray, S: np.ndarray, moves: np.ndarray, own: tuple[float, float], most: float
) -> float:
    """Return t with |φ′(t)| ≤ most, φ(t) the mean loss at scores S + t moves and a quadratic penalty.

    Args:
        loss: The loss to second order.
        y: (N,) labels.
        S: (c, N) scores.
        moves: (c, N) those of the direction.
        own: The penalty's slope at t = 0, and its second derivative.
        most: Slope at which the search ends; it ends after `MOST_TRIALS` in any case.
    """

    def line(t: float) -> tuple[float, float]:
        slope, bend = slopes(loss, y, S, moves, t)
        return slope + own[0] + t * own[1], bend + own[1]

    return flat_point(line, most)


def slopes(loss: SecondOrder, y: np.ndarray, S: np.ndarray, moves: np.ndarray, t: float) -> tuple[float, float]:
    """Return the mean loss's slope and second derivative in t at scores S + t moves (c, N)."""
    terms = loss.at(S + t * moves, y)
    slope, bend = np.vdot(terms.gradient, moves), np.vdot(terms.product(moves), moves)
    return float(slope) / len(y), float(bend) / len(y)


def flat_point(line: Callable[[float], tuple[float, float]], most: float) -> float:
    """Return t with |φ′(t)| ≤ most, by Newton's method inside a bracket, or where `MOST_TRIALS` end."""
    t, low, high = 1.0, 0.0, np.inf
    for _ in range(MOST_TRIALS):
        slope, bend = line(t)
        if abs(slope) <= most:
            return t
        low, high = (low, t) if slope > 0 else (t, high)
        t = inside(t - slope / bend, low, high)
    return low or t  # φ falls as far as low, where it has a corner beyond


def inside(guess: float, low: float, high: float) -> float:
    """Return Newton's guess where it lies in the bracket and not far out, else a point that halves or doubles."""
    if low < guess < high and guess < 4 * max(low, 1.0):
        return guess
    return (low + high) / 2 if np.isfinite(high) else 2 * max(low, 0.5)
