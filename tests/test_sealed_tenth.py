"""A tenth of the rows is sealed where a source has no test rows and reg is chosen, and every place says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.text.documents import Documents
from straightedge.export.card import model_card
from straightedge.model import load
from straightedge.workflow import FitOptions, run_fit
from straightedge.workflow.sealing import LEAST_OF_CLASS, LEAST_ROWS, seals, with_sealed_tenth
from support.bad_inputs import Commands


def rows(n: int = LEAST_ROWS, **given: object) -> Dataset:
    y = np.arange(n) % 3
    X = np.eye(3)[y] + 0.4 * np.random.default_rng(0).normal(size=(n, 3))
    return Dataset("rows", ("a", "b", "c"), replace(Split(X, y), **given))  # type: ignore[arg-type]


def asked(**given: object) -> FitOptions:
    return FitOptions("rows", "out", **given)  # type: ignore[arg-type]


def test_a_tenth_is_sealed_where_rows_are_enough_and_nobody_said_how_to_choose() -> None:
    whole = rows()
    assert seals(whole, asked())
    assert not seals(rows(LEAST_ROWS - 1), asked())
    assert not any(seals(whole, asked(**more)) for more in ({"reg": 0.1}, {"folds": 5}, {"path": True}))
    assert not seals(replace(whole, test=SealedSplit(whole.train)), asked())
    assert not seals(replace(whole, validation=whole.train), asked())
    rare = np.where(np.arange(LEAST_ROWS) < LEAST_OF_CLASS - 1, 2, np.arange(LEAST_ROWS) % 2)
    assert not seals(replace(whole, train=replace(whole.train, y=rare)), asked())


@pytest.mark.parametrize("kind", ["array", "sparse", "texts"])
def test_sealed_rows_are_the_others_by_class_with_their_names(kind: str) -> None:
    whole = rows()
    table = np.arange(LEAST_ROWS * 2.0).reshape(-1, 2) + 1
    X = {
        "array": table,
        "sparse": scipy.sparse.csr_matrix(table),
        "texts": Documents.of([f"text {row}" for row in range(LEAST_ROWS)]),
    }[kind]
    found = with_sealed_tenth(replace(whole, train=replace(whole.train, X=X)), seed=0)
    assert found.test is not None
    test = found.test.open("the test")
    assert (found.train.n, test.n, found.n_sealed) == (900, 100, 100)
    assert np.bincount(test.y).min() >= 33
    for split in (found.train, test):
        positions = np.array([int(name) for name in split.names or ()])
        np.testing.assert_array_equal(split.y, whole.train.y[positions])
        if kind == "texts":
            assert list(split.X) == [f"text {row}" for row in positions]
        else:
            own = split.X.toarray() if kind == "sparse" else split.X
            np.testing.assert_array_equal(own, table[positions])
    assert not set(found.train.names or ()) & set(test.names or ())


def test_no_group_is_sealed_in_part() -> None:
    groups = np.arange(LEAST_ROWS) // 7
    found = with_sealed_tenth(rows(groups=groups), seed=0)
    assert found.test is not None
    test = found.test.open("the test")
    assert test.groups is not None
    assert found.train.groups is not None
    assert 80 <= test.n <= 120
    assert not set(test.groups) & set(found.train.groups)
    one = with_sealed_tenth(rows(groups=np.zeros(LEAST_ROWS, int)), seed=0)
    assert one.test is None  # rows of one group cannot be parted
    assert one.n_sealed == 0


def table(path: Path, n: int) -> Path:
    """Write rows, of which those that are sealed have a category that no other row has."""
    y = np.arange(n) % 2
    X = np.random.default_rng(0).normal(size=(n, 2)) + y[:, None]
    kinds = np.where(np.arange(n) % 5 == 0, "p", "q").astype(object)
    if n >= LEAST_ROWS:
        sealed = with_sealed_tenth(rows_of(X, y), 0).test
        assert sealed is not None
        kinds[[int(name) for name in sealed.open("its rows").names or ()]] = "sealed kind"
    answers = np.array(["no", "yes"])[y]
    lines = [f"{a:.3f},{b:.3f},{kind},{label}" for (a, b), kind, label in zip(X, kinds, answers, strict=True)]
    path.write_text("\n".join(["a,b,kind,answer", *lines]))
    return path


def rows_of(X: np.ndarray, y: np.ndarray) -> Dataset:
    return Dataset("rows", ("no", "yes"), Split(X, y))


def test_what_is_sealed_teaches_nothing_and_judges_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(tmp_path / "rows.csv", LEAST_ROWS)
    result = run_fit(FitOptions(str(source), str(tmp_path / "run"), progress=False))
    assert (result["test"]["n"], result["train"]["n"], result["validation"]["n"]) == (100, 900, 900)
    assert result["selection"]["judged_by"] == "a sealed tenth"
    assert any("100 of the 1,000 rows were sealed before reg was chosen" in note for note in result["notes"])
    assert not any("sealed kind" in row["feature"] for row in result["coefficients"])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "They are a tenth of the samples, sealed before reg was chosen." in page
    assert "Reg was chosen by these samples" not in page
    card = model_card(load(tmp_path / "run"), "onnx", {}, result)
    assert "(a tenth of the samples, sealed before reg was chosen)" in card
    again = Commands(tmp_path, capsys, monkeypatch).run("evaluate", tmp_path / "run", source, "--json").json
    assert (again["split"], again["n"], again["accuracy"]) == ("test", 100, result["test"]["accuracy"])


def test_an_estimate_that_chose_is_called_one(tmp_path: Path) -> None:
    source = table(tmp_path / "rows.csv", 200)
    result = run_fit(FitOptions(str(source), str(tmp_path / "run"), progress=False))
    assert "test" not in result
    assert result["selection"]["judged_by"] == "the samples that chose"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "an estimate used for choosing), so new ones may do a little worse" in page
    assert ": an estimate used for choosing)" in model_card(load(tmp_path / "run"), "onnx", {}, result)
