"""Times every tile of the fused products on the shapes that matter, for the table in `kernels.fused`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch

from benchmarks.gpu_data import Scale, Table, features, images, seconds_of
from straightedge.rows import Rows

LONG, COLUMNS, STEPS, WARPS, STAGES = (64, 128), (16, 32, 64, 128, 256), (32, 64, 128), (4, 8), (2, 3, 4)
LARGEST_TILE = 128 * 256
MOST_ROWS = 65_536
TWO = ((32, 16, 32, 1, 1), (64, 16, 64, 1, 1))  # the interpreter only shows that this runs


def tune(scale: Scale, device: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield, for rows × columns, the seconds of both products by tile, best first."""
    from straightedge.kernels import fused

    if device == "cpu" and not fused.INTERPRETED:
        return
    for make in (images, features):
        table = make(scale, device)
        for n_configs in (1, scale.path):
            choices = TWO if fused.INTERPRETED else list(product(LONG, COLUMNS, STEPS, WARPS, STAGES))
            yield f"tune {table.name} K={n_configs}", _timed(table, n_configs, choices, device)


def _timed(table: Table, n_configs: int, choices: Any, device: str) -> dict[str, Any]:
    from straightedge.kernels.fused import FusedProducts, Tiles

    n_columns = table.n_classes * n_configs
    n_rows = min(len(table.X), 100 if choices is TWO else MOST_ROWS, max(1024, 2**28 // n_columns))
    found: dict[str, list[Any]] = {"scores": [], "gradient": []}
    for choice in choices:
        tiles = Tiles(*choice)
        if tiles.long * tiles.columns > LARGEST_TILE or tiles.columns >= 4 * max(16, n_columns):
            continue
        products = FusedProducts(Rows(table.X), tiles)
        products.use(*_weight(table, n_columns, device))
        products.load(0, n_rows)
        try:
            S = products.scores()
            found["scores"].append([seconds_of(products.scores, device, 3), *choice])
            gradient = seconds_of(lambda p=products, S=S: p.add_gradient(S), device, 3)
            found["gradient"].append([gradient, *choice])
        except Exception as problem:  # too much shared memory for the device, say
            found.setdefault("failed", []).append([str(problem)[:120], *choice])
    best = {name: sorted(rows)[:8] for name, rows in found.items()}
    return {"shape": [n_rows, table.X.shape[1], n_columns], "seconds, long, columns, step, warps, stages": best}


def _weight(table: Table, n_columns: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.randn(n_columns, table.X.shape[1], device=device)
    return weight, torch.zeros(n_columns, device=device)
