"""The features assignment of CS231n: a histogram of oriented gradients beside a histogram of hues.

References:
    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from straightedge.errors import InputError

ORIENTATIONS = 9
CELL = 8
"""Pixels on a side of a cell of the histogram of gradients."""
GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

FeatureFunction = Callable[[np.ndarray], np.ndarray]


def extract_features(imgs: np.ndarray, feature_fns: Sequence[FeatureFunction], verbose: bool = False) -> np.ndarray:
    """Apply functions of one image to all images and lay their answers side by side.

    Args:
        imgs: (N, height, width, channels) images, 0 to 255.
        feature_fns: Functions of one image (height, width, channels) that return (F,) numbers.
        verbose: Print how far it is, every thousand images.

    Returns:
        (N, F) features, F the sum over the functions.
    """
    rows = []
    for position, image in enumerate(imgs):
        rows.append(np.concatenate([np.ravel(function(image)) for function in feature_fns]))
        if verbose and position % 1000 == 999:
            print(f"{position + 1} of {len(imgs)} images")
    return np.array(rows) if rows else np.zeros((0, 0))


def hog_feature(im: np.ndarray) -> np.ndarray:
    """Return the histogram of oriented gradients of one image.

    The gradient is of differences of neighbours; each cell of 8 × 8 pixels has the mean strength of the gradient in
    each of nine directions of 20 degrees.

    Args:
        im: (height, width, 3) or (height, width), 0 to 255.

    Returns:
        (height/8 · width/8 · 9,) numbers, 144 for an image of 32 × 32.

    Raises:
        InputError: ``images-shape``.
    """
    grey = _grey(im)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :-1], down[:-1] = np.diff(grey, axis=1), np.diff(grey, axis=0)
    strength = np.hypot(across, down)
    # −90 to 270: directions to the right are 0 to 180
    degrees = np.degrees(np.arctan2(down, across + 1e-15)) + 90
    width = 180 / ORIENTATIONS
    middle = slice(CELL // 2, None, CELL)
    cells = []
    for k in range(ORIENTATIONS):
        inside = (degrees > width * k if k == 0 else degrees >= width * k) & (degrees < width * (k + 1))
        cells.append(uniform_filter(np.where(inside, strength, 0), size=(CELL, CELL))[middle, middle].T)
    return np.stack(cells, axis=-1).ravel()


def color_histogram_hsv(
    im: np.ndarray, nbin: int = 10, xmin: float = 0, xmax: float = 255, normalized: bool = True
) -> np.ndarray:
    """Return the histogram of the hues of one image.

    Args:
        im: (height, width, 3) red, green and blue, 0 to ``xmax``.
        nbin: Number of bins.
        xmin: Least hue counted.
        xmax: Largest hue counted; hues are scaled to it.
        normalized: Give shares of the pixels instead of counts.

    Returns:
        (nbin,) counts or shares.

    Raises:
        InputError: ``images-shape``.
    """
    if im.ndim != 3 or im.shape[2] != 3:
        raise InputError("images-shape", f"the image has shape {im.shape}", mend="expected (height, width, 3)")
    hues = _hue(np.asarray(im, dtype=np.float64) / xmax) * xmax
    counts, _ = np.histogram(hues, bins=np.linspace(xmin, xmax, nbin + 1))
    return counts / counts.sum() if normalized else counts


def _grey(im: np.ndarray) -> np.ndarray:
    if im.ndim not in (2, 3) or (im.ndim == 3 and im.shape[2] != 3):
        found = f"the image has shape {im.shape}"
        raise InputError("images-shape", found, mend="expected (height, width) or (height, width, 3)")
    return np.asarray(im[..., :3] @ GREY if im.ndim == 3 else im, dtype=np.float64)


def _hue(rgb: np.ndarray) -> np.ndarray:
    """Return the hue of each pixel, 0 to 1: the sixth of the colour circle it is in, and where in it."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    top, span = rgb.max(axis=-1), np.ptp(rgb, axis=-1)
    safe = np.where(span > 0, span, 1)
    sixth = np.select(
        [top == blue, top == green, top == red],
        [4 + (red - green) / safe, 2 + (blue - red) / safe, (green - blue) / safe],
    )
    return np.where(span > 0, sixth / 6 % 1, 0.0)
