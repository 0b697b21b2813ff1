"""The rows of `hog`: gradients by scikit-image, colours by counting.

A module of its own without torch, since every worker process imports it before it can begin.
"""

from typing import Any

import numpy as np

from straightedge.errors import import_extra


def hog_colour(images: np.ndarray, *, orientations: int, cell: int, block: int, hues: int) -> np.ndarray:
    """Return (n, F) float32 features of (n, channels, height, width) uint8 images."""
    describe = skimage_hog()
    settings = {"orientations": orientations, "pixels_per_cell": (cell, cell), "cells_per_block": (block, block)}
    gradients = [describe(image.transpose(1, 2, 0), channel_axis=-1, **settings) for image in images]
    return np.concatenate([np.stack(gradients).astype(np.float32), colour_histogram(images, hues)], axis=1)


def colour_histogram(images: np.ndarray, bins: int) -> np.ndarray:
    """Return (n, bins) float32: how much of each hue an image has, grey pixels counting for little.

    A pixel counts for its saturation in the bin of its hue; images without three channels are counted by
    brightness. Rows are divided by the number of pixels.
    """
    n, channels, height, width = images.shape
    if bins == 0:
        return np.empty((n, 0), np.float32)
    if channels == 3:
        hue, weight = hue_and_saturation(images)
    else:
        hue = images.astype(np.float32).mean(axis=1) / 256
        weight = np.ones_like(hue)
    index = np.minimum((hue * bins).astype(np.int64), bins - 1) + np.arange(n)[:, None, None] * bins
    counts = np.bincount(index.ravel(), weights=weight.ravel(), minlength=n * bins)
    shares: np.ndarray = (counts / (height * width)).reshape(n, bins).astype(np.float32)
    return shares


def hue_and_saturation(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hue in [0, 1) and saturation in [0, 1], (n, height, width), of (n, 3, height, width) uint8."""
    red, green, blue = np.moveaxis(images.astype(np.float32), 1, 0)
    top = np.maximum(np.maximum(red, green), blue)
    span = top - np.minimum(np.minimum(red, green), blue)
    safe = np.where(span > 0, span, 1)
    sixth = np.where(
        top == red, (green - blue) / safe, np.where(top == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    )
    return (sixth / 6) % 1.0, span / np.where(top > 0, top, 1)


def skimage_hog() -> Any:
    """Import scikit-image's `hog`, or say what to install."""
    return import_extra("skimage.feature", "scikit-image", "hog", "the extractor hog").hog
