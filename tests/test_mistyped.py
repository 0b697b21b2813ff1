"""What a stranger mistypes or mistakes: each message says what was found, and names what was probably meant."""

from pathlib import Path

import numpy as np
import pytest

from straightedge.data.finding import SUFFIXES, TAKEN
from support.bad_inputs import Commands

PEOPLE = [
    f"{20 + 7 * (i % 3) + i % 5},{'ABC'[(i + i // 30) % 3]},{('low', 'mid', 'high')[i % 3]}" for i in range(90)
]


@pytest.fixture
def do(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands(tmp_path, capsys, monkeypatch)
    write(commands, "people.csv", "age,city,label", PEOPLE)
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(90, 5)))
    np.save(tmp_path / "y.npy", np.arange(90) % 3)
    return commands


def write(do: Commands, name: str, header: str, rows: list[str]) -> None:
    (do.path / name).write_text("\n".join([header, *rows, ""]))


FITS = {
    "a file whose name is nearly one": (["poeple.csv"], "source-missing", ["did you mean 'people.csv'?"]),
    "a column": (
        ["people.csv", "--labels", "lable"],
        "column-missing",
        ["'lable'; the columns are age (int64), city"],
    ),
    "a class": (
        ["people.csv", "--classes", "low,mid"],
        "classes-differ",
        ["--classes ('low', 'mid')", "here: 'high'"],
    ),
    "labels of a named source": (["digits", "--labels", "y"], "option-unused", ["leave --labels out"]),
    "what SGD alone takes": (["people.csv", "--batch-size", "9"], "option-unused", ["add --solver sgd"]),
    "labels twice": (["X.npy,y.npy", "--labels", "y"], "option-unused", ["named twice"]),
    "times of what is no table": (["X.npy,y.npy", "--time", "day"], "option-unused", ["--time is for tables"]),
    "a column of what has none": (["digits", "--split-column", "s"], "option-unused", ["leave --split-column out"]),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit(do: Commands, name: str) -> None:
    words, code, said = FITS[name]
    do.refused(code, *said, by=("fit", *words))


def test_readers_that_take_few_options_are_readers() -> None:
    assert set(TAKEN) <= {"digits", "cifar10", "idx", "folders", "shards", "pickles.cifar", *SUFFIXES.values()}


def test_other_commands(do: Commands) -> None:
    do.fitted("people.csv")
    write(do, "unlabelled.csv", "age,city", [row.rpartition(",")[0] for row in PEOPLE])
    write(do, "others.csv", "age,city,label", [row.replace("low", "lwo") for row in PEOPLE])
    said = "there is no label column 'label'"  # which the model has, and not that a city is no class
    do.refused("column-missing", said, by=("evaluate", "run", "unlabelled.csv"))
    do.refused("classes-differ", "of the model", "only here: 'lwo'", by=("evaluate", "run", "others.csv"))
    do.refused("model-missing", "no model in this folder", "runs here: ", by=("evaluate", ".", "people.csv"))
    do.refused("model-missing", "no such run or model file", by=("export", "rnu"))
    do.refused("run-missing", "no such run", by=("compare", "run", "rnu"))
    do.refused("predict-width", "rows of shape (4,) are needed", by=("predict", "run", "X.npy"))
    do.refused("layers-source", "the file holds (90, 5) float64", by=("layers", "X.npy", "--labels", "y.npy"))
    (do.path / "mine.py").write_text("def svm_loss(): pass\n")
    do.refused("source-kind", "check-gradients mine.py:NAME", by=("check-gradients", "mine.py"))


@pytest.mark.parametrize(
    "words", [["people.csv", "--loss", "sfotmax"], ["poeple.csv"], ["people.csv", "--regs", "x"]]
)
def test_of_several_ranks_the_first_one_tells_of_a_mistake(
    do: Commands, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in (0, 1):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        ended = do.run("fit", *words)
        assert ended.status == 2 and ended.err.count("error: ") == (rank == 0)
