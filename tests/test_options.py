"""The options of a fit: records by name, one table in config.json, every word of the command in its place."""

import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.cli import fit, resuming
from straightedge.cli.fit_options import OF_THE_COMMAND, options_from
from straightedge.errors import InputError
from straightedge.nested import record_of
from straightedge.runs import RunFolder
from straightedge.workflow import FitOptions, run_fit
from straightedge.workflow.options import RECORDS
from straightedge.workflow.records import DataOptions, ObjectiveOptions, RunOptions, SplitOptions

BEFORE = {  # the table of options in config.json as it was when options were one flat record
    "source": "digits",
    "loss": "svm",
    "reg": None,
    "path": True,
    "regs": [0.1, 0.01],
    "tol": 1e-3,
    "max_passes": 1000,
    "max_seconds": None,
    "solver": "auto",
    "bias": "free",
    "preprocess": "auto",
    "device": None,
    "metric": "accuracy",
    "folds": 4,
    "validation_size": 0.2,
    "one_standard_error": True,
    "protocol": None,
    "features": "hog",
    "weights": None,
    "size": "32",
    "root": None,
    "skip_bad": True,
    "labels": "label",
    "column": None,
    "test": "test.csv",
    "groups": "patient",
    "sample_weight": None,
    "class_weight": None,
    "background": "black",
    "cache": False,
    "table": {"drop": "id"},
    "text": {},
    "search": False,
    "learning_rate": None,
    "epochs": 3,
    "batch_size": 50,
    "momentum": 0.5,
    "seed": 7,
    "schedule": "linear",
    "suspects": False,
    "memory": 10**9,
    "checkpoint_every": 5.0,
    "overwrite": True,
    "resume": False,
    "progress": True,
}


def test_options_may_be_given_by_name_or_as_records() -> None:
    by_name = FitOptions("digits", "run", reg=1e-3, folds=4)
    as_records = FitOptions(
        data=DataOptions("digits"),
        run=RunOptions("run"),
        fit=ObjectiveOptions(reg=1e-3),
        split=SplitOptions(folds=4),
    )
    assert by_name == as_records
    changed = replace(by_name, loss="svm")
    assert changed.fit == ObjectiveOptions(loss="svm", reg=1e-3) and changed.split == by_name.split
    assert replace(changed, fit=by_name.fit) == by_name


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="no field regg"):
        FitOptions("digits", "run", regg=1e-3)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"reg": [0.1]}, "reg-invalid"),
        ({"reg": "0.1"}, "reg-invalid"),
        ({"reg": True}, "reg-invalid"),
        ({"reg": -1.0, "solver": "sgd"}, "reg-invalid"),
        ({"reg": 0.0}, "reg-zero"),
    ],
)
def test_a_reg_that_is_no_single_usable_number_is_refused_by_its_name(given: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError, match=r"^reg is") as caught:
        FitOptions("digits", "run", **given).checked()
    assert caught.value.code == code
    assert FitOptions("digits", "run", reg=0.0, solver="sgd").checked().fit.reg == 0


def test_no_two_records_have_an_option_of_the_same_name() -> None:
    places = record_of(RECORDS)
    assert len(places) == sum(len(asdict(kind())) for kind in RECORDS.values())
    assert not set(places) & set(RECORDS)


def test_a_run_of_an_earlier_version_says_its_options() -> None:
    found = resuming._options_of({"options": BEFORE, "command": ["straightedge"]}, Path("run"))
    wanted = BEFORE | {"max_seconds": float("inf"), "out": "run", "command": ["straightedge"]}
    usual = FitOptions().flat()
    assert found.flat() == usual | wanted  # options that came later are as if nobody had named them


def test_config_has_the_table_of_earlier_versions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", X=rng.normal(size=(30, 2)), y=np.arange(30) % 2)
    run_fit(FitOptions(str(tmp_path / "rows.npz"), str(tmp_path / "run"), reg=0.1, progress=False))
    config = RunFolder.open(tmp_path / "run").config
    assert set(config["options"]) >= set(BEFORE)
    assert (config["options"]["reg"], config["reg"], config["loss"]) == (0.1, 0.1, "softmax")
    json.dumps(config, allow_nan=False)


def usual_words() -> dict[str, object]:
    """All parameters of ``straightedge fit`` with their defaults."""
    parameters = inspect.signature(fit.command).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "context"}


def test_the_command_without_words_asks_for_the_defaults() -> None:
    found = options_from(usual_words() | {"source": "digits", "out": Path("run")})
    assert found.identity() == FitOptions("digits", "run").identity()
    assert found.run == RunOptions("run", command=found.run.command)


SPECIAL = {  # words that arrive changed: what is given, the option, what it must be
    "one_se": (True, "one_standard_error", True),
    "validation": (0.3, "validation_size", 0.3),
    "no_suspects": (True, "suspects", False),
    "no_cache": (True, "cache", False),
    "regs": ("0.1,1", "regs", [0.1, 1.0]),
    "memory": ("2k", "memory", 2048),
    "resume": (Path("old"), "resume", True),
    "out": (Path("here"), "out", "here"),
}


@pytest.mark.parametrize("word", sorted(set(usual_words()) - set(OF_THE_COMMAND)))
def test_every_word_of_the_command_reaches_its_option(word: str) -> None:
    given, option, wanted = SPECIAL.get(word, (f"<{word}>", word, f"<{word}>"))
    words = {"source": "digits", "out": Path("run")} | {word: given}
    found = options_from(usual_words() | words).flat()
    held = found | found["table"] | found["text"]
    assert held[option] == wanted


@pytest.mark.parametrize("word", ["quiet", "as_json"])
def test_a_command_that_prints_nothing_shows_no_progress(word: str) -> None:
    words = usual_words() | {"source": "digits", "out": Path("run"), word: True}
    assert not options_from(words).run.progress
