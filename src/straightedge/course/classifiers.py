"""The classes of the courses: a classifier that trains, predicts, and is saved without pickling.

They take the calls of both courses: EECS 498-007's, ``train(X_train, y_train)`` and ``loss(W, X, y, reg)``, and
CS231n's, ``train(X, y)`` and ``loss(X_batch, y_batch, reg)`` at the classifier's own W.
"""

import inspect
import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from straightedge import atomic
from straightedge.course.kinds import as_array, as_tensor
from straightedge.course.softmax import softmax_loss_vectorized
from straightedge.course.svm import svm_loss_vectorized
from straightedge.course.training import predict_linear_classifier, train_linear_classifier
from straightedge.data.npz import DAMAGE, broken, read_npy
from straightedge.data.pickles.machine import read_bytes
from straightedge.errors import InputError
from straightedge.tensorfile import read_tensors, write_tensors

_KIND, _VERSION = "course classifier", 1
_LOSS_ARGUMENTS = ("W", "X_batch", "y_batch", "reg")


class LinearClassifier(ABC):
    """Scores XW (item ①, step (3) of the notes) with a loss that a subclass chooses.

    Args:
        seed: Seed of the first weights and of the batches; equal seeds give equal classifiers.

    Attributes:
        W: (D, C) weights, bias as last row, of the kind (torch or NumPy) of what it was trained on; None before
            `train` or `load`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.W: Any = None
        self._generator = torch.Generator().manual_seed(seed)

    @abstractmethod
    def loss(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """Return the loss (one number) and its gradient dW (D, C) on a batch.

        A subclass writes ``loss(self, W, X_batch, y_batch, reg)`` or, as in CS231n, ``loss(self, X_batch, y_batch,
        reg)`` at ``self.W``.
        """

    def train(
        self,
        X: Any = None,
        y: Any = None,
        learning_rate: float = 1e-3,
        reg: float = 1e-5,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
        *,
        X_train: Any = None,
        y_train: Any = None,
    ) -> list[float]:
        """Train by `train_linear_classifier`; a second call goes on from where the first one ended.

        Args:
            X: (N, D) samples, torch or NumPy; EECS's name for them is ``X_train``.
            y: (N,) labels 0 to C − 1; EECS's name is ``y_train``.
            learning_rate: Length of a step.
            reg: Weight of the penalty reg · ΣW².
            num_iters: Number of steps.
            batch_size: Rows a step, drawn with replacement.
            verbose: Print the loss every hundred steps.
            X_train: X by another name.
            y_train: y by another name.

        Returns:
            The loss of every step's batch.
        """
        self.W, loss_history = train_linear_classifier(
            self._loss_at(),
            self.W,
            _given("X", X, X_train),
            _given("y", y, y_train),
            learning_rate,
            reg,
            num_iters,
            batch_size,
            verbose,
            generator=self._generator,
        )
        return loss_history

    def _loss_at(self) -> Callable[[Any, Any, Any, float], tuple[Any, Any]]:
        """Return the loss as a function of W, also where a subclass takes W from itself."""
        parameters = inspect.signature(self.loss).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if len(named) != 3:
            return self.loss

        def at(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
            self.W = W
            return self.loss(X, y, reg)

        return at

    def predict(self, X: Any) -> Any:
        """Return (N,) int64 labels, the class of the highest score in each row of XW."""
        return predict_linear_classifier(self._trained(), X)

    def save(self, path: str | Path) -> None:
        """Write W: as NumPy's array where the name ends in ``.npy``, else in the safetensors format.

        Raises:
            InputError: ``course-untrained`` when there is no W yet.
            MachineError: ``disk-full``, ``read-only`` or ``write-failed``; the old file is then unchanged.
        """
        if Path(path).suffix == ".npy":
            _save_npy(Path(path), self._trained())
        else:
            write_tensors(path, {"W": as_tensor(self._trained())}, kind=_KIND, version=_VERSION, meta={})

    def load(self, path: str | Path) -> bool:
        """Read W: an array from ``.npy``, else a tensor from a safetensors file; nothing is ever unpickled.

        A ``.npy`` may hold W itself or the dictionary with W that CS231n's own ``save`` writes.

        Returns:
            True; False where there is no such ``.npy``, as the course's own does.

        Raises:
            InputError: ``model-missing``, ``model-pickle``, ``model-damaged`` or another code of
                `straightedge.tensorfile.read_tensors` when the file is not one that `save` wrote; ``npy-broken``.
        """
        if Path(path).suffix == ".npy":
            if not Path(path).exists():
                return False
            self.W = _load_npy(Path(path))
        else:
            self.W = read_tensors(path, kind=_KIND, version=_VERSION)[0]["W"]
        return True

    def _trained(self) -> Any:
        if self.W is None:
            raise InputError("course-untrained", "the classifier has no weights yet", mend="call train or load")
        return self.W

    def _arguments(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any, Any, float]:
        """Return W, X, y and reg of either course's call."""
        with_W = len(arguments) + len(named) == len(_LOSS_ARGUMENTS)
        given = dict(zip(_LOSS_ARGUMENTS if with_W else _LOSS_ARGUMENTS[1:], arguments, strict=False)) | named
        if set(given) | {"W"} != set(_LOSS_ARGUMENTS):
            found = f"loss was called with {sorted(given)}"
            raise InputError("course-arguments", found, mend="loss(W, X_batch, y_batch, reg), or without W")
        W = given["W"] if "W" in given else self._trained()
        return W, given["X_batch"], given["y_batch"], given["reg"]


