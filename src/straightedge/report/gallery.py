"""The sections that show pictures: templates, the confusion matrix, suspects and hardest images."""

from typing import Any

import numpy as np

from straightedge.report import words
from straightedge.report.run_files import Run
from straightedge.report.sections import SPLIT_NAMES
from straightedge.report.templates import MAX_TILES, data_uri, has_templates, template_strips, within

CELLS_BUDGET = 2_900_000  # characters of the pictures behind the confusion matrix
LIST_BUDGET = 450_000  # characters of the pictures of one list
MAX_MATRIX = 30  # classes up to which the whole matrix is drawn; above, the pairs confused most are listed
MAX_PAIRS = 60
Section = dict[str, Any]


def templates(run: Run) -> Section | None:
    """The weights as pictures at every reg, for the slider."""
    shape = run.dataset.get("image_shape")
    if run.config.get("features"):  # weights on features are no pictures, even if they have an image's size
        return None
    if run.weights is None or not has_templates(run.weights.shape[1], shape) or not run.regs:
        return None
    order = np.argsort(run.regs)
    regs, weights = [run.regs[place] for place in order], run.weights[order]
    strips = template_strips(regs, weights, shape or ())
    stops = [_stop(run, strip.reg) | {"src": strip.uri} for strip in strips]
    chosen = next((place for place, stop in enumerate(stops) if stop["chosen"]), len(stops) // 2)
    return {
        "n_hidden": max(0, weights.shape[2] - MAX_TILES),
        "grey": (shape or [3])[0] != 3,
        "start": chosen,
        "text": stops[chosen]["text"],
        "data": {
            "columns": strips[0].columns,
            "height": strips[0].height,
            "width": strips[0].width,
            "classes": run.classes[: strips[0].n_tiles],
            "stops": stops,
            "start": chosen,
        },
    }


def _stop(run: Run, reg: float) -> Section:
    """Say what is known of one reg: validation accuracy with its interval, and the gap."""
    entries = [entry for entry in run.metrics.get("path") or [] if _same(entry.get("reg"), reg)]
    chosen = _same(run.metrics.get("reg"), reg)
    parts = [f"reg {words.reg_text(reg)}" + (", the chosen one" if chosen and len(run.regs) > 1 else "")]
    if entries:
        judged = entries[0].get("validation") or {}
        interval = words.percent_interval(judged.get("interval"))
        if judged.get("accuracy") is not None:
            share = words.percent(judged.get("accuracy"))
            parts.append(f"validation accuracy {share}" + (f" ({interval})" if interval else ""))
        parts.append(words.certificate(entries[0].get("gap"), entries[0].get("tol", run.tol)))
    return {"text": " · ".join(parts), "chosen": chosen}


def _same(first: Any, second: float) -> bool:
    number = words.finite(first)
    return number is not None and abs(number - second) <= 1e-6 * abs(second)


def confusion(run: Run) -> Section | None:
    """The matrix, or the pairs confused most, and the pictures behind them."""
    split, judged = run.judged
    matrix = judged.get("confusion") or []
    if not matrix or len(matrix) != len(run.classes):
        return None
    pictures = _cell_pictures(run) if str(run.assets.get("split", "test")) == split else {}
    whole = len(matrix) <= MAX_MATRIX
    rows = [_matrix_row(matrix, place, run.classes, pictures) for place in range(len(matrix))] if whole else []
    pairs = _pairs(matrix, run.classes)
    if not whole:  # only a listed pair can open its pictures
        pictures = {pair["key"]: pictures[pair["key"]] for pair in pairs if pair["key"] in pictures}
    return {
        "split": SPLIT_NAMES[split],
        "classes": run.classes,
        "rows": rows,
        "pairs": pairs,
        "n_classes": len(matrix),
        "has_pictures": bool(pictures),
        "data": {"classes": run.classes, "cells": pictures},
    }


def _matrix_row(matrix: list[list[int]], place: int, classes: list[str], pictures: Section) -> Section:
    total = sum(matrix[place])
    cells = [_cell(matrix, place, other, total, classes) for other in range(len(matrix))]
    for cell in cells:
        cell["pictured"] = cell["key"] in pictures
    return {"name": classes[place], "n": words.count(total), "cells": cells}


def _cell(matrix: list[list[int]], place: int, other: int, total: int, classes: list[str]) -> Section:
    n = int(matrix[place][other])
    share = n / total if total else 0.0
    action = "recognised" if place == other else f"taken for {classes[other]}"
    step = min(10, round(10 * share**0.7))  # the eye needs more steps among small shares
    return {
        "n": n,
        "key": f"{place}-{other}",
        "right": place == other,
        "step": step if n else 0,
        "label": f"{classes[place]} {action}: {n:,} of {total:,} ({words.percent(share)})",
    }


def _pairs(matrix: list[list[int]], classes: list[str]) -> list[Section]:
    """List the pairs confused most, fullest first."""
    wrong = np.array(matrix, np.int64)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    places = [divmod(int(flat), len(matrix)) for flat in order if wrong.flat[flat] > 0]
    pairs = []
    for place, other in places:
        total = sum(matrix[place])
        ends = words.percent_interval(words.interval_of_share(wrong[place, other] / total, total))
        pairs.append(
            _cell(matrix, place, other, total, classes)
            | {"from": classes[place], "to": classes[other], "total": words.count(total)}
            | {"share": words.percent(wrong[place, other] / total), "interval": ends}
        )
    return pairs


def _cell_pictures(run: Run) -> dict[str, list[Section]]:
    """Group the stored thumbnails by cell, until the budget is used; they are stored best first."""
    images = run.assets.get("cells_images")
    if images is None:
        return {}
    cells: dict[str, list[Section]] = {}
    uris = within((data_uri(image) for image in images), CELLS_BUDGET)
    for place, uri in enumerate(uris):
        label = int(run.assets["cells_label"][place])
        predicted = int(run.assets["cells_predicted"][place])
        chance = words.finite(run.assets["cells_probability"][place])
        picture = {"src": uri, "name": _name(run, "cells", place)}
        picture["text"] = "" if chance is None else f"probability {words.percent(chance)}"
        cells.setdefault(f"{label}-{predicted}", []).append(picture)
    return cells


def _name(run: Run, group: str, place: int) -> str:
    name = str(run.assets[f"{group}_name"][place])
    return name or f"image {int(run.assets[f'{group}_index'][place])}"


def listed(run: Run, group: str) -> list[Section]:
    """The suspects or the hardest images, with thumbnails where they were kept."""
    thumbnails = _thumbnails(run, group)
    other, number = ("suggested", "score") if group == "suspects" else ("predicted", "probability")
    entries = []
    for entry in (run.metrics.get(group) or [])[:60]:
        value = words.finite(entry.get(number))
        shown = f"{value:.2f}" if group == "suspects" and value is not None else words.percent(value)
        entries.append(
            {
                "label": words.class_name(entry.get("label"), run.classes),
                "other": words.class_name(entry.get(other), run.classes),
                "name": str(entry.get("name") or f"image {entry.get('index')}"),
                "number": shown if value is not None else "",
                "src": thumbnails.get(str(entry.get("index")), ""),
                "passage": _passage(entry.get("passage")),
            }
        )
    return entries


def _passage(found: Any) -> Section | None:
    """Return a passage of a text: its pieces with the side that each speaks for, and where it is cut."""
    if not isinstance(found, dict):
        return None
    sides = {1: "for", -1: "against", 0: ""}
    pieces = [
        {"text": str(text), "side": sides[(share > 0) - (share < 0)], "share": f"{share:+.2f}".replace("-", "−")}
        for text, share in found["pieces"]
    ]
    return {"pieces": pieces, "before": found["cut"][0], "after": found["cut"][1], "seen": found["seen"]}


def _thumbnails(run: Run, group: str) -> dict[str, str]:
    images = run.assets.get(f"{group}_images")
    if images is None:
        return {}
    uris = within((data_uri(image) for image in images), LIST_BUDGET)
    return {str(int(index)): uri for index, uri in zip(run.assets[f"{group}_index"], uris, strict=False)}
