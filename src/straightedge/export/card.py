"""The model card: what the model is, what it was trained on, how good it is, and what is proven about it.

Everything that comes from file names, labels and settings is escaped: a class called ``<script>`` or
``[x](javascript:...)`` is text in the card and nothing else.
"""

import html
import math
import re
from collections.abc import Iterable
from typing import Any

from straightedge.evaluation.measures import MEASURES
from straightedge.evaluation.metrics import ESTIMATE, METRIC_NAMES, SEALED_TENTH
from straightedge.export.check import row_dtype, row_shape
from straightedge.export.sklearn_file import TRUSTED
from straightedge.model import LinearModel

_SPLITS = {"test": "Test", "validation": "Validation", "train": "Training"}
_CLASSES_SHOWN = 200

USES = {
    "onnx": """import numpy, onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
label, scores, *probabilities = session.run(None, {"input": X})""",
    "torch": """from module import module   # module.py and linear.safetensors of this folder

scores = module(X.float())""",
    "sklearn": """import skops.io

classifier = skops.io.load("model.skops")
labels = classifier.predict(X.reshape(len(X), -1))""",
    "hub": """from straightedge import LinearModel   # pip install "straightedge[hub]"

model = LinearModel.from_pretrained("OWNER/NAME")   # or a folder with these files
labels = [model.classes[label] for label in model.predict(X)]""",
}

TABLE_USES = {
    "sklearn": f"""The input is a pandas frame with its columns as they are written; categories are text.

```python
import pandas, skops.io

pipeline = skops.io.load("model.skops", trusted={TRUSTED})
labels = pipeline.predict(pandas.read_csv("new.csv"))
```""",
    "onnx": """Each column is an input of its name, (N, 1): numbers as float32, a missing one NaN;
categories as strings, a missing one empty.

```python
import numpy, onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
columns = {one.name: frame[one.name].to_numpy()[:, None] for one in session.get_inputs()}
label, scores, *probabilities = session.run(None, columns)
```""",
}


