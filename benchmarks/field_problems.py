"""The problems of the field, of many shapes: drawn, scikit-learn's, and those of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn import datasets

from benchmarks.sparse_problems import sparse_problems

Table = tuple[np.ndarray, np.ndarray]
Maker = Callable[[], Table]


def standardised(X: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and standard deviation 1, constant ones as they are."""
    spread = X.std(axis=0)
    found: np.ndarray = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return found


def drawn(N: int, D: int, C: int, decay: float) -> Table:
    """Return N float32 rows of D features whose spread falls like a power, and C classes drawn from a softmax."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, D + 1) ** -decay
    X = (rng.standard_normal((N, D)) * spread).astype(np.float32)
    W = rng.standard_normal((D, C)) / spread[:, None] * (2 / np.sqrt(D))
    return X, np.unique((X @ W + rng.gumbel(size=(N, C))).argmax(axis=1), return_inverse=True)[1]


def _digits() -> Table:
    X, y = datasets.load_digits(return_X_y=True)
    return X / 16, y


def _scaled(make: Maker) -> Maker:
    def scaled() -> Table:
        X, y = make()
        return standardised(X), y

    return scaled


def _cancer() -> Table:
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return X, y


PROBLEMS: dict[str, Maker] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine, raw columns": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer, raw columns": _cancer,
    "breast cancer, standardised": _scaled(_cancer),
    "digits": _digits,
    "200 x 20,000, 3 classes": lambda: drawn(200, 20_000, 3, 0.0),
    "200 x 20,000, 2 classes": lambda: drawn(200, 20_000, 2, 0.0),
    "2,000 x 5,000, 10 classes": lambda: drawn(2000, 5000, 10, 0.0),
    "500,000 x 50, 7 classes": lambda: drawn(500_000, 50, 7, 0.0),
    "1,000,000 x 20, 2 classes": lambda: drawn(1_000_000, 20, 2, 0.5),
    "20,000 x 768, 100 classes": lambda: drawn(20_000, 768, 100, 0.5),
    "20,000 x 768, 100 classes, even spread": lambda: drawn(20_000, 768, 100, 0.0),
    "10,000 x 512, 1,000 classes": lambda: drawn(10_000, 512, 1000, 0.5),
}


def _text(path: Path, label: int) -> Table:
    """Return a table of text; columns of words are one column a word, empty cells their column's mean."""
    import pandas as pd

    frame = pd.read_csv(path, header=None, na_values=["?", " ?"], skipinitialspace=True)
    names = frame.iloc[:, label].astype(str)
    table = pd.get_dummies(frame.drop(columns=frame.columns[label])).astype(np.float64)
    return table.fillna(table.mean()).to_numpy(), np.unique(names, return_inverse=True)[1]


def _matlab(path: Path) -> Table:
    from scipy.io import loadmat

    held = loadmat(path)
    return held["X"].astype(np.float64), np.unique(held["Y"].ravel(), return_inverse=True)[1]


FILES: dict[str, tuple[str, int | None, bool]] = {
    "letter": ("letter-recognition.data", 0, True),
    "adult, standardised": ("adult.data", 14, True),
    "adult, raw columns": ("adult.data", 14, False),
    "arrhythmia": ("arrhythmia.data", 279, True),
    "sonar": ("sonar.data", 60, False),
    "ionosphere": ("ionosphere.data", 34, False),
    "isolet": ("Isolet.mat", None, False),
    "coil20": ("COIL20.mat", None, False),
    "madelon": ("madelon.mat", None, True),
    "colon": ("colon.mat", None, False),
}
"""Name of the file, column of its label (None for MATLAB's files), whether its columns are standardised."""


def problems(tables: Path | None = None) -> dict[str, Maker]:
    """Return the problems by name, those of files among them that a folder holds."""
    found = dict(PROBLEMS)
    for name, (file, label, scaled) in FILES.items():
        path = None if tables is None else tables / file
        if path is not None and path.is_file():
            make = _of_file(path, label)
            found[name] = _scaled(make) if scaled else make
    return found if tables is None else found | sparse_problems(tables)


def _of_file(path: Path, label: int | None) -> Maker:
    return lambda: _matlab(path) if label is None else _text(path, label)
