"""The problems of sparse rows: an svmlight file, and the texts of 20 newsgroups."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

Rows = tuple[Any, np.ndarray]
A1A, NEWS = "a1a.t", "20news.zip"


def news(archive: Path) -> Rows:
    """Return TF-IDF and labels of the archive's training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.startswith("train/") and not n.endswith("/")]
        texts = [opened.read(name).decode("latin1") for name in names]
    X = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float64).fit_transform(texts)
    return X.tocsr(), np.unique([name.split("/")[1] for name in names], return_inverse=True)[1]


def largest_two(rows: Rows) -> Rows:
    """Return the rows of the two largest classes."""
    X, y = rows
    classes = np.argsort(-np.bincount(y))[:2]
    kept = np.isin(y, classes)
    return X[kept].tocsr(), (y[kept] == classes.max()).astype(int)


def a1a(path: Path) -> Rows:
    """Return the rows of an svmlight file of 123 columns."""
    from sklearn.datasets import load_svmlight_file

    X, y = load_svmlight_file(str(path), n_features=123)
    return X.tocsr(), (y > 0).astype(int)


def with_constant(X: Any) -> Any:
    """Return sparse rows with a constant column at the end."""
    return sp.hstack([X, np.ones((X.shape[0], 1))]).tocsr()


def sparse_problems(tables: Path) -> dict[str, Callable[[], Rows]]:
    """Return the problems by name, those whose file a folder or the one above it holds."""
    held = {name: path for name in (A1A, NEWS) for path in (tables.parent / name, tables / name) if path.is_file()}
    found: dict[str, Callable[[], Rows]] = {}
    if A1A in held:
        found[A1A] = lambda: a1a(held[A1A])
    if NEWS in held:
        found["20 newsgroups, two largest"] = lambda: largest_two(news(held[NEWS]))
        found["20 newsgroups"] = lambda: news(held[NEWS])
    return found
