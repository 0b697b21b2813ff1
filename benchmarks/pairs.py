"""Two checkouts against each other: the same parts in fresh processes, in turn, as ratios of CPU seconds.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.pairs /tmp/before . --only svm_path --data cifar10.zip --pairs 1 --out pairs.json

A pair is one run of each checkout; every second pair begins with the other one. Pairs are added to the file one
by one, so that a series can be made in many short calls; what is measured at another commit begins anew. The
ratio is after over before: the geometric mean of the pairs, with Student's interval of 95 % on their logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.machine import machine, versions
from straightedge.atomic import write_json

PARTS = ("pass", "softmax", "svm", "path", "svm_path", "folds", "memory")
WORK = Path(__file__).with_name("pair_work.py")
CONFIDENCE = 0.95


def measured(checkout: Path, parts: str, data: str, rows: int) -> dict[str, float]:
    """Run parts with a checkout's own modules in a fresh process; return what it found, by name."""
    root = checkout.resolve()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), str(root / "src")))}
    words = [sys.executable, "-P", str(WORK), parts, data, str(rows)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=root, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, with a plus sign where files of src differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def one_pair(before: Path, after: Path, parts: str, data: str, rows: int, *, swapped: bool) -> dict[str, Any]:
    """Run parts of both checkouts; return (before, after) by the name of each measurement."""
    order = [after, before] if swapped else [before, after]
    found = [measured(checkout, parts, data, rows) for checkout in order]
    first, second = found[::-1] if swapped else found
    return {name: (first[name], second[name]) for name in first}


def ratio(pairs: list[tuple[float, float]]) -> dict[str, float | None]:
    """Return the geometric mean of after over before and its interval; a single pair has none."""
    logarithms = np.log([after / before for before, after in pairs])
    mean, count = float(logarithms.mean()), len(logarithms)
    if count == 1:
        return {"ratio": math.exp(mean), "low": None, "high": None, "pairs": 1}
    error = float(logarithms.std(ddof=1)) / math.sqrt(count)
    half = float(student.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
    return {"ratio": math.exp(mean), "low": math.exp(mean - half), "high": math.exp(mean + half), "pairs": count}


def added(results: dict[str, Any], facts: dict[str, Any], pair: dict[str, Any]) -> None:
    """Add a pair to the results; where its facts are others than those of former pairs, these are dropped."""
    for name, (before, after) in pair.items():
        key = f"{name}, {facts['rows']} rows"
        known = results["entries"].get(key, {})
        former = known.get("values", []) if known.get("facts") == facts else []
        values = [*former, (before, after)]
        unit = "MiB" if name == "memory" else "CPU s"
        results["entries"][key] = {"facts": facts, "unit": unit, "values": values} | ratio(values)


def begun(out: Path) -> dict[str, Any]:
    """Return the results in a file, or none."""
    fresh: dict[str, Any] = {"machine": machine(), "versions": versions(), "entries": {}}
    if not out.exists():
        return fresh
    return fresh | {"entries": json.loads(out.read_text(encoding="utf-8"))["entries"]}


def main() -> None:
    """Measure the pairs asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout")
    parser.add_argument("after", type=Path, help="another checkout")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--rows", type=int, default=0, help="rows to use; 0 for all")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/pairs.json"))
    asked = parser.parse_args()
    data = str(Path(asked.data).resolve()) if Path(asked.data).exists() else asked.data
    facts = {
        "before": commit_of(asked.before),
        "after": commit_of(asked.after),
        "data": Path(asked.data).name,
        "rows": asked.rows or "all",
    }
    results = begun(asked.out)
    for turn in range(asked.pairs):
        done = sum(len(entry["values"]) for entry in results["entries"].values())
        pair = one_pair(asked.before, asked.after, asked.only, data, asked.rows, swapped=bool((done + turn) % 2))
        added(results, facts, pair)
        write_json(asked.out, results)
        for key, entry in results["entries"].items():
            print(key, {name: entry[name] for name in ("ratio", "low", "high", "pairs")}, flush=True)


if __name__ == "__main__":
    main()
