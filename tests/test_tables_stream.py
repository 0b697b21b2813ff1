"""Large text tables go through the cache: the same cells and messages as small ones, within little memory."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from straightedge.data import load_dataset
from straightedge.data.tables import facts, text_cache, text_stream
from straightedge.data.tables.text_file import TextRead, read_text_table
from straightedge.data.tables.text_stream import streamed_table
from straightedge.errors import InputError
from test_tables_columns import N, people, write

BIG = 2**30
LIMIT = 500 * 2**20


@pytest.fixture
def streams(tmp_path, monkeypatch):
    """Let every table be large, and blocks hold few rows."""
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text_stream, "STREAMED_FROM", 0)
    monkeypatch.setattr(text_stream, "BLOCK_BYTES", 512)
    return tmp_path


def rows(n=200):
    draw = np.random.default_rng(0)
    for i in range(n):
        first = "" if i % 17 == 0 else str(i) if i < 150 else f"{draw.normal():.3f}"
        yield f"{first},{draw.integers(9)},{'?' if i % 13 == 0 else 'abc'[i % 3]},{'x' if i == 180 else i}"


def cells(table):
    return {name: table.column(name).to_pylist() for name in table.schema.names}


WRITTEN = {
    "plain": "a,b,c,d\n" + "\n".join(rows()) + "\n",
    "no newline at the end": "a,b,c,d\n" + "\n".join(rows()),
    "no header": "\n".join(rows()) + "\n",
    "tabs": "a\tb\tc\td\n" + "\n".join(rows()).replace(",", "\t"),
    "carriage returns": "a,b,c,d\r\n" + "\r\n".join(rows()),
    "quotes late": "a,b\n" + "1,x\n" * 300 + '2,"y\nz,""w"""\n' * 20,
    "a byte-order mark": "\ufeffa,b\n" + "1,2\n" * 300,
    "decimal commas": "a;b\n" + "1,5;2\n" * 300,
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_cells_are_those_of_a_table_in_memory(streams, name, pack):
    path = streams / "a.csv"
    path.write_bytes(pack(WRITTEN[name].encode()))
    found, plain = streamed_table(path, TextRead()), read_text_table(path, TextRead())
    assert found.schema.types == plain.schema.types and cells(found) == cells(plain)
    assert found.about == plain.about + ", kept parsed in the cache" and found.header == plain.header


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_blocks_of_columns_say_what_whole_columns_say(tmp_path, monkeypatch, ending):
    path = write(tmp_path / f"a.{ending}", people())
    whole = load_dataset(path, categories="height")
    monkeypatch.setattr(facts, "BLOCK_ROWS", 7)
    found = load_dataset(path, categories="height")
    for one, other in zip(found.columns["columns"], whole.columns["columns"], strict=True):
        assert one.pop("mean") == pytest.approx(other.pop("mean"), rel=1e-13) and one == other
    assert found.notes == whole.notes
    np.testing.assert_array_equal(found.train.y, whole.train.y)
    part = np.arange(0, N, 3)
    assert found.parts.columns(part)["columns"][2]["missing"] == np.isnan(people()["age"][part]).sum()


def test_of_many_texts_the_frequent_ones_are_counted(monkeypatch):
    monkeypatch.setattr(facts, "MOST_DISTINCT", 20)
    draw = np.random.default_rng(0)
    texts = np.where(draw.random(2000) < 0.5, draw.choice(["a", "b", "c"], 2000), draw.integers(10**6, size=2000))
    blocks = [pa.array(texts[start : start + 100].astype(str)) for start in range(0, 2000, 100)]
    counts = facts.value_counts(iter(blocks))
    expected = {word: int((texts == word).sum()) for word in "abc"}
    assert dict(pair for pair in counts.pairs(100)) == expected
    assert not counts.all_different and counts.distinct >= 20
    names = facts.value_counts(iter([pa.array([f"n{i}" for i in range(k, k + 50)]) for k in range(0, 500, 50)]))
    assert names.all_different and names.distinct == 500


def test_the_text_is_parsed_once(streams, monkeypatch):
    (streams / "a.csv").write_text(WRITTEN["plain"])
    first = cells(streamed_table(streams / "a.csv", TextRead()))
    monkeypatch.setattr(text_stream, "_Parsing", None)
    assert cells(streamed_table(streams / "a.csv", TextRead())) == first
    (streams / "a.csv").write_text(WRITTEN["plain"] + "1,2,a,3\n")  # another state of the file is another table
    with pytest.raises(TypeError):
        streamed_table(streams / "a.csv", TextRead())


