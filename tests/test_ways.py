"""X and the options go a short way: few files are handed them, and rarely one of a higher layer again.

docs/architecture.md has the figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from straightedge import LinearClassifier
from straightedge.estimators.inputs import TrainingSet
from straightedge.rows import Rows
from straightedge.sparse_rows import SparseRows
from straightedge.workflow.options import RECORDS, FitOptions
from straightedge.workflow.run import run_fit
from support.ways import way_of

rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 60)


def on_disk(folder: Path) -> Any:
    np.save(folder / "X.npy", rng.normal(size=(60, 8)).astype(np.float32))
    return np.load(folder / "X.npy", mmap_mode="r")


KINDS: dict[str, tuple[Any, str]] = {
    "a table": (lambda _: rng.normal(size=(60, 8)), "standardize"),
    "images": (lambda _: rng.integers(0, 256, (60, 3, 4, 4)).astype(np.uint8), "none"),
    "a file": (on_disk, "center"),
    "sparse rows": (lambda _: sparse.random(60, 40_000, 0.001, format="csr", random_state=0), "none"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_x_has_at_most_fifteen_stations_and_three_climbs(kind: str, tmp_path: Path) -> None:
    make, preprocess = KINDS[kind]
    X = make(tmp_path)

    def is_it(value: Any) -> bool:
        return value is X or isinstance(value, (Rows, SparseRows, TrainingSet))

    model = LinearClassifier("svm", reg=1.0, preprocess=preprocess, tol=0.5)
    way = way_of(is_it, lambda: model.fit(X, Y), end="solvers/loop.py")
    assert way.stations[0] == "estimators/linear.py" and any(file.startswith("design/") for file in way.stations)
    assert len(way.stations) <= 15 and way.climbs <= 3, f"{len(way.stations)} and {way.climbs}:\n{way}"


@pytest.mark.parametrize("reg", [None, 1e-1])
def test_options_have_at_most_twenty_stations(reg: float | None, tmp_path: Path) -> None:
    kinds = (FitOptions, *RECORDS.values())
    np.savez(tmp_path / "rows.npz", X=rng.normal(size=(60, 4)), y=Y)
    source, out = str(tmp_path / "rows.npz"), str(tmp_path / "run")
    options = FitOptions(source, out, reg=reg, tol=1e-1, suspects=False, progress=False)
    way = way_of(lambda value: isinstance(value, kinds), lambda: run_fit(options))
    assert way.stations[0] == "workflow/run.py" and (tmp_path / "run" / "metrics.json").exists()
    assert len(way.stations) <= 20 and way.climbs == 0, f"{len(way.stations)}:\n{way}"
