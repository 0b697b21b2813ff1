"""`evaluate`: everything the report and metrics.json say of one split."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from straightedge.calibration import as_scores, expected_calibration_error, reliability
from straightedge.errors import InputError
from straightedge.evaluation.intervals import balanced_interval, calibration_interval, share_interval
from straightedge.evaluation.measures import measures, taken_unasked
from straightedge.evaluation.metrics import class_counts, confusion_of, mean_entry, mean_recall, per_class
from straightedge.evaluation.outcomes import Outcomes, outcomes
from straightedge.evaluation.roc import Judged
from straightedge.row_weights import is_whole
from straightedge.views import Described, Facts, amount, frame, names
from straightedge.views.judged_plots import ConfusionDisplay, ReliabilityDisplay, RocDisplay


class Evaluation(dict[str, Any], Described):
    """What `evaluate` says of one split: a dictionary that JSON can hold, which can show itself."""

    judged: Judged | None = None
    """The scores that it is of, where `evaluate` kept them: ROC curves need them, JSON does not hold them."""
    __repr__ = Described.__repr__

    @property
    def classes(self) -> list[str]:
        """(C,) class names."""
        return [str(row["class"]) for row in self["per_class"]]

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame``, a row for each class: its samples, recall and precision."""
        rows = self["per_class"]
        return frame({name: [row[name] for row in rows] for name in (rows[0] if rows else ())})

    def plot_confusion(self, ax: Any = None) -> ConfusionDisplay:
        """Plot the samples by label and prediction (`Display.plot` for ``ax``)."""
        return ConfusionDisplay(np.array(self["confusion"]), self.classes).plot(ax)

    def plot_reliability(self, ax: Any = None) -> ReliabilityDisplay:
        """Plot how often predictions are right beside the probability that they were given.

        Raises:
            InputError: ``not-calibrated`` where the scores are no probabilities.
        """
        if self["reliability"] is None:
            mend = "calibrate the model, or fit --loss softmax"
            raise InputError("not-calibrated", "these scores are no probabilities", mend=mend)
        bins = [entry for entry in self["reliability"] if entry["n"]]
        said, right = (np.array([entry[name] for entry in bins]) for name in ("confidence", "accuracy"))
        ends = [share_interval(entry["accuracy"] * entry["n"], entry["n"]) for entry in bins]
        return ReliabilityDisplay(said, right, np.array(ends).reshape(-1, 2).T).plot(ax)

    def plot_roc(self, ax: Any = None) -> RocDisplay:
        """Plot the ROC curve of each class against all others; of two classes, the second one's.

        Raises:
            InputError: ``evaluation-scores`` for an evaluation read from a file, which holds no scores.
        """
        if self.judged is None:
            mend = "straightedge.evaluate(scores, y, classes).plot_roc()"
            raise InputError("evaluation-scores", "this evaluation holds no scores", mend=mend)
        first = 1 if len(self.classes) == 2 else 0
        return RocDisplay(self.judged.curves()[first:], self.classes[first:]).plot(ax)

    def _facts(self) -> Facts:
        n = f"{self['n']:,.0f}"
        return Facts(
            f"Evaluation of {n} samples, {amount(len(self['per_class']), 'class')}",
            (
                ("accuracy", _with_interval(self["accuracy"], self["interval"])),
                ("balanced accuracy", _entry(self["balanced_accuracy"])),
                (f"top {self['top_k']['k']}", _entry(self["top_k"])),
                ("log loss", _entry(self["log_loss"], " nats")),
                ("calibration error", _entry(self["ece"])),
                ("temperature", "" if self["temperature"] is None else f"{self['temperature']:.4g}"),
                ("classes", names(self.classes)),
            ),
        )


def _entry(entry: dict[str, Any] | None, unit: str = "") -> str:
    return "" if entry is None else _with_interval(entry["value"], entry["interval"], unit)


def _with_interval(value: float, interval: Sequence[float] | None, unit: str = "") -> str:
    around = "" if not interval else f"  [{interval[0]:.4f}, {interval[1]:.4f}]"
    return f"{value:.4f}{unit}{around}"


