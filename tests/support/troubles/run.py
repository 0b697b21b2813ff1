"""Meet every trouble with every command that reads, each in a fork of a process that has imported the package.

    python tests/support/troubles/run.py FOLDER WORK

where WORK is JSON, a list of [FORMAT, TROUBLES, COMMANDS], prints as JSON what went wrong and how commands ended.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.troubles.formats import FORMATS, Source
from support.troubles.kinds import BOMBS, EVERY, Trouble

SECONDS = 10.0
"""CPU or wall seconds, whichever are fewer, in which every command must end."""
MOST = 2**30
"""Bytes above the parent's own that a command may take."""


def commands(source: Source) -> dict[str, list[str]]:
    return {
        "fit": ["fit", source.words, *source.options, "--reg", "0.1", "--out", "new", "--no-cache", "--json"],
        "evaluate": ["evaluate", "run", source.words, *source.options],
        "predict": ["predict", "run", source.rows],
        "features": ["features", source.words, "--extractor", "raw", "--out", "features.npz", *source.options],
    }


def say(words: list[str], out: Path) -> int:
    """Run one command in this process, its words written to a file; return its exit status."""
    from straightedge.cli.app import main

    sys.argv = ["straightedge", *words]
    with open(out, "w", encoding="utf-8", errors="backslashreplace") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), "utf-8")
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
    return 0


def in_fork(todo: dict[str, list[str]], folder: Path, told: Path) -> dict[str, dict[str, float]]:
    """Run commands one after the other in a fork, and in a new one after each that had to be killed.

    Returns:
        For each command: its status, its seconds (of wall or CPU, whichever are fewer), and the most memory that
        the fork had held by its end, in bytes.
    """
    ended: dict[str, dict[str, float]] = {}
    while len(ended) < len(todo):
        left = {name: words for name, words in todo.items() if name not in ended}
        notes = told / "notes"
        notes.write_text("")
        child = os.fork()
        if child == 0:
            try:
                _work_through(left, folder, told, notes)
            finally:
                os._exit(99)
        status = _watched(child, notes)
        ended |= dict(map(json.loads, notes.read_text().splitlines()))
        if status != 0:
            broken = next(name for name in todo if name not in ended)
            ended[broken] = {"status": status, "seconds": SECONDS, "peak": 0}
    return ended


def _work_through(todo: dict[str, list[str]], folder: Path, told: Path, notes: Path) -> None:
    """Run commands here, noting how each ended."""
    os.chdir(folder)
    for name, words in todo.items():
        wall, cpu = time.perf_counter(), time.process_time()
        status = say(words, told / name)
        seconds = min(time.perf_counter() - wall, time.process_time() - cpu)
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open(notes, "a") as file:
            file.write(json.dumps([name, {"status": status, "seconds": seconds, "peak": peak}]) + "\n")
    os._exit(0)


def _watched(child: int, notes: Path) -> int:
    """Wait for a fork, and kill it where one command takes too long; return its status."""
    known, since, used = "", time.perf_counter(), 0.0
    while True:
        done, waited = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(waited)
        if (now := notes.read_text()) != known:
            known, since, used = now, time.perf_counter(), _cpu(child)
        if time.perf_counter() - since > 3 * SECONDS or _cpu(child) - used > SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.003)


