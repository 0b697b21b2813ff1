"""The figures of two classes: ROC, and precision against recall."""

from __future__ import annotations

from typing import Any

from straightedge.report.vega import Spec, figure, layer, points, tooltip, x_axis, y_axis

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
    x, y = x_axis("x", names[0], **unit), y_axis("y", names[1], unit, format=".0%")
    x["axis"] |= {"format": ".0%", "tickCount": 5}
    rows = [{"x": pair[0], "y": pair[1], "place": place} for place, pair in enumerate(curve)]
    line = {"type": "line", "color": "var(--accent)", "strokeWidth": 2, "interpolate": "linear"}
    order = {"field": "place", "type": "quantitative"}
    tips = tooltip(x=names[0].replace(" ", "_"), y=names[1].replace(" ", "_"))
    for tip in tips:
        tip |= {"format": ".1%", "type": "quantitative"}
    layers = [
        layer(rows, line, {"x": x, "y": y, "order": order}),
        layer([{"x": at[0], "y": at[1]}], points() | {"size": 80}, {"x": x, "y": y, "tooltip": tips}),
    ]
    return figure(260, f"{names[1]} against {names[0]}; the point is where the classes are parted.", layers)
