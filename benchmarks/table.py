"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Entries = dict[str, dict[str, Any]]


def markdown(results: dict[str, Any]) -> str:
    """Return the page of a results file: the machine, then a section for each part that was run."""
    entries: Entries = results["entries"]
    lines = ["# Straightedge and its peers", "", *_head(results), ""]
    for title, belongs, write in SECTIONS:
        own = {key: entry for key, entry in entries.items() if belongs(key)}
        if own:
            lines += [f"## {title}", "", *write(own), ""]
    return "\n".join(lines)


def _head(results: dict[str, Any]) -> list[str]:
    machine, data = results["machine"], results["data"]
    packages = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    shape = " × ".join(str(size) for size in data["shape"])
    return [
        f"- data: {data['name']}, {data['n']:,} images of {shape}, {data['n_classes']} classes",
        f"- machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_mib'] / 1024:.0f} GiB, "
        f"{machine['system']}, Python {machine['python']}",
        f"- versions: {packages}",
        f"- commit: {results['commit']}",
    ]


def _yardstick(entry: dict[str, Any]) -> str:
    stick = entry["yardstick"]
    shape = " × ".join(str(size) for size in stick["shape"])
    after = entry.get("yardstick_after")
    later = f", {after['ms']:g} ms afterwards" if after else ""
    return f"load {entry['load']:g}; one `X @ W` ({shape}, float32): {stick['ms']:g} ms{later}"


def _races(entries: Entries) -> list[str]:
    lines = []
    for key, entry in entries.items():
        lines += [f"**{key}**, asked gap {entry['tol']:g} ({_yardstick(entry)})", ""]
        lines += ["| solver | s to the gap | times ours | P | gap | s to P within it, unproven |"]
        lines += ["|---|--:|--:|--:|--:|--:|"]
        base = entry["solvers"][0]["seconds"]
        lines += [_race_row(solver, base, entry) for solver in entry["solvers"]] + [""]
    return lines


def _race_row(solver: dict[str, Any], base: float, entry: dict[str, Any]) -> str:
    reached = solver["status"] == "reached"
    sign = "" if reached else "> "
    note = "" if reached or solver["status"] == "cap" else f" ({solver['status']})"
    if solver["gap"] is None or solver["gap"] != solver["gap"]:
        return f"| {solver['name']} | > {solver['seconds']:.3g} | | | | |"
    passes = f" ({solver['n_passes']:.0f} passes)" if "n_passes" in solver else ""
    return (
        f"| {solver['name']}{passes} | {sign}{solver['seconds']:.3g}{note} | {sign}{solver['seconds'] / base:.2f} "
        f"| {solver['objective']:.6f} | {solver['gap']:.1e} | {_unproven(solver, entry)} |"
    )


def _unproven(solver: dict[str, Any], entry: dict[str, Any]) -> str:
    """Return the time of the first W whose P is within the gap of the optimum, which it could not know."""
    if "best_dual" not in entry:
        return ""
    floor = entry["best_dual"] / (1 - entry["tol"])
    times = [seconds for seconds, objective, _ in solver["curve"] if objective and objective <= floor]
    return f"{times[0]:.3g}" if times else "–"


def _passes(entries: Entries) -> list[str]:
    lines = [
        "| configurations | uint8, ms | float32, ms | torch idiom, ms | / uint8 | fresh process, ms | / uint8 |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for entry in entries.values():
        ms = entry["ms"]
        own, table, idiom = ms["straightedge-uint8"], ms["straightedge-float32"], ms["torch idiom"]
        fresh = ms.get("torch idiom, fresh process")
        cells = [f"{fresh:.1f}", f"{fresh / own:.2f}"] if fresh else ["", ""]
        cells = [str(entry["K"]), *(f"{t:.1f}" for t in (own, table, idiom)), f"{idiom / own:.2f}", *cells]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(_yardstick(entry) for entry in list(entries.values())[:1])]


def _paths(entries: Entries) -> list[str]:
    entry = next(iter(entries.values()))
    count = len(entry["reg"])
    certified = entry["status"].count("certified")
    coarser = sum(tol > entry["tol"] for tol in entry.get("tols", ()))
    among = f", the {coarser} least to {max(entry['tols']):g}" if coarser else ""
    lines = [f"{count} values of reg to gap {entry['tol']:g}{among} ({_yardstick(entry)})", ""]
    lines += ["| | s | times the path |", "|---|--:|--:|"]
    lines += [f"| one path, {certified} of {count} certified | {entry['seconds']:.3g} | 1 |"]
    for key, seconds in entry.items():
        if key.startswith("seconds_single_fits "):
            who = key.removeprefix("seconds_single_fits ")
            sign = "" if entry[f"all_reached {who}"] else "> "
            ratio = f"{sign}{seconds / entry['seconds']:.2f}"
            timed = len(entry["singles"])
            part = f" ({timed} timed, times {count / timed:g})" if timed < count else ""
            lines.append(f"| {count} single fits, {who}{part} | {sign}{seconds:.3g} | {ratio} |")
    return lines


def _folds(entries: Entries) -> list[str]:
    entry = next(iter(entries.values()))
    count = len(entry["status"])
    return [
        f"{count} fits ({entry['folds']} folds) in {entry['seconds']:.3g} s, "
        f"{entry['seconds'] / entry['seconds_path']:.2f} times the path alone ({entry['seconds_path']:.3g} s); "
        f"{entry['status'].count('certified')} certified ({_yardstick(entry)})"
    ]


def _memory(entries: Entries) -> list[str]:
    entry = next(iter(entries.values()))
    over, before = entry["peak_mib"] - entry["raw_mib"], entry["before_fit_mib"] - entry["raw_mib"]
    return [
        f"Peak of a process that reads the raw uint8 rows ({entry['raw_mib']:.0f} MiB) and fits softmax: "
        f"{entry['peak_mib']:.0f} MiB, {over:.0f} MiB above its raw bytes "
        f"(of which {before:.0f} MiB before the fit: interpreter and libraries)."
    ]


SECTIONS: tuple[tuple[str, Callable[[str], bool], Callable[[Entries], list[str]]], ...] = (
    ("One loss-and-gradient pass", lambda key: key.startswith("pass"), _passes),
    ("Softmax to the same certified gap", lambda key: key.startswith("softmax"), _races),
    ("Multiclass SVM (Weston and Watkins)", lambda key: key.startswith("svm reg"), _races),
    ("Crammer and Singer's SVM", lambda key: key.startswith("crammer_singer"), _races),
    ("The path", lambda key: key == "path", _paths),
    ("The path of the SVM", lambda key: key == "svm_path", _paths),
    ("Folds", lambda key: key == "folds", _folds),
    ("Memory", lambda key: key == "memory", _memory),
)
