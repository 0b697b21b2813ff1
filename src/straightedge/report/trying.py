"""The model in the page: small enough to stand there, so that a row, a text or an image can be tried offline."""

import base64
from typing import Any

import numpy as np

from straightedge.data.tables.encoding import Column, TableEncoding
from straightedge.model import LinearModel
from straightedge.report.run_files import Run

MOST_WEIGHTS = 100_000  # numbers of a model that a page holds, 0.5 MB as text: ten classes of CIFAR-10 are 30,720
MOST_FIELDS = 60  # columns of a table that are asked for one by one
MOST_NUMBERS = 2_000  # numbers of a row that somebody pastes
Section = dict[str, Any]


def try_box(run: Run) -> Section | None:
    """What the page needs to answer as `predict` does, or None where it could not."""
    model = run.model
    if model is None or model.arrays.weight.size > MOST_WEIGHTS:
        return None
    plain = model.features is None
    how = (_form(model) or _picture(model) or _row(model)) if plain else _text(model)
    return None if how is None else how | _answers(model)


def no_box(run: Run) -> str | None:
    """Why the page of texts has no box to try them, or None where it has one or the rows are no texts."""
    model = run.model
    if model is None or not model.takes_texts or try_box(run) is not None:
        return None
    if model.arrays.weight.size > MOST_WEIGHTS:
        return f"The model has {model.arrays.weight.size:,} weights, too many for a page."
    return "The page cannot count terms as this model does."


def _answers(model: LinearModel) -> Section:
    """The weights as little-endian float32, features first, and how scores become probabilities."""
    return {
        "classes": list(model.classes),
        "weight": _packed(model.arrays.weight),
        "bias": _packed(model.arrays.bias),
        "threshold": model.threshold,
        "several": model.multilabel,
        "temperature": (model.temperature or 1.0) if model.has_probabilities else None,
    }


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _text(model: LinearModel) -> Section | None:
    """The terms of each block with their weights; terms that a hash places are not counted in the page."""
    if not model.takes_texts:
        return None
    from straightedge.features.text.tfidf import TfIdf

    extractor = model.extractor
    if not isinstance(extractor, TfIdf):
        return None
    blocks = [
        {"unit": block.terms.kind, "low": block.terms.low, "high": block.terms.high}
        | {"terms": list(block.names), "idf": _packed(block.idf)}
        for block in extractor.blocks
    ]
    return {"kind": "text", "sublinear": extractor.sublinear, "blocks": blocks}


def _form(model: LinearModel) -> Section | None:
    if not model.is_of_table:
        return None
    columns = TableEncoding.from_dict(model.columns or {}).apart().used
    return {"kind": "table", "columns": list(map(_field, columns))} if len(columns) <= MOST_FIELDS else None


def _field(column: Column) -> Section:
    """One column as the page asks for it: a number with its mean, or a choice of categories."""
    if column.kind == "number":
        facts = {"mean": column.mean, "indicator": column.indicator, "low": column.low, "high": column.high}
        return {"name": column.name, "kind": "number", **facts}
    return {
        "name": column.name,
        "kind": "category",
        "categories": list(column.categories),
        "other": column.other > 0,
    }


def _picture(model: LinearModel) -> Section | None:
    shape = model.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or model.input_dtype != "uint8":
        return None
    return {"kind": "image", "shape": list(shape)}


def _row(model: LinearModel) -> Section | None:
    plain = model.columns is None and len(model.input_shape) == 1
    return {"kind": "row", "n": model.n_features} if plain and model.n_features <= MOST_NUMBERS else None
