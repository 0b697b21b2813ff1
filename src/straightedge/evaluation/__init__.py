"""Judging a model: numbers with 95 % intervals, two models on the same images, labels to look at again."""

from straightedge.evaluation.intervals import balanced_interval, calibration_interval, mean_interval, share_interval
from straightedge.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    confusion,
    log_loss,
    per_class,
    top_k_accuracy,
)
from straightedge.evaluation.outcomes import Outcomes, outcomes
from straightedge.evaluation.paired import PairedTest, paired_test
from straightedge.evaluation.ranking import Ranking, hardest, suspects
from straightedge.evaluation.summary import Evaluation, evaluate

__all__ = [
    "Evaluation",
    "Outcomes",
    "PairedTest",
    "Ranking",
    "accuracy",
    "balanced_accuracy",
    "balanced_interval",
    "calibration_interval",
    "confusion",
    "evaluate",
    "hardest",
    "log_loss",
    "mean_interval",
    "outcomes",
    "paired_test",
    "per_class",
    "share_interval",
    "suspects",
    "top_k_accuracy",
]
