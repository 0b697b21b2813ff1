"""What a classifier of named features learned: which features speak for each class, in which unit."""

import math
from typing import Any

import numpy as np

from straightedge.losses import is_probabilistic
from straightedge.report import words
from straightedge.report.run_files import Run
from straightedge.views import Coefficients

MOST_FEATURES = 20  # rows of the table of two classes
MOST_OF_A_CLASS = 6  # features for, and as many against, each of several classes
MOST_CLASSES = 30
MOST_COLUMNS = 200  # rows of the table of columns
LARGEST_EXPONENT = 50  # odds beyond e to this power are no number that anybody reads
Section = dict[str, Any]


def coefficients(run: Run) -> Section | None:
    """The coefficients of a table's features, or None where features have no names."""
    if run.model is None or not run.model.is_of_table or len(run.model.classes) < 2:
        return None
    found = run.model.coefficients()
    two, columns = len(found.classes) == 2, _columns(run)
    return {
        "unit": found.unit,
        "both": found.spread is not None,
        "two": list(run.classes) if two else None,
        "rows": _rows(run, found) if two else [],
        "classes": [] if two else _classes(run, found),
        "n_hidden": max(0, len(found.classes) - MOST_CLASSES) if not two else 0,
        "columns": columns[:MOST_COLUMNS],
        "n_columns_hidden": max(0, len(columns) - MOST_COLUMNS),
        "n_features": words.count(len(found.features)),
    }


def _columns(run: Run) -> list[Section]:
    """Return what became of each column, as far as metrics.json says it of whole entries."""
    wanted = ("name", "kind", "missing", "became")
    found = run.metrics.get("columns")
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and all(key in entry for key in wanted)]


def _rows(run: Run, found: Coefficients) -> list[Section]:
    """Return the features of two classes: what each adds to the score of the second over the first."""
    odds = is_probabilistic(str(run.metrics.get("loss")))
    temperature = run.model.temperature if run.model is not None and run.model.temperature else 1.0
    ease = found.comparable[:, 1] - found.comparable[:, 0]
    each = found.per_unit[:, 1] - found.per_unit[:, 0]
    told = {row.get("feature"): row for row in run.metrics.get("coefficients") or []}
    shown = np.argsort(-np.abs(ease), kind="stable")[:MOST_FEATURES]
    reach = max(float(np.abs(ease[shown]).max()), np.finfo(float).tiny)
    return [
        {
            "name": found.features[k],
            "value": signed(ease[k]),
            "each": signed(each[k]),
            "odds": _odds(each[k] / temperature) if odds else "",
            "interval": _interval(told.get(found.features[k]) or {}) if odds else "",
            "bar": [round(50 + 50 * min(0.0, ease[k]) / reach, 2), round(50 * abs(ease[k]) / reach, 2)],
        }
        for k in shown.tolist()
    ]


def _interval(row: Section) -> str:
    """Return the 95 % interval of a feature's odds, where refits gave one."""
    low, high = words.finite(row.get("odds_low")), words.finite(row.get("odds_high"))
    return "" if low is None or high is None else f"{low:.3g} to {high:.3g}"


def _classes(run: Run, found: Coefficients) -> list[Section]:
    """Return for each of several classes the features that speak for it and those against it."""
    centred = found.comparable - found.comparable.mean(axis=1, keepdims=True)
    shown = []
    for place, name in list(enumerate(run.classes))[:MOST_CLASSES]:
        order = np.argsort(-centred[:, place], kind="stable")
        ways = {"for": order, "against": order[::-1]}
        entry: Section = {"name": name}
        for way, ranked in ways.items():
            side = 1 if way == "for" else -1
            kept = [k for k in ranked[:MOST_OF_A_CLASS].tolist() if side * centred[k, place] > 0]
            entry[way] = [(found.features[k], signed(centred[k, place])) for k in kept]
        shown.append(entry)
    return shown


def signed(value: float) -> str:
    """Return a number of three digits with its sign."""
    return "0" if value == 0 else f"{value:+.3g}".replace("-", "−")


def _odds(exponent: float) -> str:
    """Return by which factor one unit more changes the odds of the second class."""
    return "" if abs(exponent) > LARGEST_EXPONENT else f"× {math.exp(exponent):.3g}"
