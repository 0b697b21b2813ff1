"""Tables of which each row is an image: a label and a column a pixel, as MNIST is often kept.

A table is seen to be one where its columns of whole numbers from 0 to 255 are as many as the pixels of a square,
grey or of three colours, and are called by number or not at all. ``--image-shape`` says so for all others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from straightedge.data.tables.files import Table, TableRows, arrow
from straightedge.errors import InputError

PIXEL_NAME = re.compile(r"(?i:[a-z]{0,9}[_ .]?\d+([x_,.]\d+)*|column ?\d+)")
"""Names that are a number, perhaps behind a word: pixel0, 1x1, px_3, pixel_2_7."""
SMALLEST_SIDE = 8
BRIGHT = 128
"""A table without names is one of pixels only where it reaches this; others may count or grade anything."""
LOOKED_AT = 256  # rows that tell whether the three colours of a pixel lie together or each colour by itself
NO_IMAGE = ("no", "none", "flat")  # values of ``--image-shape`` for numbers that are no pixels


@dataclass(frozen=True)
class PixelForm:
    """How the columns of a table make an image.

    Attributes:
        names: Columns of pixels in their order.
        label: Column of labels.
        shape: (channels, height, width).
        together: Whether the colours of a pixel lie side by side.
        header: Whether the columns had names of their own.
    """

    names: tuple[str, ...]
    label: str
    shape: tuple[int, int, int]
    together: bool
    header: bool

    def rows(self, tables: Sequence[Table], n: int, first: int) -> TableRows:
        """Return rows of tables as images, read when they are needed."""
        decode = partial(_images, form=self)
        return TableRows(tables, list(self.names), decode, (n, *self.shape), np.dtype(np.uint8), first)

    def described(self) -> str:
        """Return what was seen, for people."""
        channels, height, width = self.shape
        colour = "" if channels == 1 else f" of {channels} colours"
        order = ", the colours of a pixel side by side" if self.together else ", colour after colour"
        return (
            f"the rows are images of {width} × {height} pixels{colour}{order if channels > 1 else ''}; "
            "--image-shape no takes them as numbers"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: what a model file keeps."""
        return {"kind": "pixels", **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PixelForm:
        """Rebuild a form from plain data."""
        try:
            channels, height, width = (int(side) for side in data["shape"])
            names = tuple(str(name) for name in data["names"])
            flags = bool(data["together"]), bool(data["header"])
            if channels * height * width != len(names):
                raise ValueError(f"{len(names)} columns for {data['shape']}")
            return cls(names, str(data["label"]), (channels, height, width), *flags)
        except (KeyError, TypeError, ValueError) as error:
            what = f"the model's description of pixels is broken: {str(error)[:80]}"
            raise InputError("model-columns", what, mend="restore the file from a copy") from error


def pixel_form(
    tables: Mapping[str, Sequence[Table]], label: str, trained: Mapping[str, Any], wanted: str | None
) -> PixelForm | None:
    """Return how the rows of tables are images, or None where they are none.

    Args:
        tables: The tables of each split.
        label: Column of labels.
        trained: What a trained model keeps of its columns.
        wanted: ``28x28``, ``28x28x3``, ``3x28x28``, ``no``; None looks at the numbers.

    Raises:
        InputError: ``image-shape`` where the columns are not as many, or no bytes.
    """
    if trained.get("kind") == "pixels":
        names = next(iter(tables.values()))[0].schema.names
        return form_for(PixelForm.from_dict(trained), names, label)
    if wanted is not None and wanted.lower() in NO_IMAGE:
        return None
    first = tables["train"][0]
    names = tuple(name for name in first.schema.names if name not in (label, "split", "") and "Unnamed" not in name)
    said = _said(wanted, len(names), str(first.path)) if wanted is not None else _square(len(names))
    if said is None or (wanted is None and not _looks_like_pixels(first, names)):
        return None
    _refuse_other_numbers(first, names)
    shape, together = said
    if together is None:
        together = _lie_together(first, names, shape)
    return PixelForm(names, label, shape, together, first.header)


def form_for(form: PixelForm, names: Sequence[str], label: str) -> PixelForm:
    """Return a model's form with the columns of a new table, whose label may be another one or none."""
    here = set(names)
    missing = [name for name in form.names if name not in here]
    if not missing:
        return replace(form, label=label)
    others = tuple(name for name in names if name != label)
    if not form.header and len(others) == len(form.names):
        return replace(form, names=others, label=label)
    what = f"there is no column {missing[0]!r} of {len(missing)}, which the model was trained on"
    raise InputError("column-missing", what, mend=f"give {len(form.names)} columns of pixels")


Said = tuple[tuple[int, int, int], bool | None]
"""(channels, height, width), and whether colours lie side by side; None where the numbers must tell."""


def _said(wanted: str, count: int, where: str) -> Said:
    sides = [int(side) for side in re.findall(r"\d+", wanted)]
    if len(sides) == 2:
        found: Said = (1, *sides), False  # type: ignore[assignment]
    elif len(sides) == 3 and sides[2] in (1, 3):
        found = (sides[2], sides[0], sides[1]), True
    elif len(sides) == 3 and sides[0] in (1, 3):
        found = (sides[0], sides[1], sides[2]), False
    else:
        raise InputError("image-shape", f"{wanted!r} is no shape of images", mend="28x28, 28x28x3 or 3x28x28")
    if math.prod(found[0]) != count:
        what = f"{wanted} is {math.prod(found[0])} pixels, and the table has {count} columns beside the label"
        mend = "name the label (--labels) and the shape as it is: 28x28, 28x28x3 or 3x28x28"
        raise InputError("image-shape", what, where, mend)
    return found


def _square(count: int) -> Said | None:
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if count == channels * side * side and side >= SMALLEST_SIDE:
            return (channels, side, side), (None if channels == 3 else False)
    return None


def _looks_like_pixels(table: Table, names: Sequence[str]) -> bool:
    """Whether columns are bytes called by number, or bytes without names that reach the bright ones."""
    types = arrow("pyarrow.types")
    if not all(types.is_integer(table.schema.field(name).type) for name in names):
        return False
    named = table.header and all(PIXEL_NAME.fullmatch(name) for name in names)
    if table.header and not named:
        return False
    low, high = _range(table, names)
    return low >= 0 and high <= 255 and high >= (1 if named else BRIGHT)


def _range(table: Table, names: Sequence[str]) -> tuple[float, float]:
    compute = arrow("pyarrow.compute")
    pairs = [compute.min_max(table.column(name)).as_py() for name in names]
    if any(pair["min"] is None for pair in pairs):
        return -1.0, -1.0
    return min(pair["min"] for pair in pairs), max(pair["max"] for pair in pairs)


def _refuse_other_numbers(table: Table, names: Sequence[str]) -> None:
    """Refuse pixels that are no bytes."""
    types = arrow("pyarrow.types")
    for name in names:
        kind = table.schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind)):
            what = f"column {name!r} holds {kind}, no pixels"
            raise InputError("image-shape", what, str(table.path), "--drop it")
    low, high = _range(table, names)
    if low < 0 or high > 255:
        what = f"the numbers go from {low:g} to {high:g}, and pixels from 0 to 255"
        mend = "scale them, or take them as numbers: --image-shape no"
        raise InputError("image-shape", what, str(table.path), mend)


