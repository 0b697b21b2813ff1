"""The figures of two classes: ROC, and precision against recall."""

from __future__ import annotations

from typing import Any

from straightedge.report.vega import Spec, figure, layer, line, points, share_axis, tooltip, y_axis

ROC = ("false positive rate", "true positive rate")
PRECISION = ("recall", "precision")


def curve_figure(curve: list[list[float]], at: list[float], names: tuple[str, str]) -> Spec:
    """Draw a curve of two shares, with the point at which the classes are parted.

    Args:
        curve: Pairs of shares in [0, 1].
        at: The point.
        names: What the axes show.
    """
    unit: dict[str, Any] = {"domain": [0, 1]}
    x, y = share_axis("x", names[0]), y_axis("y", names[1], unit, format=".0%")
    rows = [{"x": pair[0], "y": pair[1], "place": place} for place, pair in enumerate(curve)]
    order = {"field": "place", "type": "quantitative"}
    tips = tooltip(".1%", "xy", x=names[0], y=names[1])
    layers = [
        layer(rows, line(interpolate="linear"), {"x": x, "y": y, "order": order}),
        layer([{"x": at[0], "y": at[1]}], points() | {"size": 80}, {"x": x, "y": y, "tooltip": tips}),
    ]
    return figure(260, f"{names[1]} against {names[0]}; the point is where the classes are parted.", layers)
