"""The typer application and `main`: commands are registered here, a line each."""

import codecs
import inspect
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from straightedge.cli import print_version
from straightedge.cli.guarded import guard
from straightedge.cli.quiet import quietable

app = typer.Typer(
    name="straightedge",
    help="Train, prove, judge and ship linear classifiers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        print_version()
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, prove, judge and ship linear classifiers."""


# command name -> module in this package with a function `command`; modules import torch only when called
COMMANDS = {
    "fit": "fit",
    "evaluate": "evaluate",
    "predict": "predict",
    "report": "report",
    "runs": "runs",
    "compare": "compare",
    "check-gradients": "check_gradients",
    "features": "features",
    "layers": "layers",
    "export": "export",
    "translate": "translate",
    "data": "data",
    "bench": "bench",
}


def _register(names: Iterable[str] = COMMANDS) -> None:
    """Make these the commands of `app`: typer builds a validator for each option of each command it has."""
    app.registered_commands.clear()
    app.registered_groups.clear()
    for name in names:
        module = import_module(f"straightedge.cli.{COMMANDS[name]}")
        if hasattr(module, "group"):
            for one in module.group.registered_commands:
                one.callback = quietable(one.callback)
            app.add_typer(module.group, name=name)
        else:
            app.command(name, help=_help(module.command))(quietable(module.command))


def _asked(words: Sequence[str]) -> Iterable[str]:
    """Return the command that the words ask for, or all commands where they begin with none."""
    return [words[0]] if words and words[0] in COMMANDS else COMMANDS


def _wants_frames(words: Sequence[str]) -> bool:
    """Whether the answer may be a page of help, which rich lays out; a refusal needs a line, and no rich."""
    return not words or "--help" in words or words[-1] in COMMANDS


def _help(command: Callable[..., None]) -> str:
    """Return a docstring as it is read in a terminal: a paragraph is one line, which typer wraps itself."""
    paragraphs = (inspect.getdoc(command) or "").replace("``", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


PLAIN = {"≤": "<=", "≥": ">=", "×": "x", "·": "-", "−": "-", "–": "-", "—": "-", "…": "...", "’": "'", "→": "->"}
"""Letters of messages that an encoding may lack -> what stands for them."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for letters that a stream's encoding lacks: plain ones, or escapes as JSON has them."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter) or json.dumps(letter)[1:-1] for letter in letters), error.end


def speak_any_encoding() -> None:
    """Let output survive every encoding of a terminal or a log, and steer none."""
    codecs.register_error("straightedge", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="straightedge")
            guard(stream, colours=stream.isatty() or bool(os.environ.get("FORCE_COLOR")))


def print_error(error: Exception, *, as_json: bool) -> int:
    """Print an error as the user sees it and return the exit status."""
    from straightedge.errors import StraightedgeError, visible  # here, not above: one import less for --help

    assert isinstance(error, StraightedgeError)
    if as_json:
        print(json.dumps({"error": error.to_dict()}))
    lines = [f"error: {visible(error.what)}  [{error.code}]"]
    lines += [f"  where: {visible(error.where)}"] if error.where else []
    lines += [f"  mend:  {visible(error.mend)}"] if error.mend else []
    print("\n".join(lines), file=sys.stderr)
    return error.exit_status


def _print_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Print a warning as the user reads it: no file, no line of code."""
    from straightedge.errors import visible

    print(f"warning: {visible(message)}", file=sys.stderr)


def _from_ctrl_c(end: BaseException) -> bool:
    """Whether typer made an exit of a Ctrl-C that no command took for itself."""
    before = (end.__cause__, end.__context__)
    return any(isinstance(one, KeyboardInterrupt) or (one is not None and _from_ctrl_c(one)) for one in before)


def main() -> None:
    """Run the command line; errors end in one message and an exit status, never in a traceback."""
    from straightedge.errors import StraightedgeError, visible

    words = sys.argv[1:]
    speak_any_encoding()
    _register(_asked(words))
    app.rich_markup_mode = "rich" if _wants_frames(words) else None
    warnings.showwarning = _print_warning
    try:
        app()
    except StraightedgeError as error:
        sys.exit(print_error(error, as_json="--json" in sys.argv))
    except SystemExit as end:
        if _from_ctrl_c(end):
            print("stopped", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if os.environ.get("STRAIGHTEDGE_DEBUG"):
            raise
        print(f"error: {type(error).__name__}: {visible(error)}  [internal]", file=sys.stderr)
        print("  mend:  this is a mistake of straightedge; STRAIGHTEDGE_DEBUG=1 shows where", file=sys.stderr)
        sys.exit(1)
