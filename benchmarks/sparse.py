"""Sparse rows: softmax against its peers, hinges against LIBLINEAR and our softmax, a path against its hardest fit.

    python -m benchmarks.sparse --news 20news.zip --a1a a1a.t --out benchmarks/results/sparse.json

News are the training texts of 20 newsgroups as TF-IDF (float64, sublinear, words of two documents and more), with a
constant column whose weight is penalised for everybody. Times are CPU seconds of this process, medians of three,
ours and the peer's by turns. A peer's tolerance is tightened until the P of its W is within the gap of our proven
bound; the time of that one run counts. ``--only`` names parts, whose answers are put beside those of the file.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.machine import commit, machine, versions
from straightedge import LinearClassifier
from straightedge.selection.path import fit_path

Rows = tuple[Any, np.ndarray]
Fit = Callable[[], Any]
REGS = (1e-3, 1e-4, 1e-5, 1e-6)
WESTON_WATKINS_BARS = (1, 2, 8, 60)


def news(archive: Path) -> Rows:
    """Return TF-IDF and labels of the archive's training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.startswith("train/") and not n.endswith("/")]
        texts = [opened.read(name).decode("latin1") for name in names]
    X = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float64).fit_transform(texts)
    return X.tocsr(), np.unique([name.split("/")[1] for name in names], return_inverse=True)[1]


def largest_two(rows: Rows) -> Rows:
    """Return the rows of the two largest classes."""
    X, y = rows
    classes = np.argsort(-np.bincount(y))[:2]
    kept = np.isin(y, classes)
    return X[kept].tocsr(), (y[kept] == classes.max()).astype(int)


def a1a(path: Path) -> Rows:
    """Return the rows of an svmlight file of 123 columns."""
    from sklearn.datasets import load_svmlight_file

    X, y = load_svmlight_file(str(path), n_features=123)
    return X.tocsr(), (y > 0).astype(int)


def ours(loss: str, rows: Rows, reg: float, tol: float) -> Any:
    """Return our fit."""
    return LinearClassifier(loss, reg=reg, tol=tol, max_passes=5000).fit(*rows)


def cpu(fit: Fit) -> tuple[float, Any]:
    """Return the CPU seconds of a fit, and what it returned."""
    began = time.process_time()
    found = fit()
    return time.process_time() - began, found


def by_turns(*fits: Fit, turns: int = 3) -> list[float]:
    """Return the median CPU seconds of each of some fits, run by turns."""
    seconds = [[cpu(fit)[0] for fit in fits] for _ in range(turns)]
    return [median(column) for column in zip(*seconds, strict=True)]


def value(loss: str, rows: Rows, W: np.ndarray, reg: float) -> float:
    """Return P of W (D + 1, C), the constant's weights last; of w (D + 1, 1) with reg/2 ‖w‖² for two classes."""
    X, y = rows
    S = X @ W[:-1] + W[-1]
    if W.shape[1] == 1:
        margins = np.maximum(0.0, 1.0 - (2 * y - 1) * S[:, 0])
        return float((margins ** (2 if loss == "squared_hinge" else 1)).mean() + reg / 2 * (W**2).sum())
    right = S[np.arange(len(y)), y][:, None]
    if loss == "softmax":
        losses = np.logaddexp.reduce(S - right, axis=1)
    else:
        margins = 1.0 + S - right
        margins[np.arange(len(y)), y] = 0.0
        losses = margins.max(axis=1)
    return float(losses.mean() + reg * (W**2).sum())


def with_constant(rows: Rows) -> Rows:
    """Return rows with a constant column at the end."""
    X, y = rows
    return sp.hstack([X, np.ones((X.shape[0], 1))]).tocsr(), y


