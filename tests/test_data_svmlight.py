"""Lines of svmlight files read with NumPy: what scikit-learn reads, or left to it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from straightedge.data import svmlight
from straightedge.data.svmlight_lines import plain_rows, read_plain
from straightedge.errors import InputError

LETTERS = "0123456789+-.eE: \t\n\r#,aqidn"
"""What a line may hold, and what it may not."""


def written(random: random.Random, first: int) -> str:
    """Return lines as programs write them, one or two letters of some of them changed."""
    lines = []
    for _ in range(random.randint(1, 5)):
        columns = sorted(random.sample(range(first, 12), random.randint(0, 4)))
        values = [f"{column}:{random.choice(['1', '0.5', '-2e-1', '3.', '.5'])}" for column in columns]
        lines.append(
            " ".join([random.choice(["1", "-1", "+1", "2.5", "1e0"]), *values]) + random.choice(["", " ", "\r"])
        )
    text = "\n".join(lines) + random.choice(["", "\n", "\n\n"])
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        place = random.randrange(len(text) + 1)
        text = text[:place] + random.choice(LETTERS) + text[place + random.choice([0, 1]) :]
    return text


def test_plain_lines_are_read_as_scikit_learn_reads_them_and_no_others(tmp_path):
    dice, path, seen = random.Random(0), tmp_path / "rows.svmlight", {"same": 0, "left": 0}
    for turn in range(1500):
        path.write_bytes((text := written(dice, first=turn % 3 > 0)).encode())
        found = svmlight._read_plain([path], None)
        if found is None:
            seen["left"] += 1
            continue
        (X, y), (expected, labels) = found[0], svmlight._read_any([path], None)[0]
        assert X.shape == expected.shape and X.dtype == expected.dtype, text
        np.testing.assert_array_equal(X.toarray(), expected.toarray(), err_msg=text)
        np.testing.assert_array_equal(y, labels, err_msg=text)
        seen["same"] += 1
    assert min(seen.values()) > 300


@pytest.mark.parametrize(
    "text",
    ["1 2:3 1:1", "1 2:3 2:1", "1 qid:1 2:3", "1,2 3:4", "1 2:3 # said", "1 2:nan", "1 2:1-2", "1 2 3:4\n 3:4",
     "1 2:3:4", "1 :3", "1 2: 3", "1 2.0:3", "1 9999999999:1", "1 1:1e", "", "\n", "a 1:1"],
)  # fmt: skip
def test_lines_that_are_not_plain_are_left(text):
    assert plain_rows(text.encode()) is None


def test_two_files_share_a_width_and_the_first_index(tmp_path):
    paths = [tmp_path / "rows", tmp_path / "rows.t"]
    paths[0].write_text("# by a program\n1 1:1 3:2\n-1 2:5\n")
    paths[1].write_text("1 7:1\n")
    found = svmlight._read_plain(paths, None)
    assert [X.toarray().tolist() for X, _ in found] == [
        [[1, 0, 2, 0, 0, 0, 0], [0, 5, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0, 1]],
    ]
    paths[1].write_text("1 0:1\n")
    assert [X.shape[1] for X, _ in svmlight._read_plain(paths, None)] == [4, 4]
    with pytest.raises(InputError, match="4 features"):
        svmlight._read(paths, 2)


def test_no_row_of_a_large_file_is_lost_behind_a_comment(tmp_path, monkeypatch):
    path = tmp_path / "rows.svmlight"
    path.write_text("# " + "by a program " * 20 + "\n" + "".join(f"{k % 2} 1:{k} 2:1\n" for k in range(100)))
    for short in (1, 100, 200):
        monkeypatch.setattr("straightedge.data.svmlight_lines.LARGEST_FILE", path.stat().st_size - short)
        assert read_plain(path) is None
        assert svmlight._read([path])[0][0].shape == (100, 2)


def test_large_files_are_scikit_learns(tmp_path, monkeypatch):
    X, path = np.random.default_rng(0).random((20, 5)), tmp_path / "rows"
    dump_svmlight_file(X, np.arange(20) % 2, str(path), zero_based=False)
    expected = load_svmlight_file(str(path), dtype=np.float32)[0].toarray()
    assert read_plain(path) is not None
    np.testing.assert_array_equal(svmlight._read([path])[0][0].toarray(), expected)
    monkeypatch.setattr("straightedge.data.svmlight_lines.LARGEST_FILE", path.stat().st_size - 1)
    assert read_plain(path) is None
    np.testing.assert_array_equal(svmlight._read([path])[0][0].toarray(), expected)
