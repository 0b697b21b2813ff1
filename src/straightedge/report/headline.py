"""What must stand beside a headline number, so that nobody takes it for more than it is."""

from collections import Counter
from typing import Any

from straightedge.evaluation.metrics import ESTIMATE, SEALED_TENTH
from straightedge.report import words

UNEQUAL = 1.5
"""Classes count as unequal where the largest has this many times the samples of the smallest that occurs. At 1.5
and two classes, always saying the larger one is right in 60 %."""

ENDINGS = {
    "max_passes": "ended at the limit of passes",
    "max_seconds": "ended at the limit of time",
    "stalled": "stalled",
    "epochs": "ended after their epochs",
    "interrupted": "were interrupted",
}


def largest_class(judged: dict[str, Any]) -> float | None:
    """Return the share of a split's largest class: what always saying its name would have right."""
    sizes = _sizes(judged)
    return max(sizes) / sum(sizes) if sizes else None


def is_unequal(judged: dict[str, Any]) -> bool:
    """Whether classes are so unequal that accuracy needs balanced accuracy beside it."""
    sizes = _sizes(judged)
    return bool(sizes) and max(sizes) >= UNEQUAL * min(sizes)


def _sizes(judged: dict[str, Any]) -> list[int]:
    """Return the sample counts of the classes that occur."""
    return [n for n in (int(row.get("n") or 0) for row in judged.get("per_class") or []) if n]


def beside(judged: dict[str, Any]) -> list[str]:
    """Return what stands beside the accuracy of a split of metrics.json.

    That is the share of the largest class, and balanced accuracy where it differs.
    """
    if "hamming_loss" in judged:  # several labels a sample: classes are no parts of the samples
        return [f"micro F1 {words.percent((judged.get('micro_f1') or {}).get('value'))}"]
    share = largest_class(judged)
    parts = [] if share is None else [f"largest class {words.percent(share)}"]
    balanced = judged.get("balanced_accuracy")
    if is_unequal(judged) and isinstance(balanced, dict):
        interval = words.percent_interval(balanced.get("interval"))
        parts.append(
            f"balanced accuracy {words.percent(balanced.get('value'))}" + (f" ({interval})" if interval else "")
        )
    return parts + ([said] if (said := threshold_in_words(judged)) else [])


def threshold_in_words(judged: dict[str, Any]) -> str:
    """Return where two classes are parted, or nothing where the class of the higher score is named."""
    found = judged.get("threshold")
    if not isinstance(found, dict):
        return ""
    chance, score = words.finite(found.get("probability")), words.finite(found.get("score"))
    where = f"a difference of scores of {score or 0:.3g}" if chance is None else f"a probability of {chance:.3g}"
    return f"{found.get('class')} named from {where} on"


def best_of(metrics: dict[str, Any], split: str) -> str:
    """Return of how many values a validation number is the best, or that test samples are a sealed tenth."""
    chosen, n = metrics.get("selection"), len(metrics.get("path") or [])
    if split == "test" and chosen and chosen.get("judged_by") == SEALED_TENTH:
        return "a tenth of the samples, sealed before reg was chosen"
    if split != "validation" or not chosen or n < 2:
        return ""
    where = str(chosen.get("splits") or "")
    what = "pairs of learning rate and reg" if "learning_rate" in metrics["path"][0] else "values of reg"
    first = "chosen among" if str(chosen.get("rule")).startswith("the largest reg") else "best of"
    estimate = ": an estimate used for choosing" if chosen.get("judged_by") == ESTIMATE else ""
    return f"{first} {n} {what} on {where if 'folds' in where else 'validation'}{estimate}"


def of_the_path(metrics: dict[str, Any]) -> str:
    """Return how many values of the path are certified and how the others ended; nothing without a path."""
    entries = metrics.get("path") or []
    if len(entries) < 2:
        return ""
    ends = Counter(str(entry.get("status")) for entry in entries)
    certified = ends.pop("certified", 0)
    others = [f"{n} {ENDINGS.get(status, status)}" for status, n in ends.items()]
    return ", ".join([f"{certified} of {len(entries)} certified", *others])


def remarks(metrics: dict[str, Any]) -> list[str]:
    """Return what a reader of metrics.json must know before believing its headline."""
    split = next((name for name in ("test", "validation", "train") if metrics.get(name)), None)
    if split is None:
        return []
    said = []
    if split == "train":
        said.append("no samples were held out: the accuracy is of the samples the model was trained on")
    names = dict.fromkeys([split, *(["validation"] if metrics.get("validation") else [])])
    for name in names:
        accuracy, share = words.finite(metrics[name].get("accuracy")), largest_class(metrics[name])
        if accuracy is not None and share is not None and accuracy < share:
            what = "the chosen reg's" if name == "validation" and metrics.get("selection") else "the"
            said.append(
                f"{what} {name} accuracy, {words.percent(accuracy)}, is below always saying the largest class, "
                f"{words.percent(share)}"
            )
    entries = metrics.get("path") or []
    if any(entry.get("status") not in ("certified", "epochs") for entry in entries):
        said.append(f"of the values of the path, {of_the_path(metrics)}")
    return [note.replace("\u00a0", " ") for note in said]  # they are printed, too
