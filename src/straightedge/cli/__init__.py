"""The command line: parse, call, exit code. One module a command, each imported when it is run."""

import gc
import signal
import sys
from types import FrameType

from straightedge import __version__

__all__ = ["main", "print_version"]

OBJECTS_A_COLLECTION = 10_000
"""New objects between two searches for garbage, 700 by default: imports make many objects, and no garbage."""


def print_version() -> None:
    """Print the version, as ``--version`` does."""
    print(f"straightedge {__version__}")


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop the command in good order; from here on, another Ctrl-C ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line as a program: Ctrl-C ends it with a message, at whatever moment it comes."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts and installers, and no parser is needed for it
        print_version()
        return
    signal.signal(signal.SIGINT, _stop)
    gc.set_threshold(OBJECTS_A_COLLECTION)
    try:
        from straightedge.cli.app import main as run

        run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("stopped", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # libraries clean up for a while after the last line
        gc.freeze()  # the interpreter's last search for cycles leaves out what ends with the process anyway
