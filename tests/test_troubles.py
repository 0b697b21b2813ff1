"""One table of troubles, met in every registered format by every command that reads: see `support.troubles`.

Every command ends within ten seconds, within a gigabyte above the data's own size, and without a traceback. One
ending of every writer of sources meets all troubles by `fit` and a few by the other commands: a third of them in
long tests, the others in slow ones. One slow test is the whole table, every ending, trouble and command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from straightedge.data.endings import TEXT_TABLES
from straightedge.data.finding import SUFFIXES
from support.troubles.formats import FORMATS
from support.troubles.run import troubles_of

Work = list[tuple[str, list[str], list[str]]]
FIRST = list({writer: ending for ending, writer in reversed(FORMATS.items())}.values())
"""An ending of every writer."""
FIRST += [".tar", ".tar.gz"]
FEW = ["a pipe", "one byte", "bytes without sense", "three bytes changed, 0"]
EVERY_COMMAND = ["fit", "evaluate", "predict", "features"]


def test_every_registered_format_has_a_source_to_spoil() -> None:
    assert {*SUFFIXES, *TEXT_TABLES} <= set(FORMATS)


def met(work: Work, folder: Path, seconds: float) -> None:
    tests = str(Path(__file__).parent)
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, Path(tests) / "support" / "troubles" / "run.py", folder, json.dumps(work)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["counts"].values()) >= sum(len(words) * len(commands) for _, words, commands in work)
    assert not found["wrong"], "\n".join(map(str, found["wrong"]))


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.slow) for part in (2, 3, 4, 5))])
def test_troubles_of_every_format(part: int, tmp_path: Path) -> None:
    work: Work = [(ending, list(troubles_of(ending)), ["fit"]) for ending in FIRST]
    work += [(ending, FEW, ["predict", "evaluate", "features"]) for ending in FIRST]
    met(work[part::6], tmp_path, 600)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_whole_table(tmp_path: Path) -> None:
    met([(ending, list(troubles_of(ending)), EVERY_COMMAND) for ending in FORMATS], tmp_path, 3600)
