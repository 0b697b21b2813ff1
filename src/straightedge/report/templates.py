"""The weights of each class as a picture: what the classifier looks for.

Weights on raw pixels have the shape of an image. Each picture has a scale of its own, symmetric around zero:
middle grey (white for grey images) is a weight of zero, the ends are the 99.5 % quantile of its absolute
weights, so that one bright pixel does not darken the rest.
"""

import base64
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MAX_TILES = 100
BUDGET_BYTES = 1_200_000
"""Bytes of pixels of all templates at all reg: 16 reg × 10 classes × 32 × 32 × 3 are 0.5 million."""
_NEGATIVE = np.array([33, 102, 172], np.float64)
_ZERO = np.array([247, 246, 243], np.float64)
_POSITIVE = np.array([178, 58, 28], np.float64)


@dataclass(frozen=True)
class Strip:
    """The templates of all classes at one reg, in one picture.

    Attributes:
        reg: Regularisation they belong to.
        uri: A data URI; tiles in rows of `columns`.
        columns: Tiles in a row.
        height: Pixels of a tile.
        width: Pixels of a tile.
        n_tiles: Number of tiles, one a class, at most `MAX_TILES`.
    """

    reg: float
    uri: str
    columns: int
    height: int
    width: int
    n_tiles: int


def template_pixels(weight: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Turn weights into pictures, one a class.

    Args:
        weight: (D, C) on raw pixels, D = channels · height · width.
        image_shape: (channels, height, width), channels 1 or 3 (of others the first counts).

    Returns:
        (C, height, width, 3) uint8. Colour images: the sign of each channel's weight, around middle grey.
        Grey images: blue below zero, white at zero, red above.
    """
    images = np.asarray(weight, np.float64).T.reshape(-1, *image_shape)
    scale = np.quantile(np.abs(images).reshape(len(images), -1), 0.995, axis=1)
    unit = np.clip(images / np.where(scale > 0, scale, 1)[:, None, None, None], -1, 1)
    if image_shape[0] == 3:
        return np.asarray(np.rint(127.5 + 127.5 * np.moveaxis(unit, 1, -1)), np.uint8)
    grey = unit[:, 0, :, :, None]
    ends = np.where(grey < 0, _NEGATIVE, _POSITIVE)
    return np.asarray(np.rint(_ZERO + np.abs(grey) * (ends - _ZERO)), np.uint8)


def has_templates(n_features: int, image_shape: Sequence[int] | None) -> bool:
    """Whether weights of `n_features` raw values are the pixels of such an image."""
    return bool(image_shape) and math.prod(image_shape or ()) == n_features and len(image_shape or ()) == 3


def template_strips(
    regs: Sequence[float], weights: np.ndarray, image_shape: Sequence[int], budget_bytes: int = BUDGET_BYTES
) -> list[Strip]:
    """Draw the templates at each of K values of reg, smaller where there are too many for the page.

    Args:
        regs: K values.
        weights: (K, D, C) on raw pixels.
        image_shape: (channels, height, width).
        budget_bytes: Bytes of pixels in all strips, at most.
    """
    n_tiles = min(weights.shape[2], MAX_TILES)
    n_bytes = 3 * len(regs) * n_tiles * image_shape[1] * image_shape[2]
    shrink = math.sqrt(min(1.0, budget_bytes / n_bytes))
    height, width = (max(1, int(side * shrink)) for side in image_shape[1:])
    strips = []
    for reg, weight in zip(regs, weights, strict=True):
        tiles = _resized(template_pixels(weight[:, :n_tiles], image_shape), height, width)
        columns = min(n_tiles, 10)
        strips.append(Strip(float(reg), data_uri(_mosaic(tiles, columns)), columns, height, width, n_tiles))
    return strips


def _resized(tiles: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    if tiles.shape[1:3] == (height, width):
        return tiles
    size, box = (width, height), Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(tile).resize(size, box)) for tile in tiles])


def _mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Lay (n, h, w, 3) tiles in rows of `columns`, without margins, the rest of the last row black."""
    n_tiles, height, width, _ = tiles.shape
    n_rows = math.ceil(n_tiles / columns)
    full = np.zeros((n_rows * columns, height, width, 3), np.uint8)
    full[:n_tiles] = tiles
    grid = full.reshape(n_rows, columns, height, width, 3)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(n_rows * height, columns * width, 3))


def templates_png(weight: np.ndarray, classes: Sequence[str], image_shape: Sequence[int]) -> bytes:
    """Draw the templates as the course shows them, as PNG: one tile a class, its name above, rows of five tiles."""
    from PIL import Image, ImageDraw, ImageFont

    tiles = template_pixels(weight, image_shape)
    zoom = max(1, math.ceil(96 / max(image_shape[1:])))
    height, width = image_shape[1] * zoom, image_shape[2] * zoom
    columns, margin, caption = min(5, len(tiles)), 12, 22
    n_rows = math.ceil(len(tiles) / columns)
    size = (margin + columns * (width + margin), margin + n_rows * (height + caption + margin))
    sheet, font = Image.new("RGB", size, "white"), ImageFont.load_default(14)
    pen = ImageDraw.Draw(sheet)
    for place, (tile, name) in enumerate(zip(tiles, classes, strict=True)):
        left = margin + place % columns * (width + margin)
        top = margin + place // columns * (height + caption + margin)
        pen.text((left, top), _fitting(name, width, pen, font), fill="black", font=font)
        picture = Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(picture, (left, top + caption))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fitting(name: str, width: int, pen: object, font: object) -> str:
    """Shorten a name until it is as wide as its tile; line breaks become spaces."""
    text = " ".join(name.split()).encode("utf-8", "replace").decode("utf-8")
    shown = text
    while shown and pen.textlength(shown, font=font) > width:  # type: ignore[attr-defined]
        text = text[:-1]
        shown = text + "…" if text else ""
    return shown


def data_uri(pixels: np.ndarray) -> str:
    """Return an image (height, width, 3) uint8 as a data URI.

    Returns:
        Lossless WebP (a third smaller than PNG on photographs), PNG where Pillow was built without it or a
        side is over WebP's limit of 16,383 pixels.
    """
    from PIL import Image, features

    webp = features.check("webp") and max(pixels.shape[:2]) <= 16_383
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if webp:
        picture.save(buffer, "WEBP", lossless=True, quality=60, method=1)
    else:
        picture.save(buffer, "PNG", optimize=True)
    kind = "webp" if webp else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getbuffer()).decode('ascii')}"


def within(uris: Iterable[str], budget: int) -> Iterator[str]:
    """Give data URIs until they are `budget` characters together: what bounds the size of the page."""
    used = 0
    for uri in uris:
        used += len(uri)
        if used > budget:
            return
        yield uri
