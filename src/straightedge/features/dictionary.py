"""A dictionary of image patches learned without labels: contrast normalisation, ZCA whitening, k-means.

References:
    Coates, Lee and Ng (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
    AISTATS, sections 3.1 and 3.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from straightedge.cores import available_cores
from straightedge.errors import InputError, warn
from straightedge.features.base import check_images, read_images
from straightedge.workers import BlockPool, block_spans

CONTRAST = 10.0  # added to a patch's variance (pixels in 0–255), so that flat patches are not blown up into noise
_READ = 2000  # sampled images read at a time
_BLOCK = 2000  # patches compared to all centroids at a time
_SAME = 1e-4  # of the mean square norm: a patch nearer than this to a centroid is taken for the centroid


@dataclass(frozen=True)
class Dictionary:
    """What k-means learned of the training images.

    Attributes:
        mean: (D,) float32, the mean of contrast-normalised patches, D = channels · patch · patch.
        whitening: (D, D) float32, symmetric (ZCA).
        centroids: (K, D) float32, in whitened space.
    """

    mean: np.ndarray
    whitening: np.ndarray
    centroids: np.ndarray


def learn_dictionary(
    images: Any, *, n_centroids: int, patch: int, n_patches: int, epsilon: float, passes: int, seed: int
) -> Dictionary:
    """Learn a dictionary from training images.

    Args:
        images: (N, channels, height, width) uint8.
        n_centroids: K.
        patch: Side of a patch in pixels.
        n_patches: Patches sampled, without repetition, at uniformly random places.
        epsilon: Added to the eigenvalues of the patch covariance before whitening.
        passes: Passes of k-means over the sampled patches.
        seed: Fixes places, initial centroids and where idle ones go.

    Raises:
        InputError: ``patches-too-few`` when the images have fewer patches than centroids.
    """
    generator = np.random.default_rng(seed)
    patches = normalise_contrast(sample_patches(images, patch, n_patches, generator))
    if len(patches) < n_centroids:
        what = f"the training images have {len(patches)} patches, fewer than the {n_centroids} centroids"
        mend = f"use patches:n_centroids={max(1, len(patches) // 10)}, or a smaller patch"
        raise InputError("patches-too-few", what, mend=mend)
    mean, whitening = zca(patches, epsilon)
    centroids = cluster((patches - mean) @ whitening, n_centroids, passes, int(generator.integers(2**31)))
    return Dictionary(mean, whitening, centroids)


def sample_patches(images: Any, patch: int, n_patches: int, generator: np.random.Generator) -> np.ndarray:
    """Return (≤ n_patches, channels · patch · patch) float32 patches from distinct places, 0–255."""
    channels, height, width = check_images(images)
    rows, columns = height - patch + 1, width - patch + 1
    places = int(images.shape[0]) * rows * columns
    chosen = np.sort(generator.choice(places, size=min(n_patches, places), replace=False, shuffle=False))
    image, row, column = np.unravel_index(chosen, (int(images.shape[0]), rows, columns))
    patches = np.empty((len(chosen), channels, patch, patch), np.float32)
    for start in range(0, len(chosen), _READ):
        part = slice(start, start + _READ)
        block, first = _read_chosen(images, image[part])
        for i, (n, r, c) in enumerate(zip(first, row[part], column[part], strict=True), start):
            patches[i] = block[n, :, r : r + patch, c : c + patch]
    return patches.reshape(len(chosen), -1)


def _read_chosen(images: Any, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct images among `chosen` (sorted), and which of them each entry is."""
    distinct, inverse = np.unique(chosen, return_inverse=True)
    if isinstance(images, np.ndarray):
        return images[distinct], inverse
    return np.concatenate([read_images(images, int(n), int(n) + 1) for n in distinct]), inverse


def normalise_contrast(patches: np.ndarray) -> np.ndarray:
    """Return patches with mean 0 and variance near 1: (p − mean) / sqrt(variance + `CONTRAST`)."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    normalised: np.ndarray = centred / np.sqrt(
        (centred * centred).mean(axis=1, keepdims=True) + np.float32(CONTRAST)
    )
    return normalised


def zca(patches: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (D,) and the ZCA whitening (D, D) of rows: V diag(1 / sqrt(λ + ε)) Vᵀ.

    Numerics:
        Moments and eigenvectors in float64. Contrast-normalised patches sum to zero, so one eigenvalue is
        zero; ε keeps its direction finite, and no patch has anything in it.
    """
    mean = patches.mean(axis=0, dtype=np.float64)
    centred = patches.astype(np.float64) - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(patches) - 1))
    whitening = (vectors / np.sqrt(np.maximum(values, 0) + epsilon)) @ vectors.T
    return mean.astype(np.float32), whitening.astype(np.float32)


def cluster(whitened: np.ndarray, n_centroids: int, passes: int, seed: int) -> np.ndarray:
    """Return (K, D) float32 centroids of Lloyd's k-means.

    Numerics:
        Centroids start on patches and every pass moves those that no patch is nearest to. Of 1,600 centroids
        begun near the origin and moved by five passes of mini-batches over 100,000 CIFAR-10 patches, 111 were
        nearest to no patch and another 252 to fewer than ten; twelve passes of this over 200,000 patches left
        none and 93. Distances are products of one thread over fixed blocks and each sum is one thread's, in
        one order, so the same seed gives the same centroids on any number of cores.
    """
    generator = np.random.default_rng(seed)
    centroids = whitened[np.sort(generator.choice(len(whitened), n_centroids, replace=False))]
    mean_square = float(np.square(whitened, dtype=np.float64).sum(axis=1).mean())
    for _ in range(passes):
        nearest, squared = nearest_centroids(whitened, centroids)
        means, idle = _means(whitened, nearest, centroids)
        away = np.flatnonzero(squared > _SAME * mean_square)
        moved = generator.choice(away, min(len(idle), len(away)), replace=False)
        means[idle[: len(moved)]] = whitened[moved]
        centroids = means
    if len(idle) > len(moved):
        warn("patches-few-distinct", f"the images have fewer distinct patches than {n_centroids} centroids")
    return centroids


def nearest_centroids(whitened: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) int64, the centroid nearest to each row, and (N,) float32, the squared distance to it."""
    rows, toward = torch.from_numpy(whitened), torch.from_numpy(centroids)
    half = toward.square().sum(dim=1) / 2
    nearest, squared = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)

    def work(spans: Iterator[tuple[int, int]]) -> None:
        for start, stop in spans:
            block = rows[start:stop]
            least, index = torch.addmm(half, block, toward.T, alpha=-1).min(dim=1)
            nearest[start:stop] = index.numpy()
            squared[start:stop] = (2 * least + block.square().sum(dim=1)).numpy()

    BlockPool(available_cores()).run(block_spans(len(rows), _BLOCK), work)
    return nearest, squared


def _means(whitened: np.ndarray, nearest: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each centroid's rows (the centroid itself where it has none), and those without."""
    from scipy.sparse import csr_matrix

    N, K = len(whitened), len(centroids)
    counts = np.bincount(nearest, minlength=K)
    order = np.argsort(nearest, kind="stable")
    members = csr_matrix((np.ones(N, np.float32), order, np.r_[0, np.cumsum(counts)]), shape=(K, N))
    means = np.asarray(members @ whitened) / np.maximum(counts, 1)[:, None].astype(np.float32)
    idle = np.flatnonzero(counts == 0)
    means[idle] = centroids[idle]
    return means, idle
