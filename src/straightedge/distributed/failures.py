"""Errors as JSON: what one rank met, raised by all of them in the same words."""

from typing import Any

from straightedge.errors import InputError, MachineError, StraightedgeError

SHARED = "raised on every rank"


def described(error: BaseException, rank: int) -> dict[str, Any]:
    """Return an error as the JSON object that other ranks rebuild it from."""
    if isinstance(error, StraightedgeError):
        return {"input": isinstance(error, InputError), "rank": rank, **error.to_dict()}
    what = f"rank {rank} failed: {type(error).__name__}: {error}"
    return {"input": False, "rank": rank, "code": "rank-failed", "what": what, "where": None, "mend": None}


def rebuilt(facts: dict[str, Any]) -> StraightedgeError:
    """Return the error that `described` was given, with the rank in its place, marked as everybody's."""
    kind = InputError if facts["input"] else MachineError
    place = [str(facts["where"])] if facts["where"] else []
    error = kind(facts["code"], facts["what"], ", ".join([*place, f"rank {facts['rank']}"]), facts["mend"])
    error.add_note(SHARED)
    return error


def is_shared(error: BaseException) -> bool:
    """Whether every rank ends with this error, so that rank 0 alone need print it."""
    return SHARED in getattr(error, "__notes__", ())
