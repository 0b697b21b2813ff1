"""The triangle encoding of all patches of an image, summed over a grid of regions: one product per block.

With p a contrast-normalised patch, M and Z the mean and whitening, c_k a centroid and x = (p − M) Z,

    ‖x − c_k‖² = ‖x‖² + [‖c_k‖² + 2 M Z c_k] − 2 p Z c_k,

so one matrix (D, K + D), the columns −2 Z c_k beside Z itself, gives every distance and ‖x‖² from p in one
product. Then z_k = ‖x − c_k‖, and the feature is max(0, mean_k(z) − z_k), summed over the patches of a region.

Two ways behind one door: a compiled pass over each row while it is in the processor's cache, and plain torch
for any other device. They are compared to the loops of the definition in the tests.

References:
    Coates, Lee and Ng (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
    AISTATS, section 3.2.2 ("triangle") and 3.2.3 (pooling).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from straightedge.features.dictionary import CONTRAST, Dictionary

_CPU_ROWS = 800  # patches whose distances are in flight per worker: about the second-level cache
_DEVICE_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class Encoder:
    """A dictionary made ready for images of one shape.

    Attributes:
        matrix: (D, K + D) float32.
        offset: (K + D,) float32.
        n_centroids: K.
        patch, stride: In pixels.
        row_edges, column_edges: Where regions begin and end on the grid of patch positions.
    """

    matrix: Tensor
    offset: Tensor
    n_centroids: int
    patch: int
    stride: int
    row_edges: tuple[int, ...]
    column_edges: tuple[int, ...]

    @property
    def n_regions(self) -> int:
        """Regions of the pooling grid."""
        return (len(self.row_edges) - 1) * (len(self.column_edges) - 1)

    @property
    def n_positions(self) -> int:
        """Patches per image."""
        return self.row_edges[-1] * self.column_edges[-1]


def make_encoder(
    dictionary: Dictionary,
    *,
    patch: int,
    stride: int,
    pool: int,
    size: tuple[int, int],
    device: torch.device,
) -> Encoder:
    """Fold a dictionary into one matrix and lay out the pooling grid for images of `size` (height, width)."""
    mean, whitening, centroids = (
        torch.from_numpy(array.astype(np.float64))
        for array in (dictionary.mean, dictionary.whitening, dictionary.centroids)
    )
    toward = whitening @ centroids.T
    matrix = torch.cat([-2 * toward, whitening], dim=1)
    offset = torch.cat([(centroids**2).sum(1) + 2 * mean @ toward, -mean @ whitening])
    rows, columns = ((length - patch) // stride + 1 for length in size)
    return Encoder(
        matrix.to(device, torch.float32),
        offset.to(device, torch.float32),
        len(centroids),
        patch,
        stride,
        _edges(rows, pool),
        _edges(columns, pool),
    )


def _edges(positions: int, pool: int) -> tuple[int, ...]:
    """Cut positions into `pool` parts, the earlier ones larger by one where they cannot be equal."""
    return tuple(-(-positions * part // pool) for part in range(pool + 1))


def encode(images: Tensor, encoder: Encoder) -> Tensor:
    """Return (n, regions · K) float32 features of (n, channels, height, width) uint8 images.

    Runs on the device of `encoder.matrix`; columns are ordered region by region, centroids within.
    """
    on_cpu = encoder.matrix.device.type == "cpu"
    limit = _CPU_ROWS if on_cpu else _DEVICE_ELEMENTS // encoder.matrix.shape[1]
    at_once = max(1, limit // encoder.n_positions)
    parts = [
        (encode_compiled if on_cpu else encode_portable)(images[start : start + at_once], encoder)
        for start in range(0, len(images), at_once)
    ]
    return torch.cat(parts)


def patches_of(images: Tensor, encoder: Encoder) -> Tensor:
    """Return (D, n · positions) contrast-normalised patches, a column each, image by image."""
    pixels = images.to(encoder.matrix.device, torch.float32)
    columns = F.unfold(pixels, encoder.patch, stride=encoder.stride)
    flat = columns.transpose(0, 1).reshape(columns.shape[1], -1)
    flat = flat - flat.mean(dim=0)
    return flat.div_((flat.square().mean(dim=0) + CONTRAST).sqrt_())


def encode_portable(images: Tensor, encoder: Encoder) -> Tensor:
    """Encode in plain torch, on any device."""
    K = encoder.n_centroids
    products = torch.addmm(encoder.offset, patches_of(images, encoder).T, encoder.matrix)
    squared = products[:, :K] + products[:, K:].square().sum(dim=1, keepdim=True)
    distances = squared.clamp_(min=0).sqrt_()
    active = (distances.mean(dim=1, keepdim=True) - distances).clamp_(min=0)
    grid = active.view(len(images), encoder.row_edges[-1], encoder.column_edges[-1], K)
    regions = [
        grid[:, top:bottom, left:right].sum(dim=(1, 2))
        for top, bottom in zip(encoder.row_edges, encoder.row_edges[1:], strict=False)
        for left, right in zip(encoder.column_edges, encoder.column_edges[1:], strict=False)
    ]
    return torch.cat(regions, dim=1)


def encode_compiled(images: Tensor, encoder: Encoder) -> Tensor:
    """Encode on the CPU: products in slices of rows, each finished in cache by the compiled pass."""
    columns = patches_of(images, encoder)
    cells = _cells(len(images), encoder.row_edges, encoder.column_edges)
    pooled = np.zeros((len(images) * encoder.n_regions, encoder.n_centroids), np.float32)
    for start in range(0, columns.shape[1], _CPU_ROWS):
        part = slice(start, start + _CPU_ROWS)
        products = torch.addmm(encoder.offset, columns[:, part].T, encoder.matrix)
        _compiled_pass()(products.numpy(), cells[part], pooled)
    return torch.from_numpy(pooled.reshape(len(images), -1))


@cache
def _cells(n: int, row_edges: tuple[int, ...], column_edges: tuple[int, ...]) -> np.ndarray:
    """Return (n · positions,) int64: the row of the pooled array that each patch is added to."""
    rows = np.searchsorted(row_edges, np.arange(row_edges[-1]), side="right") - 1
    columns = np.searchsorted(column_edges, np.arange(column_edges[-1]), side="right") - 1
    across = len(column_edges) - 1
    region = (rows[:, None] * across + columns).ravel()
    regions = (len(row_edges) - 1) * across
    return (np.arange(n)[:, None] * regions + region).ravel()


@cache
def _compiled_pass() -> Any:
    """Compile the pass over one slice of products (at first use: importing this module stays cheap)."""
    import numba

    @numba.njit(nogil=True, fastmath=True, cache=True)
    def add_triangles(products, cells, pooled):  # type: ignore[no-untyped-def]  # pragma: no cover
        K = pooled.shape[1]
        zero = np.float32(0)
        for i in range(products.shape[0]):
            row, target = products[i], pooled[cells[i]]
            square = zero
            for j in range(K, row.shape[0]):
                square += row[j] * row[j]
            total = zero
            for k in range(K):
                distance = np.sqrt(max(row[k] + square, zero))
                row[k] = distance
                total += distance
            mean = total / np.float32(K)
            for k in range(K):
                target[k] += max(mean - row[k], zero)

    return add_triangles