def _cpu(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fault(ended: dict[str, float], told: str) -> str | None:
    """Return what is wrong with how a command ended, None if nothing is."""
    if ended["status"] == -signal.SIGKILL:
        return "hang"
    if ended["status"] not in (0, 1, 2):
        return f"status {ended['status']}"
    if "Traceback" in told or "[internal]" in told:
        return "traceback"
    if ended["seconds"] > SECONDS:
        return "slow"
    return f"{ended['peak'] / 2**20:.0f} MB" if ended["peak"] > MOST else None


def troubles_of(name: str) -> dict[str, Trouble]:
    """Return the troubles of every format, and those of this one."""
    own = {word: made for endings, bombs in BOMBS.items() if name in endings for word, made in bombs.items()}
    return {**EVERY, **own}


@dataclass
class Table:
    """What was met.

    Attributes:
        place: Folder to work in.
        idle: Bytes that a fork holds that does nothing.
        wrong: A record of every fault.
        counts: How often commands ended in which way.
    """

    place: Path
    idle: float = 0.0
    wrong: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def meet(self, name: str, words: Collection[str], asked: Collection[str]) -> None:
        """Meet troubles of one format by some commands, with a run that was fitted on it."""
        run = self.place / "run"
        for word in ("nothing", *words):
            spoil = troubles_of(name).get(word, lambda path: None)
            folder = self.place / "here"
            folder.mkdir()
            source = FORMATS[name](folder, name)
            (folder / "run").symlink_to(run)
            spoil(folder / source.file)
            self._each_command(name, word, source, folder, asked)
            shutil.rmtree(folder)
        shutil.rmtree(run, ignore_errors=True)

    def _each_command(self, name: str, word: str, source: Source, folder: Path, asked: Collection[str]) -> None:
        todo = {command: words for command, words in commands(source).items() if command in asked}
        size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
        if word == "nothing":  # the run that the other commands need
            in_fork({"fit": [*commands(source)["fit"][:-2], "--quiet"]}, folder, self.place)
            if not (folder / "new").exists():
                told = (self.place / "fit").read_text(errors="replace")
                self.wrong.append({"format": name, "fault": "a good file is not fitted", "told": told[-600:]})
                return
            (folder / "new").rename(self.place / "run")
        before = 0.0
        for command, ended in in_fork(todo, folder, self.place).items():
            told = (self.place / command).read_text(errors="replace")
            grown, before = ended["peak"] > before, ended["peak"]
            ended["peak"] -= self.idle + size if grown else ended["peak"]
            found = fault(ended, told)
            if word == "nothing" and ended["status"] != 0:
                found = "a good file is refused"
            self.counts[f"{word}: {ended['status']:.0f}"] += 1
            if found:
                about = {"format": name, "trouble": word, "command": command, "fault": found}
                self.wrong.append(about | ended | {"told": told[-600:]})
                print(about, f"{ended['seconds']:.1f} s", told[-200:], file=sys.stderr, flush=True)


def warm(place: Path) -> None:
    """Use the package once here, so that forks have it imported."""
    import torch
    import typer.main

    from straightedge.cli.app import _register, app

    torch.set_num_threads(1)
    _register()
    built = typer.main.get_command(app)
    typer.main.get_command = lambda app: built  # a tenth of a second, which is more than most troubles take
    for name in (".csv", "folder of images", ".npz"):
        folder = place / "warm"
        folder.mkdir(parents=True)
        os.chdir(folder)
        source = FORMATS[name](folder, name)
        for words in commands(source).values():
            say(["new" if word == "run" else word for word in words], place / "told")
        os.chdir(place)
        shutil.rmtree(folder)


def main(place: Path, work: list[tuple[str, list[str], list[str]]]) -> None:
    """Meet the troubles of some formats and print what went wrong."""
    os.environ["STRAIGHTEDGE_CACHE"] = str(place / "cache")
    warnings.simplefilter("ignore")
    streams = sys.stdout, sys.stderr
    kept = [os.dup(number) for number in (1, 2)]
    warm(place)
    for number, stream in enumerate(kept, start=1):
        os.dup2(stream, number)
    sys.stdout, sys.stderr = streams
    gc.freeze()
    table = Table(place)
    table.idle = in_fork({"help": ["--version"]}, place, place)["help"]["peak"]
    for name, words, asked in work:
        table.meet(name, words, asked)
    print(json.dumps({"wrong": table.wrong, "counts": table.counts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), json.loads(sys.argv[2]))
