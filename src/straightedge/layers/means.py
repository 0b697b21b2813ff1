"""Classifiers that need no fit: a row belongs to the class whose mean is nearest."""

from __future__ import annotations

import numpy as np

from straightedge.layers.gathering import BLOCK_ROWS, Linear


def class_means(X: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the mean (C, D) float64 of the rows of each class; each has one or more."""
    sums = np.zeros((n_classes, X.shape[1]))
    members = np.eye(n_classes)
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        sums += members[y[rows]].T @ X[rows].astype(np.float64)
    return sums / np.bincount(y, minlength=n_classes)[:, None]


def nearest(means: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> Linear:
    """Return the classifier whose largest score is the nearest mean's.

    Args:
        means: (C, D) class means.
        centre: (D,) mean of all training rows; distances from it lose fewer digits.
        scale: (D,) factor of each column.

    Numerics:
        ‖z − m‖² = ‖z‖² − 2 (⟨z, m⟩ − ‖m‖²/2), and ‖z‖² is the same for all classes.
    """
    nearer = (means - centre) * scale
    coef = nearer * scale
    return Linear(coef, -0.5 * np.square(nearer).sum(axis=1) - coef @ centre)
