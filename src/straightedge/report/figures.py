"""The figures of the page: the proof, the path, the calibration."""

import math
from typing import Any

from straightedge.report.vega import (
    Spec,
    decades,
    figure,
    layer,
    line,
    log_scale,
    points,
    share_axis,
    tolerance,
    tooltip,
    x_axis,
    y_axis,
)
from straightedge.report.words import finite, interval_of_share, is_certified, reg_text, scientific


def bounds_figure(stage: list[dict[str, float | None]]) -> Spec | None:
    """Draw objective and dual value over passes: the optimum is between them. None of fewer than two rows."""
    known = [row for row in stage if row["objective"] is not None and row["dual"] is not None]
    if len(known) < 2:
        return None
    rows: list[Spec] = [{name: row[name] for name in ("n_passes", "objective", "dual")} for row in known]
    last, first = rows[-1], rows[0]
    drop = max(first["objective"] - last["objective"], 0.02 * abs(last["objective"]), 1e-9)
    low = max(min(row["dual"] for row in rows), last["dual"] - drop)  # an early dual may be far below
    high = max(row["objective"] for row in rows[1:]) if len(rows) > 4 else first["objective"]
    scale = {"domain": [low, max(high, last["objective"])], "zero": False, "nice": True, "clamp": False}
    x = x_axis("n_passes", "passes over the data")
    tips = tooltip(n_passes="pass", objective="objective", dual="dual_value")
    layers = [
        layer(rows, {"type": "area", "color": "var(--accent)", "opacity": 0.14, "clip": True, "aria": False},
               {"x": x, "y": y_axis("objective", "objective and dual value", scale), "y2": {"field": "dual"}}),
        layer(rows, line(), {"x": x, "y": y_axis("objective", "", scale)}),
        layer(rows, line("second", strokeDash=[5, 3]), {"x": x, "y": y_axis("dual", "", scale)}),
        layer(rows, {"type": "rule", "color": "var(--accent)", "opacity": 0, "strokeWidth": 9, "clip": True},
               {"x": x, "y": y_axis("objective", "", scale), "y2": {"field": "dual"}, "tooltip": tips}),
    ]  # fmt: skip
    described = "Objective (solid) falls and dual value (dashed) rises over the passes until they meet."
    return figure(240, described, layers)


def gap_figure(stage: list[dict[str, float | None]], tol: float | None) -> Spec | None:
    """Draw the relative gap over passes on a logarithmic axis, with the tolerance that was asked for."""
    rows = [
        {"n_passes": row["n_passes"], "gap": max(row["gap"], 1e-16), "text": scientific(row["gap"])}
        for row in stage
        if row["gap"] is not None
    ]
    if len(rows) < 2:
        return None
    x, scale = x_axis("n_passes", "passes over the data"), log_scale([row["gap"] for row in rows], tol, 10.0)
    y = y_axis("gap", "relative gap", scale, **decades(scale["domain"]))
    layers = [
        *tolerance(tol, scale),
        layer(rows, line(), {"x": x, "y": y}),
        layer(rows, {"type": "point", "color": "var(--accent)", "filled": True, "size": 26, "opacity": 1,
                      "clip": True},
               {"x": x, "y": y, "tooltip": tooltip(n_passes="pass", text="relative_gap")}),
    ]  # fmt: skip
    return figure(180, "Relative duality gap over passes, logarithmic.", layers)


def path_rows(path: list[dict[str, Any]], metric: str, tol: float | None) -> list[Spec]:
    """Turn ``path`` of the metrics into rows that figures and slider share; `tol` is of entries that state none."""
    rows = []
    for entry in path:
        judged = entry.get("validation") or {}
        value, interval = metric_of(judged, metric)
        proven = is_certified(entry.get("gap"), entry.get("tol", tol))
        rows.append(
            {
                "reg": finite(entry.get("reg")),
                "value": value,
                "low": interval[0] if interval else None,
                "high": interval[1] if interval else None,
                "gap": finite(entry.get("gap")),
                "proof": "certified" if proven else "not certified",
                "chosen": bool(entry.get("chosen")),
                "reg_text": reg_text(entry.get("reg")),
                "gap_text": scientific(entry.get("gap")),
            }
        )
    return sorted((row for row in rows if row["reg"]), key=lambda row: row["reg"])


def metric_of(judged: dict[str, Any], metric: str) -> tuple[float | None, tuple[float, float] | None]:
    """Find a metric and its interval: ``accuracy`` stands beside ``interval``, others are objects or numbers."""
    found = judged.get(metric)
    interval = found.get("interval") if isinstance(found, dict) else None
    value = found.get("value") if isinstance(found, dict) else found
    if metric == "accuracy" and interval is None:
        interval = judged.get("interval")
    ends = [finite(end) for end in interval] if isinstance(interval, list | tuple) else []
    whole = len(ends) == 2 and None not in ends
    return finite(value), (ends[0], ends[1]) if whole else None  # type: ignore[return-value]


def path_figure(rows: list[Spec], title: str, *, share: bool) -> Spec | None:
    """Draw the validation metric with its interval against reg, the choice marked."""
    known = [row for row in rows if row["value"] is not None]
    if len(known) < 2:
        return None
    x = x_axis("reg", "reg", **_reg_scale(known))
    scale = {"zero": False, "nice": True}
    y = y_axis("value", title, scale, format=".0%" if share else ".2f")
    written, numbers = ".1%" if share else ".3f", ("value", "low", "high")
    tips = tooltip(written, numbers, reg_text="reg", value="value", low="from", high="to", gap_text="gap")
    layers: list[Spec] = []
    if any(row["low"] is not None for row in known):
        band = {"type": "area", "color": "var(--accent)", "opacity": 0.16, "aria": False}
        low = y | {"field": "low"}
        layers.append(layer([r for r in known if r["low"] is not None], band,
                             {"x": x, "y": low, "y2": {"field": "high"}}))  # fmt: skip
    layers += [layer(known, line(), {"x": x, "y": y}), *_chosen_rule(known, x)]
    layers.append(layer(known, points(), {"x": x, "y": y, "size": _chosen(150, 64), "tooltip": tips}))
    return figure(220, f"{title} against reg, with intervals; the chosen reg is marked.", layers)


