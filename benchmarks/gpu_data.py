"""Data of the GPU's benchmark, made on the device; and what the device can do at best."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.problem import load_problem, synthetic_images
from straightedge.moments import fit_affine
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows

ROWS_MADE = 65_536  # rows of features made at once
CIFAR10 = "STRAIGHTEDGE_CIFAR10"


@dataclass(frozen=True)
class Scale:
    """Sizes of all that is measured.

    Attributes:
        images: Rows of the images, None for all of CIFAR-10.
        image_size: Pixels of an edge of synthetic images.
        features: (rows, features, classes) of the table of features.
        path: Values of reg of a path.
        copied: Bytes copied to measure the bandwidth.
        square: Edge of the matrices multiplied to measure the matrix rate.
        cap: Seconds after which no further rung of a peer is begun.
    """

    images: int | None
    image_size: int
    features: tuple[int, int, int]
    path: int
    copied: int
    square: int
    cap: float


SCALES = {
    "full": Scale(None, 32, (1_280_000, 2048, 1000), 16, 2**32, 8192, 120.0),
    "medium": Scale(None, 32, (160_000, 2048, 200), 16, 2**30, 8192, 30.0),
    "small": Scale(300, 8, (800, 24, 6), 3, 2**20, 64, 0.1),
}


@dataclass(frozen=True)
class Table:
    """Rows on a device with their labels and the map that a classifier sees them through."""

    name: str
    X: Tensor
    y: Tensor
    n_classes: int
    affine: AffineMap

    def facts(self) -> dict[str, object]:
        """Return what a reader needs to know of the data."""
        dtype = str(self.X.dtype).removeprefix("torch.")
        return {"name": self.name, "shape": list(self.X.shape), "dtype": dtype, "n_classes": self.n_classes}


def images(scale: Scale, device: str) -> Table:
    """Return CIFAR-10 where its file is named, or pictures with the spectrum of photographs."""
    source = os.environ.get(CIFAR10)
    if source and scale.images is None:
        problem = load_problem(source)
        name, pixels, labels, n_classes = "cifar10", problem.images, problem.labels, problem.n_classes
    else:
        name = "synthetic images"
        pixels, labels, n_classes = synthetic_images(scale.images or 50_000, scale.image_size)
    X = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    affine = fit_affine(Rows(X), "pixels", pixels.shape[1:])
    return Table(name, X.flatten(1), torch.from_numpy(labels).to(device), n_classes, affine)


def features(scale: Scale, device: str) -> Table:
    """Return float16 features with a decaying spectrum, labels drawn from the softmax of a known W."""
    n_rows, n_features, n_classes = scale.features
    generator = torch.Generator(device).manual_seed(0)
    like: dict[str, Any] = {"device": device, "generator": generator}
    spectrum = torch.arange(1, n_features + 1, device=device).float().pow(-0.5)
    spectrum *= (n_features / spectrum.square().sum()).sqrt()  # features of unit variance
    mixing = torch.linalg.qr(torch.randn(n_features, n_features, **like)).Q * spectrum[:, None]
    W = torch.randn(n_features, n_classes, **like) * 4 / n_features**0.5
    X = torch.empty(n_rows, n_features, dtype=torch.float16, device=device)
    y = torch.empty(n_rows, dtype=torch.int64, device=device)
    for start in range(0, n_rows, ROWS_MADE):
        part = slice(start, min(start + ROWS_MADE, n_rows))
        rows = torch.randn(part.stop - start, n_features, **like) @ mixing
        noise = torch.rand(part.stop - start, n_classes, **like).clamp_(1e-9, 1 - 1e-7)
        X[part], y[part] = rows, (rows @ W - noise.log().neg().log()).argmax(dim=1)
    return Table("features", X, y, n_classes, AffineMap.identity(n_features))


def synchronised(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], device: str, repeat: int = 5) -> float:
    """Return the median wall time of ``work()``, s, from an idle device to an idle device, after a warm-up."""
    work()
    times = []
    for _ in range(repeat):
        synchronised(device)
        began = time.perf_counter()
        work()
        synchronised(device)
        times.append(time.perf_counter() - began)
    return median(times)


def abilities(scale: Scale, device: str) -> dict[str, float]:
    """Return bytes a second of a copy (read and written), and flop a second of square products by type."""
    source = torch.empty(scale.copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found = {"bytes": 2 * scale.copied / seconds_of(lambda: target.copy_(source), device)}
    edge = scale.square
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        A, B = (torch.randn(edge, edge, device=device).to(dtype) for _ in range(2))
        found[str(dtype).removeprefix("torch.")] = 2 * edge**3 / seconds_of(lambda A=A, B=B: A @ B, device)
    return found


def described(device: str) -> dict[str, object]:
    """Return the machine and, where there is one, the GPU."""
    found = machine()
    if device.startswith("cuda"):
        gpu = torch.cuda.get_device_properties(device)
        found |= {"gpu": gpu.name, "gpu_memory_mib": gpu.total_memory // 2**20, "cuda": torch.version.cuda}
    return found
