"""Pixels as data URIs: the smallest lossless file that every browser shows."""

import base64
import io
from collections.abc import Iterable, Iterator

import numpy as np


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
