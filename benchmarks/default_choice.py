"""The default choice of reg beside scikit-learn's: test accuracy and CPU time of both on the same splits.

    python -m benchmarks.default_choice FOLDER [--only digits,wine] [--splits 10] [--seed 2] [--out FILE]

``LinearClassifierCV()`` and ``LogisticRegressionCV()`` get the same columns, standardised by the training rows, and
nothing but their defaults. A split that is in the file already is not measured again, so a series can be made in
many short calls; at another commit or seed it begins anew. The choice was tuned on the splits of seeds
0, 1, 100, 200 and 201. Each estimator is fitted once before the clock on a few rows.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler

from benchmarks.choice_data import SOURCES, Source
from benchmarks.machine import machine, versions
from benchmarks.pairs import commit_of
from straightedge import LinearClassifierCV
from straightedge.atomic import write_json

ROOT = Path(__file__).parents[1]
CONFIDENCE = 0.95
Entry = dict[str, Any]


def splits_of(y: np.ndarray, share: float, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training, test) positions of random splits, stratified by class."""
    return list(StratifiedShuffleSplit(count, test_size=share, random_state=seed).split(y, y))


def judged(estimator: Any, train: tuple[Any, Any], test: tuple[Any, Any]) -> tuple[float, float, float]:
    """Fit an estimator; return its test accuracy, the CPU seconds of the fit, and the strength it chose."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(*train)
    seconds = time.process_time() - began
    chosen = estimator.reg_ if hasattr(estimator, "reg_") else estimator.C_
    return float(np.mean(estimator.predict(test[0]) == test[1])), seconds, float(np.ravel(chosen)[0])


def one_split(X: Any, y: np.ndarray, train: np.ndarray, test: np.ndarray, *, standardise: bool) -> Entry:
    """Return what both estimators reach on one split."""
    own, other = X[train], X[test]
    if standardise:
        scaler = StandardScaler().fit(own)
        own, other = scaler.transform(own), scaler.transform(other)
    given = ((own, y[train]), (other, y[test]))
    ours, theirs = judged(LinearClassifierCV(), *given), judged(_peer(), *given)
    names = ("accuracy", "seconds", "strength")
    return {"ours": dict(zip(names, ours, strict=True)), "theirs": dict(zip(names, theirs, strict=True))}


def _peer() -> LogisticRegressionCV:
    """Return the peer with its defaults; what is named here silences its news of coming defaults."""
    return LogisticRegressionCV(scoring="accuracy", l1_ratios=(0,), use_legacy_attributes=False)


def warm_up() -> None:
    """Load and compile what a first fit in a process does."""
    rng = np.random.default_rng(0)
    for rows in (60, 6_000):
        X, y = rng.normal(size=(rows, 8)), np.arange(rows) % 3
        judged(LinearClassifierCV(), (X, y), (X, y))
        judged(LinearClassifierCV(), (X, y % 2), (X, y % 2))
    judged(_peer(), (X[:60], y[:60]), (X[:60], y[:60]))


def summary(splits: list[Entry]) -> Entry:
    """Return the mean difference in accuracy with its paired interval, and the ratio of CPU seconds."""
    difference = np.array([one["ours"]["accuracy"] - one["theirs"]["accuracy"] for one in splits])
    ours, theirs = (
        np.array([[one[who]["accuracy"], one[who]["seconds"]] for one in splits]) for who in ("ours", "theirs")
    )
    half = math.nan
    if len(splits) > 1:
        error = float(difference.std(ddof=1)) / math.sqrt(len(splits))
        half = float(student.ppf(0.5 + CONFIDENCE / 2, len(splits) - 1)) * error
    mean = float(difference.mean())
    return {
        "splits": len(splits),
        "ours": float(ours[:, 0].mean()),
        "theirs": float(theirs[:, 0].mean()),
        "difference": mean,
        "interval": [mean - half, mean + half],
        "seconds_ours": float(ours[:, 1].mean()),
        "seconds_theirs": float(theirs[:, 1].mean()),
        "time_ratio": float(ours[:, 1].sum() / theirs[:, 1].sum()),
    }


def measure(source: Source, folder: Path, known: list[Entry], count: int, *, seed: int, cap: float) -> list[Entry]:
    """Return the splits of a source, those that are known first; none begins after the peer has had its cap."""
    if len(known) >= count:
        return known
    X, y = source.load(folder)
    splits = list(known)
    for train, test in splits_of(y, source.test, count, seed)[len(known) :]:
        if sum(one["theirs"]["seconds"] for one in splits) > cap:
            break
        splits.append(one_split(X, y, train, test, standardise=source.standardise))
    return splits


def line(name: str, entry: Entry) -> str:
    """Return a row of the table in Markdown."""
    low, high = entry["interval"]
    return (
        f"| {name} | {entry['splits']} | {entry['ours']:.4f} | {entry['theirs']:.4f} | "
        f"{100 * entry['difference']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] | {entry['seconds_ours']:.2f} | "
        f"{entry['seconds_theirs']:.2f} | {entry['time_ratio']:.2f} |"
    )


def markdown(results: Entry) -> str:
    """Return the results as a page."""
    head = (
        "# The default choice of reg beside scikit-learn's\n\n"
        "`LinearClassifierCV()` and `LogisticRegressionCV()` with their defaults, on the same columns and the same "
        f"random splits (seed {results['seed']}). The difference is in points of test accuracy, with Student's "
        "paired interval of 95 %; seconds are CPU seconds of a fit on one thread, and their ratio is ours over "
        "theirs. Where there are "
        "fewer than ten splits, the time of the series was over.\n\n"
        "| data | splits | ours | theirs | difference | ours, s | theirs, s | ratio |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    known = [name for name in SOURCES if name in results["entries"]]
    rows = [line(name, results["entries"][name]) for name in known]
    about = [f"- {name}: {SOURCES[name].about}." for name in known]
    return head + "\n".join(rows) + "\n\n" + "\n".join(about) + "\n"


def main(words: list[str] | None = None) -> None:
    """Measure the sources asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder with the data")
    parser.add_argument("--only", default=",".join(SOURCES), help="sources, with commas")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2, help="of the splits")
    parser.add_argument("--cap", type=float, default=1500.0, help="CPU seconds of the peer's splits of a source")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/default_choice.json"))
    asked = parser.parse_args(words)
    results: Entry = {"machine": machine(), "versions": versions(), "commit": commit_of(ROOT)}
    results |= {"seed": asked.seed, "entries": {}}
    if asked.out.exists():
        former = json.loads(asked.out.read_text(encoding="utf-8"))
        if all(former.get(name) == results[name] for name in ("commit", "seed")):
            results["entries"] = former["entries"]
    warm_up()
    for name in asked.only.split(","):
        known = results["entries"].get(name, {}).get("measured", [])
        measured = measure(SOURCES[name], asked.folder, known, asked.splits, seed=asked.seed, cap=asked.cap)
        results["entries"][name] = summary(measured) | {"measured": measured}
        write_json(asked.out, results)
        asked.out.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
        print(line(name, results["entries"][name]), flush=True)


if __name__ == "__main__":
    main()
