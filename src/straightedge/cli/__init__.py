"""The command line: parse, call, exit code. One module a command, each imported when it is run."""

from __future__ import annotations

import signal
import sys
from types import FrameType

__all__ = ["main"]


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop the command in good order; from here on, another Ctrl-C ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line as a program: Ctrl-C ends it with a message, at whatever moment it comes."""
    signal.signal(signal.SIGINT, _stop)
    try:
        from straightedge.cli.app import main as run

        run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("stopped", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # libraries clean up for a while after the last line