def liblinear(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
    """Return LIBLINEAR's W (D + 1, C or 1)."""
    from sklearn.svm import LinearSVC

    share = 2 if loss == "crammer_singer" else 1
    how: dict[str, Any] = {"C": 1 / (share * reg * len(rows[1])), "tol": tol, "fit_intercept": False}
    if loss == "crammer_singer":
        how["multi_class"] = loss
    else:
        how |= {"loss": "hinge" if loss == "svm" else loss, "dual": True}
    return np.asarray(LinearSVC(**how, max_iter=100_000, random_state=0).fit(*rows).coef_.T)


def cyanure(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
    """Return cyanure's W."""
    from cyanure.estimators import Classifier

    machine = Classifier(
        loss="logistic", penalty="l2", lambda_1=2 * reg, fit_intercept=False, tol=tol, max_iter=500, n_threads=1,
        verbose=False,
    )  # fmt: skip
    X, y = rows
    machine.fit(X.copy(), y)
    coefficients = np.asarray(machine.coef_)
    return coefficients if len(coefficients) == X.shape[1] else coefficients.T  # its versions differ


def newton_cg(loss: str, rows: Rows, reg: float, tol: float) -> np.ndarray:
    """Return the W of scikit-learn's newton-cg."""
    from sklearn.linear_model import LogisticRegression

    strength = 1 / (2 * reg * len(rows[1]))
    how = LogisticRegression(C=strength, fit_intercept=False, solver="newton-cg", tol=tol, max_iter=100)
    return np.asarray(how.fit(*rows).coef_.T)


def against(
    peer: Callable[..., np.ndarray],
    loss: str,
    rows: Rows,
    reg: float,
    tol: float,
    tolerances: Sequence[float],
) -> dict[str, Any]:
    """Return both sides' seconds to the gap, and the peer's over ours."""
    whole = with_constant(rows)
    bound = ours(loss, rows, reg, tol / 20).dual_
    for tolerance in tolerances:
        found = value(loss, rows, peer(loss, whole, reg, tolerance), reg)
        if (gap := (found - bound) / found) <= tol:
            break
    own, others = by_turns(lambda: ours(loss, rows, reg, tol), lambda: peer(loss, whole, reg, tolerance))
    reached = {"peer": peer.__name__, "peer_tol": tolerance, "peer_gap": gap, "peer_there": gap <= tol}
    return {
        "loss": loss,
        "reg": reg,
        "tol": tol,
        "ours_s": own,
        "peer_s": others,
        "ratio": others / own,
    } | reached


def softmax_races(rows: Rows) -> Iterator[dict[str, Any]]:
    for reg in REGS:
        if find_spec("cyanure"):  # of requirements/bench.txt
            yield against(cyanure, "softmax", rows, reg, 1e-4, (3e-4, 1e-4, 3e-5, 1e-5))
        if reg >= 1e-4:
            yield against(newton_cg, "softmax", rows, reg, 1e-4, (1e-2, 1e-3, 1e-4))


def weston_watkins(rows: Rows) -> Iterator[dict[str, Any]]:
    for reg, bar in zip(REGS, WESTON_WATKINS_BARS, strict=True):
        softmax, own = by_turns(
            lambda: ours("softmax", rows, 1e-3, 1e-4),
            lambda at=reg: ours("svm", rows, at, 1e-3),  # type: ignore[misc]
            turns=3 if bar < 60 else 1,
        )
        yield {
            "loss": "svm",
            "reg": reg,
            "ours_s": own,
            "softmax_s": softmax,
            "ratio": own / softmax,
            "bar": bar,
        }


def crammer_singer(rows: Rows) -> Iterator[dict[str, Any]]:
    for reg in REGS[:3]:
        yield against(liblinear, "crammer_singer", rows, reg, 1e-3, (1, 0.3, 0.1, 0.03, 0.01, 3e-3))


def two_classes(name: str, rows: Rows, regs: Sequence[float]) -> Iterator[dict[str, Any]]:
    for loss in ("svm", "squared_hinge"):
        for reg in regs:
            tolerances = (1, 0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4, 1e-5)
            yield {"data": name} | against(liblinear, loss, rows, reg, 1e-3, tolerances)


def path(rows: Rows) -> Iterator[dict[str, Any]]:
    grid = np.logspace(-6, -2, 16)
    whole, hardest = by_turns(
        lambda: fit_path(*rows, grid, tol=1e-4, max_passes=5000),
        lambda: ours("softmax", rows, 1e-6, 1e-4),
    )
    yield {"path_s": whole, "hardest_s": hardest, "ratio": whole / hardest, "bar": 5}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--news", type=Path, required=True)
    parser.add_argument("--a1a", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="two_classes,softmax,weston_watkins,crammer_singer,path")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    texts = news(asked.news)
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "two_classes": lambda: [
            *two_classes("a1a.t", a1a(asked.a1a), (1e-2, 1e-3)),
            *two_classes("20 newsgroups, two largest", largest_two(texts), (1e-2, 1e-4, 1e-6)),
        ],
        "softmax": lambda: list(softmax_races(texts)),
        "weston_watkins": lambda: list(weston_watkins(texts)),
        "crammer_singer": lambda: list(crammer_singer(texts)),
        "path": lambda: list(path(texts)),
    }
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    found |= {"machine": machine(), "versions": versions()}
    for part in asked.only.split(","):
        found[part] = {"commit": commit(), "entries": parts[part]()}
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found[part], indent=1), flush=True)


if __name__ == "__main__":
    main()
