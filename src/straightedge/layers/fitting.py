"""`fit_layers`: splits, labels and random labels once, then one layer after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.data.labels import encode_labels
from straightedge.errors import InputError
from straightedge.evaluation import share_interval
from straightedge.fitting import FitSettings
from straightedge.layers.gathering import BLOCK_ROWS, Gatherer, Linear, Part
from straightedge.layers.probe import LayerFits, ProbeSettings, chosen
from straightedge.layers.records import Layers, LayerScore, cosines
from straightedge.moments import affine_from
from straightedge.splits import hold_out

CONTROL_TOLERANCE = 1e-2
"""Relative gap of the controls: a probe at chance stays at chance, for half the work of 1e-3."""


@dataclass(frozen=True)
class _Labels:
    """Labels of one split.

    Attributes:
        index: (n,) row numbers.
        y: (n,) labels.
        random: (n,) random labels.
        shuffled: (n,) labels of the rows that stand in these rows' places where features are shuffled.
    """

    index: np.ndarray
    y: np.ndarray
    random: np.ndarray
    shuffled: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class _Parts:
    """The three splits."""

    train: _Labels
    validation: _Labels
    test: _Labels
    n_classes: int


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
    preprocess: str = "standardize",
    class_weight: Any = None,
    **settings: Any,
) -> Layers:
    """Fit one probe a layer and judge all on the same rows.

    One layer at a time is in memory, beside a few megabytes of the solver. The moments, the preconditioner and the
    one copy of its rows serve the path and the controls.

    Args:
        X: (N, L, D) features, NumPy or a memory map, or a mapping from a layer's name to its (N, D) features; one
            layer at a time is in memory.
        y: (N,) labels.
        names: L names; numbers from 0 when None.
        reg: Values of the path, all of which are fitted. None: up to 16 around each layer's own scale, the largest
            first; a layer's path ends early where four values in a row are surely worse on validation rows.
        loss: Name of the loss.
        tol: Relative gap to certify.
        validation_size: Share or number of rows that choose reg and the best layer.
        test_size: Share or number of rows that judge.
        seed: Seed of splits and of random labels.
        progress: Called with each layer's score.
        preprocess: See `moments.fit_affine`.
        class_weight: As in `LinearClassifier`.
        settings: Further fields of `FitSettings`.

    Returns:
        `Layers`.

    Raises:
        InputError: ``layers-shape``; ``x-not-finite`` and ``x-too-large`` with layer, row and column; the codes of
            `fit_path`.
    """
    asked = ProbeSettings(FitSettings(loss=loss, tol=tol, **settings).checked(), reg, preprocess, class_weight)
    layers = dict(_named(X, names))
    first = next(iter(layers.values()))()
    labels, classes = encode_labels(y, n=len(first))
    del first
    parts = _parts(labels, validation_size, test_size, seed)
    gatherer = Gatherer(parts.train.index, parts.validation.index, parts.test.index)
    scores: list[LayerScore] = []
    coefs: list[np.ndarray] = []
    means: list[np.ndarray] = []
    for name, read in layers.items():
        train, (validation, test) = gatherer.train(_checked_layer(name, read(), len(labels)), name)
        score, coef, mean = _fit_layer(train, validation, test, parts, asked)
        scores.append(score)
        coefs.append(coef)
        means.append(mean)
        if progress is not None:
            progress(score)
    best = max(range(len(scores)), key=lambda place: (scores[place].validation, -place))
    sizes = len(parts.train), len(parts.validation), len(parts.test)
    return Layers(scores, best, classes, *sizes, coef=coefs, means=means, cosine=cosines(coefs))


def _named(X: Any, names: Sequence[str] | None) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Return a name and a reader for each layer."""
    if isinstance(X, Mapping):
        yield from ((str(name), lambda name=name: X[name]) for name in X)  # read when it is fitted
        return
    if getattr(X, "ndim", 0) != 3 or 0 in X.shape:
        what = f"the features have shape {getattr(X, 'shape', None)}"
        raise InputError("layers-shape", what, mend="give (N, L, D), or a mapping from names to (N, D)")
    named = list(names) if names is not None else [f"layer {place}" for place in range(X.shape[1])]
    if len(named) != X.shape[1]:
        raise InputError("layers-shape", f"there are {len(named)} names for {X.shape[1]} layers")
    yield from ((name, lambda place=place: X[:, place]) for place, name in enumerate(named))


def _checked_layer(name: str, features: Any, n_rows: int) -> np.ndarray:
    """Return a layer as an array; a map stays one, and is not read yet."""
    array: np.ndarray = features if isinstance(features, np.memmap) else np.asarray(features)
    if array.ndim != 2 or len(array) != n_rows:
        raise InputError("layers-shape", f"the features have shape {array.shape}", name, f"expected ({n_rows}, D)")
    return array


def _parts(y: np.ndarray, validation_size: float | int, test_size: float | int, seed: int) -> _Parts:
    rest, test = hold_out(y, test_size, seed)
    if isinstance(validation_size, float) and isinstance(test_size, float):
        validation_size = validation_size / (1 - test_size)  # a share of all rows, taken from the rest
    train, validation = (rest[chosen] for chosen in hold_out(y[rest], validation_size, seed))
    if not len(validation) or not len(test):
        what = f"{len(y)} rows are too few for three splits"
        raise InputError("layers-shape", what, mend="give two rows or more a class and split")
    rng = np.random.default_rng(seed)
    random = rng.permutation(y)

    def labels_of(index: np.ndarray) -> _Labels:
        return _Labels(index, y[index], random[index], rng.permutation(y[index]))

    return _Parts(labels_of(train), labels_of(validation), labels_of(test), int(y.max()) + 1)


def _fit_layer(
    X: np.ndarray, validation: Part, test: Part, parts: _Parts, settings: ProbeSettings
) -> tuple[LayerScore, np.ndarray, np.ndarray]:
    """Fit one layer's path and its controls; return what they reach, the chosen weights and the class means."""
    train, judges = parts.train, parts.test
    fits = LayerFits(X, train.y, parts.n_classes, settings)
    path = fits.path(validation, parts.validation.y)
    index = chosen(path)
    probe = path.fits[index]
    loose = max(CONTROL_TOLERANCE, settings.fit.tol)
    control, shuffled = fits.controls(path.reg[index], [train.random, train.shuffled], loose)
    means = class_means(X, train.y, parts.n_classes)
    guesses = test.scores(probe, control, shuffled, *_nearest(fits, means)).argmax(axis=2)
    labels = (judges.y, judges.random, judges.shuffled, judges.y, judges.y)
    right = [float(np.mean(guess == y)) for guess, y in zip(guesses, labels, strict=True)]
    score = LayerScore(
        name=test.name,
        reg=path.reg[index],
        validation=path.scored[index].value,
        accuracy=right[0],
        interval=share_interval(round(right[0] * len(judges)), len(judges)),
        control=right[1],
        shuffled=right[2],
        difference_of_means=right[3],
        nearest_mean=right[4],
        certified=path.certified,
        n_values=len(path.reg),
    )
    return score, probe.coef, means


def _nearest(fits: LayerFits, means: np.ndarray) -> list[Linear]:
    """Return the classifiers of the nearest class mean: columns as they are, and at unit spread."""
    centre, spread = fits.facts.mean.numpy(), affine_from(fits.facts, "standardize").scale.numpy()
    return [nearest(means, centre, scale) for scale in (np.ones_like(spread), spread)]


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
