"""An artefact is kept only when it gives the model's scores on rows it will meet."""

from typing import Any

import numpy as np

from straightedge.errors import MachineError
from straightedge.model import LinearModel

TOLERANCE = 1e-5


def agree(found: Any, expected: np.ndarray, what: str, rows: Any, scale: float = 1.0) -> float:
    """Check an artefact's scores against the model's.

    Args:
        found: (n, C) scores of the artefact.
        expected: (n, C) scores of the model.
        what: Name of the artefact.
        rows: The rows they were made from.
        scale: Size of the numbers that these were made from, such as of the scores behind probabilities.

    Returns:
        The largest difference.

    Raises:
        MachineError: ``export-differs``; nothing is written then.

    Numerics: both sides are float32 sums in some order; `TOLERANCE` is relative to the largest score, and to
        ``scale`` where scores are smaller. Probabilities differ by at most half of what scores do.
    """
    found = np.asarray(found, dtype=np.float64)
    if found.shape != expected.shape:
        raise MachineError("export-differs", f"the {what} gives shape {found.shape}, not {expected.shape}")
    scale = max(scale, float(np.abs(expected).max(initial=0.0)))
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= TOLERANCE * scale:
        what = f"the {what} differs from the model by {difference:.2g} on {len(rows)} rows"
        mend = "nothing was written; please report this with the run folder"
        raise MachineError("export-differs", what, mend=mend)
    return difference


def size_of(scores: np.ndarray) -> float:
    """Return the largest score in size, at least 1."""
    return max(1.0, float(np.abs(scores).max(initial=0.0)))


def random_rows(model: LinearModel, n: int = 1000) -> np.ndarray:
    """Return rows such as the model was made for: pixels, or features around their training mean.

    Args:
        model: The model.
        n: Number of rows.

    Returns:
        (n, *row_shape) uint8 or float32; (n,) texts of ten terms where the model takes texts.
    """
    generator = np.random.default_rng(0)
    if model.takes_texts:
        terms = np.array(model.feature_names, dtype=object)
        return np.array([" ".join(generator.choice(terms, 10)) for _ in range(n)], dtype=object)
    shape = (n, *row_shape(model))
    if row_dtype(model) == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    rows = generator.standard_normal((n, model.n_features))
    if model.affine is not None:
        scale = model.affine.scale.numpy()
        rows = model.affine.shift.numpy() + rows / np.where(scale == 0, 1, scale)
    return rows.astype(np.float32).reshape(shape)


def calibrated(model: LinearModel) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (D, C) and bias (C,) float64 whose softmax gives the model's probabilities.

    A program that knows a softmax but no temperature gets the temperature in the weights: softmax(s / T) of the
    scores s is softmax(s') of the scores s' = x @ (weight / T) + bias / T. The classes are the same.
    """
    temperature = model.temperature or 1.0
    return model.arrays.weight.astype(np.float64) / temperature, model.arrays.bias.astype(np.float64) / temperature


def row_shape(model: LinearModel) -> tuple[int, ...]:
    """Return the shape of one row of what the weights see: a raw sample, or features of the extractor."""
    return (model.n_features,) if model.features is not None else model.input_shape


def row_dtype(model: LinearModel) -> str:
    """Return ``uint8`` where the weights see pixels, else ``float32``."""
    return model.input_dtype if model.features is None else "float32"
