"""20 newsgroups, where the data are: certified as asked, and judged by a proof that knows nothing of the solver."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from straightedge import SoftmaxClassifier, SVMClassifier
from straightedge.workflow import FitOptions, run_fit

ZIP = Path("../shared/data/20news.zip")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ZIP.exists(), reason="no shared cases")]


@pytest.fixture(scope="module")
def news():
    with zipfile.ZipFile(ZIP) as archive:
        names = [n for n in archive.namelist() if n.startswith("train/") and not n.endswith("/")]
        texts = [archive.read(name).decode("latin1") for name in names]
    X = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float64).fit_transform(texts)
    return X.tocsr(), np.unique([name.split("/")[1] for name in names], return_inverse=True)[1]


def softmax_value(X, y, W, reg):
    F = sp.hstack([X, np.ones((X.shape[0], 1))]).tocsr()
    S = F @ W
    shifted = S - S.max(axis=1, keepdims=True)
    values = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
    return values.mean() + reg * (W**2).sum()


@pytest.mark.parametrize("reg", [1e-3, 1e-4, 1e-5])
def test_softmax_is_certified_to_a_ten_thousandth(news, reg):
    X, y = news
    model = SoftmaxClassifier(reg=reg, tol=1e-4).fit(X, y)
    assert model.status_ == "certified" and model.n_passes_ < 20
    value = softmax_value(X, y, model.W_, reg)
    assert value == pytest.approx(model.objective_, rel=1e-9)
    assert (value - model.dual_) / value <= 1e-4


@pytest.mark.parametrize("reg", [1e-3, 1e-4])
def test_weston_watkins_is_certified_to_a_thousandth(news, reg):
    X, y = news
    model = SVMClassifier(reg=reg, tol=1e-3).fit(X, y)
    assert model.status_ == "certified" and model.gap_ <= 1e-3


def test_the_archive_is_fitted_over_a_path_as_well_as_its_words_allow(tmp_path, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    begun = time.process_time()
    found = run_fit(FitOptions(str(ZIP), str(tmp_path / "run"), path=True, progress=False))
    assert time.process_time() - begun < 90
    assert found["test"]["n"] == 7532 and found["test"]["accuracy"] >= 0.83
    assert found["selection"]["n_certified"] == 16
    assert "encodings of the texts: 18774 in UTF-8, 73 in cp1252" in found["notes"]
