"""Stop fits at random moments by a signal, resume them, and compare every W with that of an undisturbed fit.

Run by test_resume.py in a process of its own: Python and torch are imported once, and every fit is a fork.

    python tests/support/kill_runs.py FOLDER KINDS TRIES SEED [SIGNAL]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import typer

from straightedge.cli.fit import run as run_command
from straightedge.errors import InputError
from straightedge.runs import RunFolder
from straightedge.runs.publish import read_marker
from straightedge.workflow import FitOptions, run_fit

# L-BFGS has many steps, each with its checkpoint: Newton's method is done before most signals come
KINDS = {
    "softmax": {"solver": "lbfgs", "reg": 1e-4, "tol": 1e-7},
    "svm": {"loss": "svm", "reg": 1e-4, "max_passes": 30, "suspects": False},
    "path": {"solver": "lbfgs", "regs": [1e-4, 1e-3, 1e-2], "tol": 1e-5, "suspects": False},
    "sgd": {"solver": "sgd", "epochs": 12, "batch_size": 20, "suspects": False},
    "search": {"solver": "sgd", "search": True, "epochs": 8, "batch_size": 20, "suspects": False},
}


def write_data(path: Path) -> None:
    """Three overlapping classes, so that no optimum is reached in a step or two."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 300)
    X = generator.standard_normal((300, 12)) + np.eye(3, 12)[y] * 1.5
    np.savez(path, X=X.astype(np.float32), y=y)


def forked_fit(options: FitOptions, after: float | None = None, number: int = signal.SIGKILL) -> int:
    """Fit in a fork, as the command does, and stop it after some seconds; return the exit status."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(_fit_here(options))
        except KeyboardInterrupt:  # before anything had begun
            os._exit(130)
    if after is not None:
        time.sleep(after)
        os.kill(child, number)
    _, waited = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(waited)


def _fit_here(options: FitOptions) -> int:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run_command(options, as_json=True)
    except typer.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        return 130
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def answer(run: Path) -> bytes:
    """Everything that a fit decides, as bytes."""
    model = RunFolder.open(run).load_model()
    points = RunFolder.open(run).load_path()[1:] if (run / "path.safetensors").exists() else ()
    return b"".join(part.tobytes() for part in (model.weight.numpy(), model.bias.numpy(), *points))


def stop_and_resume(options: FitOptions, after: float, number: int) -> str:
    """Return how the run that was stopped stood: ended, resumed from a checkpoint, or begun again."""
    out = Path(options.run.out)
    partial = out.with_name(f".{out.name}.partial")
    status = forked_fit(options, after, number)
    assert status in ({0, -number} if number == signal.SIGKILL else {0, 130}), status
    if out.exists():
        return "ended"
    stood = "resumed" if (partial / "checkpoint.safetensors").exists() else "again"
    begun, named = (partial / "config.json").exists(), read_marker(partial) is not None
    status = forked_fit(replace(options, resume=begun, overwrite=not begun))
    if named:  # stopped while it was given its name: the next command ends that, and nothing is left
        assert status == 2 and out.exists(), status
        return "ended"
    assert status == 0, (status, stood, begun)
    return stood


def main(folder: Path, kind: str, tries: int, seed: int, number: int) -> dict[str, int]:
    """Stop and resume one kind of fit some times; return how often which case was met."""
    data, out = folder / "data.npz", folder / "run"
    write_data(data)
    options = FitOptions(str(data), str(out), checkpoint_every=0.0, progress=False, **KINDS[kind])
    run_fit(replace(options, overwrite=True))  # imports what a fit needs, so that the forks have it
    expected = answer(out)
    took = []
    for _ in range(3):  # the least: after a pause of the machine most signals would come too late
        began = time.perf_counter()
        assert forked_fit(replace(options, overwrite=True)) == 0
        took.append(time.perf_counter() - began)
    seconds = min(took)
    assert answer(out) == expected, "two fits of the same data differ"
    random.seed(seed)
    counts: Counter[str] = Counter()
    for attempt in range(tries):
        shutil.rmtree(out)
        counts[stop_and_resume(options, random.uniform(0.02, 1.05) * seconds, number)] += 1
        assert answer(out) == expected, f"{kind}, try {attempt}: another W"
        left = {entry.name for entry in folder.iterdir()} - {".run.lock"}
        assert left == {"data.npz", "run"}, left
    return counts


def write_large(path: Path) -> None:
    """Rows that keep a fit busy for minutes."""
    generator = np.random.default_rng(1)
    y = generator.integers(0, 10, 20_000)
    X = generator.standard_normal((20_000, 256)).astype(np.float32)
    X[:, :10] += np.eye(10, dtype=np.float32)[y]
    np.savez(path, X=X, y=y)


def seconds_to_stop(folder: Path, presses: int) -> dict[str, float]:
    """Press Ctrl-C in the middle of a long fit; return its exit status and how long it went on, s.

    Both the wall and the CPU seconds of the process are given: on a machine with other work to do, only the
    latter are its own.
    """
    data, out = folder / "large.npz", folder / f"long{presses}"
    write_large(data)
    options = FitOptions(
        str(data), str(out), reg=1e-9, tol=1e-13, max_passes=1e9, checkpoint_every=0.0, progress=False
    )
    child = os.fork()
    if child == 0:
        try:
            os._exit(_fit_here(options))
        except KeyboardInterrupt:  # before anything had begun
            os._exit(130)
    state = out.with_name(f".{out.name}.partial") / "checkpoint.safetensors"
    while not state.exists():
        time.sleep(0.01)
    before, began = _cpu_seconds(child), time.perf_counter()
    for _ in range(presses):
        os.kill(child, signal.SIGINT)
        time.sleep(0.01)
    _, waited, used = os.wait4(child, 0)
    return {
        "status": os.waitstatus_to_exitcode(waited),
        "wall": time.perf_counter() - began,
        "cpu": used.ru_utime + used.ru_stime - before,
        "resumable": float(state.exists()),
    }


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.fsync = lambda descriptor: None  # a kill cannot tell, and more kills land between two checkpoints
    place, names, count, start = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])
    chosen = int(sys.argv[5]) if len(sys.argv) > 5 else signal.SIGKILL
    found: dict[str, object] = {name: main(place, name, count, start, chosen) for name in names}
    found["presses"] = [seconds_to_stop(place, presses) for presses in (1, 2)]
    print(json.dumps(found))