def _lie_together(table: Table, names: Sequence[str], shape: tuple[int, int, int]) -> bool:
    """Whether neighbours are more alike if the colours of a pixel lie side by side."""
    batch = next(iter(table.blocks(next(p for p, n in enumerate(table.counts) if n), names, LOOKED_AT)))
    flat = _flat(batch)[:LOOKED_AT]
    channels, height, width = shape
    side_by_side = flat.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    return _roughness(side_by_side) < _roughness(flat.reshape(-1, *shape))


def _roughness(images: np.ndarray) -> float:
    return float(np.abs(np.diff(images.astype(np.int16), axis=3)).mean())


def _flat(batch: Any) -> np.ndarray:
    columns = [batch.column(place).to_numpy(zero_copy_only=False) for place in range(batch.num_columns)]
    return np.stack(columns, axis=1)


def _images(batch: Any, where: str, row: int, *, form: PixelForm) -> np.ndarray:
    """Turn a record batch of columns of pixels into images.

    Raises:
        InputError: ``rows-missing``, ``value-kind``.
    """
    flat = _flat(batch)
    bad = ~((flat >= 0) & (flat <= 255))  # NaN among them
    if flat.dtype.kind == "f":
        bad |= flat != np.floor(flat)
    if bad.any():
        at, place = (int(index[0]) for index in np.nonzero(bad))
        what = f"{flat[at, place]} in column {form.names[place]!r} is no pixel from 0 to 255"
        mend = "mend the row, or take the columns as numbers: --image-shape no"
        raise InputError("value-kind", what, f"{where}, row {row + at}", mend)
    channels, height, width = form.shape
    whole = flat.astype(np.uint8)
    if form.together:
        return np.ascontiguousarray(whole.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))
    return whole.reshape(-1, *form.shape)
