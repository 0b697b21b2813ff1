"""A chart of gap against seconds, both on logarithmic scales, as SVG without any library."""

from __future__ import annotations

import math
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 40, 48
COLOURS = ("#0b6e4f", "#57b894", "#c8553d", "#3d5a80", "#8d6a9f", "#b08900", "#6b705c")
FLOOR = 1e-12  # gaps below are drawn here


class Axis:
    """A logarithmic scale from values to pixels.

    Args:
        values: What has to fit, all > 0.
        first: Pixel of the smallest.
        last: Pixel of the largest.
    """

    def __init__(self, values: list[float], first: float, last: float) -> None:
        self.low = math.floor(math.log10(min(values)) * 2) / 2
        self.high = max(math.ceil(math.log10(max(values)) * 2) / 2, self.low + 0.5)
        self.first, self.last = first, last

    def __call__(self, value: float) -> float:
        share = (math.log10(max(value, FLOOR)) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[int]:
        """Return the powers of ten inside."""
        return list(range(math.ceil(self.low), math.floor(self.high) + 1))


def gap_chart(title: str, solvers: list[dict[str, Any]], tol: float) -> str:
    """Draw the certified gap of each solver against its time.

    Args:
        title: Words above the chart.
        solvers: Entries with a name, a status and a curve of (seconds, objective, gap).
        tol: The asked gap, a dashed line.
    """
    curves = [(entry, _running_best(entry["curve"])) for entry in solvers]
    curves = [(entry, points) for entry, points in curves if points]
    xs = [seconds for _, points in curves for seconds, _ in points]
    ys = [gap for _, points in curves for _, gap in points]
    x = Axis(xs or [1.0], LEFT, WIDTH - RIGHT)
    y = Axis([*ys, tol], HEIGHT - BOTTOM, TOP)
    parts = [_frame(title, x, y), _target(y, tol)]
    for number, (entry, points) in enumerate(curves):
        parts.append(_curve(entry, points, COLOURS[number % len(COLOURS)], number, x, y))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _running_best(curve: list[Any]) -> list[tuple[float, float]]:
    """Return (seconds, best gap so far): what a user who stopped there could claim."""
    best, out = 1.0, []
    for seconds, _, gap in curve:
        if not (math.isfinite(gap) and seconds > 0):
            continue
        best = min(best, max(gap, FLOOR))
        out.append((max(seconds, 1e-4), best))
    return out


def _frame(title: str, x: Axis, y: Axis) -> str:
    lines = ['<rect width="100%" height="100%" fill="white"/>']
    lines.append(f'<text x="{LEFT}" y="22" font-size="15" fill="#222">{escape(title)}</text>')
    for power in x.ticks():
        at = x(10.0**power)
        lines.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>')
        lines.append(_label(at, HEIGHT - BOTTOM + 18, f"{10.0**power:g}", "middle"))
    for power in y.ticks():
        at = y(10.0**power)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e4e4e4"/>')
        lines.append(_label(LEFT - 8, at + 4, f"1e{power}", "end"))
    lines.append(_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "seconds from arrays in memory", "middle"))
    lines.append(_label(LEFT, TOP - 4, "certified relative gap", "start"))
    return "\n".join(lines)


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#555") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="12" fill="{colour}">{escape(text)}</text>'


def _target(y: Axis, tol: float) -> str:
    at = f"{y(tol):.1f}"
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="#222" stroke-dasharray="4 4"/>'
    return line + _label(WIDTH - RIGHT + 6, float(at) + 4, f"asked: {tol:g}", "start", "#222")


def _curve(
    entry: dict[str, Any], points: list[tuple[float, float]], colour: str, number: int, x: Axis, y: Axis
) -> str:
    path = " ".join(f"{x(seconds):.1f},{y(gap):.1f}" for seconds, gap in points)
    own = entry["name"].startswith("straightedge")
    lines = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{2.5 if own else 1.6}"/>']
    last = points[-1]
    lines.append(f'<circle cx="{x(last[0]):.1f}" cy="{y(last[1]):.1f}" r="3.5" fill="{colour}"/>')
    at = TOP + 14 + 20 * number
    left = WIDTH - RIGHT + 8
    lines.append(f'<line x1="{left}" x2="{left + 18}" y1="{at}" y2="{at}" stroke="{colour}" stroke-width="3"/>')
    lines.append(_label(left + 24, at + 4, entry["name"], "start", "#222"))
    return "\n".join(lines)
