"""Texts that a page opens: the passage in which the decision was made, with the words that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.features.text.passages import MARKED, PASSAGE, passages, word_shares
from straightedge.features.text.tfidf import TfIdf
from straightedge.report import write_report
from straightedge.workflow import FitOptions, run_fit
from test_report_texts import texts_of
from test_texts import folder_of, letters


def learned(**options: Any) -> tuple[TfIdf, np.ndarray, list[str]]:
    """Return a fitted extractor, a direction, and texts with odd words, some longer than a passage."""
    texts = texts_of(60, 0) + [" ".join(texts_of(12, seed)) for seed in range(3)]
    extractor = TfIdf(min_df=1, **options)
    extractor.fit(texts)
    return extractor, np.random.default_rng(0).normal(size=extractor.n_features), texts


@pytest.mark.parametrize("options", [{}, {"ngrams": "1-3"}, {"chars": True}], ids=["words", "runs", "chars"])
def test_shares_of_words_sum_to_what_the_terms_add(options):
    extractor, direction, texts = learned(**options)
    rows = extractor.transform(texts)
    for k, text in enumerate(texts):
        columns, values = rows[k].indices, rows[k].data * direction[rows[k].indices]
        shares = word_shares(text, extractor, columns, values)
        assert sum(shares.values()) == pytest.approx(values.sum(), abs=1e-6)
        assert all(text[start:stop].strip() for start, stop in shares)


@pytest.mark.parametrize("options", [{}, {"ngrams": "1-3"}, {"chars": True}], ids=["words", "runs", "chars"])
def test_a_passage_is_a_part_of_its_text_cut_between_words(options):
    extractor, direction, texts = learned(**options)
    found = passages(texts, extractor, [direction] * len(texts))
    assert any(one.cut != (False, False) for one in found)
    for text, one in zip(texts, found, strict=True):
        shown = "".join(piece for piece, _ in one.pieces)
        assert shown in text and len(shown) <= PASSAGE
        assert (shown == text) == (one.cut == (False, False))
        assert sum(share != 0 for _, share in one.pieces) <= MARKED
        assert set(shown.split()) <= set(text.split())


def test_the_beginning_of_a_long_text_is_looked_at(monkeypatch):
    monkeypatch.setattr("straightedge.features.text.passages.LOOKED_AT", 300)
    extractor = TfIdf(min_df=1)
    text = "plain words and a sail " * 10 + "many more words " * 1000
    extractor.fit([text])
    (found,) = passages([text], extractor, [np.ones(extractor.n_features)])
    assert found.cut == (False, True) and "".join(piece for piece, _ in found.pieces) == text[:300]


def test_the_passage_is_where_the_decision_was_made():
    extractor = TfIdf(min_df=1)
    text = "plain words of no weight " * 40 + "the harbour with its sail " + "more words of no weight " * 40
    extractor.fit([text])
    direction = np.zeros(extractor.n_features)
    direction[[extractor.feature_names.index(name) for name in ("harbour", "sail")]] = 1.0, -0.5
    (found,) = passages([text], extractor, [direction])
    marked = {piece: share for piece, share in found.pieces if share}
    assert list(marked) == ["harbour", "sail"] and marked["harbour"] == -2 * marked["sail"] > 0
    assert found.cut == (True, True)


def test_a_run_opens_the_texts_that_it_lists_and_the_page_marks_their_words(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    contents = {}
    for place, (topic, text) in enumerate(letters(90)):
        wrong = "wood" if place % 15 == 0 else topic  # labels that the page has to doubt
        contents[f"{wrong}/{place}"] = text.encode()
    run = tmp_path / "run"
    options = FitOptions(str(folder_of(tmp_path / "letters", contents)), str(run), reg=1e-2, folds=3)
    run_fit(options)
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    opened = [entry for entry in metrics["hardest"] if "passage" in entry]
    assert opened and any("passage" in entry for entry in metrics["suspects"])
    for entry in opened:
        joined = "".join(piece for piece, _ in entry["passage"]["pieces"])
        assert joined == contents[entry["name"]].decode() and entry["passage"]["seen"]
        assert any(share for _, share in entry["passage"]["pieces"])
    html = write_report(run).read_text("utf-8")
    word = next(piece for piece, share in opened[0]["passage"]["pieces"] if share > 0)
    assert f">{word}</mark>" in html and "which has learned from these texts" in html
