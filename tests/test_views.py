"""Things show themselves: at most ten lines, a table in a notebook, frames of pandas."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import straightedge
from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.data.tables.encoding import Column, TableEncoding
from straightedge.preprocess import AffineMap
from straightedge.views import Described, Facts, names


def iris_path() -> tuple[straightedge.RegularizationPath, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    named = np.array(["setosa", "versicolor", "virginica"])[y]
    return straightedge.fit_path(X, named, [1e-1, 1e-3], preprocess="standardize"), X, named


def table_model() -> straightedge.LinearModel:
    columns = (Column("age", "number", mean=40.0), Column("job", "category", categories=("clerk", None)))
    encoding = TableEncoding(columns, "income", ("age", "job", "income"))
    return straightedge.LinearModel(
        weight=torch.tensor([[0.5, -0.5], [1.0, -1.0], [0.25, 0.0]]),
        bias=torch.tensor([0.0, 0.1]),
        classes=("low", "high"),
        affine=AffineMap(torch.zeros(3), torch.tensor([0.1, 2.0, 0.0]), "standardize"),
        columns=encoding.to_dict(),
        status="certified",
        gap=1e-5,
        objective=0.5,
        dual=0.499,
    )


def dataset(n_classes: int = 3) -> Dataset:
    y = np.arange(2 * n_classes) % n_classes
    X = np.zeros((2 * n_classes, 5_000), np.float32)
    classes = tuple(f"a class with a very long name, number {k}\x1b" for k in range(n_classes))
    return Dataset("rows.npz", classes, Split(X, y), None, SealedSplit(Split(X, y)), notes=["first"] * 50)


def shown() -> dict[str, Described]:
    path, X, named = iris_path()
    judged = straightedge.evaluate(path.scores(X)[:, 1], np.unique(named, return_inverse=True)[1], path.classes)
    big = dataset(1000)
    return {
        "dataset": big,
        "split": big.train,
        "path": path,
        "model": table_model(),
        "coefficients": table_model().coefficients(),
        "evaluation": judged,
    }


def test_a_repr_has_at_most_ten_lines_of_a_hundred_characters_and_is_a_table_in_a_notebook() -> None:
    for name, thing in shown().items():
        lines = repr(thing).splitlines()
        assert 2 <= len(lines) <= 10, name
        assert all(len(line) <= 100 and "\x1b" not in line for line in lines), name
        html = thing._repr_html_()
        assert html.startswith("<table>")
        assert html.count("<tr>") == len(lines) - 1


def test_a_repr_says_size_classes_and_state() -> None:
    things = shown()
    assert "1,000 classes, rows of 5,000 features, float32" in repr(things["dataset"])
    assert "and 99" in repr(things["dataset"])
    assert "2,000 samples, sealed" in repr(things["dataset"])
    assert "2 of 2, relative gap up to" in repr(things["path"])
    assert "certified, relative gap 1.0e-05" in repr(things["model"])
    assert "age, job=clerk, job=missing" in repr(things["model"])
    assert "accuracy           0.9" in repr(things["evaluation"])


def test_a_sealed_split_says_what_it_was_opened_for_and_keeps_its_rows() -> None:
    sealed = SealedSplit(Split(np.zeros((2, 1)), np.array([0, 1])))
    assert repr(sealed) == "SealedSplit of 2 samples, sealed"
    sealed.open("a test")
    assert repr(sealed) == "SealedSplit of 2 samples, opened for a test"


def test_html_of_names_is_escaped() -> None:
    assert "<script>" not in Facts("<script>", (("<script>", "<script>"),)).html()


def test_names_are_counted_where_there_is_no_room() -> None:
    assert names(["a", "b"]) == "a, b"
    assert names(list(range(25))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more"


def test_frames_of_a_path_predictions_and_coefficients() -> None:
    pytest.importorskip("pandas", reason="no pandas")
    path, X, named = iris_path()
    table = path.to_frame()
    assert list(table.columns) == ["reg", "objective", "dual", "gap", "status", "n_passes"]
    assert table["objective"].tolist() == path.objective.tolist()
    assert path.accuracy(X, named).tolist() == pytest.approx([0.85, 0.98], abs=0.04)

    model = table_model()
    predicted = model.predict_frame(np.array([[2.0, 0, 0], [-2.0, 0, 0]], np.float32))
    assert predicted["class"].tolist() == ["low", "high"]
    assert predicted["score"].tolist() == pytest.approx([1.0, 1.1])
    assert predicted["probability"][0] == pytest.approx(1 / (1 + np.exp(-1.9)))

    found = model.coefficients().to_frame()
    assert found["feature"].tolist() == ["age", "age", "job=clerk", "job=clerk", "job=missing", "job=missing"]
    assert found["per_unit"].tolist() == pytest.approx([0.5, -0.5, 1, -1, 0.25, 0])
    assert found["per_standard_deviation"].tolist() == pytest.approx([5, -5, 0.5, -0.5, 0, 0])


def test_an_evaluation_is_a_dictionary_that_json_can_hold() -> None:
    judged = straightedge.evaluate(np.array([[2.0, 1], [0, 1]]), [0, 0], ["a", "b"])
    assert json.loads(json.dumps(judged))["accuracy"] == 0.5
    assert straightedge.Evaluation(json.loads(json.dumps(judged))).classes == ["a", "b"]
