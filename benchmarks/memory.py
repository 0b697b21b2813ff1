"""Run alone in a process: read raw arrays, fit, print the peak resident memory as JSON."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np

from straightedge import SoftmaxClassifier


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, MiB.

    Linux tells it in VmHWM; its ru_maxrss would count the parent that started this process as well.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def main(folder: Path, reg: float, tol: float) -> None:
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    before = peak_mib()
    model = SoftmaxClassifier(reg=reg, tol=tol, preprocess="pixels").fit(X, y)
    print(json.dumps({"peak_mib": peak_mib(), "before_fit_mib": before, "gap": model.gap_}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
