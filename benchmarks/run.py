"""Run parts of the benchmark and write JSON, Markdown and charts; runs of several parts merge into one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.chart import gap_chart
from benchmarks.machine import commit, machine, versions
from benchmarks.parts import PARTS, Options
from benchmarks.problem import Problem, load_problem
from benchmarks.table import markdown
from straightedge.atomic import write_json, write_text
from straightedge.errors import InputError


def run(
    source: str, only: tuple[str, ...] | None, options: Options, out: Path, limit: int | None = None
) -> dict[str, Any]:
    """Run parts one after another; after each entry the files are whole.

    Args:
        source: See `load_problem`.
        only: Names of parts, or None for all.
        options: What was asked for.
        out: The JSON file; an existing one of the same data on the same machine is added to.
        limit: Rows to use.

    Returns:
        The results, as in the file.

    Raises:
        InputError: ``bench-part``, ``bench-data`` or ``bench-other-results``.
    """
    chosen = checked_parts(only)
    problem = load_problem(source, limit)
    results = _begun(problem, out)
    for name in chosen:
        for key, entry in PARTS[name](problem, options):
            results["entries"][key] = entry | {"commit": results["commit"]}
            write_all(results, out)
    return results


def checked_parts(only: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return names of parts; raise `InputError` ``bench-part`` on one that does not exist."""
    wrong = [name for name in only or () if name not in PARTS]
    if wrong:
        raise InputError("bench-part", f"there is no part {wrong[0]!r}", mend=f"one of: {', '.join(PARTS)}")
    return only or tuple(PARTS)


def _begun(problem: Problem, out: Path) -> dict[str, Any]:
    fresh: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "data": problem.facts(),
        "entries": {},
    }
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        return fresh
    former = json.loads(out.read_text(encoding="utf-8"))
    if any(former.get(name) != fresh[name] for name in ("machine", "data")):
        raise InputError(
            "bench-other-results", "the file holds results of other data or of another machine", str(out)
        )
    # entries of peers that are no longer installed stay, and so do their versions
    known = former["versions"] | fresh["versions"]
    return fresh | {"entries": former["entries"], "versions": known}


def write_all(results: dict[str, Any], out: Path) -> None:
    """Write the JSON, the page and a chart for each race, beside each other."""
    write_json(out, results)
    write_text(out.with_suffix(".md"), markdown(results) + "\n")
    for key, entry in results["entries"].items():
        if "solvers" in entry:
            title = f"{entry['loss']}, reg {entry['reg']:g}: {results['data']['name']}"
            chart = gap_chart(title, entry["solvers"], entry["tol"])
            write_text(out.with_name(f"{out.stem}-{key.replace(' reg=', '-')}.svg"), chart)
