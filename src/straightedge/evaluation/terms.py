"""Which words speak for and against each class, and which decided about one text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

SHOWN_TERMS = 12  # terms for a class and against it on the page and in metrics.json
TERM_COLUMNS = ("class", "speaks", "rank", "term", "weight", "share")


def telling_terms(
    weight: np.ndarray, names: Sequence[str], classes: Sequence[str], shares: np.ndarray
) -> list[dict[str, Any]]:
    """Return the terms with the largest weights for each class, and those with the largest against it.

    Args:
        weight: (D, C).
        names: D terms.
        classes: C names.
        shares: (D,) share of the training texts that each term stands in.

    Returns:
        A mapping a class, with ``class`` and, under ``for`` and ``against``, terms with weight and share.
    """
    out = []
    for label, name in enumerate(classes):
        own = weight[:, label]
        order = np.argsort(own, kind="stable")
        first, last = order[::-1][:SHOWN_TERMS], order[:SHOWN_TERMS]
        sides = {
            "for": [_term(place, names, own, shares) for place in first if own[place] > 0],
            "against": [_term(place, names, own, shares) for place in last if own[place] < 0],
        }
        out.append({"class": name, **sides})
    return out


def _term(place: int, names: Sequence[str], weights: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    return {"term": names[place], "weight": float(weights[place]), "share": float(shares[place])}


def term_rows(terms: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of terms.csv: class, side, rank, term, weight and share."""
    for entry in terms:
        for side in ("for", "against"):
            for rank, term in enumerate(entry[side], 1):
                yield {"class": entry["class"], "speaks": side, "rank": rank, **term}


def contributions(
    row: tuple[np.ndarray, np.ndarray], weight: np.ndarray, names: Sequence[str], label: int, most: int = 8
) -> list[tuple[str, float]]:
    """Return what terms of one text add to the score of a class above the mean score of all classes.

    Args:
        row: (n,) columns and (n,) entries of the text.
        weight: (D, C).
        names: D terms.
        label: The class.
        most: Terms at most, the largest contributions of either sign.

    Returns:
        (term, contribution), the largest first; over all terms they sum to the difference of these scores, less
        that of the biases.
    """
    columns, entries = row
    W = weight[columns]
    found = entries * (W[:, label] - W.mean(axis=1))
    order = np.argsort(-np.abs(found), kind="stable")[:most]
    return [(names[columns[place]], float(found[place])) for place in order if found[place] != 0]
