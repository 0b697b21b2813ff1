"""Item ① of the notes: from images to rows a linear classifier can take."""

from __future__ import annotations

import torch
from torch import Tensor

from straightedge.errors import InputError


def preprocess(X_train: Tensor, X_test: Tensor) -> tuple[Tensor, Tensor]:
    """Centre, flatten and append the bias column: item ①, steps (1) to (3) of the notes.

    The mean is one number a channel, of the training images alone; the test images are shifted by the same
    one, because at test time nothing else is known. Pixels from 0 to 1 stay so wide, and 0 to 255 too.

    Args:
        X_train: (N, channels, height, width) images, float32 or float64.
        X_test: (M, channels, height, width) images of the same type and size.

    Returns:
        (N, channels·height·width + 1) and (M, channels·height·width + 1), the last column 1.

    Raises:
        InputError: ``images-shape`` or ``images-type`` when the images are not such tensors.
    """
    _check_images(X_train, X_test)
    # (1) normalise: dims 0, 2, 3 are sample, height, width; one mean per channel is left, (1, channels, 1, 1)
    mean_image = X_train.mean(dim=0, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
    return _to_rows(X_train - mean_image), _to_rows(X_test - mean_image)


def _to_rows(images: Tensor) -> Tensor:
    """Steps (2) and (3): an image becomes a row, and XW + b becomes XW with b as the last row of W."""
    rows = images.reshape(images.shape[0], -1)
    ones = torch.ones(rows.shape[0], 1, dtype=rows.dtype, device=rows.device)
    return torch.cat([rows, ones], dim=1)


def _check_images(X_train: Tensor, X_test: Tensor) -> None:
    for name, images in (("X_train", X_train), ("X_test", X_test)):
        if images.dim() != 4 or images.shape[1:] != X_train.shape[1:]:
            found = f"{name} has shape {tuple(images.shape)}"
            raise InputError(
                "images-shape", found, name, "expected (N, channels, height, width), one size for both sets"
            )
        if not images.is_floating_point():
            mend = f"mend with {name}.to(torch.float32) / 255"
            raise InputError("images-type", f"{name} holds {images.dtype}, a mean needs floats", name, mend)
    if X_train.shape[0] == 0:
        raise InputError("images-empty", "there is no training image to take the mean of", "X_train")
