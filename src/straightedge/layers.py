"""One probe a layer: the features of every layer of a network, fitted and judged on the same rows.

A layer's probe is the best of its own regularisation path on validation rows; what it reaches is measured on test
rows that no choice has seen. Beside it stands what the number has to beat: the same probe on random labels (a
control task: a probe that learns those, too, says little of the layer), on features whose rows are shuffled, and
the nearest class mean, which for two classes is the direction of their difference.

References:
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016. Hewitt and Liang,
    "Designing and interpreting probes with control tasks", EMNLP 2019, for selectivity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from straightedge.data.labels import encode_labels
from straightedge.errors import InputError
from straightedge.evaluation import share_interval
from straightedge.losses import is_probabilistic
from straightedge.selection import SelectionSettings, choose, fit_path, judge
from straightedge.splits import hold_out

CONTROL_TOLERANCE = 1e-2
"""Relative gap of the controls: a probe at chance stays at chance, for half the work of 1e-3."""


@dataclass(frozen=True)
class LayerScore:
    """What one layer's probe reaches.

    Attributes:
        name: The layer.
        reg: The value chosen on validation rows, the best of a path.
        validation: Share of validation rows it has right.
        accuracy: Share of test rows it has right.
        interval: 95 % interval of `accuracy`.
        control: Share of random labels of test rows that a probe fitted to random labels has right.
        shuffled: Share of test rows that a probe on shuffled features has right.
        nearest_mean: Share of test rows whose nearest class mean is their own.
        certified: Values of the path whose optimum is proven.
        n_values: Values of the path.
    """

    name: str
    reg: float
    validation: float
    accuracy: float
    interval: tuple[float, float]
    control: float
    shuffled: float
    nearest_mean: float
    certified: int
    n_values: int

    @property
    def selectivity(self) -> float:
        """How much more of the labels than of random ones the probe has right."""
        return self.accuracy - self.control


@dataclass(frozen=True)
class Layers:
    """The probes of all layers.

    Attributes:
        scores: One `LayerScore` a layer, in order.
        best: Position of the layer that is best on validation rows.
        classes: Class names.
        n_train: Training rows.
        n_validation: Validation rows.
        n_test: Test rows.
        cosine: (L, L) cosines between the weights of layers, NaN between layers of other widths.
    """

    scores: list[LayerScore]
    best: int
    classes: tuple[str, ...]
    n_train: int
    n_validation: int
    n_test: int
    cosine: np.ndarray = field(repr=False)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a dictionary of plain values for each layer, as tables and files have it."""
        return [
            {
                "layer": one.name,
                "accuracy": one.accuracy,
                "low": one.interval[0],
                "high": one.interval[1],
                "validation": one.validation,
                "selectivity": one.selectivity,
                "control": one.control,
                "shuffled": one.shuffled,
                "nearest_mean": one.nearest_mean,
                "reg": one.reg,
                "certified": one.certified,
                "n_values": one.n_values,
            }
            for one in self.scores
        ]

    def in_words(self) -> str:
        """Return the answer in one sentence."""
        best = self.scores[self.best]
        return (
            f"best of {len(self.scores)} layers on validation rows: {best.name}, test accuracy {best.accuracy:.4f} "
            f"[{best.interval[0]:.4f}, {best.interval[1]:.4f}], n = {self.n_test}; "
            f"{best.selectivity:+.4f} against random labels"
        )


@dataclass(frozen=True)
class _Parts:
    """Row numbers of the three splits, and labels, true and random."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    y: np.ndarray
    random: np.ndarray
    shuffled: np.ndarray


def fit_layers(
    X: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    reg: Sequence[float] | None = None,
    loss: str = "softmax",
    tol: float = 1e-3,
    validation_size: float | int = 0.15,
    test_size: float | int = 0.2,
    seed: int = 0,
    progress: Callable[[LayerScore], None] | None = None,
    **settings: Any,
) -> Layers:
    """Fit one probe a layer and judge all on the same rows.

    Args:
        X: (N, L, D) features, NumPy or a memory map, or a mapping from a layer's name to its (N, D) features; one
            layer at a time is in memory.
        y: (N,) labels.
        names: L names; numbers from 0 when None.
        reg: Values of the path; 16 around each layer's own scale when None.
        loss: Name of the loss.
        tol: Relative gap to certify.
        validation_size: Share or number of rows that choose reg and the best layer.
        test_size: Share or number of rows that judge.
        seed: Seed of splits and of random labels.
        progress: Called with each layer's score.
        settings: Further fields of `fit_path`.

    Returns:
        `Layers`.

    Raises:
        InputError: ``layers-shape``, and the codes of `fit_path` with the layer's name.
    """
    layers = dict(_named(X, names))
    first = next(iter(layers.values()))()
    labels, classes = encode_labels(y, n=len(first))
    parts = _parts(labels, validation_size, test_size, seed)
    scores, weights = [], []
    for name, read in layers.items():
        features = np.asarray(read())
        _check_layer(name, features, len(labels))
        score, W = _fit_layer(name, features, parts, {"reg": reg, "loss": loss, "tol": tol, **settings})
        scores.append(score)
        weights.append(W)
        if progress is not None:
            progress(score)
    best = max(range(len(scores)), key=lambda place: (scores[place].validation, -place))
    sizes = len(parts.train), len(parts.validation), len(parts.test)
    return Layers(scores, best, classes, *sizes, cosine=_cosines(weights))


def _named(X: Any, names: Sequence[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Return a name and a reader for each layer."""
    if isinstance(X, Mapping):
        yield from ((str(name), lambda name=name: X[name]) for name in X)  # read when it is fitted
        return
    if getattr(X, "ndim", 0) != 3 or 0 in X.shape:
        raise InputError(
            "layers-shape",
            f"the features have shape {getattr(X, 'shape', None)}",
            mend="give (N, L, D), or a mapping from names to (N, D)",
        )
    named = list(names) if names is not None else [f"layer {place}" for place in range(X.shape[1])]
    if len(named) != X.shape[1]:
        raise InputError("layers-shape", f"there are {len(named)} names for {X.shape[1]} layers")
    yield from ((name, lambda place=place: X[:, place]) for place, name in enumerate(named))


