"""`straightedge compare`: two runs on the same images."""

import json

import pytest

from straightedge.cli.compare import command
from straightedge.errors import InputError

HEADER = "name,label,predicted,score,probability"


def write(folder, rows, header=HEADER, metrics=None):
    folder.mkdir()
    lines = [",".join(row) + ",1.0," for row in rows]
    (folder / "predictions.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    if metrics:
        (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def images(right, n=40):
    return [(f"cat/{i}.png", "cat", "cat" if i in right else "dog") for i in range(n)]


@pytest.fixture
def runs(tmp_path):
    first = write(tmp_path / "one", images(set(range(30))), metrics={"loss": "softmax", "reg": 1e-3})
    second = write(tmp_path / "two", images(set(range(5, 25)))[::-1])  # another order is no difference
    return first, second


def test_json_holds_the_table_and_the_test(runs, capsys):
    command(*runs, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["only_first"], found["only_second"], found["both"], found["neither"]) == (10, 0, 20, 10)
    assert found["difference"] == 0.25
    assert found["p_value"] == pytest.approx(2 / 2**10)
    assert found["interval"][0] > 0
    assert [row["accuracy"] for row in found["runs"]] == [0.75, 0.5]
    assert found["runs"][0]["loss"] == "softmax"
    assert found["runs"][1]["loss"] is None


def test_the_table_shows_both_and_the_difference(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    command(*runs)
    shown = capsys.readouterr().out
    for word in ("0.7500", "0.5000", "+0.2500", "McNemar", "softmax", "0.001"):
        assert word in shown


def test_images_without_names_pair_by_row(tmp_path, capsys):
    first = write(tmp_path / "one", [("", "a", "a"), ("", "b", "a"), ("", "b", "b")])
    second = write(tmp_path / "two", [("", "a", "b"), ("", "b", "b"), ("", "b", "b")])
    command(first / "predictions.csv", second, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["only_first"], found["only_second"], found["both"]) == (1, 1, 1)


def test_different_images_are_refused_with_the_difference(tmp_path):
    first = write(tmp_path / "one", [*images({1}, 10), ("dog/extra.png", "dog", "dog")])
    second = write(tmp_path / "two", [("cat/0.png", "dog", "dog"), *images({1}, 9)[1:]])
    with pytest.raises(InputError) as caught:
        command(first, second)
    assert caught.value.code == "compare-different-images"
    for part in ("2 only in", "cat/9.png, dog/extra.png", "1 with another label (cat/0.png)"):
        assert part in caught.value.what


@pytest.mark.parametrize(
    ("header", "rows", "code"),
    [
        pytest.param(HEADER, [], "predictions-empty", id="no row"),
        pytest.param("a,b,c,d,e", [("x", "y", "z")], "predictions-columns", id="other columns"),
        pytest.param(HEADER, [("x", "", "z")], "predictions-columns", id="a row without label"),
    ],
)
def test_unusable_predictions_are_refused(tmp_path, header, rows, code):
    with pytest.raises(InputError) as caught:
        command(write(tmp_path / "one", rows, header), tmp_path / "one")
    assert caught.value.code == code


def test_a_folder_without_predictions_is_refused(tmp_path):
    with pytest.raises(InputError, match="run-file-missing"):
        command(tmp_path, tmp_path)
