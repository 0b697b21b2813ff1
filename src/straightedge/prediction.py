"""Classes for image files, folders, archives and arrays, read as the model's training data were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from straightedge.errors import InputError, warn
from straightedge.image_files import Reading, decoded, files_of
from straightedge.model import LinearModel

if TYPE_CHECKING:
    from straightedge.data.base import Split

WRITTEN_TOGETHER = 8_192  # rows of predictions.csv that are made together: six cells each, some 400 bytes
_ROW_NAMES = ("x", "x_test", "features", "images", "embeddings", "data")


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        name: The file, the archive and member, or the file and row.
        label: Index of the class with the highest score.
        score: That score.
        probability: Its probability, None where scores mean none (an SVM that was not calibrated).
        words: Terms of a text with what they add to this class's score above the mean of all classes, the largest
            first; empty where they were not asked for.
        labels: Indices of all classes that are named, where a sample may have several.
        chances: Each class's probability, or score where scores mean none, where a sample may have several.
    """

    name: str
    label: int
    score: float
    probability: float | None
    words: tuple[tuple[str, float], ...] = ()
    labels: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()


def predict_paths(
    model: LinearModel, paths: Sequence[str | Path], reading: Reading | None = None
) -> list[Prediction]:
    """Classify everything that the paths hold, in their order; within a folder or zip, by name.

    Args:
        model: The model.
        paths: Image files, folders, zip or tar files of images, ``.npy`` or ``.npz`` files of rows, tables,
            svmlight files, dumps and IDX files as `load_dataset` reads them. Where the model takes texts: text
            files, folders and archives of them, JSON lines, ``-`` for standard input.
        reading: How images are read; its counts are filled in.

    Raises:
        InputError: ``path-missing``, ``no-images``, ``image-size``, ``image-broken``, ``image-too-large``,
            ``image-mode``, ``not-an-image-model``, ``npz-keys``; the codes of `LinearModel.scores` with the
            file, of archives and of arrays.
    """
    reading = reading or Reading()
    if model.takes_texts:
        return _predict_texts(model, paths, reading)
    found: list[Prediction] = []
    images: list[Path] = []
    for path in [Path(item) for item in paths]:
        if not path.exists():
            raise InputError("path-missing", "there is no such file or folder", str(path))
        if (scored := _scored_rows(model, path, reading)) is not None:
            found += _predict_images(model, images, reading)  # keeps the order of the paths
            images = []
            found += predictions_of(model, [f"{path}[{row}]" for row in range(len(scored))], scored)
        else:
            images.append(path)
    found += _predict_images(model, images, reading)
    if not found:
        where = ", ".join(str(path) for path in paths)
        raise InputError("no-images", "there is nothing to classify", where, "give images or rows")
    if reading.several_frames:
        warn("several-frames", f"{reading.several_frames} images have several frames; the first is used")
    return found


def _predict_texts(model: LinearModel, paths: Sequence[str | Path], reading: Reading) -> list[Prediction]:
    """Classify texts.

    Raises:
        InputError: ``texts-none``, and the codes of `texts_at`.
    """
    from straightedge.data.text.reading import texts_at

    found = texts_at(paths, skip_bad=reading.skip_bad, columns=model.columns, options=reading.table)
    if model.columns is not None:
        _add_beside(model, [Path(path) for path in paths], reading)
    reading.notes += found.notes
    reading.skipped += found.skipped
    if not found.texts:
        where = ", ".join(str(path) for path in paths)
        raise InputError("texts-none", "there is no text to classify", where, "give texts, or - for standard input")
    rows = model.extractor.transform(found.texts)
    predictions = predictions_of(model, found.names, model.scores(rows))
    return _explained(model, rows, predictions) if reading.explain else predictions


