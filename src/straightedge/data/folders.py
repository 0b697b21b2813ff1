"""Folders, zip and tar files of class folders: listed, decoded on every core, cached, labelled.

Order of rows: by class and name; in a tar, the order of the archive, which can only be read forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from straightedge.data import fingerprint
from straightedge.data.assemble import Part, assemble
from straightedge.data.base import Dataset
from straightedge.data.cache import Entry, through_cache
from straightedge.data.container import Container
from straightedge.data.decode_run import decode_layout
from straightedge.data.image_size import parse_size
from straightedge.data.images import Decoding, parse_background
from straightedge.data.layout import arrange
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
    skip_bad = bool(options.get("skip_bad"))
    if holds_texts(container):
        return load_texts(source, container, options)
    key = fingerprint.of_values(content=container.fingerprint(), how=how.to_dict(), skip_bad=skip_bad)
    arrays, meta = through_cache(
        key, lambda folder: _decode(container, how, folder, options), enabled=bool(options.get("cache", True))
    )
    return dataset_of(source, arrays, meta, options)


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


def dataset_of(
    source: str, arrays: Mapping[str, np.ndarray], meta: dict[str, Any], options: Mapping[str, Any]
) -> Dataset:
    """Return decoded arrays with their description (of `Found.describe`) as a `Dataset`."""
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


def _decode(container: Container, how: Decoding, folder: Path | None, options: Mapping[str, Any]) -> Entry:
    layout = arrange(container.listing, str(container.path))
    return decode_layout(container, layout, how, folder, options)