def _check_layer(name: str, features: np.ndarray, n_rows: int) -> None:
    if features.ndim != 2 or len(features) != n_rows:
        raise InputError(
            "layers-shape", f"the features have shape {features.shape}", name, f"expected ({n_rows}, D)"
        )


def _parts(y: np.ndarray, validation_size: float | int, test_size: float | int, seed: int) -> _Parts:
    rest, test = hold_out(y, test_size, seed)
    if isinstance(validation_size, float) and isinstance(test_size, float):
        validation_size = validation_size / (1 - test_size)  # a share of all rows, taken from the rest
    train, validation = (rest[chosen] for chosen in hold_out(y[rest], validation_size, seed))
    if not len(validation) or not len(test):
        raise InputError(
            "layers-shape",
            f"{len(y)} rows are too few for three splits",
            mend="give two rows or more a class and split",
        )
    rng = np.random.default_rng(seed)
    return _Parts(train, validation, test, y, rng.permutation(y), rng.permutation(len(y)))


def _fit_layer(
    name: str, X: np.ndarray, parts: _Parts, settings: dict[str, Any]
) -> tuple[LayerScore, np.ndarray]:
    """Fit one layer's path and its controls; return what they reach and the chosen weights, flat."""
    settings = {"preprocess": "standardize"} | settings
    values = settings.pop("reg")
    path = fit_path(X[parts.train], parts.y[parts.train], values, **settings)
    scores = _scores(X[parts.validation], path)
    found = SelectionSettings()
    judged = judge(scores, parts.y[parts.validation], path.reg, found, is_probabilistic(settings["loss"]))
    index = choose(judged, found)
    one = [path.reg[index]]
    loose = settings | {"tol": max(CONTROL_TOLERANCE, settings["tol"])}
    control = fit_path(X[parts.train], parts.random[parts.train], one, **loose)
    shuffled = fit_path(X[parts.shuffled[parts.train]], parts.y[parts.train], one, **loose)
    hits = _share_right(X[parts.test], path, index, parts.y[parts.test])
    score = LayerScore(
        name=name,
        reg=path.reg[index],
        validation=judged[index].metrics["accuracy"],
        accuracy=hits,
        interval=share_interval(round(hits * len(parts.test)), len(parts.test)),
        control=_share_right(X[parts.test], control, 0, parts.random[parts.test]),
        shuffled=_share_right(X[parts.shuffled[parts.test]], shuffled, 0, parts.y[parts.test]),
        nearest_mean=_nearest_mean(X, parts),
        certified=sum(status.value == "certified" for status in path.solution.status),
        n_values=len(path.reg),
    )
    return score, path.coef[index].ravel()


def _scores(X: np.ndarray, path: Any) -> Any:
    """Return (n, K, C) scores of a path's classifiers."""
    import torch

    return torch.from_numpy(np.einsum("nd,kcd->nkc", X, path.coef, optimize=True) + path.intercept)


def _share_right(X: np.ndarray, path: Any, index: int, y: np.ndarray) -> float:
    scores = X @ path.coef[index].T + path.intercept[index]
    return float(np.mean(path.classes[scores.argmax(axis=1)] == y))


def _nearest_mean(X: np.ndarray, parts: _Parts) -> float:
    """Return the share of test rows nearest to their own class's mean, columns scaled by the training rows."""
    train, labels = X[parts.train], parts.y[parts.train]
    spread = train.std(axis=0, dtype=np.float64)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    classes = np.unique(labels)
    means = np.stack([train[labels == k].mean(axis=0, dtype=np.float64) * scale for k in classes])
    distance = np.square(means).sum(axis=1) - 2 * X[parts.test] @ (means * scale).T
    return float(np.mean(classes[distance.argmin(axis=1)] == parts.y[parts.test]))


def _cosines(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the cosines between weights, NaN between those of other lengths."""
    cosine = np.full((len(weights), len(weights)), np.nan)
    for i, one in enumerate(weights):
        for j, other in enumerate(weights):
            length = np.linalg.norm(one) * np.linalg.norm(other) if one.shape == other.shape else 0.0
            if length > 0:
                cosine[i, j] = float(one @ other / length)
    return cosine
