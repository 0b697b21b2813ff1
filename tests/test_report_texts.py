"""The model of texts in the page: it counts terms and answers as predict does, or the page says why it does not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from straightedge import load
from straightedge.cli.app import _register, app
from straightedge.report import trying, write_report
from straightedge.workflow import FitOptions, run_fit
from support.browser import open_chromium, open_page, wait
from support.report_fixture import page_data_of
from test_texts import folder_of, letters

pytestmark = pytest.mark.long  # a browser waits more than it works
ODD = (
    "ΟΔΥΣΣΕΥΣ ΣΑΣ", "İstanbul", "straße STRASSE", "naïve nai\u0308ve", "wave-wave wave's", "海の波 波", "שלום",
    "सागर", "ship_1 2nd x²", "🌊🌊 ⅷ ①②", "tide\u00a0tide\u2003tide", "a\x1cb c\x85dd",
    "\ufeffsail", "a", "...", "oak OAK Oak",
)  # fmt: skip
"""Words by Unicode's rules: a final sigma, dotted capitals, marks, scripts without blanks, and odd blanks."""


def texts_of(n: int, seed: int) -> list[str]:
    """Return letters with odd words among theirs; words come in capitals, and more than once."""
    random = np.random.default_rng(seed)
    out = []
    for _, text in letters(n, seed):
        words = text.split()
        words += [*random.choice(words, 3), str(random.choice(words)).upper(), *random.choice(ODD, 3)]
        out.append(random.choice([" ", "\n", "\t ", ", "]).join(random.permutation(words).tolist()))
    return out


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    contents = {
        f"{topic}/{place}": text.encode()
        for place, ((topic, _), text) in enumerate(zip(letters(90), texts_of(90, 0), strict=True))
    }
    return folder_of(folder / "letters", contents)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


def fitted(source: Path, run: Path, spec: str = "tfidf", **text: Any) -> Path:
    run_fit(FitOptions(str(source), str(run), reg=1e-3, features=spec, text=text, progress=False, suspects=False))
    return run


@pytest.mark.browser
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("tfidf", {}),
        ("tfidf", {"ngrams": "1-3", "sublinear": False, "min_df": 1}),
        ("tfidf:chars", {"ngrams": "2-2"}),
    ],
)
def test_the_model_in_the_page_answers_texts_as_predict_does(
    source: Path, browser: Any, tmp_path: Path, spec: str, text: dict[str, Any]
) -> None:
    run = fitted(source, tmp_path / "run", spec, **text)
    model, unseen = load(run), [*texts_of(98, 7), "", "no known word: xyzzy"]
    wanted = model.predict_proba(unseen)
    open_page(browser, (run / "report.html").as_uri())
    found = browser.execute_script("return arguments[0].map((text) => straightedge.answerOfText(text))", unseen)
    assert np.abs(np.array([one["shares"] for one in found]) - wanted).max() <= 1e-5
    assert [one["order"][0] for one in found] == model.predict(unseen).tolist()
    assert np.ptp(wanted, axis=0).min() > 0.3  # the texts do differ


@pytest.mark.browser
def test_the_box_answers_what_is_written_and_names_the_words_that_decided(
    source: Path, browser: Any, tmp_path: Path
) -> None:
    from straightedge.evaluation.terms import contributions

    run = fitted(source, tmp_path / "run")
    model, text = load(run), "the captain saw the storm near a tower"
    open_page(browser, (run / "report.html").as_uri())
    browser.find_element("id", "try-text").send_keys(text)
    chance = model.predict_proba([text])[0]
    said = f"sea: {100 * chance[model.classes.index('sea')]:.1f} %"
    wait(lambda: browser.find_element("id", "try-answer").text == said)
    row = model.extractor.transform([text])
    words = contributions((row.indices, row.data), model.weight.numpy(), model.feature_names, int(chance.argmax()))
    told = ", ".join(f"{word} {'−' if added < 0 else '+'}{abs(added):.2f}" for word, added in words)
    assert f"What decided: {told}" in browser.find_element("id", "try-others").text


def test_a_page_that_cannot_count_the_terms_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = fitted(source, tmp_path / "hashed", "hashing:n_features=64")
    html = (hashed / "report.html").read_text(encoding="utf-8")
    assert page_data_of(html)["trying"] is None and 'id="try-form"' not in html
    assert "The page cannot count terms as this model does." in html
    run = fitted(source, tmp_path / "run")
    assert page_data_of((run / "report.html").read_text("utf-8"))["trying"]["kind"] == "text"
    monkeypatch.setattr(trying, "MOST_WEIGHTS", 10)
    assert re.search(r"The model has [\d,]+ weights, too many for a page\.", write_report(run).read_text("utf-8"))


def test_the_lines_of_how_to_use_a_model_of_texts_work_when_pasted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops", reason="no skops")
    _register()
    monkeypatch.chdir(tmp_path)
    html = (fitted(source, tmp_path / "run") / "report.html").read_text(encoding="utf-8")
    part = html.partition('<section id="use">')[2].partition("</section>")[0]
    lines = [*unescape(re.findall(r"<code>(.*?)</code>", part, re.S)[0]).splitlines()]
    assert len(lines) == 3
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
