"""Arrays in a pickle of plain values, which is read without unpickling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from straightedge.data.pickles.contents import helpful
from straightedge.data.pickles.machine import read_plain
from straightedge.data.pickles.values import members_of
from straightedge.errors import InputError


def read(path: Path) -> dict[str, Any]:
    """Return the arrays and lists of a pickle by name.

    Raises:
        InputError: ``pickle-refused``, ``pickle-broken``; ``dump-contents`` where there is no array.
    """
    try:
        value = read_plain(path)
    except InputError as error:
        if error.code != "pickle-refused" or (error.mend or "").startswith("convert it"):
            raise
        raise InputError(error.code, error.what, error.where, helpful(path, error.mend)) from None
    return members_of(value, path, "save X and y with numpy.savez")
