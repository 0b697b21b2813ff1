"""Where a run parts two classes: the threshold that was given, or that its held-out samples find best."""

from typing import Any

from straightedge.errors import InputError
from straightedge.evaluation.thresholds import ThresholdRule, described, find_threshold, given_threshold
from straightedge.losses import is_probabilistic
from straightedge.workflow.choosing import Fitted
from straightedge.workflow.options import FitOptions
from straightedge.workflow.problem import Problem


def refuse_classes(problem: Problem) -> None:
    """Refuse a threshold for other than two classes, before the work."""
    if problem.options.choice.threshold is not None and len(problem.classes) != 2:
        what = f"a threshold parts two classes, and here are {len(problem.classes)}"
        raise InputError("threshold-classes", what, "--threshold", "leave it out")


def needs_rows(options: FitOptions) -> bool:
    """Whether held-out samples choose the threshold."""
    return options.choice.threshold is not None and ThresholdRule.read(options.choice.threshold).probability is None


def threshold_of(problem: Problem, fitted: Fitted, temperature: float | None) -> dict[str, Any] | None:
    """Return the threshold of a run as metrics.json holds it, or None where none was asked for.

    Raises:
        InputError: ``threshold-rows`` where no samples of both classes were held out, ``not-calibrated`` for a
            probability where scores mean none.
    """
    text = problem.options.choice.threshold
    if text is None:
        return None
    rule, loss = ThresholdRule.read(text), problem.settings.loss
    means_odds = is_probabilistic(loss) or temperature is not None
    if rule.probability is not None:
        if not means_odds:
            mend = "fit --loss softmax, or choose by a measure: --threshold f1"
            raise InputError("not-calibrated", f"the scores of {loss} are no probabilities", "--threshold", mend)
        found = given_threshold(rule.probability, temperature)
    else:
        if fitted.held_out_scores is None:
            what = "a threshold is chosen on held-out samples, and none were held out"
            raise InputError("threshold-rows", what, "--threshold", "give --folds 5, or a validation split")
        rows = fitted.held_out_rows
        found = find_threshold(rule, fitted.held_out_scores, problem.labels_of(rows), problem.weights_of(rows))
    return described(found, rule, problem.classes, (temperature or 1.0) if means_odds else None)


def threshold_note(found: dict[str, Any] | None) -> list[str]:
    """Return what a reader must know of a threshold that was chosen."""
    if found is None or not found["n"]:
        return []
    samples = f"{found['n']:,} held-out samples"
    return [
        f"the threshold was chosen on the {samples} that validation numbers are of: new ones may do a little worse"
    ]
