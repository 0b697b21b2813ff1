"""The section on tables of the list of bad inputs: what `straightedge fit` says of each, or what it makes of it."""

from pathlib import Path

import numpy as np
import pytest

from support.bad_inputs import Commands

rng = np.random.default_rng(0)
N = 60
AGE = rng.normal(40, 10, N).round(2)
LABEL = np.where(AGE + rng.normal(0, 5, N) > 40, "old", "young")
ROWS = [f"{age},{label}" for age, label in zip(AGE, LABEL, strict=True)]


@pytest.fixture
def do(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, capsys, monkeypatch)


def csv(do: Commands, *rows: str, header: str = "age,label", encoding: str = "utf-8", end: str = "\n") -> Path:
    path = do.path / "people.csv"
    path.write_bytes(end.join([header, *rows, ""]).encode(encoding))
    return path


REFUSED = {
    "ragged rows": ([*ROWS[:5], "1,2,old"], {}, "table-ragged", ["line 7", "3 fields"]),
    "NUL bytes": ([*ROWS, "1\0,old"], {}, "table-nul", ["line 62"]),
    "UTF-16 without a mark": (ROWS, {"encoding": "utf-16-le"}, "table-encoding", ["UTF-16"]),
    "100,000 columns": ([], {"header": ",".join(map(str, range(100_000)))}, "columns-many", ["100000"]),
    "a header alone": ([], {}, "table-empty", ["a header and no rows"]),
    "duplicate names": (ROWS, {"header": "age,age"}, "columns-repeated", ["'age'", "columns 1, 2"]),
    "a quote that never ends": (['1,"old', *ROWS], {}, "table-quote", ["line 2"]),
    "1e400": ([*ROWS, "1e400,old"], {}, "value-infinite", ["'1e400'", "column 'age', row 60"]),
    "a column name of 10 kB": (ROWS, {"header": "a" * 10_000 + ",label"}, "column-name", ["column 1"]),
    "a missing label": ([*ROWS, "40,"], {}, "labels-missing", ["row 60"]),
    "one class": ([row.split(",")[0] + ",old" for row in ROWS], {}, "labels-single-class", ["'old'"]),
    "nothing but identifiers": (
        [f"a{i},{'xy'[i % 2]}" for i in range(N)],
        {"header": "name,label"},
        "columns-none",
        ["--keep"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(do: Commands, name: str) -> None:
    rows, how, code, said = REFUSED[name]
    do.refused_fit(code, "people.csv", *said, source=csv(do, *rows, **how))


def test_an_empty_file(do: Commands) -> None:
    (do.path / "a.csv").write_bytes(b"")
    do.refused_fit("table-empty", "the file is empty", source=do.path / "a.csv")


def test_no_label_column(do: Commands) -> None:
    rows = [f"{a},{b},{c}" for a, b, c in rng.normal(size=(N, 3)).round(3)]
    said = ("a (double), b (double), c (double)", "--labels -1")
    do.refused_fit("column-missing", *said, source=csv(do, *rows, header="a,b,c"))
    do.refused_fit("column-missing", "'d'", source=csv(do, *rows, header="a,b,c"), options=("--labels", "d"))


TAKEN = {
    "plain": (ROWS, {}),
    "a byte-order mark": (ROWS, {"encoding": "utf-8-sig"}),
    "UTF-16": (ROWS, {"encoding": "utf-16"}),
    "CR line ends": (ROWS, {"end": "\r"}),
    "decimal commas": ([row.replace(",", ";").replace(".", ",") for row in ROWS], {"header": "age;label"}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_one_table_written_in_other_ways_gives_the_same_fit(do: Commands, name: str) -> None:
    plain, _ = do.fitted(csv(do, *ROWS), "--reg", 0.01)
    rows, how = TAKEN[name]
    found, _ = do.fitted(csv(do, *rows, **how), "--reg", 0.01)
    assert found["classes"] == ["old", "young"] and found["objective"] == plain["objective"]
    assert found["columns"] == [{"name": "age", "kind": "number", "missing": 0, "became": "number"}]


def test_a_wrong_encoding_is_refused_by_name(do: Commands) -> None:
    rows = [row.replace("old", "säker") for row in ROWS]
    source = csv(do, *rows, encoding="cp1252")
    do.refused_fit("table-encoding", "utf-8", "--encoding", source=source, options=("--encoding", "utf-8"))
    result, _ = do.fitted(source, "--encoding", "cp1252")
    assert result["classes"] == ["säker", "young"]


def test_another_encoding_is_said(do: Commands) -> None:
    rows = [row.replace("old", "säker") for row in ROWS]
    result, _ = do.fitted(csv(do, *rows, encoding="cp1252"))
    assert result["classes"] == ["säker", "young"]
    assert any("Windows-1252 (line" in note for note in result["notes"])


def test_thousands(do: Commands) -> None:
    rows = [f'"{1000 * float(row.split(",")[0]):,.2f}",{row.split(",")[1]}' for row in ROWS]
    result, _ = do.fitted(csv(do, *rows))
    assert result["columns"][0]["kind"] == "number"


def test_mixed_types_dates_and_formulas(do: Commands) -> None:
    rows = [f"{row},2024-05-{i % 28 + 1:02d},{'=1+2' if i % 2 else '@sum'}" for i, row in enumerate(ROWS)]
    rows[7] = rows[7].replace(rows[7].split(",")[0], "unknown")
    result, _ = do.fitted(csv(do, *rows, header="age,label,day,cell"))
    kinds = {row["name"]: (row["kind"], row["became"]) for row in result["columns"]}
    assert kinds["age"] == ("number", "number, missing values marked")
    assert kinds["day"] == ("left out", "a date")
    assert kinds["cell"] == ("category", "2 categories")
    assert any("'unknown' in row 7: taken for missing" in note for note in result["notes"])
    result, _ = do.fitted(do.path / "people.csv", "--categories", "age")
    assert result["columns"][0]["kind"] == "category"


def test_quotes_across_lines(do: Commands) -> None:
    rows = [f'{row},"a\n{"b" if i % 2 else "c"}"' for i, row in enumerate(ROWS)]
    result, _ = do.fitted(csv(do, *rows, header="age,label,note"))
    assert result["train"]["n"] == N and result["columns"][1]["became"] == "2 categories"


def test_columns_at_predict(do: Commands) -> None:
    rows = [f"{row},{'ab'[i % 2]}" for i, row in enumerate(ROWS)]
    do.fitted(csv(do, *rows, header="age,label,kind"))
    (do.path / "new.csv").write_text("kind,age,more\na,40,1\nz,999,2\n")
    told = do.run("predict", do.path / "run", "new.csv")
    assert told.status == 0 and len(told.out.splitlines()) == 3
    assert "in another order" in told.err and "ignored: 'more'" in told.err
    assert "column 'kind': 1 value that training did not have" in told.err
    assert "column 'age': 1 value beyond those of training" in told.err
    (do.path / "new.csv").write_text("kind,height\na,40\n")
    do.refused("column-missing", "'age'", "new.csv", by=("predict", do.path / "run", "new.csv"))
    (do.path / "new.csv").write_text("kind,age\na,tall\n")
    said = ("'tall' is no number", "column 'age'")
    do.refused("value-kind", *said, by=("predict", do.path / "run", "new.csv"))
