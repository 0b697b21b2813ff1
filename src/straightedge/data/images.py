"""One image file, as bytes, to (channels, height, width) uint8 pixels: a pure function, and its refusals.

The content decides what a file is, never its name. The size in the header is checked before any pixel is
decoded. Whatever is not plain 8-bit grey or colour is converted, and the conversion is named in the marks.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
"""Formats that are tried; the rest of the imaging library (PostScript, fonts, ...) is never reached."""

Image.init()  # every format is imported now, not in the middle of a file

LARGEST = 89_478_485  # pixels of the largest image that is decoded, 256 MiB at 3 bytes a pixel

LARGEST_WORK = 10 * LARGEST
"""Pixels times scans of a progressive JPEG: ten scans are usual, and 1e9 pixels of them take about a second."""
SCAN = b"\xff\xda"  # what a scan of a JPEG begins with; its packed data never hold these bytes

ORIENTATION = 0x0112  # the EXIF tag of the camera's rotation


CODES = {"too-large": "image-too-large", "too-slow": "image-too-slow", "mode": "image-mode"}
"""Kind of a finding -> code of its error; the others are ``image-broken``."""


class BadImage(Exception):  # noqa: N818 (a finding about one file; the caller decides whether it is an error)
    """An image that cannot be used; `kind` is ``broken``, ``not-image``, ``too-large`` or ``mode``."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(kind, reason)


@dataclass(frozen=True)
class Decoding:
    """How images are decoded.

    Attributes:
        channels: 1 (grey) or 3 (colour).
        size: (height, width) every image is resized to, or None.
        background: (red, green, blue) under transparent pixels.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    background: tuple[int, int, int] = (255, 255, 255)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def decode(data: bytes, how: Decoding) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode one image.

    Returns:
        Pixels (channels, height, width) uint8, and marks: what was converted (``grey`` for an image without
        colour, ``palette``, ``1-bit``, ``16-bit``, ``CMYK``, ``alpha``, ``rotated``, ``first frame``).

    Raises:
        BadImage: the file is empty, no image, damaged, too large, or of a kind that has no 8-bit meaning.
    """
    with _one_frame(data) as image:
        several = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
        marks = ["first frame"] if several else []
        if how.size is not None:
            image.draft(None, (2 * how.size[1], 2 * how.size[0]))  # a JPEG far too large is decoded smaller
        image.load()
        plain = _upright(_plain(image, how, marks), image, marks)
        if plain.mode == "L":
            marks.append("grey")
        if plain.mode != "L" or how.channels == 3:
            plain = plain.convert("L" if how.channels == 1 else "RGB")
        if how.size is not None and plain.size != how.size[::-1]:
            plain = plain.resize(how.size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(plain)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), tuple(marks)


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) that an image's header states, None where it cannot be read."""
    try:
        with _one_frame(data) as image:
            return image.size
    except BadImage:
        return None


def parse_background(name: str) -> tuple[int, int, int]:
    """Return the colour of a CSS name or ``#rrggbb``.

    Raises:
        ValueError: the name is no colour.
    """
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue


@contextmanager
def _one_frame(data: bytes) -> Iterator[Image.Image]:
    """Open bytes as an image, and turn whatever the decoder raises inside the block into `BadImage`."""
    if not data:
        raise BadImage("broken", "the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on metadata; what matters is checked below
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _refuse_large(image.size, data.count(SCAN) if image.format in ("JPEG", "MPO") else 1)
                yield image
        except BadImage:
            raise
        except UnidentifiedImageError:
            raise BadImage("not-image", "the content is no image that can be read") from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise BadImage("too-large", f"the image has more than {LARGEST} pixels") from None
        # decoders raise anything from SyntaxError to struct.error on damaged files
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the machine's doing, such as too many open files, not the image's
            raise BadImage("broken", str(error) or type(error).__name__) from None


def _refuse_large(size: tuple[int, int], scans: int) -> None:
    """Refuse an image of too many pixels, and a JPEG whose few bytes go over all of them again and again."""
    pixels = f"{size[0]} × {size[1]} pixels"
    if size[0] * size[1] > LARGEST:
        raise BadImage("too-large", f"the image has {pixels}, more than {LARGEST}")
    if size[0] * size[1] * scans > LARGEST_WORK:
        raise BadImage("too-large", f"the image has {scans} scans of {pixels}, together more than {LARGEST_WORK}")


def _plain(image: Image.Image, how: Decoding, marks: list[str]) -> Image.Image:
    """Return an image of mode L or RGB."""
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if mode == "1":
        marks.append("1-bit")
        return image.convert("L")
    if mode.startswith("I"):
        return _from_16_bit(image, marks)
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        marks.append("CMYK" if mode == "CMYK" else mode)
        return image.convert("RGB")
    if mode == "P":
        marks.append("palette")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _over_background(image, how, marks)
    if mode == "P":
        return image.convert("RGB")
    raise BadImage("mode", f"pixels of kind {mode!r} have no 8-bit meaning")


def _from_16_bit(image: Image.Image, marks: list[str]) -> Image.Image:
    """Scale 0–65535 to 0–255, rounding: 257 · 255 = 65535."""
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise BadImage("mode", "pixels are 32-bit numbers beyond 65535")
    marks.append("16-bit")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _over_background(image: Image.Image, how: Decoding, marks: list[str]) -> Image.Image:
    """Lay an image with alpha over the background; a fully opaque one only loses its alpha."""
    grey = image.mode in ("LA", "La", "L") and len(set(how.background)) == 1
    full = image.convert("RGBA")
    if full.getchannel("A").getextrema() != (255, 255):
        marks.append("alpha")
        full = Image.alpha_composite(Image.new("RGBA", full.size, (*how.background, 255)), full)
    return full.convert("L" if grey else "RGB")


def _upright(plain: Image.Image, original: Image.Image, marks: list[str]) -> Image.Image:
    """Apply the rotation that the camera wrote down."""
    orientation = original.getexif().get(ORIENTATION, 1)
    if orientation == 1 or orientation not in range(2, 9):
        return plain
    marks.append("rotated")
    turned = plain.copy()
    turned.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(turned)
