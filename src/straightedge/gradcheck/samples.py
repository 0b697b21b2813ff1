"""Samples of a data set to check gradients on, prepared as in item ① of the notes, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from straightedge.gradcheck.reference import Floats, Labels

if TYPE_CHECKING:
    from straightedge.data import Dataset


def draw_problem(dataset: Dataset, n_rows: int, seed: int) -> tuple[Floats, Floats, Labels]:
    """Return random weights W (D, C) whose scores are about 1, and random rows X (N, D), last column 1, with y."""
    generator = np.random.default_rng(seed)
    X, y = _sample(dataset, n_rows, generator)
    size = 1 / max(float(np.sqrt((X**2).sum(axis=1).mean())), 1e-30)
    return size * generator.standard_normal((X.shape[1], len(dataset.classes))), X, y


def _sample(dataset: Dataset, n_rows: int, generator: np.random.Generator) -> tuple[Floats, Labels]:
    """Random training rows as the notes prepare them: centred, flat, a constant 1 appended."""
    train = dataset.train
    index = np.sort(generator.choice(train.n, min(n_rows, train.n), replace=False))
    if hasattr(train.X, "read"):  # rows that are not in memory
        picked = np.concatenate([train.X.read(int(i), int(i) + 1) for i in index])
    else:
        picked = np.asarray(train.X[index])
    picked = picked.astype(np.float64) / (255.0 if picked.dtype == np.uint8 else 1.0)
    axes = (0, 2, 3) if picked.ndim == 4 else (0,)
    flat = (picked - picked.mean(axis=axes, keepdims=True)).reshape(len(index), -1)
    return np.hstack([flat, np.ones((len(index), 1))]), np.asarray(train.y)[index]
