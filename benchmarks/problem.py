"""The data of a benchmark, once as raw uint8 and once as the float32 table the peers take, and who judges W."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from straightedge.errors import InputError
from straightedge.fitting import SMALL
from straightedge.losses import get_loss
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows

BLOCK = 4096


@dataclass(frozen=True)
class Problem:
    """Images, labels, and the map every solver's rows have been through.

    Attributes:
        name: Where the data come from.
        images: (N, channels, height, width) uint8.
        labels: (N,) int64.
        n_classes: C, at least 3 (for two classes the peers minimise another objective).
        affine: Pixels to [0, 1], minus the channel means.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    n_classes: int
    affine: AffineMap

    @cached_property
    def table(self) -> np.ndarray:
        """(N, D + 1) float32: the mapped rows with the constant 1 appended, as the peers take them."""
        n_rows, width = len(self.images), self.affine.n_features + 1
        out = np.ones((n_rows, width), dtype=np.float32)
        shift, scale = self.affine.shift.numpy(), self.affine.scale.numpy()
        for start in range(0, n_rows, BLOCK):
            raw = self.images[start : start + BLOCK].reshape(-1, width - 1)
            out[start : start + BLOCK, :-1] = (raw - shift) * scale
        return out

    def objective(self, loss: str, reg: list[float], dtype: torch.dtype, *, table: bool = False) -> Objective:
        """Return the objective on the raw images, or on the float32 table without its constant column."""
        rows = Rows(self.table[:, :-1] if table else self.images)
        affine = AffineMap.identity(rows.n_features) if table else self.affine
        return Objective(
            rows, torch.from_numpy(self.labels), self.n_classes, get_loss(loss), reg, affine=affine, dtype=dtype
        )

    def facts(self) -> dict[str, object]:
        """Return what a reader needs to know of the data."""
        return {
            "name": self.name,
            "n": len(self.images),
            "shape": list(self.images.shape[1:]),
            "n_classes": self.n_classes,
        }


@dataclass(frozen=True)
class Verdict:
    """What is known of a W.

    Attributes:
        objective: P(W).
        gap: (P − D)/P, the lower bound D from this W alone where the loss is smooth.
    """

    objective: float
    gap: float


class Judge:
    """Evaluates anybody's W, quickly in float32 and finally in float64.

    Args:
        problem: The data.
        loss: Name of the loss.
        reg: Its strength.
        dual: A lower bound on the optimum, for losses with kinks: their W proves nothing by itself, so a peer is
            credited with a bound that it does not know.
    """

    def __init__(self, problem: Problem, loss: str, reg: float, dual: float | None = None) -> None:
        smooth = get_loss(loss).smooth
        assert smooth or dual is not None, "a loss with kinks is judged by a given bound"
        self._dual = None if smooth else dual
        small = problem.images.size <= SMALL
        self._exact = problem.objective(loss, [reg], torch.float64)
        self._quick = self._exact if small else self._exact.in_dtype(torch.float32)

    def quick(self, W: np.ndarray) -> Verdict:
        """Judge W (C, D + 1) with float32 products: good to a few parts in a million."""
        return self._judge(self._quick, W)

    def exact(self, W: np.ndarray) -> Verdict:
        """Judge W (C, D + 1) in float64."""
        return self._judge(self._exact, W)

    def _judge(self, objective: Objective, W: np.ndarray) -> Verdict:
        own = torch.from_numpy(np.ascontiguousarray(W, dtype=np.float64))[None]
        found = objective.evaluate(own)
        value = float(found.objective[0])
        gap = float(found.gap[0]) if self._dual is None else value - self._dual
        return Verdict(value, gap / value)


def load_problem(source: str, limit: int | None = None) -> Problem:
    """Read a source, or make the synthetic problem.

    Args:
        source: Anything `straightedge fit` takes that holds images, or "synthetic".
        limit: Rows to use; None for all.
    """
    images, labels, n_classes = synthetic_images(limit or 50_000) if source == "synthetic" else _read(source)
    images, labels = np.ascontiguousarray(images[:limit]), labels[:limit]
    if images.ndim != 4 or images.dtype != np.uint8 or n_classes < 3:
        raise InputError("bench-data", "benchmarks need uint8 images of three classes or more", source)
    affine = fit_affine(Rows(images), "pixels", images.shape[1:])
    return Problem(Path(source).name, images, labels, n_classes, affine)  # where it lies is nobody's business


def _read(source: str) -> tuple[np.ndarray, np.ndarray, int]:
    from straightedge.data import load_dataset

    data = load_dataset(source)
    return np.asarray(data.train.X), data.train.y, len(data.classes)


def synthetic_images(n_rows: int, size: int = 32, n_classes: int = 10) -> tuple[np.ndarray, np.ndarray, int]:
    """Return pictures with the 1/f spectrum of photographs, their classes from a noisy linear teacher.

    Returns:
        images (N, 3, size, size) uint8, labels (N,) int64, the number of classes.
    """
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(size)
    falloff = 1 / (frequency[:, None].square() + frequency[None].square()).sqrt().clamp_min(1 / size)
    images = torch.empty(n_rows, 3, size, size, dtype=torch.uint8)
    labels = torch.empty(n_rows, dtype=torch.int64)
    teacher = torch.fft.ifft2(torch.fft.fft2(torch.randn(n_classes, 3, size, size, generator=generator)))
    for start in range(0, n_rows, BLOCK):
        noise = torch.randn(min(BLOCK, n_rows - start), 3, size, size, generator=generator)
        waves = torch.fft.ifft2(torch.fft.fft2(noise) * falloff).real
        waves = waves / waves.std() * 0.8 + 0.6 * waves.mean(dim=1, keepdim=True) / waves.std()
        images[start : start + len(noise)] = (128 + 45 * waves).clamp(0, 255).to(torch.uint8)
        scores = waves.flatten(1) @ teacher.real.flatten(1).t() / size
        gumbel = -torch.rand(scores.shape, generator=generator).clamp_min(1e-9).log()
        labels[start : start + len(noise)] = (scores - gumbel.log()).argmax(dim=1)
    return images.numpy(), labels.numpy(), n_classes
