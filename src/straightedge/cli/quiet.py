"""``--quiet`` for every command: nothing is printed but warnings, errors and the JSON that is asked for."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from typing import Annotated, Any, TextIO, get_type_hints

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]


def quietable(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option ``--quiet``; one that has the option is returned as it is."""
    signature = inspect.signature(command)
    if "quiet" in signature.parameters:
        return command

    @functools.wraps(command)
    def quieted(*args: Any, quiet: bool, **options: Any) -> None:
        silence = _silence(but_answer=bool(options.get("as_json"))) if quiet else nullcontext()
        with silence:
            command(*args, **options)

    hints = get_type_hints(command, include_extras=True)  # typer would look for their names in this file
    own = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    option = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    quieted.__signature__ = signature.replace(parameters=[*own, option])  # type: ignore[attr-defined]
    quieted.__annotations__ = hints | {"quiet": Quiet}
    return quieted


class _NoTerminal:
    """A stream to which bars are not drawn, for they ask whether it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _silence(but_answer: bool) -> Iterator[None]:
    """Draw no bars; print nothing on standard output, unless the answer was asked for as JSON."""
    no_bars: Any = _NoTerminal(sys.stderr)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        printed = sys.stdout if but_answer else nowhere
        with redirect_stderr(no_bars), redirect_stdout(printed):
            yield
