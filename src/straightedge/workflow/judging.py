"""From a final W to numbers with intervals: every split judged, the test split opened once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from straightedge.calibration import TemperatureFit, find_temperature
from straightedge.data import Dataset, Split
from straightedge.distributed import slice_of
from straightedge.evaluation import Ranking, evaluate, hardest, suspects
from straightedge.evaluation.roc import two_class_curves
from straightedge.losses import is_probabilistic
from straightedge.model import LinearModel
from straightedge.training import TrainingPart, gathered
from straightedge.workflow.choosing import Fitted
from straightedge.workflow.problem import Problem

SHOWN = 60  # suspects and hardest images in metrics.json and on the page; the CSV files have all
SUSPECT_SHARE = 0.02
SHOWN_OF_A_PATH = ("n", "accuracy", "interval", "balanced_accuracy", "log_loss")
HARDEST_COLUMNS = ("name", "index", "label", "predicted", "probability")


@dataclass
class Judged:
    """Everything measured of the final model.

    Attributes:
        splits: Name to the numbers of `evaluation.evaluate`.
        shown: The split whose rows the confusion matrix, hardest.csv and the pictures are of.
        shown_name: What these answers are called: "test", else "validation", else "train".
        shown_rows: (n,) positions of these rows in `shown`, such as those that were held out; None for all.
        scores: (n, C) their scores.
        answers: What predictions.csv has: samples, their scores, and what they were to the model.
        suspects: Rows of the list, the most suspicious first.
        hardest: All samples of the split that is shown, the hardest first.
        temperature: T of softmax(scores/T), or None.
        has_probabilities: Whether scores give any: softmax, or any loss with a temperature.
    """

    splits: dict[str, dict[str, Any]]
    shown: Split
    shown_name: str
    shown_rows: np.ndarray | None
    scores: np.ndarray
    suspects: list[dict[str, Any]] = field(default_factory=list)
    hardest: Ranking | None = None
    temperature: float | None = None
    has_probabilities: bool = True
    answers: tuple[Split, np.ndarray, str] | None = None

    @property
    def rows(self) -> np.ndarray:
        """(n,) positions of the shown rows in `shown`."""
        return np.arange(self.shown.n) if self.shown_rows is None else self.shown_rows

    @property
    def labels(self) -> np.ndarray:
        """(n,) labels of the shown rows."""
        return self.shown.y if self.shown_rows is None else np.asarray(self.shown.y[self.shown_rows])


def temperature_of(fitted: Fitted, problem: Problem) -> TemperatureFit:
    """Find T on samples the scoring model had not seen.

    Args:
        fitted: Its held-out scores are taken; where they tell no T, those out of fold, which are of more samples.
        problem: The training rows.
    """
    found = TemperatureFit(None, "no samples were held out to fit a temperature on")
    folds = None if fitted.out_of_fold_rows is None else problem.y[fitted.out_of_fold_rows]
    held_out = fitted.held_out_scores, fitted.held_out_labels, fitted.held_out_rows
    for scores, labels, rows in (held_out, (fitted.out_of_fold, folds, fitted.out_of_fold_rows)):
        if found.value is None and scores is not None and labels is not None and len(labels):
            found = find_temperature(scores, labels, problem.weights_of(rows))
    return found


def temperature_note(found: TemperatureFit, loss: str) -> list[str]:
    """Return what a reader must know of probabilities without a fitted temperature."""
    if found.value is not None:
        return []
    meaning = (
        "probabilities are the model's own, T = 1" if is_probabilistic(loss) else "scores give no probabilities"
    )
    return [f"{meaning}: {found.refusal}"]


class Shown(NamedTuple):
    """The split that the page shows, and which of its rows: the last of training, validation and test there is."""

    split: Split
    name: str
    rows: np.ndarray | None
    scores: np.ndarray


def judge_splits(
    problem: Problem, fitted: Fitted, model: LinearModel, dataset: Dataset, threshold: dict[str, Any] | None = None
) -> Judged:
    """Judge training, validation and, last and once, test samples (`threshold`: as metrics.json holds it)."""
    classes = dataset.classes
    temperature = model.temperature
    settings: dict[str, Any] = {
        "temperature": temperature,
        "probabilities": model.has_probabilities,
        "threshold": model.threshold,
        "keep_scores": False,
    }
    part = fitted.part
    train_scores = part.scores(fitted.W[None])[:, 0].numpy()
    seen = slice(None) if part.index is None else part.index
    weights = problem.weights_of(seen)
    splits: dict[str, dict[str, Any]] = {
        "train": evaluate(train_scores[seen], problem.y[seen], classes, weights=weights, **settings)
    }
    shown = Shown(dataset.train, "train", part.index, train_scores[seen])
    if fitted.held_out_scores is not None and fitted.held_out_labels is not None:
        counts = problem.weights_of(fitted.held_out_rows)
        splits["validation"] = evaluate(
            fitted.held_out_scores, fitted.held_out_labels, classes, weights=counts, **settings
        )
        folds = fitted.held_out_scores is fitted.out_of_fold
        splits["validation"]["kind"] = "out of fold" if folds else "held out"
        rows = None if dataset.validation is not None else fitted.held_out_rows
        shown = Shown(dataset.validation or dataset.train, "validation", rows, fitted.held_out_scores)
    if dataset.test is not None:
        split = dataset.test.open("evaluation of the final model")
        scores = _scores(problem, model, _test_rows(part, split.X, dataset))
        splits["test"] = evaluate(scores, split.y, classes, weights=split.weights, **settings)
        shown = Shown(split, "test", None, scores)
    judged = Judged(splits, *shown, temperature=temperature, has_probabilities=model.has_probabilities)
    for entry in splits.values():
        entry |= {} if threshold is None else {"threshold": threshold}
    if len(classes) == 2:
        judged.splits[judged.shown_name]["curves"] = _curves(problem, fitted, judged, threshold)
    judged.answers = _answers(judged, fitted, dataset, train_scores)
    judged.hardest = hardest(shown.scores, judged.labels, temperature=temperature, threshold=model.threshold)
    judged.suspects = _suspects_of(problem, fitted, dataset)
    return judged


def _curves(
    problem: Problem, fitted: Fitted, judged: Judged, threshold: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Return the ROC and precision–recall curves of the samples that the page shows."""
    weights = judged.shown.weights
    if judged.shown_name != "test":
        every = slice(None) if judged.shown_rows is None else judged.shown_rows
        weights = problem.weights_of(every if judged.shown_name == "train" else fitted.held_out_rows)
    return two_class_curves(
        judged.scores, judged.labels, weights, None if threshold is None else threshold["score"]
    )


