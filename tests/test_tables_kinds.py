"""Tables in the files of other programs: ARFF and workbooks give what the same CSV gives."""

import csv
import io
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from straightedge.data import load_dataset
from straightedge.data.tables import excel
from straightedge.errors import InputError
from support.bad_inputs import Commands

N = 60
HEADER = """% a remark
@RELATION beasts

@attribute size numeric
@attribute 'the kind' {cat, 'big dog', "o'possum"}
@attribute note string
@attribute seen date "yyyy-MM-dd"
@attribute label {yes,no}
@DATA
"""


def rows():
    draw = np.random.default_rng(0)
    kinds = draw.choice(["cat", "big dog", "o'possum"], N)
    sizes = draw.normal(size=N).round(3)
    return [
        [
            None if i % 11 == 0 else float(sizes[i]),
            None if i % 13 == 0 else str(kinds[i]),
            f'it said "{i % 4}", then left',
            f"2024-05-{i % 28 + 1:02d}",
            "yes" if kinds[i] == "cat" else "no",
        ]
        for i in range(N)
    ]


NAMES = ["size", "the kind", "note", "seen", "label"]


def as_csv(path):
    text = io.StringIO()
    csv.writer(text).writerows([NAMES, *rows()])
    path.write_text(text.getvalue())
    return path


def as_arff(path):
    def field(value):
        if value is None:
            return "?"
        plain = str(value)
        return (
            "'" + plain.replace("\\", "\\\\").replace("'", "\\'") + "'" if " " in plain or "'" in plain else plain
        )

    lines = [",".join(map(field, row)) for row in rows()]
    path.write_text(HEADER + "\n".join([*lines[:5], "% between rows", *lines[5:]]) + "\n")
    return path


def cell(value, place):
    name = f"{chr(65 + place[1])}{place[0] + 1}"
    if value is None:
        return ""
    if isinstance(value, float):
        return f'<c r="{name}"><v>{value!r}</v></c>'
    plain = str(value).replace("&", "&amp;").replace("<", "&lt;")
    return f'<c r="{name}" t="inlineStr"><is><t>{plain}</t></is></c>'


def as_xlsx(path):
    """Write a workbook by hand: an empty sheet, then the table."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    body = "".join(
        f'<row r="{i + 1}">{"".join(cell(value, (i, k)) for k, value in enumerate(row))}</row>'
        for i, row in enumerate([NAMES, *rows()])
    )
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    links = "".join(
        f'<Relationship Id="r{k}" Type="{office}/worksheet" Target="worksheets/sheet{k}.xml"/>' for k in (1, 2)
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="'
        f'application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="empty" sheetId="1" '
        'r:id="r1"/><sheet name="beasts" sheetId="2" r:id="r2"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData/></worksheet>',
        "xl/worksheets/sheet2.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("ending", ["arff", "xlsx", "xls"])
def test_other_files_give_what_csv_gives(tmp_path, ending):
    plain = load_dataset(as_csv(tmp_path / "a.csv"))
    other = load_dataset((as_arff if ending == "arff" else as_xlsx)(tmp_path / f"a.{ending}"))
    np.testing.assert_array_equal(plain.train.X, other.train.X)
    np.testing.assert_array_equal(plain.train.y, other.train.y)
    for key in ("columns", "label", "names"):
        assert plain.columns[key] == other.columns[key]
    said = {"arff": "read as ARFF: 60 rows of 5 attributes"}
    assert any(said.get(ending, "sheet 'beasts': 60 rows of 5 columns") in note for note in other.notes)


def test_a_model_of_csv_predicts_a_workbook(tmp_path, capsys, monkeypatch):
    do = Commands(tmp_path, capsys, monkeypatch)
    as_csv(do.path / "a.csv")
    as_xlsx(do.path / "b.xlsx")
    assert do.run("fit", "a.csv", "--out", "run", "--reg", 0.01, "--no-suspects").status == 0
    one, other = (do.run("predict", "run", name).out.replace(name, "") for name in ("a.csv", "b.xlsx"))
    assert one == other


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.arff", b"@relation x\n@data\n1,2\n", "table-arff"),
        ("a.arff", b"@relation x\n@attribute a numeric\n1,2\n", "table-arff"),
        ("a.arff", b"@attribute a numeric\n@attribute b {x,y}\n@data\n{0 1, 1 x}\n", "table-arff"),
        ("a.arff", b"@attribute a numeric\n@attribute b {x,y}\n@data\n1,x\n2\n", "table-ragged"),
        ("a.arff", b"@attribute a numeric\n@attribute b {x,y}\n@data\n", "table-empty"),
        ("a.xlsx", b"PK\x03\x04 no zip", "table-broken"),
        ("a.xls", b"no workbook at all", "table-broken"),
        ("a.ods", b"", "table-broken"),
    ],
)
def test_broken_ones_are_refused(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=code):
        load_dataset(tmp_path / name, labels="b" if b"b {" in content else None)


@pytest.mark.parametrize("name", ["a.arrow", "a.feather", "a.ipc"])
def test_offsets_beyond_the_texts_are_refused_before_arrow_follows_them(tmp_path, name):
    table = pa.table({"x": np.arange(60.0), "label": [*"ab"] * 30})
    stream = pa.BufferOutputStream()
    write = pa.ipc.new_stream if name.endswith("ipc") else pa.ipc.new_file
    with write(stream, table.schema) as writer:
        writer.write_table(table)
    offsets = np.arange(61, dtype=np.int32)
    damaged = np.where(offsets == 59, 2**30, offsets).astype(np.int32)
    content = stream.getvalue().to_pybytes()
    assert offsets.tobytes() in content
    (tmp_path / name).write_bytes(content.replace(offsets.tobytes(), damaged.tobytes()))
    with pytest.raises(InputError, match="table-broken"):
        load_dataset(tmp_path / name)


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "LARGEST_TEXT", 1000)
    with pytest.raises(InputError, match="table-bomb"):
        load_dataset(as_xlsx(tmp_path / "a.xlsx"))
