"""Values of options that are more than one word: lists of numbers, sizes of memory."""

from __future__ import annotations


def numbers_of(text: str | None) -> list[float] | None:
    """Return the numbers of a list with commas; None where there is no list."""
    from straightedge.errors import InputError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(
            "reg-invalid", f"--regs is {text!r}", mend="numbers with commas: 1e-4,1e-3,1e-2"
        ) from error


def bytes_of(text: str | None) -> int | None:
    """Read 2GB, 500MB, 1.5g or a number of bytes."""
    import re

    from straightedge.errors import InputError

    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?)i?b?\s*", text.lower())
    try:
        return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))  # type: ignore[index]
    except (TypeError, ValueError) as error:
        raise InputError("memory-invalid", f"--memory is {text!r}", mend="such as 2GB or 500MB") from error
