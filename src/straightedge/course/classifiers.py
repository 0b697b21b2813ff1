"""The classes of the course: a classifier that trains, predicts, and is saved without pickling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import Tensor

from straightedge.course.softmax import softmax_loss_vectorized
from straightedge.course.svm import svm_loss_vectorized
from straightedge.course.training import predict_linear_classifier, train_linear_classifier
from straightedge.errors import InputError
from straightedge.tensorfile import read_tensors, write_tensors

_KIND, _VERSION = "course classifier", 1


class LinearClassifier(ABC):
    """Scores XW (item ①, step (3) of the notes) with a loss that a subclass chooses.

    Args:
        seed: Seed of the first weights and of the batches; equal seeds give equal classifiers.

    Attributes:
        W: (D, C) weights, bias as last row; None before `train` or `load`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.W: Tensor | None = None
        self._generator = torch.Generator().manual_seed(seed)

    @abstractmethod
    def loss(self, W: Tensor, X_batch: Tensor, y_batch: Tensor, reg: float) -> tuple[Tensor, Tensor]:
        """Return the loss (a tensor without dimensions) and its gradient dW (D, C) on a batch."""

    def train(
        self,
        X_train: Tensor,
        y_train: Tensor,
        learning_rate: float = 1e-3,
        reg: float = 1e-5,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
    ) -> list[float]:
        """Train by `train_linear_classifier`; a second call goes on from where the first one ended.

        Returns:
            The loss of every step's batch.
        """
        self.W, loss_history = train_linear_classifier(
            self.loss,
            self.W,
            X_train,
            y_train,
            learning_rate,
            reg,
            num_iters,
            batch_size,
            verbose,
            generator=self._generator,
        )
        return loss_history

    def predict(self, X: Tensor) -> Tensor:
        """Return (N,) int64 labels, the class of the highest score in each row of XW."""
        return predict_linear_classifier(self._trained(), X)

    def save(self, path: str | Path) -> None:
        """Write W to `path` in the safetensors format, whatever the suffix.

        Raises:
            InputError: ``course-untrained`` when there is no W yet.
            MachineError: ``disk-full``, ``read-only`` or ``write-failed``; the old file is then unchanged.
        """
        write_tensors(path, {"W": self._trained()}, kind=_KIND, version=_VERSION, meta={})

    def load(self, path: str | Path) -> None:
        """Read W from a safetensors file, to the CPU; a pickle is refused without being opened.

        Raises:
            InputError: ``model-missing``, ``model-pickle``, ``model-damaged`` or another code of
                `straightedge.tensorfile.read_tensors` when the file is not one that `save` wrote.
        """
        self.W = read_tensors(path, kind=_KIND, version=_VERSION)[0]["W"]

    def _trained(self) -> Tensor:
        if self.W is None:
            raise InputError(
                "course-untrained", "the classifier has no weights yet", mend="call train or load"
            )
        return self.W


class LinearSVM(LinearClassifier):
    """The SVM of the notes (items ③ to ⑦), by its loss without loops (the second item ④)."""

    def loss(self, W: Tensor, X_batch: Tensor, y_batch: Tensor, reg: float) -> tuple[Tensor, Tensor]:
        """Return `svm_loss_vectorized`."""
        return svm_loss_vectorized(W, X_batch, y_batch, reg)


class Softmax(LinearClassifier):
    """The softmax classifier of the notes (the part "Softmax"), by its loss without loops."""

    def loss(self, W: Tensor, X_batch: Tensor, y_batch: Tensor, reg: float) -> tuple[Tensor, Tensor]:
        """Return `softmax_loss_vectorized`."""
        return softmax_loss_vectorized(W, X_batch, y_batch, reg)
