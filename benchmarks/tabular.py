"""10-fold accuracies on real tables beside scikit-learn's usual pipeline, on the same folds at the same strength.

    python -m benchmarks.tabular FOLDER... [--only NAME,...] [--folds 10]

Every file of the folders that holds rows is fitted as ``straightedge fit FILE`` fits it, at C = 1. The pipeline is
SimpleImputer with indicators and StandardScaler for numbers, OneHotEncoder for categories, LogisticRegression.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from straightedge.data import Dataset, load_dataset
from straightedge.data.tables.encoding import TableEncoding
from straightedge.data.tables.fitting import FEWEST_ROWS, MOST_CATEGORIES
from straightedge.data.tables.label_column import plain_column
from straightedge.data.tables.matching import text_read_for
from straightedge.data.tables.opening import open_splits
from straightedge.evaluation import share_interval
from straightedge.fitting import FitSettings
from straightedge.selection import cross_validate
from straightedge.splits import NEVER, fold_of_rows
from straightedge.training import TrainingRows

LABELS = {"titanic_dropped_strings.parquet": "Survived"}
"""Tables whose label column nothing but its owner can know."""
ENDINGS = (".data", ".csv", ".gz", ".parquet", ".mat", ".svmlight", "")
C = 1.0


def accuracies(path: Path, folds: int) -> dict[str, Any]:
    """Return both out-of-fold accuracies of a table, and scikit-learn's interval."""
    found = load_dataset(path, labels=LABELS.get(path.name), progress=False)
    y, began = found.train.y, time.process_time()
    fold = fold_of_rows(y, min(folds, int(np.bincount(y).max())))
    judged = fold != NEVER
    ours = _ours(found, fold)
    middle = time.process_time()
    theirs = _theirs(found, path, fold)
    right = float((theirs[judged] == y[judged]).mean())
    low, high = share_interval(right * judged.sum(), float(judged.sum()))
    own = float((ours[judged] == y[judged]).mean())
    return {
        "table": path.name,
        "rows": len(y),
        "classes": len(found.classes),
        "ours": own,
        "theirs": right,
        "interval": (low, high),
        "within": low <= own <= high,
        "seconds": (middle - began, time.process_time() - middle),
    }


def _reg(n: int, classes: int) -> float:
    """Return C = 1 as a strength of the mean loss."""
    return 1 / (C * n) if classes == 2 else 1 / (2 * C * n)


def _ours(found: Dataset, fold: np.ndarray) -> np.ndarray:
    """Return out-of-fold answers; rows that no fold holds out stay −1."""
    training = TrainingRows(
        found.train.X,
        found.train.y,
        len(found.classes),
        FitSettings(tol=1e-4, bias="penalized" if hasattr(found.train.X, "tocsr") else "free"),
        "auto",
        found.image_shape,
        table=found.parts,
        columns=found.columns,
    )
    n_train = int((fold != 0).sum())
    scored = cross_validate(training, [_reg(n_train, len(found.classes))], fold)
    answers = np.full(len(fold), -1)
    answers[scored.rows] = scored.scores[:, 0].argmax(dim=1).numpy()
    return answers


def _theirs(found: Dataset, path: Path, fold: np.ndarray) -> np.ndarray:
    y, answers = found.train.y, np.full(len(fold), -1)
    rows, first = _raw(found, path)
    for k in range(int(fold.max()) + 1):
        train, held_out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        last = LogisticRegression(C=C, max_iter=3000)
        pipeline = make_pipeline(*first(), last)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.fit(rows(train), y[train])
            answers[held_out] = pipeline.predict(rows(held_out))
    return answers


def _raw(found: Dataset, path: Path) -> tuple[Any, Any]:
    """Return what gives some rows, and what makes the first steps of the pipeline."""
    if (found.columns or {}).get("kind") == "table":
        encoding = TableEncoding.from_dict(found.columns or {})
        splits, _ = open_splits(path, text_read_for(encoding, {}))
        frame = _frame(splits["train"], encoding)
        return lambda index: frame.iloc[index], lambda: [_columns(encoding)]
    X = found.train.X
    X = X.read(0, X.shape[0]) if hasattr(X, "read") else X
    flat = X if hasattr(X, "tocsr") else np.asarray(X, dtype=np.float64).reshape(len(X), -1)
    return lambda index: flat[index], lambda: [] if hasattr(X, "tocsr") else [StandardScaler()]


def _frame(tables: Any, encoding: TableEncoding) -> Any:
    import pandas as pd

    columns = {column.name: plain_column(tables, column.name).to_pandas() for column in encoding.used}
    frame = pd.DataFrame(columns)
    for column in encoding.used:
        if column.kind == "category":
            frame[column.name] = frame[column.name].astype(object).where(frame[column.name].notna(), "missing")
        else:
            frame[column.name] = pd.to_numeric(frame[column.name], errors="coerce").astype(float)
    return frame


def _columns(encoding: TableEncoding) -> Any:
    numbers = [column.name for column in encoding.used if column.kind == "number"]
    categories = [column.name for column in encoding.used if column.kind == "category"]
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=FEWEST_ROWS, max_categories=MOST_CATEGORIES
    )
    imputed = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return ColumnTransformer([("numbers", imputed, numbers), ("categories", encoder, categories)])


def tables_in(folders: list[Path]) -> list[Path]:
    """Return the files that hold rows, by name; test halves of others are left out."""
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.is_file()]
    return [file for file in files if file.suffix in ENDINGS and not file.name.endswith((".t", ".md"))]


def main() -> None:
    parser = argparse.ArgumentParser(description="10-fold accuracies beside scikit-learn's pipeline")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", help="names of files, with commas")
    parser.add_argument("--folds", type=int, default=10)
    given = parser.parse_args()
    only = None if given.only is None else given.only.split(",")
    print(f"{'table':32} {'rows':>6} {'classes':>7} {'ours':>7} {'theirs':>7}  interval          within  CPU s")
    for path in tables_in(given.folders):
        if only is not None and path.name not in only:
            continue
        one = accuracies(path, given.folds)
        low, high = one["interval"]
        print(
            f"{one['table']:32} {one['rows']:6} {one['classes']:7} {one['ours']:7.4f} {one['theirs']:7.4f}  "
            f"[{low:.4f}, {high:.4f}]  {one['within']!s:6}  {one['seconds'][0]:.1f}, {one['seconds'][1]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