def model_card(model: LinearModel, to: str, config: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        model: The model.
        to: Format of the artefact beside the card.
        config: The run's config.json, {} if there is none.
        metrics: The run's metrics.json, {} if there is none.
    """
    parts = [_head(model), _use(model, to), _objective(model, metrics), _data(config), _numbers(metrics)]
    parts += [_per_class(metrics), _limits(model), _versions(model)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(value: Any, longest: int = 120) -> str:
    """Return a value as one line of Markdown text in which nothing is markup."""
    text = "".join(character if character.isprintable() else " " for character in str(value))
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    text = re.sub(r"([\\`*_{}\[\]()#!|~^$@])", r"\\\1", text)  # what is markup anywhere in a line
    text = re.sub(r"^(\s*)([-+=:]|\d+(?=[.)]))", _escaped_start, text)  # lists and underlines, at its start
    text = re.sub(r":(?=/)|(?<=www)\.", r"\\\g<0>", text, flags=re.IGNORECASE)  # what turns into a link
    return html.escape(text, quote=False)


def _escaped_start(found: re.Match[str]) -> str:
    """Escape a mark that makes a list at the start of a line; a number is parted from its full stop."""
    mark = found[2]
    return found[1] + (f"{mark}\\" if mark.isdigit() else f"\\{mark}")


def _head(model: LinearModel) -> str:
    names = [escape(name) for name in model.classes[:_CLASSES_SHOWN]]
    more = len(model.classes) - len(names)
    classes = ", ".join(names) + (f" and {more} more" if more else "")
    return (
        f"---\nlibrary_name: straightedge\ntags:\n- linear-classifier\n{_task(model)}---\n\n"
        f"# Linear classifier ({escape(model.loss)}, {len(model.classes)} classes)\n\n"
        f"Scores are `x @ weight + bias`; {_rule(model)}.\n\nClasses: {classes}."
    )


def _task(model: LinearModel) -> str:
    """Return the tag of what the rows are, nothing where they are features of something unknown."""
    if model.takes_texts:
        return "- text-classification\n"
    if model.is_of_table:
        return "- tabular-classification\n"
    return "- image-classification\n" if len(model.input_shape or ()) == 3 or model.features else ""


def _rule(model: LinearModel) -> str:
    """Return which class is the answer."""
    if model.multilabel:
        return "every class whose score is 0 or more is an answer"
    if model.threshold is None:
        return "the class with the highest score is the answer"
    names = [escape(name) for name in model.classes]
    return f"{names[1]} is the answer where its score less that of {names[0]} is {model.threshold:.9g} or more"


def _use(model: LinearModel, to: str) -> str:
    if to == "hub":
        return _use_of_hub(model)
    if model.takes_texts:
        return (
            "## Use\n\nThe input is texts: the pipeline has the vectoriser.\n\n```python\nimport skops.io\n\n"
            'classifier = skops.io.load("model.skops")\nlabels = classifier.predict(["a text"])\n```'
        ) + _calibration(model, to)
    if model.is_of_table and to in TABLE_USES:
        return f"## Use\n\n{TABLE_USES[to]}" + _calibration(model, to)
    shape = ", ".join(str(size) for size in ("N", *row_shape(model)))
    kind = "pixels as they are, not scaled" if row_dtype(model) == "uint8" else "features as they are, not scaled"
    text = f"## Use\n\nInput `X`: ({shape}) {row_dtype(model)}, {kind}.\n\n```python\n{USES[to]}\n```"
    if model.features is not None:
        extractor = escape(model.features.get("name", "an extractor"))
        text += f"\n\nThe input is the features of {extractor}, not images; `straightedge features` makes them."
    return text + _calibration(model, to)


def _use_of_hub(model: LinearModel) -> str:
    """Return how the model's own file is used, which takes what the model was trained on."""
    if model.takes_texts:
        taken = "a list of texts"
    elif model.is_of_table:
        taken = "a frame of pandas, polars or pyarrow, with its columns as they are written"
    else:
        taken = f"({', '.join(str(size) for size in ('N', *model.input_shape))}) {model.input_dtype}, not scaled"
    uses = USES["hub"]
    if model.multilabel:
        uses = uses.partition("labels =")[0] + "labels = model.predict(X)   # a column for each class"
    return f"## Use\n\nInput `X`: {taken}.\n\n```python\n{uses}\n```"


def _calibration(model: LinearModel, to: str) -> str:
    """Return where the artefact keeps the model's temperature."""
    if not model.has_probabilities or model.temperature in (None, 1.0):
        return ""
    where = "in the graph" if to == "onnx" else "in the weights: scores are those of the model divided by it"
    text = f"\n\nProbabilities are those of the model; its temperature {model.temperature:.6g} is {where}."
    return text + (" They are the softmax of the scores." if to == "torch" else "")


def _objective(model: LinearModel, metrics: dict[str, Any]) -> str:
    bias = "penalised" if model.bias_mode == "penalized" else "not penalised"
    lines = [
        "## Objective and proof",
        f"Minimised: mean {escape(model.loss)} loss + reg · ΣW², reg = {model.reg:g}, bias {bias}.",
    ]
    if all(math.isfinite(value) for value in (model.objective, model.dual, model.gap)):
        lines.append(
            f"Objective reached {model.objective:.8g}; no weights can go below {model.dual:.8g} (dual value). "
            f"So this model is proven to be within {model.gap:.2g} of the optimum, relative to the objective."
        )
    else:
        lines.append("How far from the optimum the model is was not certified.")
    passes, status = metrics.get("n_passes"), metrics.get("message") or model.status
    lines += [f"Fit: {passes:g} passes over the data; {escape(status)}."] if passes and status else []
    return "\n\n".join(lines)


def _data(config: dict[str, Any]) -> str:
    data = config.get("dataset") or {}
    if not data:
        return ""
    counts = [
        f"{data[f'n_{split}']} {split}" for split in ("train", "validation", "test") if data.get(f"n_{split}")
    ]
    lines = [f"## Data\n\n{escape(data.get('name', config.get('source', '')))}: {', '.join(counts)} samples."]
    if data.get("fingerprint"):
        lines.append(f"SHA-256 of the content: {escape(data['fingerprint'])}")
    return "\n\n".join(lines)


def _numbers(metrics: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    for key, title in _SPLITS.items():
        split = metrics.get(key)
        if isinstance(split, dict) and split.get("accuracy") is not None:
            accuracy = _value(split["accuracy"], split.get("interval"))
            rows.append([title + _part_in_the_choice(metrics, key), str(split.get("n", "")), "accuracy", *accuracy])
            for name in ("balanced_accuracy", "log_loss", "ece", *MEASURES):
                measure = split.get(name)
                if isinstance(measure, dict) and measure.get("value") is not None:
                    title_of = "calibration error" if name == "ece" else METRIC_NAMES[name]
                    rows.append([title, "", title_of, *_value(measure["value"], measure.get("interval"))])
    if not rows:
        return ""
    return "## Numbers\n\n" + _table(["split", "samples", "measure", "value", "95 % interval"], rows)


def _part_in_the_choice(metrics: dict[str, Any], split: str) -> str:
    """Return in brackets what a split was to the choice of reg, or nothing where reg was not chosen."""
    chosen, n_values = metrics.get("selection") or {}, len(metrics.get("path") or [])
    if split == "test" and chosen.get("judged_by") == SEALED_TENTH:
        return " (a tenth of the samples, sealed before reg was chosen)"
    if split != "validation" or not chosen or not n_values:
        return ""
    estimate = ": an estimate used for choosing" if chosen.get("judged_by") == ESTIMATE else ""
    return f" (chosen among {n_values} values of reg{estimate})"


def _value(value: Any, interval: Any) -> list[str]:
    return [f"{value:.4f}", f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""]


def _per_class(metrics: dict[str, Any]) -> str:
    split: dict[str, Any] = next((metrics[key] for key in _SPLITS if isinstance(metrics.get(key), dict)), {})
    found = (split.get("per_class") or [])[:_CLASSES_SHOWN]
    rows = [
        [
            escape(row.get("class", "")),
            str(row.get("n", "")),
            *(_share(row.get(name)) for name in ("precision", "recall", "f1")),
        ]
        for row in found
    ]
    return "## Classes\n\n" + _table(["class", "samples", "precision", "recall", "F1"], rows) if rows else ""


def _share(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else ""


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _limits(model: LinearModel) -> str:
    named = "names any number of them, or none" if model.multilabel else "always names one of them"
    text = f"## Limits\n\nA linear classifier knows only the classes above and {named}."
    if not model.has_probabilities:
        text += " Its scores are margins, not probabilities."
    return text


def _versions(model: LinearModel) -> str:
    if not model.versions:
        return ""
    return (
        "Fitted with " + ", ".join(f"{escape(name)} {escape(text)}" for name, text in model.versions.items()) + "."
    )