def _explained(model: LinearModel, rows: Any, predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return predictions with the words that decided; rows (N, D) are CSR."""
    from straightedge.evaluation.terms import contributions

    weight, names = model.arrays.weight, model.feature_names
    out = []
    for place, one in enumerate(predictions):
        own = slice(int(rows.indptr[place]), int(rows.indptr[place + 1]))
        row = rows.indices[own], rows.data[own]
        out.append(replace(one, words=tuple(contributions(row, weight, names, one.label))))
    return out


def _scored_rows(model: LinearModel, path: Path, reading: Reading) -> np.ndarray | None:
    """Return the scores of rows of an array, a table or svmlight; None where the path holds images."""
    from straightedge.data.npz import is_npy

    if not path.is_dir() and (path.suffix.lower() in (".npy", ".npz") or is_npy(path)):
        return _scores(model, path, read_rows(path))
    reader = _reader_of_rows(path, model)
    if reader is None:
        return None
    if reader == "tables.reading":
        return _scores(model, path, _table_rows(model, path, reading))
    from straightedge.data.row_files import rows_at

    return _scores(model, path, rows_at(path, reader, model.n_features))


def _reader_of_rows(path: Path, model: LinearModel) -> str | None:
    """Return the reader of `load_dataset` for a file of rows; None where there are images."""
    from straightedge.data.endings import is_text_table
    from straightedge.data.row_files import reader_of_rows

    images = len(model.input_shape) == 3 and model.columns is None
    if images and (path.is_dir() or is_text_table(path.name)):
        return None
    return reader_of_rows(path)


def _table_rows(model: LinearModel, path: Path, reading: Reading) -> Any:
    """Read rows as `fit` reads them: the columns of a table by name; labels need not be there.

    Raises:
        InputError: ``column-missing`` and the codes of the readers.
    """
    from straightedge.data.tables.matching import new_rows

    rows, notes = new_rows(path, model.columns or {}, reading.table)
    reading.notes += notes
    _add_beside(model, [path], reading)
    return rows


def _add_beside(model: LinearModel, paths: Sequence[Path], reading: Reading) -> None:
    """Read the columns that are written beside the answers, where any were asked for."""
    from straightedge.data.tables.matching import written_cells

    for path in paths if reading.columns else ():
        for name, cells in written_cells(path, model.columns or {}, reading.table, reading.columns).items():
            reading.beside.setdefault(name, []).extend(cells)


def _scores(model: LinearModel, path: Path, X: Any) -> np.ndarray:
    try:
        return model.scores(X)
    except InputError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise InputError(error.code, error.what, where, error.mend) from error


def read_rows(path: Path) -> np.ndarray:
    """Return the rows of an ``.npy`` or ``.npz`` file; objects are refused, nothing is unpickled.

    Raises:
        InputError: ``npz-keys`` when an archive has several arrays and none has a name of rows; the codes of
            the array reader.
    """
    from straightedge.data.npz import read_npy, read_npz

    if path.suffix.lower() != ".npz":
        return read_npy(path)
    members = read_npz(path)
    named = {name.lower(): name for name in members}
    key = next((named[name] for name in _ROW_NAMES if name in named), None)
    if key is None and len(members) == 1:
        key = next(iter(members))
    if key is None:
        what = f"which of the arrays {sorted(members)} holds the rows?"
        raise InputError("npz-keys", what, str(path), f"name it one of: {', '.join(_ROW_NAMES)}")
    return members[key]


def _predict_images(model: LinearModel, paths: Sequence[Path], reading: Reading) -> list[Prediction]:
    if not paths:
        return []
    if len(model.input_shape) != 3:
        what = f"the model was trained on rows of {model.n_features} features, not on images"
        mend = "give an .npy or .npz of such features"
        raise InputError("not-an-image-model", what, where=str(paths[0]), mend=mend)
    found: list[Prediction] = []
    for names, pixels in decoded(model.input_shape, files_of(paths), reading):
        found += predictions_of(model, names, model.scores(pixels))
    return found


def predictions_of(model: LinearModel, names: Sequence[str], scores: np.ndarray) -> list[Prediction]:
    """Return what scores (N, C) of a model say, a `Prediction` for each of N names."""
    if model.multilabel:
        return _several(model, names, scores)
    labels, best, chances = _answers(model, scores)
    known = [None] * len(labels) if chances is None else chances.tolist()
    return [Prediction(*fields) for fields in zip(names, labels.tolist(), best.tolist(), known, strict=True)]


def _answers(model: LinearModel, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the label of each row of scores (N, C), its score, and its probability where scores mean any."""
    labels = model.labels_of(scores)
    rows = np.arange(len(labels))
    chances = model.probabilities(scores)[rows, labels] if model.has_probabilities else None
    return labels, scores[rows, labels], chances


def _several(model: LinearModel, names: Sequence[str], scores: np.ndarray) -> list[Prediction]:
    """Return what scores say where a sample may have several labels."""
    best = scores.argmax(axis=1)
    shown = model.probabilities(scores) if model.has_probabilities else scores
    return [
        Prediction(
            name,
            int(best[row]),
            float(scores[row, best[row]]),
            None,
            labels=tuple(np.flatnonzero(scores[row] >= 0).tolist()),
            chances=tuple(shown[row].tolist()),
        )
        for row, name in enumerate(names)
    ]


def prediction_blocks(
    model: LinearModel, samples: Split, scores: np.ndarray, split: str
) -> Iterator[tuple[Any, ...]]:
    """Yield predictions.csv in blocks of its columns, some thousand rows each: there may be millions.

    Args:
        model: Whose scores they are.
        samples: N labelled samples; those without names have their row for one.
        scores: (N, C).
        split: What the samples were to the model, such as ``test`` or ``out of fold``.
    """
    for start in range(0, samples.n, WRITTEN_TOGETHER):
        rows = range(start, min(start + WRITTEN_TOGETHER, samples.n))
        predicted, best, chances = _answers(model, scores[rows.start : rows.stop])
        yield (
            [str(row) if samples.names is None else str(samples.names[row]) for row in rows],
            [model.classes[label] for label in samples.y[rows.start : rows.stop].tolist()],
            [model.classes[label] for label in predicted.tolist()],
            best,
            [None] * len(rows) if chances is None else chances,
            [split] * len(rows),
        )
