"""Fit in processes that a used process starts in every way there is, many times: none may wait for ever.

The parent has fitted with every kind of solver, so that it has pools and teams of threads of its own.

    python tests/support/start_methods.py FORKS FORKSERVERS SPAWNS LOADERS
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np

from straightedge import SoftmaxClassifier, SVMClassifier

LONGEST = 120.0
"""Seconds after which a child is said to hang; on a free core it takes one, or five where it imports torch."""
random = np.random.default_rng(0)
X, y = random.normal(size=(300, 40)).astype(np.float32), random.integers(0, 4, 300)


def fits(place: int = 0) -> list[float]:
    """Fit each kind of solver once and return their accuracies."""
    warnings.simplefilter("ignore")
    kinds = (SoftmaxClassifier(reg=1e-3), SVMClassifier(reg=1e-3), SoftmaxClassifier(reg=1e-3, solver="lbfgs"))
    return [float(kind.fit(X, y).score(X, y)) for kind in kinds]


def child(queue: Any) -> None:
    queue.put(fits())


class Fits:
    """A data set of PyTorch whose samples are fits."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> list[float]:
        return fits(place)


def by_process(method: str) -> str:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    try:
        found = queue.get(timeout=LONGEST)
    except Exception:
        process.kill()
        return "hang or end"
    process.join(LONGEST)
    return "right" if np.allclose(found, HERE) else "wrong"


def by_loader() -> str:
    from torch.utils.data import DataLoader

    loader = DataLoader(Fits(), batch_size=None, num_workers=2, timeout=LONGEST)  # type: ignore[arg-type]
    try:
        found = list(loader)
    except RuntimeError:
        return "hang or end"
    return "right" if np.allclose(found, HERE) else "wrong"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    multiprocessing.set_forkserver_preload(["straightedge.estimators", "straightedge.solvers"])
    HERE = fits()
    ways = {method: lambda method=method: by_process(method) for method in ("fork", "forkserver", "spawn")}
    counts = {}
    for (name, start), count in zip((ways | {"loader": by_loader}).items(), map(int, sys.argv[1:]), strict=True):
        began = time.perf_counter()
        counts[name] = dict(Counter(start() for _ in range(count)))
        print(name, counts[name], f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps(counts))
