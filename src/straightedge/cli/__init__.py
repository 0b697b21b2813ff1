"""The command line: parse, call, exit code. One module a command, each imported when it is run."""

from __future__ import annotations

from straightedge.cli.app import app, main

__all__ = ["app", "main"]
