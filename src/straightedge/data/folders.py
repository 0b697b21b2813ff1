"""Folders, zip and tar files of class folders: listed, decoded on every core, cached, labelled.

Order of rows: by class and name; in a tar, the order of the archive, which can only be read forward.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cache import Entry, through_cache
from straightedge.data.container import ByteSource, Container
from straightedge.data.decode_run import decode_layout
from straightedge.data.image_size import parse_size
from straightedge.data.images import Decoding, parse_background
from straightedge.data.layout import Layout, arrange
from straightedge.data.text.folders import holds_texts, load_texts
from straightedge.errors import InputError, warn


def load(source: str, **options: Any) -> Dataset:
    """Read a folder, zip or tar of class folders: images, or texts where its files are texts.

    Raises:
        InputError: ``image-broken``, ``image-too-large``, ``image-mode``, ``mixed-sizes``, ``background``,
            ``size``, and the codes of `Container`, `arrange` and `assemble`.
    """
    with Container(Path(source)) as container:
        return load_container(source, container, options)


def load_container(source: str, container: Container, options: Mapping[str, Any]) -> Dataset:
    """Read class folders from an open folder or archive (errors as `load`)."""
    how = decoding(options.get("size"), options.get("background", "white"))
    if holds_texts(container):
        return load_texts(source, container, options)

    def layout() -> tuple[ByteSource, Layout]:
        return container, arrange(container.listing, str(container.path))

    return decoded(source, container.fingerprint(), how, layout, options)


def decoding(size: Any, background: str) -> Decoding:
    """Return the settings of decoding, checked.

    Raises:
        InputError: ``size``, ``background``.
    """
    try:
        colour = parse_background(background)
    except ValueError:
        raise InputError("background", f"{background!r} is no colour", mend="white, black, #rrggbb") from None
    return Decoding(3, parse_size(size), colour)


def decoded(
    source: str,
    content: str,
    how: Decoding,
    layout: Callable[[], tuple[ByteSource, Layout]],
    options: Mapping[str, Any],
) -> Dataset:
    """Return images as a `Dataset`, decoded anew where they are not in the cache.

    Args:
        source: What the user called it.
        content: Fingerprint of the images and labels.
        how: How they are decoded.
        layout: Gives what they are read from, and which are of which split and class.
        options: Those of `load_dataset`.
    """
    skip_bad = bool(options.get("skip_bad"))
    key = fingerprint.of_values(content=content, how=how.to_dict(), skip_bad=skip_bad)

    def make(folder: Path | None) -> Entry:
        return decode_layout(*layout(), how, folder, options)

    arrays, meta = through_cache(key, make, enabled=bool(options.get("cache", True)))
    for code, what in meta["warnings"]:
        warn(code, what)
    splits = {name[2:]: arrays[name] for name in arrays if name.startswith("X_")}
    parts = {name: Part(X, arrays[f"y_{name}"], meta["names"][name]) for name, X in splits.items()}
    return assemble(
        source,
        parts,
        fingerprint=meta["fingerprint"],
        classes=meta["classes"],
        declared=options.get("classes"),
        notes=meta["notes"],
        repeats=meta["repeats"],
    )
