"""Item ① of the notes: from images to rows a linear classifier can take, and from weights back to images."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from straightedge.course.kinds import Kind, as_array, as_tensor, is_numpy
from straightedge.errors import InputError

MEANS = ("channel", "pixel")


def preprocess(X_train: Kind, X_test: Kind | None = None, *more: Kind, mean: str = "channel") -> tuple[Kind, ...]:
    """Centre, flatten and append the bias column: item ①, steps (1) to (3) of the notes.

    The mean is of the training images alone; the other images are shifted by the same one, because at test time
    nothing else is known. Pixels from 0 to 1 stay so wide, and 0 to 255 too.

    Args:
        X_train: (N, channels, height, width) images, float32 or float64, torch or NumPy. For the mean per pixel
            rows (N, D) and CS231n's (N, height, width, channels) are taken, too, and integers from NumPy.
        X_test: (M, …) images of the same size, or None.
        *more: Further sets of images.
        mean: "channel", one number a channel (the notes, EECS 498-007), or "pixel", one a pixel (CS231n).

    Returns:
        One array (N, D + 1) for each set given, the last column 1.

    Raises:
        InputError: ``images-shape``, ``images-layout`` or ``images-type`` when the images are not such tensors;
            ``mean-unknown``.
    """
    if mean not in MEANS:
        raise InputError("mean-unknown", f"mean is {mean!r}", "mean", f"one of: {', '.join(MEANS)}")
    sets = [X_train, *(images for images in (X_test, *more) if images is not None)]
    tensors = [_floats(images) if mean == "pixel" else as_tensor(images) for images in sets]
    _check_sets(tensors, mean)
    if mean == "channel":
        # (1) normalise: dims 0, 2, 3 are sample, height, width; one mean per channel is left, (1, channels, 1, 1)
        mean_image = tensors[0].mean(dim=0, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
    else:
        mean_image = tensors[0].mean(dim=0, keepdim=True)
    rows = [_to_rows(images - mean_image) for images in tensors]
    made: tuple[Any, ...] = tuple(as_array(one) if is_numpy(X_train) else one for one in rows)
    return made


def _floats(images: Any) -> Tensor:
    """Return images as floats: whole numbers of NumPy become float64, as NumPy's mean of them is."""
    tensor = as_tensor(images)
    return tensor.double() if is_numpy(images) and not tensor.is_floating_point() else tensor


def _to_rows(images: Tensor) -> Tensor:
    """Steps (2) and (3): an image becomes a row, and XW + b becomes XW with b as the last row of W."""
    rows = images.reshape(images.shape[0], -1)
    ones = torch.ones(rows.shape[0], 1, dtype=rows.dtype, device=rows.device)
    return torch.cat([rows, ones], dim=1)


def _check_sets(sets: list[Tensor], mean: str) -> None:
    for position, images in enumerate(sets):
        name = ("X_train", "X_test")[position] if position < 2 else f"set {position + 1}"
        _check_images(name, images, sets[0], mean)
    if sets[0].shape[0] == 0:
        raise InputError("images-empty", "there is no training image to take the mean of", "X_train")


def _check_images(name: str, images: Tensor, train: Tensor, mean: str) -> None:
    expected = "(N, channels, height, width)" if mean == "channel" else "(N, …)"
    flat = images.dim() < 2 if mean == "pixel" else images.dim() != 4
    if flat or images.shape[1:] != train.shape[1:]:
        found = f"{name} has shape {tuple(images.shape)}"
        raise InputError("images-shape", found, name, f"expected {expected}, one size for all sets")
    if mean == "channel" and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        found = f"{name} has shape {tuple(images.shape)}, channels last"
        mend = f"the mean per channel needs them second: {name}.transpose(0, 3, 1, 2), for tensors permute"
        raise InputError("images-layout", found, name, mend)
    if not images.is_floating_point():
        mend = f"mend with {name}.to(torch.float32) / 255, for arrays {name}.astype(numpy.float32) / 255"
        raise InputError("images-type", f"{name} holds {images.dtype}, a mean needs floats", name, mend)


def template_images(W: Any, shape: tuple[int, int, int] = (32, 32, 3)) -> np.ndarray:
    """Return each class's column of W as an image to look at.

    Args:
        W: (D + 1, C) or (D, C) weights, torch or NumPy; a last row beyond the pixels is the bias and left out.
        shape: Of one image as it was flattened: (height, width, 3) as in CS231n, or (3, height, width).

    Returns:
        (C, height, width, channels) uint8, one scale for all classes: the smallest weight black, the largest white.

    Raises:
        InputError: ``images-shape``.
    """
    weights: np.ndarray = np.asarray(as_array(as_tensor(W).cpu()))
    n_pixels = int(np.prod(shape))
    if weights.ndim != 2 or weights.shape[0] not in (n_pixels, n_pixels + 1):
        found = f"W has shape {weights.shape} for images of {n_pixels} numbers"
        raise InputError("images-shape", found, "W", "give the shape of one image, such as (3, 32, 32)")
    low, high = weights[:n_pixels].min(), weights[:n_pixels].max()
    scaled = 255 * (weights[:n_pixels] - low) / max(high - low, np.finfo(np.float64).tiny)
    images: np.ndarray = scaled.T.reshape(-1, *shape).astype(np.uint8)
    return images.transpose(0, 2, 3, 1) if shape[0] in (1, 3) and shape[2] not in (1, 3) else images
