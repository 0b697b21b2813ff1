"""Passes and fits on a GPU beside what the device can do, the torch idiom and peers.

    python -m benchmarks.gpu [--device cuda] [--scale full] [--only pass,images,features,tune] [--out gpu.json]

With ``--device cpu --scale small`` it runs anywhere in seconds, and its figures mean nothing. scikit-learn's
array-API path needs SCIPY_ARRAY_API=1 before scipy is imported, which is why it is set here, first of all.
"""

from __future__ import annotations

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.gpu_data import SCALES, described
from benchmarks.gpu_parts import feature_fits, image_fits, passes
from benchmarks.gpu_tune import tune
from benchmarks.machine import PACKAGES, commit, versions
from straightedge.atomic import write_json, write_text
from straightedge.errors import InputError

PARTS = {"pass": passes, "images": image_fits, "features": feature_fits, "tune": tune}
DEFAULT = ("pass", "images", "features")


def run(device: str, scale: str, only: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Run parts one after another; after each entry the files are whole.

    Raises:
        InputError: ``bench-part`` for a part or scale that does not exist.
    """
    wrong = [name for name in only if name not in PARTS] + ([] if scale in SCALES else [scale])
    if wrong:
        raise InputError("bench-part", f"there is no {wrong[0]!r}", mend=f"one of: {[*PARTS, *SCALES]}")
    results: dict[str, Any] = {
        "machine": described(device),
        "versions": versions((*PACKAGES, "triton")),
        "commit": commit(),
        "device": device,
        "scale": scale,
        "entries": {},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in only:
        for key, entry in PARTS[name](SCALES[scale], device):
            results["entries"][key] = entry
            write_json(out, results)
            write_text(out.with_suffix(".md"), page(results))
            print(f"{key}: {json.dumps(entry)[:400]}", flush=True)
    return results


def page(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    facts, entries = results["machine"], results["entries"]
    lines = ["# On a GPU", "", f"- device: {facts.get('gpu', 'none: ' + str(facts['processor']))}"]
    lines += [f"- versions: {', '.join(f'{k} {v}' for k, v in results['versions'].items())}"]
    lines += [f"- commit: {results['commit']}, scale: {results['scale']}", ""]
    if "abilities" in entries:
        rates = {key: value for key, value in entries["abilities"].items() if key != "bytes"}
        copied = f"copies {entries['abilities']['bytes'] / 1e9:.0f} GB/s"
        lines += [f"{copied}; products, TFLOP/s: {', '.join(f'{k} {v / 1e12:.3g}' for k, v in rates.items())}"]
    lines += ["", *_passes(entries), "", *_fits(entries)]
    return "\n".join(lines) + "\n"


def _passes(entries: dict[str, Any]) -> list[str]:
    lines = ["| one pass | ms | times the floor | of split products | portable ms | torch idiom ms |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for key, entry in entries.items():
        if key.startswith("pass "):
            split = entry["seconds"] / entry["split_floor_seconds"]
            cells = [f"{1e3 * entry['seconds']:.3g}", f"{entry['times_floor']:.2f}", f"{split:.2f}"]
            cells += [f"{1e3 * entry['portable_seconds']:.3g}", _milliseconds(entry.get("idiom_seconds"))]
            lines.append(f"| {key.removeprefix('pass ')} | {' | '.join(cells)} |")
    return lines


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.3g}"


def _fits(entries: dict[str, Any]) -> list[str]:
    lines = ["| fit | s | first time, s | passes | largest gap | |", "|---|--:|--:|--:|--:|---|"]
    for key, entry in entries.items():
        if "first_seconds" in entry:
            cells = [f"{entry['seconds']:.3g}", f"{entry['first_seconds']:.3g}", f"{max(entry['n_passes']):.0f}"]
            cells += [f"{max(entry['gap']):.1e}", ", ".join(sorted(set(entry["status"])))]
            lines.append(f"| {key} | {' | '.join(cells)} |")
        elif "status" in entry:
            known = "seconds" in entry
            cells = [f"{entry['seconds']:.3g}", "", str(entry["iterations"])] if known else ["", "", ""]
            cells += [f"{entry['gap']:.1e}" if known else "", entry.get("why", entry["status"])]
            lines.append(f"| {key} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", default="full", help=", ".join(SCALES))
    parser.add_argument("--only", default=",".join(DEFAULT), help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    asked = parser.parse_args()
    run(asked.device, asked.scale, tuple(asked.only.split(",")), asked.out)


if __name__ == "__main__":
    main()
