"""Run alone in a process: the plain torch idiom of a pass with the threads that torch starts with; ms as JSON.

In a process that has set its number of threads torch may take another path through the BLAS than in one that has
not, which is what most programs are.
"""

from __future__ import annotations

import json
import sys

import torch

from benchmarks.machine import timed


def main(n_rows: int, width: int, n_classes: int, repeat: int) -> None:
    X, W = torch.rand(n_rows, width), torch.randn(width, n_classes) * 1e-3
    y, index = torch.randint(n_classes, (n_rows,)), torch.arange(n_rows)

    def work() -> object:
        log = (X @ W).log_softmax(dim=1)
        A = log.exp()
        A[index, y] -= 1
        return -log[index, y].mean(), X.t() @ A

    work()
    print(json.dumps({"threads": torch.get_num_threads(), "ms": [1000 * timed(work) for _ in range(repeat)]}))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
