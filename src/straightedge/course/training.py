"""Training as in the course: minibatches drawn with replacement, one step of gradient descent each."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from straightedge.course.checks import check_labels
from straightedge.errors import InputError, warn

LossFunction = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""``loss(W, X, y, reg) -> (loss, dW)``."""


def sample_batch(
    X: Tensor, y: Tensor, num_train: int, batch_size: int, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw a minibatch with replacement, for the loss and gradient of items ③ to ⑦ and "Softmax".

    Args:
        X: (N, D) samples.
        y: (N,) labels.
        num_train: Number of rows to draw from, the first ones of X.
        batch_size: Number of rows drawn.
        generator: Source of randomness on the CPU; None is torch's own. The rows drawn do not depend on X's
            device.

    Returns:
        X_batch (batch_size, D) and y_batch (batch_size,), copies.
    """
    index = torch.randint(num_train, (batch_size,), generator=generator).to(X.device)
    return X[index], y[index.to(y.device)]


def train_linear_classifier(
    loss_func: LossFunction,
    W: Tensor | None,
    X: Tensor,
    y: Tensor,
    learning_rate: float = 1e-3,
    reg: float = 1e-5,
    num_iters: int = 100,
    batch_size: int = 200,
    verbose: bool = False,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, list[float]]:
    """Train by stochastic gradient descent, W ← W − learning_rate · dW, with the gradients of the notes.

    Args:
        loss_func: ``(W, X, y, reg) -> (loss, dW)``, such as `svm_loss_vectorized` (the second item ④).
        W: (D, C) weights to start from, left as they are; None draws small random ones, 1e-6 · normal.
        X: (N, D) samples, the last column 1 (item ①, step (3)).
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
    W = _small_random_weights(X, y, generator) if W is None else W.detach().clone()
    previous, loss_history = W, list[float]()
    for iteration in range(num_iters):
        X_batch, y_batch = sample_batch(X, y, X.shape[0], batch_size, generator=generator)
        loss, dW = loss_func(W, X_batch, y_batch, reg)
        loss_history.append(float(loss))
        if not math.isfinite(loss_history[-1]):
            warn(
                "training-diverged",
                f"the loss is {loss_history[-1]} at step {iteration}: lower the learning rate",
            )
            return previous, loss_history
        previous, W = W, W - learning_rate * dW
        if verbose and iteration % 100 == 0:
            print(f"iteration {iteration} / {num_iters}: loss {loss_history[-1]:f}")
    return W, loss_history


def predict_linear_classifier(W: Tensor, X: Tensor) -> Tensor:
    """Return the class of the highest score in each row of XW (item ①, step (3): y = XW + b).

    Args:
        W: (D, C) weights.
        X: (N, D) samples.

    Returns:
        (N,) int64 labels 0 to C − 1; of equal scores the lowest class.
    """
    return torch.argmax(torch.mm(X, W), dim=1)


def _small_random_weights(X: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw on the CPU in float64, so that every device and type starts from the same weights."""
    n_classes = int(y.max()) + 1
    W = 1e-6 * torch.randn(X.shape[1], n_classes, generator=generator, dtype=torch.float64)
    return W.to(X)


def _check_sizes(X: Tensor, y: Tensor, num_iters: int, batch_size: int) -> None:
    if X.dim() != 2 or X.shape[0] == 0:
        raise InputError("course-shapes", f"X has shape {tuple(X.shape)}", "X", "expected (N, D) with N > 0")
    check_labels(y, X.shape[0])
    if num_iters < 0 or batch_size < 1:
        found = f"num_iters is {num_iters} and batch_size is {batch_size}"
        raise InputError("course-steps", found, "num_iters, batch_size", "expected 0 or more, and 1 or more")