def path_gap_figure(rows: list[Spec], tol: float | None) -> Spec | None:
    """Draw the relative gap that was reached at every reg; open points did not reach the tolerance."""
    known = [row | {"gap": max(row["gap"], 1e-16)} for row in rows if row["gap"] is not None]
    if len(known) < 2:
        return None
    scale = log_scale([row["gap"] for row in known], tol)
    x = x_axis("reg", "reg", **_reg_scale(known))
    y = y_axis("gap", "relative gap", scale, **decades(scale["domain"]))
    proven = {"test": "datum.proof == 'certified'"}
    fill = {"condition": proven | {"value": "var(--good)"}, "value": "var(--page)"}
    stroke = {"condition": proven | {"value": "var(--good)"}, "value": "var(--warn)"}
    tips = tooltip(reg_text="reg", gap_text="relative_gap", proof="proof")
    dots = {"type": "point", "filled": True, "opacity": 1, "strokeWidth": 2}
    encoding = {"x": x, "y": y, "fill": fill, "stroke": stroke, "size": _chosen(110, 50), "tooltip": tips}
    layers = [*_chosen_rule(known, x)[:1], *tolerance(tol, scale), layer(known, dots, encoding)]
    return figure(140, "Relative gap reached at every reg; open points are not certified.", layers)


def _reg_scale(rows: list[Spec]) -> Spec:
    regs = [row["reg"] for row in rows]
    margin = (max(regs) / min(regs)) ** 0.025
    return {"type": "log", "domain": [min(regs) / margin, max(regs) * margin], "nice": False}


def _chosen(large: int, small: int) -> Spec:
    return {"condition": {"test": "datum.chosen", "value": large}, "value": small}


def _chosen_rule(rows: list[Spec], x: Spec) -> list[Spec]:
    chosen = [{"reg": row["reg"], "reg_text": f"chosen: {row['reg_text']}"} for row in rows if row["chosen"]]
    if not chosen:
        return []
    regs = sorted(math.log10(row["reg"]) for row in rows)
    right = math.log10(chosen[0]["reg"]) > (regs[0] + regs[-1]) / 2
    rule = {"type": "rule", "color": "var(--ink)", "strokeWidth": 1}
    align = {"align": "right", "dx": -6} if right else {"align": "left", "dx": 6}
    text = {"type": "text", "color": "var(--ink)", "baseline": "top", "fontWeight": 600} | align
    return [
        layer(chosen, rule, {"x": x}),
        layer(chosen, text, {"x": x, "y": {"value": 2}, "text": {"field": "reg_text"}}),
    ]


def reliability_figure(bins: list[dict[str, Any]]) -> Spec | None:
    """Draw how often the answer was right against the probability it was given, with intervals."""
    rows = [row for row in map(_reliability_row, bins) if row]
    if not rows:
        return None
    unit = {"domain": [0, 1]}
    x = share_axis("confidence", "probability given to the answer")
    y = y_axis("accuracy", "share that was right", unit, format=".0%")
    ends = [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]
    shown = {"confidence": "probability", "accuracy": "right", "low": "from", "high": "to"}
    tips = tooltip(".1%", tuple(shown), **shown, n="samples")
    diagonal = line("muted", strokeDash=[2, 3], strokeWidth=1, aria=False)
    bar = {"type": "rule", "color": "var(--accent)", "strokeWidth": 2}
    layers = [
        layer(ends, diagonal, {"x": x, "y": y}),
        layer(rows, bar, {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}),
        layer(rows, points() | {"size": 64}, {"x": x, "y": y, "tooltip": tips}),
    ]
    return figure(300, "Share of right answers against their probability; the diagonal is perfect.", layers)


def _reliability_row(entry: dict[str, Any]) -> Spec | None:
    confidence, accuracy, n = (finite(entry.get(name)) for name in ("confidence", "accuracy", "n"))
    ends = interval_of_share(accuracy, n)
    if confidence is None or accuracy is None or ends is None:
        return None
    return {"confidence": confidence, "accuracy": accuracy, "n": n, "low": ends[0], "high": ends[1]}


def counts_figure(bins: list[dict[str, Any]]) -> Spec | None:
    """Draw how many samples each bin of the reliability curve has."""
    rows = [{name: finite(entry.get(name)) for name in ("low", "high", "n")} for entry in bins]
    rows = [row for row in rows if None not in row.values()]
    if not any(row["n"] for row in rows):
        return None
    x = share_axis("low", "probability given to the answer")
    y = y_axis("n", "samples", {"nice": True}, tickCount=3)
    bar = {"type": "rect", "color": "var(--accent)", "opacity": 0.55, "stroke": "var(--page)"}
    encoding = {"x": x, "x2": {"field": "high"}, "y": y, "y2": {"datum": 0}, "tooltip": tooltip(n="samples")}
    return figure(80, "Number of images by probability.", [layer(rows, bar, encoding)])


ROC = ("false positive rate", "true positive rate")
PRECISION = ("recall", "precision")


def curve_figure(curve: list[list[float]], at: list[float], names: tuple[str, str]) -> Spec:
    """Draw a curve of two shares, with the point at which the classes are parted."""
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
