"""The size that images are resized to, as people write it."""

from typing import Any

from straightedge.errors import InputError

LARGEST_SIDE = 4096  # pixels of the longest side that images are resized to


def parse_size(size: Any) -> tuple[int, int] | None:
    """Return (height, width) from a number, a pair, or text: ``32`` or ``HEIGHTxWIDTH``."""
    if size is None:
        return None
    sides = size.lower().replace("×", "x").split("x") if isinstance(size, str) else size
    sides = list(sides) if isinstance(sides, list | tuple) else [sides]
    sides = sides * 2 if len(sides) == 1 else sides
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError):
        height = width = 0
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise InputError("size", f"{size!r} is no image size", mend="a number of pixels, or HEIGHTxWIDTH")
    return height, width
