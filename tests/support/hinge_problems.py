"""Random hinge problems of every kind that real data have, for the solvers of the hinges."""

from dataclasses import dataclass

import numpy as np

LOSSES = ("svm", "crammer_singer", "one_vs_rest")
LARGEST = 2e7  # N·D·C
TINY = 1e-6


@dataclass
class HingeCase:
    """A problem as a user gives it; `about` says what it is made of."""

    loss: str
    X: np.ndarray
    y: np.ndarray
    n_classes: int
    reg: float
    bias: str
    weights: np.ndarray | None
    about: str

    @property
    def size(self) -> int:
        return self.X.shape[0] * self.X.shape[1] * self.n_classes


def hinge_case(seed: int, largest: float = LARGEST) -> HingeCase:
    """The case of a seed: sizes, scales, weights and duplicates drawn at random, reg from mean ‖x̂‖²·10^u."""
    rng = np.random.default_rng(seed)
    largest = 10 ** rng.uniform(2.5, np.log10(largest))
    n_classes = int(rng.choice([2, 2, 3, 5, 10, 26]))
    shape = np.clip(np.sqrt(largest / n_classes) * 10 ** rng.uniform(-0.9, 0.9), 2, 20_000)
    n = int(max(shape, 2 * n_classes))
    d = int(max(1, min(largest / n_classes / n, 20_000)))
    y = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)])
    kind = ("raw", "unit", "scaled", "correlated")[int(rng.integers(4))]
    X = rng.normal(size=(n, d)) + rng.choice([0.0, 0.2, 1.0, 4.0]) * rng.normal(size=(n_classes, d))[y]
    if kind == "unit":
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    if kind == "scaled":
        X *= 10 ** rng.uniform(-3, 3, size=d)
    if kind == "correlated":
        X = X @ (rng.normal(size=(d, min(d, 50))) / np.sqrt(d)) @ rng.normal(size=(min(d, 50), d)) + 3
    duplicated = rng.random() < 0.25
    if duplicated:
        index = rng.integers(n, size=n)
        X, y = X[index], np.concatenate([np.arange(n_classes), y[index][n_classes:]])
    X *= 10 ** rng.uniform(-3, 3)
    weights, weighted = None, rng.random() < 0.5
    if weighted:
        weights = rng.choice([0.0, TINY, 1.0, 2.0, rng.exponential()], size=n)
        weights[:n_classes] = 1.0
    u = rng.uniform(-7, -1)
    reg = float((np.square(X).sum(axis=1) + 1).mean() * 10**u)
    loss = LOSSES[seed % 3]
    bias = "free" if rng.random() < 0.3 else "penalized"
    about = f"{n}×{d}×{n_classes} {loss} {kind} u={u:.1f} {bias}{' dup' * duplicated}{' w' * weighted}"
    return HingeCase(loss, X, y, n_classes, reg, bias, weights, about)
