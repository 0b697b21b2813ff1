"""What a pass costs between ranks: bytes, calls, seconds; a model, checked on 1, 2 and 4 ranks.

    python benchmarks/communication.py [--rows 40000] [--features 256] [--out benchmarks/results]

The model, for p ranks of one core each and a pass that all-reduces n bytes in one call (a ring, as gloo's):

    seconds = compute · N/p · crowding + calls · [2 (p − 1) α + 2 (p − 1)/p · n β]

compute (s a row) is measured on one rank, latency α and time per byte β are fitted to all-reduces of many sizes
on 2 and 4 ranks. Crowding is ranks over cores where a host has more ranks than cores, else 1. The model is checked
against whole passes on 1, 2 and 4 ranks; beyond those it is a prediction for hosts with a core and a link like
these for each rank, and says so. Times are the shortest of many: what else runs on the machine only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).parent))
from machine import machine, versions  # type: ignore[import-not-found]
from straightedge.distributed import Communicator, Traffic, current, row_range
from straightedge.fitting import FitSettings, build_objective
from straightedge.rows import Rows

WORLDS = (1, 2, 4)
PREDICTED = (8, 64, 512)
SIZES = (8, 1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22)  # bytes
CASES = {"softmax, 10 classes": (10, 1), "softmax, 10 classes, 16 values of reg": (10, 16)}
PASSES = 15
NETWORKS = {  # α s, bytes a second: what is usual, to be replaced by what one's own ranks measure
    "these ranks' own link": None,
    "10 Gbit/s Ethernet": (5e-5, 1.1e9),
    "100 Gbit/s InfiniBand": (5e-6, 1.1e10),
}


def all_reduce_times(communicator: Communicator) -> dict[int, float]:
    """Return seconds of one all-reduce by bytes: the shortest of many."""
    out = {}
    for size in SIZES:
        value = torch.ones(size // 8, dtype=torch.float64)
        times = []
        for _ in range(100 if size < 1 << 20 else 20):
            began = time.perf_counter()
            communicator.all_reduce(value)
            times.append(time.perf_counter() - began)
        out[size] = min(times)
    return out


def pass_times(communicator: Communicator, n_rows: int, n_features: int) -> dict[str, dict[str, float]]:
    """Return for each case the seconds of a pass and what it sent."""
    start, stop = row_range(n_rows, communicator.rank, communicator.size)
    generator = torch.Generator().manual_seed(communicator.rank)
    X = torch.randn(stop - start, n_features, generator=generator)
    out = {}
    for name, (C, K) in CASES.items():
        y = torch.randint(C, (stop - start,), generator=generator)
        objective = build_objective(Rows(X), y, C, [0.01] * K, FitSettings(workers=1), communicator=communicator)
        W = torch.zeros(objective.shape)
        objective.evaluate(W)
        times, before = [], Traffic(**vars(communicator.traffic))
        for _ in range(PASSES):
            communicator.barrier()
            began = time.perf_counter()
            objective.evaluate(W)
            times.append(time.perf_counter() - began)
        sent = communicator.traffic.since(before)
        barriers = PASSES if communicator.size > 1 else 0
        out[name] = {
            "seconds": min(times),
            "calls": (sent.calls - barriers) / PASSES,
            "bytes": (sent.n_bytes - 4 * barriers) / PASSES,
            "communication_seconds": sent.seconds / PASSES,
        }
    return out


def measure(size: int, n_rows: int, n_features: int) -> dict[str, Any]:
    """Fork the ranks of one world and return what rank 0 has measured."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        children = []
        for rank in range(size):
            child = os.fork()
            if child == 0:
                _be_rank(rank, size, port, folder, n_rows, n_features)
            children.append(child)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(statuses):
            raise SystemExit(f"ranks ended with {statuses}")
        found: dict[str, Any] = json.loads((Path(folder) / "0.json").read_text())
        return found


def shortest(measured: list[Any]) -> Any:
    """Return the smallest of each number in measurements of one shape."""
    if isinstance(measured[0], dict):
        return {key: shortest([one[key] for one in measured]) for key in measured[0]}
    return min(measured)


def _be_rank(rank: int, size: int, port: int, folder: str, n_rows: int, n_features: int) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    communicator = current()
    result = {
        "all_reduce": all_reduce_times(communicator) if size > 1 else {},
        "passes": pass_times(communicator, n_rows, n_features),
    }
    (Path(folder) / f"{rank}.json").write_text(json.dumps(result))
    communicator.barrier()
    os._exit(0)


