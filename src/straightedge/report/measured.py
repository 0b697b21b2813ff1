"""What was measured: every split's headline numbers, each class, the calibration."""

from typing import Any

from straightedge.evaluation.measures import MEASURES
from straightedge.evaluation.metrics import METRIC_NAMES
from straightedge.evaluation.multilabel import MULTILABEL_NAMES
from straightedge.losses import is_probabilistic
from straightedge.report import figures, headline, words
from straightedge.report.run_files import Run
from straightedge.report.sections import SPLIT_NAMES, Section


def answer(run: Run) -> Section:
    """Every headline number of every split with its interval."""
    splits = [name for name in ("test", "validation", "train") if run.metrics.get(name)]
    judged = [dict(run.metrics[name]) for name in splits]
    k = next((entry["top_k"].get("k") for entry in judged if isinstance(entry.get("top_k"), dict)), None)
    shown = [
        ("accuracy", "accuracy", True),
        ("balanced_accuracy", "balanced accuracy", True),
        *([("top_k", f"right class among the first {k}", True)] if k and k > 1 else []),
        ("log_loss", "log loss, nats", False),
        ("ece", "expected calibration error", True),
        *((name, title, True) for name, title in MULTILABEL_NAMES.items()),
        *((name, METRIC_NAMES[name], name not in ("mcc", "brier")) for name in MEASURES),
    ]
    rows = [(title, [_cell(entry, key, share) for entry in judged]) for key, title, share in shown]
    if run.metrics.get("multilabel"):
        rows[0] = ("all labels right", rows[0][1])
    else:
        largest = [(words.percent(headline.largest_class(entry)), "") for entry in judged]
        rows.insert(1, ("share of the largest class", largest))
    return {
        "splits": [
            (
                SPLIT_NAMES[name],
                words.count(run.metrics[name].get("n")),
                ", ".join(filter(None, (headline.best_of(run.metrics, name), run.metrics[name].get("weighted")))),
            )
            for name in splits
        ],
        "rows": [row for row in rows if any(value != words.NOTHING for value, _ in row[1])],
        "has_test": "test" in splits,
        "temperature": words.fixed(judged[0].get("temperature"), 3) if judged else words.NOTHING,
    }


def _cell(judged: dict[str, Any], key: str, share: bool) -> tuple[str, str]:
    value, interval = figures.metric_of(judged, key)
    if share:
        return words.percent(value), words.percent_interval(interval)
    return ("–" if value is None else f"{value:.3f}"), words.number_interval(interval)


def per_class(run: Run) -> list[Section]:
    """Precision and recall of each class with 95 % intervals, the weakest recall first."""
    _, judged = run.judged
    confusion = judged.get("confusion") or []
    columns = [sum(int(row[place]) for row in confusion) for place in range(len(confusion))]
    table = []
    for place, entry in enumerate(judged.get("per_class") or []):
        n_predicted = columns[place] if place < len(columns) else None
        recall = words.interval_of_share(entry.get("recall"), entry.get("n"))
        table.append(
            {
                "name": words.class_name(entry.get("class"), run.classes),
                "n": words.count(entry.get("n")),
                "recall": words.percent(entry.get("recall")),
                "recall_interval": words.percent_interval(recall),
                "precision": words.percent(entry.get("precision")),
                "precision_interval": words.percent_interval(
                    words.interval_of_share(entry.get("precision"), n_predicted)
                ),
                "f1": words.percent(entry.get("f1")),
                "bar": None if recall is None else [round(100 * end, 2) for end in recall],
                "dot": round(100 * (words.finite(entry.get("recall")) or 0), 2),
                "order": words.finite(entry.get("recall")) or 0,
            }
        )
    return sorted(table, key=lambda row: row["order"])


def reliability(run: Run) -> Section | None:
    """Whether probabilities mean what they say."""
    split, judged = run.judged
    bins = judged.get("reliability") or []
    drawn = figures.reliability_figure(bins)
    if drawn is None:
        return None
    rows = []
    for entry in bins:
        ends = words.interval_of_share(entry.get("accuracy"), entry.get("n"))
        if ends is not None:
            shares = words.percent(entry.get("confidence")), words.percent(entry.get("accuracy"))
            rows.append((*shares, words.percent_interval(ends), words.count(entry.get("n"))))
    value, interval = figures.metric_of(judged, "ece")
    return {
        "split": SPLIT_NAMES[split],
        "svm": not is_probabilistic(str(run.metrics.get("loss"))),
        "temperature": words.fixed(judged.get("temperature"), 3),
        "has_temperature": words.finite(judged.get("temperature")) is not None,
        "ece": words.percent(value),
        "ece_interval": words.percent_interval(interval),
        "rows": rows,
        "figures": [drawn, figures.counts_figure(bins)],
    }


def curves(run: Run) -> Section | None:
    """ROC and precision–recall of two classes, with the place where they are parted."""
    split, judged = run.judged
    found = judged.get("curves")
    if not isinstance(found, dict) or len(run.classes) != 2:
        return None
    at = [words.percent(words.finite(value)) for value in found["at"]]
    names = ("auc", "average_precision")
    cells = [_cell(judged, name, share=True) for name in names]
    return {
        "split": SPLIT_NAMES[split],
        "positive": run.classes[1],
        "at": dict(zip(("false", "true", "recall", "precision"), at, strict=True)),
        "areas": [(METRIC_NAMES[name], *cell) for name, cell in zip(names, cells, strict=True)],
        "threshold": headline.threshold_in_words(judged),
        "rule": str((judged.get("threshold") or {}).get("rule") or ""),
        "figures": [
            figures.curve_figure(found["roc"], found["at"][:2], figures.ROC),
            figures.curve_figure(found["precision_recall"], found["at"][2:], figures.PRECISION),
        ],
    }
