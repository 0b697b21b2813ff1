"""The one writer of CSV files: what other people named becomes a cell, never a row, a formula or a command."""

from __future__ import annotations

import ast
import csv
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from straightedge.atomic import to_json
from straightedge.errors import InputError, StraightedgeWarning, visible
from straightedge.runs.tables import read_table, write_rows, write_table
from support.bad_inputs import Commands, png

SOURCE = Path(__file__).parents[1] / "src" / "straightedge"


def written(*rows: dict[str, Any]) -> str:
    text = io.StringIO()
    write_rows(text, list(rows[0]), rows)
    return text.getvalue()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        pytest.param("cat/1.png", "cat/1.png", id="a plain name"),
        pytest.param("a,b", '"a,b"', id="a comma"),
        pytest.param('say "cheese"', '"say ""cheese"""', id="quotes"),
        pytest.param("3\r.png", '"3\r.png"', id="a carriage return"),
        pytest.param("3\n.png", '"3\n.png"', id="a line break"),
        pytest.param("\x1b[31mred", '"\x1b[31mred"', id="an escape sequence"),
        pytest.param("=1+1", "'=1+1", id="a formula"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="a function of Lotus"),
        pytest.param("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0", id="a command"),
        pytest.param("-cat", "'-cat", id="a minus"),
        pytest.param("\t=1", '"\'\t=1"', id="a tab before a formula"),
        pytest.param("\r=1", '"\'\r=1"', id="a carriage return before a formula"),
        pytest.param("\uff1d1", "'\uff1d1", id="a full-width formula"),
        pytest.param("-1", "-1", id="a class that is a number"),
        pytest.param("+1.5e-3", "+1.5e-3", id="another"),
        pytest.param("-1+1", "'-1+1", id="no number, a formula"),
        pytest.param(-0.25, "-0.25", id="a negative number"),
        pytest.param(-math.inf, "-inf", id="minus infinity"),
        pytest.param(np.float64(-2.5), "-2.5", id="a number of NumPy"),
        pytest.param(math.nan, "", id="NaN"),
        pytest.param(None, "", id="nothing"),
    ],
)
def test_a_value_becomes_one_harmless_cell(value: object, cell: str) -> None:
    assert written({"first": value, "second": "x"}) == f"first,second\n{cell},x\n"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_any_names_are_read_back_but_for_the_apostrophe(names: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    write_rows(text, ("name", "label"), [{"name": name, "label": label} for name, label in names])
    rows = list(csv.reader(io.StringIO(text.getvalue(), newline="")))[1:]
    assert len(rows) == len(names)
    for row, given_names in zip(rows, names, strict=True):
        for cell, name in zip(row, given_names, strict=True):
            assert cell in (name, f"'{name}")
            assert not cell.startswith(("=", "@"))


def test_a_name_with_line_ends_stays_one_row_of_a_file(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("name", "n"), [{"name": "3\r.png\n=1\r\n", "n": 2}] * 2)
    assert read_table(tmp_path / "t.csv") == [{"name": "3\r.png\n=1\r\n", "n": "2"}] * 2


def test_there_is_one_writer_of_csv() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"DictWriter", "to_csv", "savetxt"}, path
                assert not (node.attr == "writer" and getattr(node.value, "id", "") == "csv"), path


HOSTILE = "\x1b]0;OWNED\x07\x1b[31m\u202egnp.\r\x9b"


def test_what_steers_a_terminal_is_shown_by_its_escape() -> None:
    assert visible(HOSTILE) == r"\x1b]0;OWNED\x07\x1b[31m\u202egnp.\r\x9b"
    assert visible("naïve café ½ 猫 🐈 עברית") == "naïve café ½ 猫 🐈 עברית"
    assert visible("a\nerror: forged\udcff") == r"a\nerror: forged\udcff"
    assert str(InputError("code", "what", HOSTILE)) == f"what · at: {visible(HOSTILE)} [code]"
    assert str(StraightedgeWarning("code", HOSTILE)) == f"{visible(HOSTILE)} [code]"


def test_json_steers_no_terminal_and_loses_nothing() -> None:
    import json

    text = to_json({HOSTILE: HOSTILE})
    assert not [sign for sign in text if not sign.isprintable()]
    assert json.loads(text) == {HOSTILE: HOSTILE}


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, capsys, monkeypatch)


def steering(text: str) -> list[str]:
    return [sign for sign in text if not sign.isprintable() and sign != "\n"]


def images(folder: Path) -> None:
    for number in range(24):
        name = f"{HOSTILE}{number}.png" if number % 3 == 0 else f"={number}.png"
        place = folder / f"k{HOSTILE}{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(png(number))


def test_no_command_lets_names_steer_the_terminal(commands: Commands) -> None:
    source, run = commands.path / f"s{HOSTILE}", commands.path / f"r{HOSTILE}"
    images(source)
    broken = source / f"k{HOSTILE}0" / f"{HOSTILE}broken.png"
    broken.write_bytes(b"broken")
    for words in (
        ("fit", source, "--out", run, "--reg", "1"),
        ("fit", source, "--out", run, "--reg", "1", "--skip-bad"),
        ("fit", source, "--out", run, "--reg", "1", "--skip-bad"),  # the run is there: an error that names it
        ("fit", source, "--out", run, "--reg", "1", "--skip-bad", "--overwrite", "--json"),
        ("evaluate", run, source, "--skip-bad"),
        ("evaluate", run, source, "--skip-bad", "--json"),
        ("predict", run, source, "--skip-bad"),
        ("predict", run, source, "--skip-bad", "--json"),
        ("compare", run, run),
        ("report", run),
        ("export", run, "--to", "torch"),
        ("features", source, "--extractor", "raw", "--skip-bad", "--out", commands.path / f"{HOSTILE}.npz"),
    ):
        ended = commands.run(*words)
        assert steering(ended.out + ended.err) == [], (words[0], ended.out, ended.err)
        assert ended.out + ended.err, words


def test_predictions_of_names_with_line_ends_are_whole_and_compare(commands: Commands) -> None:
    images(commands.path / "images")
    run = commands.path / "run"
    assert commands.run("fit", commands.path / "images", "--out", run, "--reg", "1").status == 0
    for name in ("predictions.csv", "hardest.csv"):
        with (run / name).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert {len(row) for row in rows} == {len(header)}
        assert len(rows) == 24
        assert all(row[0].startswith(("k\x1b", "'=")) for row in rows)
    assert os.listdir(run)
