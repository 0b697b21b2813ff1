"""Text tables: how they are written is found and said, and each way in which they can be broken has its message."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest

from straightedge.data import load_dataset
from straightedge.data.tables.text_file import TextRead, read_text_table
from straightedge.data.tables.text_format import find_format
from straightedge.data.text.documents import is_texts
from straightedge.errors import InputError

PLAIN = b"age,kind\n1,cat\n2,dog\n3,\n"
VALUES = {"age": [1, 2, 3], "kind": ["cat", "dog", None]}


def read(tmp_path, content, **how):
    (tmp_path / "a.csv").write_bytes(content)
    return read_text_table(tmp_path / "a.csv", TextRead(**how))


def values(table):
    return {name: table.column(name).to_pylist() for name in table.schema.names}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PLAIN, id="commas"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="byte-order mark"),
        pytest.param(PLAIN.replace(b",", b"\t"), id="tabs"),
        pytest.param(PLAIN.replace(b",", b";"), id="semicolons"),
        pytest.param(PLAIN.replace(b",", b"|"), id="bars"),
        pytest.param(PLAIN.replace(b",", b", "), id="blanks after commas"),
        pytest.param(b" age   kind\n1  cat \n  2    dog\n3 ?\n", id="runs of blanks"),
        pytest.param(b'"age", "kind"\n1, "cat"\n2, "dog"\n3, ""\n', id="blanks before quotes"),
        pytest.param(PLAIN.replace(b"\n", b"\r\n"), id="carriage returns and newlines"),
        pytest.param(PLAIN.replace(b"\n", b"\r"), id="carriage returns alone"),
        pytest.param(PLAIN.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b"\n\n" + PLAIN + b"\n", id="empty lines"),
        *(
            pytest.param(PLAIN.replace(b"3,\n", b"3," + mark + b"\n"), id=f"missing as {mark.decode()}")
            for mark in (b"?", b"NA", b"NaN", b"null", b"-", b" ? ")
        ),
    ],
)
def test_one_table_in_many_ways_of_writing(tmp_path, content):
    assert values(read(tmp_path, content)) == VALUES


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_tables_are_told_by_their_content(tmp_path, pack):
    assert values(read(tmp_path, pack(PLAIN))) == VALUES


def test_every_form_is_told_by_its_content_whatever_its_name(tmp_path):
    draw = np.random.default_rng(0)
    u, colour = draw.normal(size=60).round(3), draw.choice(["red", "green"], 60)
    label = np.where((u > 0) ^ (colour == "red"), "yes", "no")
    rows = [f"{a},{b},{c}" for a, b, c in zip(u, colour, label, strict=True)]
    text = "\n".join(["u,colour,label", *rows]) + "\n"
    records = [json.dumps({"u": a, "colour": b, "label": c}) for a, b, c in zip(u, colour, label, strict=True)]
    declared = "@attribute u real\n@attribute colour {red,green}\n@attribute label {no,yes}\n@data\n"
    arff = "% a remark\n@relation r\n" + declared + "\n".join(rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.csv", text)
    forms = {
        "a.csv": text.encode(),
        "lines.jsonl": "\n".join(records).encode(),
        "lines.ndjson.gz": gzip.compress("\n".join(records).encode()),
        "lines.json": "\n".join(records).encode(),
        "lines.csv": "\n".join(records).encode(),
        "weka.csv": arff.encode(),
        "weka.csv.gz": gzip.compress(arff.encode()),
        "train.zip": packed.getvalue(),
        "train.csv.zip": packed.getvalue(),
        "gzip.csv": gzip.compress(text.encode()),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        found = load_dataset(tmp_path / name)
        assert found.train.X.sum() == pytest.approx(u.sum() + 60), name
        assert found.classes == ("no", "yes") and found.train.X.shape == (60, 3), name
    (tmp_path / "texts.jsonl").write_text('{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n' * 9)
    assert is_texts(load_dataset(tmp_path / "texts.jsonl").train.X)


@pytest.mark.parametrize("written", ["label\n", "0\n", "Unnamed: 0,kind\n"])
def test_rows_and_labels_in_two_files_are_one_table(tmp_path, written):
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(80, 2)).round(3), draw.integers(0, 2, 80)
    for split, part in {"train": slice(0, 60), "test": slice(60, 80)}.items():
        rows = ["u,v", *(f"{a},{b}" for a, b in X[part])]
        (tmp_path / f"X_{split}.csv").write_text("\n".join(rows) + "\n")
        own = [f"{i},{label}" if "," in written else str(label) for i, label in enumerate(y[part])]
        header = "" if written == "0\n" else written
        (tmp_path / f"y_{split}.csv").write_text(header + "\n".join(own) + "\n")
    found = load_dataset(tmp_path)
    np.testing.assert_array_equal(found.train.X, X[:60])
    assert found.train.y.tolist() == y[:60].tolist()
    test = found.test.open("a look")
    np.testing.assert_array_equal(test.X, X[60:])
    assert test.y.tolist() == y[60:].tolist()
    before = found.fingerprint
    (tmp_path / "y_test.csv").write_text("label\n" + "1\n" * 19)
    with pytest.raises(InputError, match="rows-differ"):
        load_dataset(tmp_path)
    (tmp_path / "y_test.csv").unlink()
    alone = load_dataset(tmp_path)
    assert alone.test is None and alone.fingerprint != before
    assert "X_test.csv has no labels beside it: rows for straightedge predict" in alone.notes


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_text_that_ends_in_zeros_is_refused_before_they_are_read(tmp_path, pack):
    path = tmp_path / "a.csv"
    path.write_bytes(pack(PLAIN))
    with open(path, "r+b") as file:
        file.truncate(3 * 2**30)  # the zeros take no room on the disk
    for door in (load_dataset, lambda path: read_text_table(path, TextRead())):
        with pytest.raises(InputError, match="zeros") as caught:
            door(path)
        assert caught.value.code == "table-broken"


def test_a_zip_of_one_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("inside/a.csv", PLAIN)
    assert values(read_text_table(tmp_path / "a.csv.zip", TextRead())) == VALUES
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "a") as archive:
        archive.writestr("b.csv", PLAIN)
    with pytest.raises(InputError, match=r"2 files.*table-broken"):
        read_text_table(tmp_path / "a.csv.zip", TextRead())


@pytest.mark.parametrize(
    ("content", "column", "expected"),
    [
        pytest.param(b"a,b\n1.5,x\n2,y\n", "a", [1.5, 2.0], id="numbers"),
        pytest.param(b"a,b\n-1e3,x\n.5,y\n", "a", [-1000.0, 0.5], id="exponents"),
        pytest.param(b"a;b\n1,5;x\n-2.000,25;y\n", "a", [1.5, -2000.25], id="decimal commas"),
        pytest.param(b'a,b\n"1,234",x\n"1,234,567.5",y\n', "a", [1234.0, 1234567.5], id="thousands"),
        pytest.param(b'a,b\n"1,5",x\n"2,25",y\n', "a", [1.5, 2.25], id="quoted decimal commas"),
        pytest.param(b"a,b\n1,x\ntwo,y\n", "a", ["1", "two"], id="mixed types"),
        pytest.param(b"a,b\nTrue,x\nFalse,y\n", "a", ["True", "False"], id="words of truth"),
        pytest.param(b"a,b\n99999999999999999999,x\n2,y\n", "a", [1e20, 2.0], id="beyond 64 bits"),
        pytest.param(b'a,b\n1,"x\ny"\n2,"he said ""no"""\n', "b", ["x\ny", 'he said "no"'], id="quotes"),
        pytest.param(b"a,b\n=1+2,x\n@sum,y\n", "a", ["=1+2", "@sum"], id="formulas are text"),
        pytest.param("a,b\n1,ä\n2,ö\n".encode("cp1252"), "b", ["ä", "ö"], id="Windows-1252"),
    ],
)
def test_values(tmp_path, content, column, expected):
    assert values(read(tmp_path, content))[column] == expected


