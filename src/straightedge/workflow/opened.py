"""The texts that the page opens: of suspects and hardest samples, the passage in which the decision was made."""

from __future__ import annotations

from typing import Any

import numpy as np

from straightedge.data.base import Dataset, Split
from straightedge.data.text.documents import is_texts
from straightedge.features.text.passages import Passage, passages
from straightedge.model import LinearModel
from straightedge.workflow.judging import Judged

OPENED = 12
"""Texts of a list that are opened: those that the page shows at once."""

Rows = list[dict[str, Any]]


def add_passages(
    metrics: dict[str, Any], model: LinearModel, judged: Judged, read: Dataset, fitted: Dataset
) -> None:
    """Give the first suspects and hardest samples of texts their ``passage`` (see `row_of`).

    Args:
        metrics: What metrics.json will hold; its entries get one key more.
        model: The model whose weights mark the words.
        judged: What was measured of it.
        read: The data as they were read.
        fitted: The data as they were fitted; its test split has its texts once it is opened.
    """
    if not is_texts(read.train.X) or not hasattr(model.extractor, "feature_names"):
        return
    _open(metrics["suspects"][:OPENED], "suggested", read.train, model, seen=True)
    split = split_as_read(judged, read, fitted)
    _open(metrics["hardest"][:OPENED], "predicted", split, model, seen=split is read.train)


def split_as_read(judged: Judged, read: Dataset, fitted: Dataset) -> Split:
    """Return the split whose features were judged, as it was read: images or texts."""
    if judged.shown_name == "test":
        opened: Split = fitted.test.as_read  # type: ignore[union-attr]
        return opened
    own = fitted.validation is not None and judged.shown is fitted.validation
    return read.validation if own and read.validation is not None else read.train


def _open(entries: Rows, answer: str, split: Split, model: LinearModel, *, seen: bool) -> None:
    """Add passages; `seen` says whether the model was trained on these texts, which others have judged."""
    texts = [text for entry in entries for text in split.X.read(entry["index"], entry["index"] + 1)]
    directions = [_direction(model, entry[answer], entry["label"]) for entry in entries]
    for entry, passage in zip(entries, passages(texts, model.extractor, directions), strict=True):
        entry["passage"] = row_of(passage) | {"seen": seen}


def _direction(model: LinearModel, answer: str, label: str) -> np.ndarray:
    """Return (D,) what terms add to the score of an answer: above that of the label, or else above the mean."""
    weight, place = model.arrays.weight, model.classes.index
    other = weight.mean(axis=1) if answer == label else weight[:, place(label)]
    return np.asarray(weight[:, place(answer)] - other)


def row_of(passage: Passage) -> dict[str, Any]:
    """Return a passage as metrics.json holds it: ``pieces`` of text and share, ``cut`` before and after."""
    return {"pieces": [[text, share] for text, share in passage.pieces], "cut": list(passage.cut)}