def fitted(worlds: dict[int, dict[str, Any]]) -> tuple[float, float]:
    """Return α (s) and β (s a byte), ≥ 0, by least squares on relative errors over worlds 2 and 4."""
    rows, ones = [], []
    for size, world in worlds.items():
        for n_bytes, seconds in world["all_reduce"].items():
            latency, volume = steps(size, float(n_bytes))
            rows.append([latency / seconds, volume / seconds])
            ones.append(1.0)
    matrix = np.array(rows)
    scale = matrix.max(axis=0)
    solution, _ = nnls(matrix / scale, np.array(ones))
    alpha, beta = solution / scale
    return float(alpha), float(beta)


def steps(size: int, n_bytes: float) -> tuple[float, float]:
    """Return how often a ring pays the latency, and how many bytes each rank sends."""
    return 2.0 * (size - 1), 2.0 * (size - 1) / size * n_bytes


def predicted(
    size: int, compute: float, n_bytes: float, link: tuple[float, float], cores: int | None
) -> dict[str, float]:
    """Return the model's seconds of a pass on ``size`` ranks.

    Args:
        size: Ranks.
        compute: Seconds of the whole pass's products on one core.
        n_bytes: All-reduced in one call.
        link: α and β.
        cores: Of the one host that all ranks share; None gives each rank its own.
    """
    latency, volume = steps(size, n_bytes)
    crowding = max(1.0, size / cores) if cores else 1.0
    own, wire = compute / size * crowding, latency * link[0] + volume * link[1]
    return {"compute": own, "communication": wire, "seconds": own + wire}


def model(worlds: dict[int, dict[str, Any]], cores: int) -> dict[str, Any]:
    """Fit the model, check it where it was measured and predict beyond."""
    alpha, beta = fitted({size: world for size, world in worlds.items() if size > 1})
    out: dict[str, Any] = {"alpha_seconds": alpha, "beta_seconds_per_byte": beta, "cases": {}}
    for name in CASES:
        measured = {size: world["passes"][name] for size, world in worlds.items()}
        compute, n_bytes = measured[1]["seconds"], measured[max(measured)]["bytes"]
        checks = {
            size: predicted(size, compute, n_bytes, (alpha, beta), cores)
            | {"measured": found["seconds"], "calls": found["calls"], "bytes": found["bytes"]}
            for size, found in measured.items()
        }
        ahead = {
            network: {
                size: predicted(
                    size, compute, n_bytes, (alpha, beta) if link is None else (link[0], 1 / link[1]), None
                )
                for size in PREDICTED
            }
            for network, link in NETWORKS.items()
        }
        out["cases"][name] = {"checked": checks, "predicted": ahead}
    return out


def table(result: dict[str, Any]) -> str:
    """Return the page."""
    found, data = result["model"], result["data"]
    lines = [
        "# What a pass costs between ranks",
        "",
        f"{data['rows']:,} rows × {data['features']} features, float32 products, sums in float64; "
        f"{result['machine']['cores']} cores, load {result['load']:.1f} at the start; one worker thread a rank; "
        "shortest of many.",
        "",
        f"Latency α = {found['alpha_seconds'] * 1e6:.0f} µs a step, "
        f"{1e-9 / max(found['beta_seconds_per_byte'], 1e-18):.2f} GB/s (loopback, gloo's ring).",
    ]
    for name, case in found["cases"].items():
        lines += ["", f"## {name}", ""]
        lines += ["| ranks | calls | KiB | measured ms | model ms | ratio |", "|--:|--:|--:|--:|--:|--:|"]
        for size, row in case["checked"].items():
            lines.append(
                f"| {size} | {row['calls']:.0f} | {row['bytes'] / 1024:.0f} | {row['measured'] * 1e3:.1f} "
                f"| {row['seconds'] * 1e3:.1f} | {row['seconds'] / row['measured']:.2f} |"
            )
        lines += ["", "Predicted, a core for each rank, ms (of these between ranks):", ""]
        lines += ["| network | " + " | ".join(f"{size} ranks" for size in PREDICTED) + " |", "|---|--:|--:|--:|"]
        for network, ahead in case["predicted"].items():
            cells = [f"{row['seconds'] * 1e3:.2f} ({row['communication'] * 1e3:.2f})" for row in ahead.values()]
            lines.append(f"| {network} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    rounds = [{size: measure(size, asked.rows, asked.features) for size in WORLDS} for _ in range(asked.rounds)]
    worlds = {size: shortest([worlds[size] for worlds in rounds]) for size in WORLDS}
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "load": load,
        "data": {"rows": asked.rows, "features": asked.features},
        "worlds": worlds,
    }
    result["model"] = model(worlds, result["machine"]["cores"])
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "communication.json").write_text(json.dumps(result, indent=1) + "\n")
    page = table(result)
    (asked.out / "communication.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
