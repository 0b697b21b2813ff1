"""The table of coefficients: units, odds, bootstrap intervals; and the order of the classes."""

import csv
import io
import json

import numpy as np
import pytest

from straightedge import SoftmaxClassifier
from straightedge.model import load
from support.bad_inputs import Commands
from test_tables_columns import people, write

SLOPE = 1.5


@pytest.fixture
def do(tmp_path, capsys, monkeypatch):
    return Commands(tmp_path, capsys, monkeypatch)


def table(path, n=400, seed=0):
    draw = np.random.default_rng(seed)
    x, z = draw.normal(size=n), draw.normal(size=n) * 10
    label = np.where(draw.random(n) < 1 / (1 + np.exp(-SLOPE * x)), "sick", "healthy")
    path.write_text("x,z,label\n" + "\n".join(f"{a:.6f},{b:.6f},{c}" for a, b, c in zip(x, z, label, strict=True)))
    return np.stack([x.round(6), z.round(6)], axis=1), label


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.mark.long
def test_odds_have_bootstrap_intervals(do):
    X, label = table(do.path / "a.csv")
    by = ("fit", "a.csv", "--reg", 1e-6, "--bias", "free", "--no-suspects", "--bootstrap", 200)
    told = do.run(*by, "--classes", "healthy,sick", "--out", "run")
    assert told.status == 0, told.err
    found, model = rows_of(do.path / "run/coefficients.csv"), load(do.path / "run")
    assert [row["feature"] for row in found] == ["x", "z"] and {row["class"] for row in found} == {"sick"}
    one, other = (
        {key: float(row[key]) for key in row if key not in ("feature", "column", "kind", "class")} for row in found
    )
    weight = model.weight.numpy()
    assert one["per_unit"] == pytest.approx(weight[0, 1] - weight[0, 0], rel=1e-5)
    assert one["per_standard_deviation"] == pytest.approx(one["per_unit"] * X[:, 0].std(), rel=1e-5)
    assert one["odds_ratio"] == pytest.approx(np.exp(one["per_unit"]))
    assert one["low"] < SLOPE < one["high"] and other["odds_low"] < 1 < other["odds_high"]
    # the interval is that of refits by the Python estimator
    draw, slopes = np.random.default_rng(5), []
    for _ in range(40):
        w = draw.multinomial(len(X), np.full(len(X), 1 / len(X)))
        fitted = SoftmaxClassifier(reg=1e-6, bias="free").fit(X, label, sample_weight=w)
        slopes.append(np.ptp(fitted.coef_[:, 0]) if len(fitted.coef_) == 2 else fitted.coef_[0, 0])
    assert (one["high"] - one["low"]) / 3.92 == pytest.approx(np.std(slopes), rel=0.4)
    page = (do.path / "run/report.html").read_text()
    assert f"{one['odds_low']:.3g} to {one['odds_high']:.3g}" in page
    kept = json.loads((do.path / "run/metrics.json").read_text())["coefficients"]
    assert [row["odds_ratio"] for row in kept] == pytest.approx([one["odds_ratio"], other["odds_ratio"]])


def test_classes_stand_in_the_order_that_is_asked_for(do):
    table(do.path / "a.csv")
    for order in ("sick,healthy", "healthy,sick"):
        by = ("fit", "a.csv", "--reg", 0.01, "--no-suspects", "--out", "run", "--overwrite", "--classes", order)
        assert do.run(*by).status == 0
        assert ",".join(load(do.path / "run").classes) == order
    do.refused("classes-differ", by=("fit", "a.csv", "--classes", "sick,well", "--out", "other"))


def test_every_table_has_its_coefficients(do):
    write(do.path / "a.csv", people())
    assert do.run("fit", "a.csv", "--reg", 0.01, "--no-suspects", "--out", "run").status == 0
    found = rows_of(do.path / "run/coefficients.csv")
    assert {(row["column"], row["kind"]) for row in found} == {
        ("age", "number"),
        ("city", "category"),
        ("height", "number"),
    }
    assert all(row["low"] == "" for row in found)
    do.refused("bootstrap-needs-table", by=("fit", "digits", "--reg", 0.1, "--bootstrap", 20, "--out", "other"))
