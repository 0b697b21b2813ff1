"""What the numbers were measured on: cores, processor, memory, versions, commit, load, and a yardstick."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np
import torch

from straightedge.cores import available_cores

PACKAGES = ("straightedge", "torch", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "cyanure", "numba")
YARDSTICK_COLUMNS = 16


def machine() -> dict[str, object]:
    """Return cores, processor, memory and operating system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return {
        "cores": available_cores(),
        "processor": _processor(),
        "memory_mib": round(memory),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of all that is measured."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the source tree, with a plus sign where files differ from it."""
    root = Path(__file__).parents[1]

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def yardstick(table: np.ndarray) -> dict[str, object]:
    """Time one plain float32 product X @ W, W with 16 columns; every timing is written with it.

    Args:
        table: (N, D + 1) float32.

    Returns:
        Its shape and the median of three in ms.
    """
    X = torch.from_numpy(table)
    W = torch.ones(table.shape[1], YARDSTICK_COLUMNS)
    _ = X[:1024] @ W
    seconds = median(timed(lambda: X @ W) for _ in range(3))
    return {"shape": [*table.shape, YARDSTICK_COLUMNS], "ms": float(f"{1000 * seconds:.4g}")}


def conditions(table: np.ndarray) -> dict[str, object]:
    """Return what a single measurement is written with: time, load average, yardstick."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load": round(os.getloadavg()[0], 2),
        "yardstick": yardstick(table),
    }


def timed(work: Callable[[], object]) -> float:
    """Return the wall time of ``work()``, s."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
