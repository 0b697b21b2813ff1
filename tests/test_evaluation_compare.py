"""`straightedge compare`: two runs on the same images."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from straightedge.cli.compare import Predictions, command, compared
from straightedge.errors import InputError
from support.bad_inputs import Commands

HEADER = "name,label,predicted,score,probability,split"


def write(folder, rows, header=HEADER, metrics=None, split="test"):
    folder.mkdir()
    lines = [",".join(row) + f",1.0,,{split}" for row in rows]
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
        pytest.param("a,b,c,d,e,f", [("x", "y", "z")], "predictions-columns", id="other columns"),
        pytest.param(HEADER[:-6], [("x", "y", "z")], "predictions-columns", id="no column split"),
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


@pytest.mark.parametrize("split", ["train", "validation", "anything"])
@pytest.mark.parametrize("which", [0, 1])
def test_answers_to_samples_that_a_run_was_fitted_to_or_chosen_by_are_refused(tmp_path, split, which):
    splits = ["test", "test"]
    splits[which] = split
    runs = [write(tmp_path / str(i), images({1, 2}), split=name) for i, name in enumerate(splits)]
    with pytest.raises(InputError) as caught:
        command(*runs)
    assert caught.value.code == "compare-fitted"
    assert caught.value.where == str(runs[which] / "predictions.csv")
    assert f"(split {split})" in caught.value.what
    assert "evaluate RUN SOURCE --predictions" in caught.value.mend


@pytest.mark.parametrize("splits", [("test", "test"), ("evaluated", "test"), ("out of fold", "out of fold")])
def test_what_was_compared_is_said(tmp_path, splits, capsys):
    runs = [write(tmp_path / str(i), images({1, 2}), split=name) for i, name in enumerate(splits)]
    command(*runs)
    shown = capsys.readouterr().out
    assert f"answers compared: {' and '.join(sorted(set(splits)))}" in shown
    assert ("classifiers of the folds" in shown) == ("out of fold" in splits)
    command(*runs, as_json=True)
    assert json.loads(capsys.readouterr().out)["splits"] == sorted(set(splits))


@pytest.mark.parametrize(
    ("n", "share"),
    [
        pytest.param(60, 0.3, marks=pytest.mark.slow),
        pytest.param(300, 0.5, marks=pytest.mark.slow),
        pytest.param(300, 0.08, marks=pytest.mark.long),
    ],
)
def test_runs_swapped_row_by_row_at_random_differ_in_at_most_one_of_twenty(n, share):
    """2,000 draws: p < 0.05 in at most 5 %, plus the interval of 5 % of 2,000."""
    rng = np.random.default_rng(0)
    labels = {(f"{i}.png", 0): "a" for i in range(n)}
    first = rng.random(n) < 0.9
    second = np.where(rng.random(n) < share, rng.random(n) < 0.4, first)  # a worse model, before the swaps
    significant = excluded = 0
    for _ in range(2000):
        swap = rng.random(n) < 0.5
        pair = [np.where(swap, second, first), np.where(swap, first, second)]
        one, other = (
            Predictions(Path("p"), frozenset({"test"}), labels, dict(zip(labels, right.tolist(), strict=True)))
            for right in pair
        )
        tested = compared(one, other)
        significant += tested.p_value < 0.05
        excluded += not tested.interval[0] <= 0 <= tested.interval[1]
    most = binomtest(100, 2000).proportion_ci(0.95).high
    assert significant / 2000 <= most
    assert excluded / 2000 <= most + 0.02  # the interval is no exact one: a dozen differing images are few


@pytest.fixture
def commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return Commands(tmp_path, capsys, monkeypatch)


def noise(commands, name, n_test=0, seed=0):
    """Many features, labels that depend on few of them: training answers are all right, others are not."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(120 + n_test, 150)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] + rng.normal(size=len(X)) > 0).astype(int)
    arrays = {"X_train": X[:120], "y_train": y[:120]}
    if n_test:
        arrays |= {"X_test": X[120:], "y_test": y[120:]}
    np.savez(commands.path / name, **arrays)


def accuracies(commands, *runs):
    ended = commands.run("compare", *runs, "--json")
    assert ended.status == 0, ended.err
    return [row["accuracy"] for row in ended.json["runs"]], ended.json


def test_runs_without_a_test_split_are_compared_by_their_folds(commands):
    noise(commands, "data.npz")
    for name, reg in (("little", "1e-2"), ("much", "1")):
        assert commands.run("fit", "data.npz", "--reg", reg, "--out", name).status == 0
        metrics = json.loads((commands.path / name / "metrics.json").read_text("utf-8"))
        assert metrics["train"]["accuracy"] > 0.9
    found, told = accuracies(commands, "little", "much")
    assert max(found) < 0.9  # and not the 1.0 of training
    assert told["splits"] == ["out of fold"]
    assert told["n"] == 120


def test_runs_that_have_only_training_answers_are_refused_until_both_evaluate_a_file(commands):
    noise(commands, "data.npz")
    noise(commands, "new.npz", seed=1)
    for name, reg in (("little", "1e-2"), ("much", "1")):
        done = commands.run("fit", "data.npz", "--reg", reg, "--out", name, "--no-suspects")
        assert done.status == 0
    assert "[compare-fitted]" in commands.run("compare", "little", "much").err
    for name in ("little", "much"):
        own = commands.run("evaluate", name, "data.npz", "--predictions", f"{name}-own.csv")
        assert "evaluated-on-train" in own.err
        assert "data.npz, train: 120 samples" in own.out
        ended = commands.run("evaluate", name, "new.npz", "--predictions", f"{name}.csv")
        assert "new.npz: 120 samples" in ended.out  # and not "new.npz, train"
        assert "train" not in ended.out + ended.err
    assert "[compare-fitted]" in commands.run("compare", "little-own.csv", "much-own.csv").err
    assert accuracies(commands, "little.csv", "much.csv")[1]["splits"] == ["evaluated"]


def test_a_test_split_is_what_runs_are_compared_by(commands):
    noise(commands, "data.npz", n_test=40)
    for name, more in (("one", ["--reg", "1"]), ("chosen", ["--path"])):
        assert commands.run("fit", "data.npz", "--out", name, *more).status == 0
    _, told = accuracies(commands, "one", "chosen")
    assert told["splits"] == ["test"]
    assert told["n"] == 40
    ended = commands.run("evaluate", "one", "data.npz", "--predictions", "again.csv")
    assert "data.npz, test: 40 samples" in ended.out
    assert accuracies(commands, "again.csv", "one")[1]["difference"] == 0
