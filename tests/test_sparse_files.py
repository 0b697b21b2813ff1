"""svmlight files that stay sparse through fit, path, evaluate and predict."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import dump_svmlight_file

from straightedge import SoftmaxClassifier, load_dataset
from straightedge.errors import StraightedgeWarning
from straightedge.fitting import FitSettings, build_objective
from straightedge.model import load
from straightedge.prediction import predict_paths
from straightedge.sparse_rows import open_rows
from straightedge.workflow import FitOptions, run_fit

SMS = Path("../shared/cases/data/sms_tfidf.svmlight")


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    X = sp.random(400, 5999, 0.004, random_state=0, format="csr")
    X = sp.hstack([X, np.ones((400, 1))]).tocsr()  # the last feature occurs, so that the width is known
    y = (X @ rng.standard_normal((6000, 3))).argmax(axis=1)
    path = tmp_path / "rows.svmlight"
    dump_svmlight_file(X, y, str(path), zero_based=False)
    return path, X, y


def test_the_value_of_P_is_that_of_dense_and_of_both_compressed_forms(file):
    path, X, y = file
    read = load_dataset(path).train.X
    assert sp.issparse(read)
    W = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, 6001)))
    values = []
    for source in (X.toarray(), X.tocsr(), X.tocsc(), read):
        objective = build_objective(open_rows(source), torch.from_numpy(y), 3, [1e-3], FitSettings())
        values.append(float(objective.in_dtype(torch.float64).evaluate(W).objective[0]))
    np.testing.assert_allclose(values[:3], values[0], rtol=1e-12)
    rounded = build_objective(open_rows(X.astype(np.float32)), torch.from_numpy(y), 3, [1e-3], FitSettings())
    assert values[3] == pytest.approx(float(rounded.evaluate(W).objective[0]), rel=1e-9)


def test_a_file_is_fitted_over_a_path_and_predicted(file, tmp_path):
    path = file[0]
    run_fit(FitOptions(str(path), out=str(tmp_path / "run"), regs=[1e-1, 1e-2, 1e-3], progress=False))
    model = load(tmp_path / "run")
    assert model.n_features == 6000 and model.affine.kind == "none"
    few = tmp_path / "few.svmlight"  # fewer columns, and one class alone
    few.write_text("".join(f"1 {index}:0.5\n" for index in (1, 2, 3)))
    found = predict_paths(model, [few])
    assert len(found) == 3
    expected = model.weight[:3] * 0.5 + model.bias
    assert [one.label for one in found] == expected.argmax(dim=1).tolist()


def test_an_index_beyond_all_memory_is_refused(tmp_path):
    path = tmp_path / "far.svmlight"
    path.write_text("1 1:1\n0 2000000000:1\n")
    with pytest.raises(Exception, match="largest index"):
        load_dataset(path)


def test_files_of_which_most_entries_are_stored_are_tables(tmp_path):
    X = np.random.default_rng(0).standard_normal((30, 4))
    dump_svmlight_file(X, np.arange(30) % 3, str(tmp_path / "full.svm"), zero_based=False)
    assert isinstance(load_dataset(tmp_path / "full.svm").train.X, np.ndarray)


def test_rows_of_the_test_file_that_are_in_training_are_counted(tmp_path):
    (tmp_path / "a.svm").write_text("1 1:0.5 9:2\n2 2:1\n")
    (tmp_path / "a.svm.t").write_text("1 1:0.5 9:2\n2 3:1\n")
    with pytest.warns(StraightedgeWarning, match="1 row of test, out of 2, is also in train"):
        load_dataset(tmp_path / "a.svm")


def test_sparse_frames_of_pandas_are_fitted_as_the_matrix_that_they_are(file):
    pandas = pytest.importorskip("pandas")
    _, X, y = file
    frame = pandas.DataFrame.sparse.from_spmatrix(X[:, -40:])
    asked = SoftmaxClassifier(reg=1e-2, tol=1e-8)
    found, expected = asked.fit(frame, y), SoftmaxClassifier(reg=1e-2, tol=1e-8).fit(X[:, -40:], y)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-7)
    np.testing.assert_array_equal(found.predict(frame), expected.predict(X[:, -40:]))


@pytest.mark.slow
@pytest.mark.skipif(not SMS.exists(), reason="no shared cases")
def test_messages_are_classified_as_well_as_their_words_allow(tmp_path):
    asked = FitOptions(str(SMS), out=str(tmp_path / "run"), progress=False)
    run_fit(asked)  # loops are compiled once a machine
    begun = time.process_time()
    found = run_fit(replace(asked, overwrite=True))
    assert time.process_time() - begun < 3
    assert found["validation"]["accuracy"] >= 0.97 and found["status"] == "certified"
    chosen = run_fit(replace(asked, out=str(tmp_path / "path"), path=True))
    assert chosen["validation"]["accuracy"] >= 0.97 and chosen["status"] == "certified"
