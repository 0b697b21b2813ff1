"""Image files of folders, archives and single paths, decoded to one fixed shape as training decoded them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.errors import InputError


@dataclass(frozen=True)
class ImageFile:
    """One file's bytes, and whether it must be an image or is left out when it is none."""

    name: str
    data: bytes
    must_be_image: bool = True


@dataclass
class Reading:
    """How images are read, and what happened to them.

    Attributes:
        size: (height, width) every image is resized to; None takes only images of the model's size.
        background: Colour under transparent pixels.
        skip_bad: Go on without images that cannot be used.
        skipped: Names and reasons of those.
        ignored: Number of files in folders and archives that are no images.
        several_frames: Number of images of which the first frame was taken.
        notes: What differs in tables from those of training.
        explain: Whether the words that decided about a text are wanted.
        table: How the text of tables is read, as in `load_dataset`.
        columns: Columns of tables that are written beside the answers; ``all`` is all of them.
        beside: Their cells by column, a text for each row of the tables so far; a missing one is empty.
    """

    size: tuple[int, int] | None = None
    background: str = "white"
    skip_bad: bool = False
    skipped: list[str] = field(default_factory=list)
    ignored: int = 0
    several_frames: int = 0
    notes: list[str] = field(default_factory=list)
    explain: bool = False
    table: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    beside: dict[str, list[str]] = field(default_factory=dict)


def files_of(paths: Iterable[Path]) -> Iterator[ImageFile]:
    """Yield every file that the paths hold, one after the other."""
    from straightedge.data.container import Container
    from straightedge.data.listing import IMAGE_ENDINGS, printable, read_limited

    for path in paths:
        if not _is_container(path):
            yield ImageFile(printable(str(path)), read_limited(path))
            continue
        with Container(path) as container:
            items = container.listing.items
            items = [items[position] for position in container.in_reading_order(items)]
            for item, data in zip(items, container.read(items), strict=True):
                name = printable(str(path / item.path))
                yield ImageFile(name, data, item.path.suffix.lower() in IMAGE_ENDINGS)


def _is_container(path: Path) -> bool:
    import zipfile

    from straightedge.data.tars import is_tar

    if path.is_dir() or zipfile.is_zipfile(path):
        return True
    return path.suffix.lower() in (".tar", ".tgz", ".gz", ".bz2", ".xz") or is_tar(path)


def decoded(
    shape: tuple[int, ...], files: Iterable[ImageFile], reading: Reading
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Decode files as training did: yield (names, pixels (n, channels, height, width) uint8) of the good ones.

    Raises:
        InputError: As `predict_paths`, with the file.
    """
    from straightedge.data.decode_pool import DecodePool, grouped
    from straightedge.data.images import Decoding, parse_background

    channels, height, width = shape
    how = Decoding(channels, reading.size, parse_background(reading.background))
    waiting: deque[list[ImageFile]] = deque()

    def blobs() -> Iterator[list[bytes]]:
        for group in grouped(files, lambda file: len(file.data)):
            waiting.append([replace(file, data=b"") for file in group])
            yield [file.data for file in group]

    source = blobs()
    with DecodePool() as pool:
        for first in source:  # one group is decoded here: a few images never wait for processes to start
            block, findings = pool.decode_first(first, how, (height, width))
            yield _good(shape, waiting.popleft(), findings, reading), block
            break
        for block, findings in pool.decode_all(source, how, (height, width)):
            yield _good(shape, waiting.popleft(), findings, reading), block


def _good(
    shape: tuple[int, ...], files: Sequence[ImageFile], findings: Sequence[Any], reading: Reading
) -> list[str]:
    """Return the names of the files that gave pixels; raise at the first that may not be left out."""
    good: list[str] = []
    for file, (kind, reason, marks) in zip(files, findings, strict=True):
        reading.several_frames += "first frame" in marks
        if kind == "ok":
            good.append(file.name)
        elif kind == "not-image" and not file.must_be_image:
            reading.ignored += 1
        elif reading.skip_bad:
            reading.skipped.append(f"{file.name} ({reason})")
        else:
            raise _refusal(shape, file.name, kind, reason)
    return good


def _refusal(shape: tuple[int, ...], name: str, kind: str, reason: str) -> InputError:
    if kind == "size":
        height, width = shape[1:]
        size = f"{width}" if height == width else f"{height}x{width}"
        what = f"the image has {reason} pixels, the model takes {width} × {height}"
        return InputError("image-size", what, name, f"resize such images as they are read: --size {size}")
    from straightedge.data.images import CODES

    code = CODES.get(kind, "image-broken")
    mend = "mend or remove it, or go on without such images: --skip-bad"
    return InputError(code, f"the image cannot be used: {reason}", name, mend)