def evaluate(
    scores: Any,
    y: Any,
    classes: Sequence[str],
    *,
    temperature: float | None = None,
    probabilities: bool = True,
    seed: int = 0,
    weights: Any = None,
    threshold: float | None = None,
    measured: Sequence[str] | None = None,
    keep_scores: bool = True,
) -> Evaluation:
    """Judge the scores of one split.

    Args:
        scores: (N, C) scores, NumPy or torch.
        y: (N,) labels in 0…C−1.
        classes: C class names, index = label.
        temperature: T of softmax(scores / T); None is T = 1, the model as trained.
        probabilities: Whether the scores give probabilities at all; False for an SVM without a fitted
            temperature, whose log loss and calibration are then None.
        seed: Seed of the bootstrap.
        weights: (N,) ≥ 0, how often each sample counts, or None for once each. A sample of weight w counts as w
            samples in every number; one of weight 0 in none.
        threshold: Of two classes, the difference of scores from which the second is named; None is 0, where
            the first is named at 0.
        measured: Which of `MEASURES` are taken; None takes all that cost little.
        keep_scores: Whether `Evaluation.judged` keeps scores, which takes their memory as long as it lives.

    Returns:
        An `Evaluation`, a dictionary that JSON can hold: ``n``, ``accuracy`` with its ``interval``;
        ``balanced_accuracy``, ``top_k``, ``log_loss`` (nats) and ``ece`` as ``{"value", "interval"}``;
        ``auc``, ``average_precision``, ``f1``, ``mcc`` and ``brier`` likewise, or None where these samples do
        not tell them; ``per_class``, ``confusion`` (row = label), ``reliability`` and ``temperature``.
        Intervals are 95 % bootstrap intervals. Of weighted samples ``n`` is what intervals count on, and
        ``weighted`` says what it is: Σw or (Σw)²/Σw².

    Raises:
        InputError: ``scores-shape``, ``scores-length``, ``scores-not-finite``, ``labels-out-of-range``,
            ``scores-classes``, ``sample-weight-invalid``.
    """
    first, last = _counted(
        outcomes(scores, y, temperature or 1.0, weights, threshold), classes, weights, probabilities, seed
    )
    # the outcomes are let go before the measures take as much memory
    taken = measures(
        scores,
        np.asarray(y),
        names=taken_unasked(scores) if measured is None else measured,
        temperature=temperature,
        probabilities=probabilities,
        threshold=threshold,
        weights=weights,
        seed=seed,
    )
    judged = Evaluation({**first, **taken, **last, "temperature": temperature})
    if keep_scores:
        judged.judged = Judged(as_scores(scores), np.asarray(y), weights, probabilities)
    return judged


def _counted(
    happened: Outcomes, classes: Sequence[str], weights: Any, probabilities: bool, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what outcomes tell: what stands before the measures of `measures`, and what stands behind."""
    if len(classes) != happened.n_classes:
        raise InputError("scores-classes", f"{happened.n_classes} columns of scores, {len(classes)} class names")
    right = happened.share(happened.correct)
    first = {
        "n": happened.n,
        **({} if weights is None else {"weighted": meaning_of_n(happened)}),
        "accuracy": right,
        "interval": list(share_interval(right * happened.n, happened.n)),
        "balanced_accuracy": {
            "value": mean_recall(happened),
            "interval": list(balanced_interval(*class_counts(happened))),
        },
        "top_k": _top_k(happened),
        **_of_probabilities(happened if probabilities else None, seed),
    }
    table = confusion_of(happened)
    return first, {"per_class": per_class(table, classes), "confusion": table.tolist()}


def meaning_of_n(happened: Outcomes) -> str:
    """Return what `n` is of samples with weights."""
    if happened.weights is None or is_whole(happened.weights):
        return "n is the sum of the weights, which are numbers of copies"
    return "n is the effective sample size (Σw)²/Σw²"


def _top_k(happened: Outcomes) -> dict[str, Any]:
    """Top 5, or all classes but one where there are no more than five."""
    k = 5 if happened.n_classes > 5 else happened.n_classes - 1
    among = happened.share(happened.rank < k)
    return {"k": k, "value": among, "interval": list(share_interval(among * happened.n, happened.n))}


def _of_probabilities(happened: Outcomes | None, seed: int) -> dict[str, Any]:
    if happened is None:
        return {"log_loss": None, "ece": None, "reliability": None}
    said, right, weights = happened.confidence, happened.correct, happened.weights
    return {
        "log_loss": mean_entry(happened.loss, weights, seed),
        "ece": {
            "value": expected_calibration_error(said, right, weights=weights),
            "interval": list(calibration_interval(said, right, seed=seed, weights=weights)),
        },
        "reliability": [asdict(bin_) for bin_ in reliability(said, right, weights=weights)],
    }
