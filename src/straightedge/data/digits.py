"""`digits`: 1,797 scans of handwritten digits that come with scikit-learn, nothing to download.

Pixels are kept as stored: whole numbers 0 to 16 (counts of black in 4 × 4 squares), as (N, 1, 8, 8) uint8.
The test split is fixed: every fifth scan of each digit in the order of the file, so that each writer and
each digit is in both splits and no generator decides.
"""

from typing import Any

import numpy as np

from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.fingerprint import of_arrays

EVERY = 5


def load(name: str = "digits", **options: Any) -> Dataset:
    """Return the digits as a `Dataset` with 1,442 training and 355 test scans, ten classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    X = bunch.images.astype(np.uint8)[:, None]
    y = bunch.target.astype(np.int64)
    test = every_nth(y, EVERY)
    names = np.array([f"digits/{row}" for row in range(len(y))])
    parts = {key: Part(X[mask], y[mask], names[mask].tolist()) for key, mask in (("train", ~test), ("test", test))}
    return assemble(
        name,
        parts,
        fingerprint=of_arrays(X, y),
        classes=[str(digit) for digit in range(10)],
        declared=options.get("classes"),
    )


def every_nth(y: np.ndarray, nth: int) -> np.ndarray:
    """Return a mask (N,) of every `nth` sample of each class, counted in the order given."""
    mask = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        mask[np.flatnonzero(y == label)[nth - 1 :: nth]] = True
    return mask