def _test_rows(part: TrainingPart, X: Any, dataset: Dataset) -> Any:
    """Return the test rows, with the features of the rows that the model was fitted on."""
    columns = part.training.columns
    if dataset.parts is None or columns is None or part.index is None:
        return X
    return dataset.parts.rows("test", columns)


def _answers(
    judged: Judged, fitted: Fitted, dataset: Dataset, train_scores: np.ndarray
) -> tuple[Split, np.ndarray, str]:
    """Return the answers that say most of the model: to samples it has not seen, wherever there are any."""
    if judged.shown_name == "test":
        return judged.shown, judged.scores, "test"
    if dataset.validation is not None and fitted.choice is None and fitted.held_out_scores is not None:
        return dataset.validation, fitted.held_out_scores, "held out"
    if fitted.out_of_fold is not None and fitted.out_of_fold_rows is not None:
        return _rows_of(dataset.train, fitted.out_of_fold_rows), fitted.out_of_fold, "out of fold"
    return dataset.train, train_scores, "train"


def _rows_of(split: Split, rows: np.ndarray) -> Split:
    """Return labels and names of some of a split's samples, (n,) positions ``rows``; X stays where it is."""
    names = [_name(split, int(row)) for row in rows]
    return Split(split.X, split.y[rows], names)


