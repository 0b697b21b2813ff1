"""A dictionary of image patches learned without labels: contrast normalisation, ZCA whitening, k-means.

References:
    Coates, Lee and Ng (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
    AISTATS, sections 3.1 and 3.2.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from straightedge.errors import InputError, warn
from straightedge.features.base import check_images, read_images

CONTRAST = 10.0
"""Added to a patch's variance (pixels in 0–255), so that flat patches are not blown up into noise."""
_READ = 2000  # sampled images read at a time


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
        passes: Passes of mini-batch k-means over the sampled patches.
        seed: Fixes places and initial centroids.

    Raises:
        InputError: ``patches-too-few`` when the images have fewer patches than centroids.
    """
    generator = np.random.default_rng(seed)
    patches = normalise_contrast(sample_patches(images, patch, n_patches, generator))
    if len(patches) < n_centroids:
        raise InputError(
            "patches-too-few",
            f"the training images have {len(patches)} patches, fewer than the {n_centroids} centroids",
            mend=f"use patches:n_centroids={max(1, len(patches) // 10)}, or a smaller patch",
        )
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
    """Return (K, D) float32 centroids of mini-batch k-means.

    Numerics:
        Centroids start near the origin, not on patches: a centroid put on a rare patch of high contrast keeps
        that patch to itself for good and answers to no other. Mini-batches, not Lloyd's algorithm: each
        centroid's sum is one thread's, in one order, so the same seed gives the same centroids on any number
        of cores.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    beginning = np.random.default_rng(seed).normal(scale=0.1, size=(n_centroids, whitened.shape[1]))
    means = MiniBatchKMeans(
        n_centroids,
        init=beginning.astype(np.float32),
        n_init=1,
        batch_size=max(10_000, 4 * n_centroids),
        max_iter=passes,
        max_no_improvement=None,
        reassignment_ratio=0.0,
        random_state=seed,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        centroids = means.fit(whitened).cluster_centers_
    if any(issubclass(entry.category, ConvergenceWarning) for entry in caught):
        warn("patches-few-distinct", f"the images have fewer distinct patches than {n_centroids} centroids")
    return np.ascontiguousarray(centroids, dtype=np.float32)