@pytest.mark.parametrize(
    ("content", "names"),
    [
        pytest.param(b"5.1,3.5,setosa\n4.9,3.0,setosa\n", ("1", "2", "3"), id="numbers in the first row"),
        pytest.param(b"T,2\nI,5\nT,3\n", ("1", "2"), id="letters and numbers"),
        pytest.param(b"x,y\n1,2\n", ("x", "y"), id="names above numbers"),
        pytest.param(b"city,kind\nrome,a\noslo,b\n", ("city", "kind"), id="text alone"),
        pytest.param(b"a,b\nb,a\na,b\n", ("1", "2"), id="values found again below"),
        pytest.param(b"0,1,label\n1.5,2,a\n2,3,b\n", ("0", "1", "label"), id="positions as pandas writes them"),
        pytest.param(b",x\n0,1\n1,3\n", ("", "x"), id="an index without a name"),
        pytest.param(b"x y\nr1 1 2\nr2 3 4\n", ("", "x", "y"), id="row names as R writes them"),
        pytest.param(b"x\nr1;1\nr2;2\n", ("", "x"), id="row names and one column"),
        pytest.param(b"p,text\n1,to be; or\n2,not; to\n", ("p", "text"), id="a semicolon in every text"),
        pytest.param(b"p\ttext\n1\tto be, or\n2\tnot, to\n", ("p", "text"), id="a comma in every text"),
    ],
)
def test_headers(content, names):
    assert find_format(content, "here").names == names


