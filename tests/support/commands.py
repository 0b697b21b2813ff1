"""Commands one after the other in one fresh process: starting Python for each takes longer than most of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

RUN = """
import json, sys
from straightedge.cli import main
answers, commands = sys.argv[1], json.loads(sys.argv[2])
found = []
for words in commands:
    sys.argv = ["straightedge", *words]
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    found.append(status)
    print(json.dumps(found), file=open(answers, "w"), flush=True)
"""


def run_commands(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str], *options: str
) -> tuple[list[int], bytes]:
    """Run commands, none after one that ends in a traceback.

    Args:
        commands: The words of each after ``straightedge``.
        folder: Where they run.
        environment: Their variables.
        *options: Of Python, such as ``-X utf8=0``.

    Returns:
        Exit statuses of as many as ended, and what all of them wrote to standard error.
    """
    answers = folder / "statuses.json"
    done = subprocess.run(
        [sys.executable, *options, "-c", RUN, str(answers), json.dumps([list(words) for words in commands])],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        check=False,
    )
    return json.loads(answers.read_text("utf-8")), done.stderr
