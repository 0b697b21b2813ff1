"""From what a reader found (rows with labels as written) to a `Dataset`: the place of checks on splits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.checks import counted, repeat_warning, repeated_rows, warn_on_ranges
from straightedge.data.label_values import CodedLabels, listed
from straightedge.data.labels import align, encode_labels
from straightedge.data.split_names import split_of
from straightedge.errors import InputError

SPLITS = ("train", "validation", "test")


def files_by_split(paths: Iterable[Path], root: Path) -> dict[str | None, list[Path]]:
    """Return the files of each split, as their folders and names say; None has those that say none."""
    found: dict[str | None, list[Path]] = {}
    for file in paths:
        found.setdefault(split_of(file.relative_to(root)), []).append(file)
    return found


def to_train_on(found: Mapping[str | None, list[Path]], root: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the files of each split, and a remark on those of none; where none is named, all are to train on.

    Raises:
        InputError: ``train-missing`` where there are other splits only.
    """
    loose = found.get(None, [])
    if "train" not in found and set(found) != {None}:
        what = f"there are splits {sorted(map(str, found))} but no train"
        raise InputError("train-missing", what, str(root))
    if "train" not in found:
        return {"train": loose}, []
    notes = [f"{counted(len(loose), 'file')} outside train, validation and test ignored"] if loose else []
    return {split: found[split] for split in SPLITS if split in found}, notes


@dataclass(frozen=True)
class Part:
    """One split as read: X, the labels as written, and where each row comes from."""

    X: Any
    y: Any
    names: Sequence[str] | None = None


def assemble(
    name: str,
    parts: Mapping[str, Part],
    *,
    fingerprint: str,
    classes: Sequence[Any] | None = None,
    declared: Sequence[Any] | None = None,
    notes: Sequence[str] = (),
    features: dict[str, Any] | None = None,
    columns: dict[str, Any] | None = None,
    repeats: Sequence[str] | None = None,
) -> Dataset:
    """Encode labels, align splits by class name, check shapes and ranges, and seal the test split.

    Rows (channels, height, width) are images.

    Args:
        name: What the user called the source.
        parts: Splits by name: ``train`` and perhaps ``validation`` and ``test``.
        fingerprint: SHA-256 of the content.
        classes: Names that the source itself declares, index = label.
        declared: Names that the caller wants (a trained model's); the source is aligned to them by name.
        notes: Remarks of the reader.
        features: What made X, for features written by `straightedge features`.
        columns: What a table's columns became, as plain data.
        repeats: Remarks of an earlier `repeated_rows` on the same content; None looks for repeated rows now.

    Raises:
        InputError: any code of `encode_labels` and `align`; ``widths-differ``; ``train-missing``.
    """
    _check_parts(name, parts)
    labels, names = _labels(name, parts, classes, declared)
    splits = {key: Split(part.X, labels[key], part.names) for key, part in parts.items()}
    if repeats is None:
        repeats = repeated_rows(splits)
    repeat_warning(repeats)
    warn_on_ranges(splits)
    test = splits.get("test")
    return Dataset(
        name=name,
        classes=names,
        train=splits["train"],
        validation=splits.get("validation"),
        test=SealedSplit(test) if test is not None else None,
        fingerprint=fingerprint,
        image_shape=tuple(shape) if len(shape := splits["train"].X.shape[1:]) == 3 else None,
        notes=[*notes, *repeats],
        features=features,
        columns=columns,
    )


def _labels(
    name: str, parts: Mapping[str, Part], classes: Sequence[Any] | None, declared: Sequence[Any] | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    train = parts["train"]
    y, names = _train_labels(train, classes, declared, name if len(parts) == 1 else f"{name} (train)")
    labels = {"train": y}
    for key in [key for key in SPLITS[1:] if key in parts]:
        where, n = f"{name} ({key})", int(parts[key].X.shape[0])
        written = _written_names(parts[key].y, classes, n, where)
        labels[key] = align(written, names, n=n, where=where, complete=classes is None and declared is None)
    return labels, names


def _train_labels(
    part: Part, classes: Sequence[Any] | None, declared: Sequence[Any] | None, where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    n = int(part.X.shape[0])
    if declared is None:
        return encode_labels(part.y, n=n, classes=classes, where=where)
    written = _written_names(part.y, classes, n, where)
    names = tuple(declared)
    return align(
        written, names, n=n, where=where, complete=False, of=f"the model or of --classes ({listed(names)})"
    ), names


def _written_names(y: Any, classes: Sequence[Any] | None, n: int | None, where: str) -> Any:
    """Return labels as class names, so that splits and models are aligned by name and never by position."""
    if classes is None:
        return y
    codes, names = encode_labels(y, n=n, classes=classes, where=where)
    coded = CodedLabels(np.array(names), codes)
    return coded[:] if isinstance(y, CodedLabels) else coded.written()


def _check_parts(name: str, parts: Mapping[str, Part]) -> None:
    if "train" not in parts:
        raise InputError("train-missing", f"there are splits {sorted(parts)} but no training split", name)
    width = tuple(parts["train"].X.shape[1:])
    for key, part in parts.items():
        if tuple(part.X.shape[1:]) != width:
            what = f"rows of {key} have shape {tuple(part.X.shape[1:])}, those of train {width}"
            mend = "every split needs the same features or the same image size"
            raise InputError("widths-differ", what, name, mend)