def test_what_was_found_is_said_in_one_line(tmp_path):
    about = read(tmp_path, b"1,5;x\n2,5;y\n").about
    assert about == (
        "read as text: 2 rows of 2 columns between semicolons, no header: columns are called by their positions, "
        "decimal commas, UTF-8"
    )
    assert "Windows-1252 (line 2 is no UTF-8)" in read(tmp_path, "a,b\n1,ä\n".encode("cp1252")).about


def test_options_overrule_what_would_be_found(tmp_path):
    table = read(tmp_path, b"1:x\n2:none\n", delimiter=":", header=False, missing=("none",))
    assert values(table) == {"1": [1, 2], "2": ["x", None]}
    assert values(read(tmp_path, b"007,x\n008,y\n", as_text=["1"]))["1"] == ["007", "008"]
    assert values(read(tmp_path, "a,b\n1,ж\n".encode("koi8-r"), encoding="koi8-r"))["b"] == ["ж"]


BAD = [
    pytest.param(b"a,b\n1,x\n2\n3,y\n", "table-ragged", ["1 fields, 2 are expected", "line 3"], id="short row"),
    pytest.param(b"a,b\n1,x\n2,y,z\n", "table-ragged", ["3 fields", "line 3", "2,y,z"], id="long row"),
    pytest.param(b"a,b\n1,x\n2,\0y\n", "table-nul", ["line 3"], id="NUL"),
    pytest.param("a,b\n1,x\n2,y\n".encode("utf-16-le"), "table-encoding", ["utf-16-le"], id="UTF-16, no mark"),
    pytest.param(b"", "table-empty", ["the file is empty"], id="empty"),
    pytest.param(b"\xef\xbb\xbf\r\n", "table-empty", ["the file is empty"], id="a mark alone"),
    pytest.param(b"a,b\n", "table-empty", ["a header and no rows"], id="header alone"),
    pytest.param(b"a,b,a\n1,2,3\n", "columns-repeated", ["'a'", "columns 1, 3"], id="duplicate names"),
    pytest.param(b'a,b\n1,"x\n2,z\n3,u\n', "table-quote", ["line 2"], id="a quote that never ends"),
    pytest.param(b"a,b\n1,x\n1e400,y\n", "value-infinite", ["'1e400'", "column 'a'", "row 1"], id="1e400"),
    pytest.param(b"a," + b"b" * 10_000 + b"\n1,2\n", "column-name", ["column 2", "10000 characters"], id="name"),
    pytest.param(b",".join(b"c%d" % i for i in range(100_000)) + b"\n", "columns-many", ["100000"], id="columns"),
    pytest.param(b"hello\nworld\n", "table-format", ["no delimiter"], id="no table"),
    pytest.param(gzip.compress(PLAIN)[:-9], "table-broken", ["cannot be read"], id="gzip cut off"),
]


@pytest.mark.parametrize(("content", "code", "said"), BAD)
def test_broken_tables(tmp_path, content, code, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    assert caught.value.code == code
    assert all(words in str(caught.value) for words in [*said, "a.csv"]), str(caught.value)


def test_a_table_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("straightedge.data.tables.text_bytes.LARGEST_TEXT", 1000)
    with pytest.raises(InputError, match="table-bomb"):
        read(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 1000))


def test_an_unknown_encoding_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no-such.*table-encoding"):
        read(tmp_path, PLAIN, encoding="no-such")


def test_large_quoted_tables_keep_every_row(tmp_path):
    rows = "".join(f'{i},"line {i}\nand more"\n' for i in range(3000))
    table = read(tmp_path, f"n,text\n{rows}".encode())
    assert table.n_rows == 3000 and table.column("text")[2999].as_py() == "line 2999\nand more"
    assert Path(table.path).name == "a.csv"