def _scores(problem: Problem, model: LinearModel, X: Any) -> np.ndarray:
    """Return the model's scores (N, C) of rows that no rank has read yet: each reads its part."""
    if problem.communicator.size == 1:
        return np.asarray(model.scores(X))
    parts = gathered(
        problem.communicator,
        int(X.shape[0]),
        lambda start, stop: torch.from_numpy(np.asarray(model.scores(slice_of(X, start, stop)))),
    )
    return parts.numpy()


def _name(split: Split, row: int) -> str:
    return str(split.names[row]) if split.names is not None else str(row)


def hardest_rows(judged: Judged, classes: tuple[str, ...], most: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of hardest.csv, one at a time: there may be millions.

    Args:
        judged: What was measured.
        classes: Class names.
        most: As many at most, of those in doubt alone: answered wrong, or right with a probability below ½ for
            the label. None is all samples.
    """
    assert judged.hardest is not None
    ranking = judged.hardest if most is None else _in_doubt(judged).head(most)
    rows = ranking.index if judged.shown_rows is None else judged.shown_rows[ranking.index]
    for row, predicted, score in zip(rows, ranking.suggested, ranking.score, strict=True):
        yield {
            "name": _name(judged.shown, int(row)),
            "index": int(row),
            "label": classes[int(judged.shown.y[row])],
            "predicted": classes[int(predicted)],
            "probability": 1.0 - float(score) if judged.has_probabilities else None,
        }


def _in_doubt(judged: Judged) -> Ranking:
    assert judged.hardest is not None
    ranking = judged.hardest
    doubted = ranking.suggested != judged.labels[ranking.index]
    if judged.has_probabilities:
        doubted |= ranking.score > 0.5
    return Ranking(ranking.index[doubted], ranking.suggested[doubted], ranking.score[doubted])


def _suspects(
    scores: np.ndarray, rows: np.ndarray, train: Split, classes: tuple[str, ...], loss: str
) -> list[dict[str, Any]]:
    """Return the list of suspects among the training rows that a fold holds out, (n,) positions ``rows``."""
    temperature = find_temperature(scores, train.y[rows]).value
    ranking = suspects(scores, train.y[rows], temperature=temperature)
    ranking = ranking.head(max(SHOWN, int(SUSPECT_SHARE * len(scores))))
    tells = is_probabilistic(loss) or temperature is not None  # else the order is known, and no probability
    return [
        {
            "name": _name(train, int(row)),
            "index": int(row),
            "label": classes[int(train.y[row])],
            "suggested": classes[int(other)],
            "score": float(score) if tells else None,
        }
        for row, other, score in zip(rows[ranking.index], ranking.suggested, ranking.score, strict=True)
    ]


def _suspects_of(problem: Problem, fitted: Fitted, dataset: Dataset) -> list[dict[str, Any]]:
    """Return the training rows whose label looks wrong, where folds have scored them and they were asked for."""
    scores, rows = fitted.out_of_fold, fitted.out_of_fold_rows
    if not problem.options.run.suspects or scores is None or rows is None:
        return []
    return _suspects(scores, rows, dataset.train, dataset.classes, problem.settings.loss)


def path_rows(fitted: Fitted, metric: str, tol: float) -> list[dict[str, Any]]:
    """Return the rows of metrics.json's path: each value's proof and validation numbers, the metric among them."""
    if fitted.choice is None:
        return []
    choice, path = fitted.choice, fitted.choice.path
    out = []
    for k, scored in enumerate(choice.scored):
        last = [row for row in path.trace if row["reg"] == scored.reg]
        row: dict[str, Any] = {
            "reg": scored.reg,
            **path.facts(k),
            "tol": tol,
            "seconds": float(last[-1]["seconds"]) if last else path.seconds,
            "validation": {key: scored.metrics[key] for key in dict.fromkeys((*SHOWN_OF_A_PATH, metric))},
            "chosen": k == choice.index,
        }
        if fitted.grid is not None:
            row["learning_rate"] = fitted.grid[k]["learning_rate"]
        out.append(row)
    return out
