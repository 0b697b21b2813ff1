"""From the words of ``straightedge fit`` to the options of a fit: each parameter has one place to go."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straightedge.data.finding import TABLE_OPTIONS
from straightedge.errors import InputError

if TYPE_CHECKING:
    from straightedge.workflow import FitOptions

TEXT_OPTIONS = ("ngrams", "min_df", "max_features", "sublinear")
"""Options that go to the extractor of texts as they are."""
OTHERWISE_NAMED = {"one_se": "one_standard_error", "validation": "validation_size"}
"""Parameters whose option has a longer name."""
SWITCHED_OFF = {"no_suspects": "suspects", "no_cache": "cache"}  # parameters that switch an option off
OF_THE_COMMAND = ("as_json", "quiet", "track", "context")
"""Parameters that say how the command speaks, and to whom; whether it shows progress follows from them."""


def options_from(params: Mapping[str, Any]) -> FitOptions:
    """Return the options of a fit from all parameters of the command by name, as Typer has read them.

    Raises:
        InputError: ``source-missing``, ``reg-invalid``, ``memory-invalid``.
        TypeError: For a parameter that has no place among the options.
    """
    from straightedge.workflow import FitOptions

    apart = {*TABLE_OPTIONS, *TEXT_OPTIONS, *SWITCHED_OFF, *OF_THE_COMMAND}
    given = {OTHERWISE_NAMED.get(name, name): value for name, value in params.items() if name not in apart}
    given |= {option: not params[name] for name, option in SWITCHED_OFF.items()}
    given |= {
        "source": params["source"] or "",
        "out": _out(params["source"], params["loss"], params["out"], params["resume"]),
        "regs": numbers_of(params["regs"]),
        "memory": bytes_of(params["memory"]),
        "table": _said(params, TABLE_OPTIONS),
        "text": _said(params, TEXT_OPTIONS),
        "resume": params["resume"] is not None,
        "progress": not (params["as_json"] or params["quiet"]),
        "command": ["straightedge", *sys.argv[1:]],
    }
    return FitOptions(**given)


def _said(params: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: params[name] for name in names if params[name] is not None}


def _out(source: str | None, loss: str, out: Path | None, resume: Path | None) -> str:
    if resume is not None:
        return str(resume)
    if source is None:
        raise InputError("source-missing", "no SOURCE was given", mend="such as: straightedge fit digits")
    if out is not None:
        return str(out)
    stem = Path(source.split(",")[0]).name.split(".")[0] or "data"
    name, number = f"{stem}-{loss}", 1
    while (Path("runs") / name).exists():  # an earlier run is never replaced unless asked for by name
        number += 1
        name = f"{stem}-{loss}-{number}"
    return str(Path("runs") / name)


def numbers_of(text: str | None) -> list[float] | None:
    """Return the numbers of a list with commas; None where there is no list."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        what = f"--regs is {text!r}"
        raise InputError("reg-invalid", what, mend="numbers with commas: 1e-4,1e-3,1e-2") from error


def bytes_of(text: str | None) -> int | None:
    """Read 2GB, 500MB, 1.5g or a number of bytes."""
    import re

    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?)i?b?\s*", text.lower())
    try:
        return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))  # type: ignore[index]
    except (TypeError, ValueError) as error:
        raise InputError("memory-invalid", f"--memory is {text!r}", mend="such as 2GB or 500MB") from error