def _given(name: str, first: Any, second: Any) -> Any:
    if (first is None) == (second is None):
        found = f"{name} was given {'twice' if first is not None else 'under no name'}"
        raise InputError("course-arguments", found, mend=f"train(X, y, …) or train({name}_train=…)")
    return first if second is None else second


class LinearSVM(LinearClassifier):
    """The SVM of the notes (items ③ to ⑦), by its loss without loops (the second item ④)."""

    def loss(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """Return `svm_loss_vectorized` of ``(W, X_batch, y_batch, reg)``, or without W at the classifier's own."""
        return svm_loss_vectorized(*self._arguments(arguments, named))


class Softmax(LinearClassifier):
    """The softmax classifier of the notes (the part "Softmax"), by its loss without loops."""

    def loss(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """Return `softmax_loss_vectorized` of ``(W, X_batch, y_batch, reg)``, or without W at its own."""
        return softmax_loss_vectorized(*self._arguments(arguments, named))


def _save_npy(path: Path, W: Any) -> None:
    """Write W as one plain array, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, as_array(W) if hasattr(W, "detach") else W, allow_pickle=False)
    atomic.write_bytes(path, stream.getvalue())


def _load_npy(path: Path) -> np.ndarray:
    """Return W (D, C).

    Raises:
        InputError: ``npy-broken``, ``npy-objects``, ``pickle-refused``.
    """
    try:
        return np.array(_plain(path))
    except InputError as error:
        if error.code != "npy-objects":
            raise
    return _from_dictionary(path)


def _plain(path: Path) -> np.ndarray:
    W = read_npy(path)
    if W.ndim != 2 or W.dtype.kind != "f":
        raise InputError("npy-broken", f"the array is {W.shape} {W.dtype}", str(path), "W is (D, C) of floats")
    return W


def _from_dictionary(path: Path) -> np.ndarray:
    """Return the W of ``numpy.save(path, {"W": W})``, whose pickle is read without unpickling."""
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
        except DAMAGE as error:
            raise broken(error, str(path)) from None
        found = read_bytes(file.read(), str(path))
    W = found[0].get("W") if isinstance(found, list) and found and isinstance(found[0], dict) else None
    if not isinstance(W, np.ndarray) or W.ndim != 2:
        raise InputError("npy-objects", "the file holds no dictionary with an array W", str(path), "save W itself")
    return np.array(W)
