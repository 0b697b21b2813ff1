"""The benchmark of sparse rows on a small file: peers minimise the same, and parts merge."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks" / "run.py").is_file():
    pytest.skip("no peer: benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import field, field_problems, sparse, sparse_peers, sparse_problems  # noqa: E402


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = sp.random(200, 123, 0.1, "csr", random_state=rng)
    return X, (X @ rng.standard_normal(123) > 0).astype(int)


@pytest.fixture
def tables(tmp_path, rows):
    dump_svmlight_file(rows[0], 2 * rows[1] - 1, str(tmp_path / sparse_problems.A1A), zero_based=False)
    return tmp_path


def test_a_part_is_put_beside_those_of_the_file(tables, monkeypatch):
    out = tables / "sparse.json"
    out.write_text(json.dumps({"path": "as it was"}))
    monkeypatch.setitem(sparse.TWO_CLASS_REGS, sparse_problems.A1A, (1e-2,))
    sparse.main(["--tables", str(tables), "--out", str(out), "--only", "two_classes,softmax"])
    held = json.loads(out.read_text())
    assert held["path"] == "as it was" and "softmax" not in held  # whose texts are not there
    assert [entry["loss"] for entry in held["two_classes"]["entries"]] == ["svm", "squared_hinge"]
    assert all(entry["peer_there"] for entry in held["two_classes"]["entries"])


@pytest.mark.parametrize("name", ["saga", "newton-cg", "lbfgs"])
def test_peers_of_softmax_minimise_the_same(rows, name):
    X, y = rows
    y = y + (np.asarray(X[:, :10].sum(axis=1)).ravel() > 0.3)
    peer, tolerances = sparse_peers.SOFTMAX[name]
    entry = sparse.Race("softmax", (X, y), 1e-3, 1e-3).against(name, peer, tolerances)
    assert entry["peer_there"] and -1e-9 < entry["peer_gap"] <= 1e-3


def test_a_peer_that_never_arrives_is_given_up(rows, monkeypatch):
    race = sparse.Race("svm", rows, 1e-2, 1e-3)
    entry = race.against("none", lambda *how: np.zeros((124, 1)), (1.0, 0.1))
    assert not entry["peer_there"] and entry["peer_gap"] > 0.01


def test_the_field_has_the_sparse_problems_of_a_folder(tables):
    assert sparse_problems.A1A in field_problems.problems(tables)
    assert "20 newsgroups" not in field_problems.problems(tables)
    words = ["--tables", str(tables), "--only", sparse_problems.A1A, "--reg", "1e-2", "--repeat", "1"]
    results = field.main([*words, "--loss", "softmax,squared_hinge"])
    assert [result["loss"] for result in results] == ["softmax", "squared_hinge"]
    assert all(result["gap"] <= field.gap_for(result["loss"]) and result["peers"] for result in results)
