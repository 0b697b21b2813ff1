"""Training as in the course: minibatches drawn with replacement, one step of gradient descent each."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.course.checks import check_labels
from straightedge.course.kinds import Kind, as_tensor, rows_at
from straightedge.errors import InputError, warn

FIRST_WEIGHTS = {"torch": 1e-6, "numpy": 1e-3}
"""Spread of the first weights: EECS 498-007 (torch) and CS231n (NumPy) begin from these."""


def sample_batch(
    X: Kind, y: Kind, num_train: int, batch_size: int, *, generator: torch.Generator | None = None
) -> tuple[Kind, Kind]:
    """Draw a minibatch with replacement, for the loss and gradient of items ③ to ⑦ and "Softmax".

    Args:
        X: (N, D) samples, torch or NumPy.
        y: (N,) labels.
        num_train: Number of rows to draw from, the first ones of X.
        batch_size: Number of rows drawn.
        generator: Source of randomness on the CPU; None is torch's own. The rows drawn do not depend on X's device.

    Returns:
        X_batch (batch_size, D) and y_batch (batch_size,), copies.
    """
    index = torch.randint(num_train, (batch_size,), generator=generator)
    return rows_at(X, index), rows_at(y, index)


def train_linear_classifier(
    loss_func: Callable[[Kind, Kind, Kind, float], tuple[Any, Kind]],
    W: Kind | None,
    X: Kind,
    y: Kind,
    learning_rate: float = 1e-3,
    reg: float = 1e-5,
    num_iters: int = 100,
    batch_size: int = 200,
    verbose: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Kind, list[float]]:
    """Train by stochastic gradient descent, W ← W − learning_rate · dW, with the gradients of the notes.

    Args:
        loss_func: ``(W, X, y, reg) -> (loss, dW)``, such as `svm_loss_vectorized` (the second item ④).
        W: (D, C) weights to start from, left as they are; None draws small random ones, 1e-6 · normal for
            tensors and 1e-3 · normal for arrays, as the two courses do.
        X: (N, D) samples, the last column 1 (item ①, step (3)); torch or NumPy, and so is the loss called.
        y: (N,) labels 0 to C − 1.
        learning_rate: Length of a step.
        reg: Weight of the penalty reg · ΣW².
        num_iters: Number of steps.
        batch_size: Rows a step, drawn with replacement.
        verbose: Print the loss every hundred steps.
        generator: Source of randomness on the CPU; None is torch's own.

    Returns:
        The trained W (D, C), a new tensor, and the loss of every step's batch before the step.

    Numerics:
        When the loss stops being finite, the learning rate is too large: training ends with a warning
        (``training-diverged``) and the last weights whose loss was finite.
    """
    _check_sizes(X, y, num_iters, batch_size)
    W = _small_random_weights(X, y, generator) if W is None else _copied(W)
    previous, loss_history = W, list[float]()
    for iteration in range(num_iters):
        X_batch, y_batch = sample_batch(X, y, X.shape[0], batch_size, generator=generator)
        loss, dW = loss_func(W, X_batch, y_batch, reg)
        loss_history.append(float(loss))
        if not math.isfinite(loss_history[-1]):
            warn(
                "training-diverged", f"the loss is {loss_history[-1]} at step {iteration}: lower the learning rate"
            )
            return previous, loss_history
        previous, W = W, W - learning_rate * dW
        if verbose and iteration % 100 == 0:
            print(f"iteration {iteration} / {num_iters}: loss {loss_history[-1]:f}")
    return W, loss_history


def predict_linear_classifier(W: Kind, X: Kind) -> Kind:
    """Return the class of the highest score in each row of XW (item ①, step (3): y = XW + b).

    Args:
        W: (D, C) weights.
        X: (N, D) samples.

    Returns:
        (N,) int64 labels 0 to C − 1; of equal scores the lowest class.
    """
    if isinstance(W, Tensor):
        return torch.argmax(torch.mm(as_tensor(X), W), dim=1)
    labels: np.ndarray = np.argmax(np.asarray(X) @ W, axis=1)
    return labels


def _small_random_weights(X: Kind, y: Kind, generator: torch.Generator | None) -> Kind:
    """Draw on the CPU in float64, so that every device and type starts from the same weights."""
    n_classes = int(y.max()) + 1
    normal = torch.randn(X.shape[1], n_classes, generator=generator, dtype=torch.float64)
    if isinstance(X, Tensor):
        return (FIRST_WEIGHTS["torch"] * normal).to(X)
    W: np.ndarray = FIRST_WEIGHTS["numpy"] * normal.numpy()
    return W.astype(X.dtype if X.dtype.kind == "f" else np.float64, copy=False)


def _copied(W: Kind) -> Kind:
    return W.detach().clone() if isinstance(W, Tensor) else np.array(W)


def _check_sizes(X: Any, y: Any, num_iters: int, batch_size: int) -> None:
    if X.ndim != 2 or X.shape[0] == 0:
        raise InputError("course-shapes", f"X has shape {tuple(X.shape)}", "X", "expected (N, D) with N > 0")
    check_labels(as_tensor(y), X.shape[0])
    if num_iters < 0 or batch_size < 1:
        found = f"num_iters is {num_iters} and batch_size is {batch_size}"
        raise InputError("course-steps", found, "num_iters, batch_size", "expected 0 or more, and 1 or more")