def test_of_the_cache_the_columns_that_are_asked_for_are_read_in_any_order_of_threads(streams, monkeypatch):
    monkeypatch.setattr(text_cache, "BATCH_BYTES", 2048)
    (streams / "a.csv").write_text(WRITTEN["plain"])
    table, whole = (streamed_table(streams / "a.csv", TextRead()) for _ in range(2))
    assert len(table.counts) > 2 and len({*table.counts[:-1]}) == 1 and sum(table.counts) == 200
    for piece in (2, 0, 1):
        for names in (["c"], ["d", "a"], ["c"]):
            found = list(table.blocks(piece, names, 10))
            assert [part.schema.names for part in found] == [names] * len(found)
            start = sum(table.counts[:piece])
            expected = cells(whole)[names[-1]][start : start + table.counts[piece]]
            assert [cell for part in found for cell in part.column(len(names) - 1).to_pylist()] == expected


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", None])
def test_a_file_of_the_cache_that_does_not_fit_is_made_again(streams, damage):
    path = streams / "a.csv"
    path.write_text(WRITTEN["plain"])
    wanted = cells(streamed_table(path, TextRead()))
    (kept,) = (streams / "cache" / "tables").glob("*.arrow")
    if damage is None:
        other = pa.table({"a": [1], "z": [2]})
        with pa.ipc.new_file(str(kept), other.schema) as file:
            file.write_table(other)
    else:
        kept.write_bytes(damage(kept.read_bytes()))
    assert cells(streamed_table(path, TextRead())) == wanted


def test_without_a_cache_nothing_is_left_in_it(streams):
    (streams / "a.csv").write_text(WRITTEN["plain"])
    found = streamed_table(streams / "a.csv", TextRead(cache=False))
    assert found.n_rows == 200 and not (streams / "cache").exists()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("a,b\n" + "1,2\n" * 300 + "1,2,3\n", "table-ragged", "3 fields"),
        ("a,b\n" + "1,2\n" * 300 + "1,\0\n", "table-nul", "line 302"),
        ("a,b\n" + "1,2\n" * 300 + '1,"2\n' + "1,2\n" * 300, "table-quote", "never ends"),
        ("a,b\n" + "1,2\n" * 300 + "1e400,2\n", "value-infinite", "beyond the range of floats"),
    ],
)
def test_broken_ones_are_refused(streams, content, code, said):
    (streams / "a.csv").write_text(content)
    with pytest.raises(InputError) as raised:
        streamed_table(streams / "a.csv", TextRead())
    assert raised.value.code == code and said in str(raised.value)


@pytest.mark.parametrize(
    "content", [("a,b\n" + "1,s\xe4ker\n" * 300).encode("cp1252"), b"a  b\n" + b"1   2\n" * 300]
)
def test_what_has_to_be_read_whole_is(streams, content):
    (streams / "a.csv").write_bytes(content)
    assert streamed_table(streams / "a.csv", TextRead()) is None


FIT = """
import json, sys, time
from straightedge.data.tables.reading import load
from straightedge.workflow import FitOptions, run_fit

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024

run_fit(FitOptions("digits", sys.argv[2] + "/warm", reg=1e-3, suspects=False, progress=False))
before = peak()
found = run_fit(FitOptions(sys.argv[1], sys.argv[2] + "/run", reg=1e-3, tol=0.1, suspects=False, progress=False))
print(json.dumps([peak() - before, found["train"]["accuracy"], found["status"], time.process_time()]))
"""


def large_csv(path, size, width):
    """Write a table of numbers and two categories, a block of rows over and over."""
    draw = np.random.default_rng(0)
    n = 1_000
    X = draw.normal(size=(n, width)).round(5)
    label = np.where(X[:, 0] + 0.3 * draw.normal(size=n) > 0, "yes", "no")
    lines = [
        f"{','.join(map(str, row))},{'abc'[i % 3]},{('north', 'south')[i % 2]},{label[i]}"
        for i, row in enumerate(X)
    ]
    block = ("\n".join(lines) + "\n").encode()
    with path.open("wb") as file:
        file.write((",".join([*(f"x{k}" for k in range(width)), "kind", "side", "label"]) + "\n").encode())
        for _ in range(-(-size // len(block))):
            file.write(block)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("width", [200, 12])  # 0.6 and 9 million rows
def test_a_csv_of_a_gigabyte_is_fitted_within_500_mb(tmp_path, width):
    large_csv(tmp_path / "big.csv", BIG, width)
    environment = os.environ | {"STRAIGHTEDGE_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", FIT, str(tmp_path / "big.csv"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    memory, accuracy, status, _ = json.loads(done.stdout.splitlines()[-1])
    assert memory < LIMIT and accuracy > 0.85 and status == "certified"
