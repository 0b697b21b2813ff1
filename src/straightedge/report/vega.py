"""The figures, as Vega-Lite specifications with colours of the page's style sheet.

A colour ``var(--name)`` is replaced in the browser by the value the style sheet has for it in the present
mode, so that light and dark have one source. Titles and data only: no expression ever holds the user's text.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from straightedge.report.words import SUPERSCRIPT, scientific

Spec = dict[str, Any]
_LABELS = {"labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 12, "titleFontSize": 12}
CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
    "view": {"stroke": None},
    "axis": _LABELS
    | {
        "titleFontWeight": "normal",
        "gridColor": "var(--rule)",
        "domainColor": "var(--rule-strong)",
        "tickColor": "var(--rule-strong)",
        "labelPadding": 6,
        "titlePadding": 10,
        "labelOverlap": True,
    },
    "text": {"color": "var(--ink)", "fontSize": 12},
}
_LEFT = {"minExtent": 52, "maxExtent": 52, "titleAnchor": "start", "titleAlign": "left", "titleAngle": 0}
_ABOVE = _LEFT | {"titleX": 0, "titleY": -14, "titleBaseline": "bottom"}
_POWERS = {power: "10" + str(power).translate(SUPERSCRIPT) for power in range(-20, 21)} | {0: "1"}
_DECADE = f"({json.dumps(_POWERS, ensure_ascii=False)})[round(log(datum.value) / LN10)]"


def figure(height: int, description: str, layers: list[Spec]) -> Spec:
    """Return a specification of layers as wide as its place on the page."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "padding": {"left": 0, "top": 6, "right": 10, "bottom": 0},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "layer": layers,
    }


def layer(rows: list[Spec], mark: Spec, encoding: Spec) -> Spec:
    """Return one mark with data of its own."""
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}


def x_axis(field: str, title: str, **scale: Any) -> Spec:
    """Return the horizontal channel; a log scale has ticks at powers of ten."""
    axis: Spec = {"title": title, "grid": False, "tickCount": 6}
    if scale.get("type") == "log":
        axis |= decades(scale["domain"])
    return {"field": field, "type": "quantitative", "scale": scale or {"nice": False}, "axis": axis}


def decades(domain: list[float]) -> Spec:
    """Return ticks at powers of ten alone: few enough to read, written 10⁻⁴."""
    low, high = math.ceil(math.log10(domain[0]) - 1e-9), math.floor(math.log10(domain[1]) + 1e-9)
    step = max(1, math.ceil((high - low) / 7))
    return {"values": [10.0**power for power in range(low, high + 1, step)], "labelExpr": _DECADE}


def y_axis(field: str, title: str, scale: Spec, **axis: Any) -> Spec:
    """Return the vertical channel, its title written flat above the axis."""
    return {
        "field": field,
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": title, "tickCount": 5} | _ABOVE | axis,
    }


def tooltip(format: str = "", numbers: Sequence[str] = (), **fields: str) -> list[Spec]:
    """Return the fields that are shown under the pointer, by title; some of them as numbers in a format."""
    tips = [{"field": field, "title": title.replace("_", " ")} for field, title in fields.items()]
    number = {"format": format, "type": "quantitative"}
    return [tip | number if tip["field"] in numbers else tip for tip in tips]


def log_scale(values: list[Any], tol: float | None, ceiling: float = math.inf) -> Spec:
    """Return a log scale of whole decades around the values and the tolerance."""
    numbers = [min(value, ceiling) for value in values] + ([tol] if tol else [])
    low, high = (math.log10(number) for number in (min(numbers), max(numbers)))
    return {"type": "log", "domain": [10 ** math.floor(low), 10 ** max(math.ceil(high), math.floor(low) + 1)]}


def tolerance(tol: float | None, scale: Spec) -> list[Spec]:
    """Return a dotted line at the gap that was asked for."""
    if not tol:
        return []
    row, y = [{"gap": tol, "text": f"asked: {scientific(tol)}"}], y_axis("gap", "", scale)
    rule = {"type": "rule", "color": "var(--muted)", "strokeDash": [2, 3]}
    text: Spec = {"type": "text", "align": "right", "baseline": "bottom", "dx": -2, "dy": -3}
    anchored = {"x": {"value": "width"}, "y": y, "text": {"field": "text"}}
    return [layer(row, rule, {"y": y}), layer(row, text | {"color": "var(--muted)"}, anchored)]


def line(color: str = "accent", **more: Any) -> Spec:
    """Return a line in a colour of the style sheet."""
    return {"type": "line", "color": f"var(--{color})", "strokeWidth": 2, "clip": True, **more}


def share_axis(field: str, title: str) -> Spec:
    """Return the horizontal channel of a share, in percent."""
    x = x_axis(field, title, domain=[0, 1])
    return x | {"axis": x["axis"] | {"format": ".0%", "tickCount": 5}}


def points() -> Spec:
    """Return filled points that stand off from the line under them."""
    return {"type": "point", "color": "var(--accent)", "filled": True, "opacity": 1, "stroke": "var(--page)"}
