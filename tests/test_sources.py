"""What fifteen sources give: terminal, page, card and predictions say nothing untrue and nothing empty."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge.report.run_files import last_stage, read_run
from support.bad_inputs import Commands
from support.browser import open_chromium, open_report, show_at, violations
from support.sources import SOURCES, Written

PICTURES = os.environ.get("STRAIGHTEDGE_PICTURES")  # a folder for screenshots to be looked at
NO_NUMBER = re.compile(r"(?<![\w./-])(nan|NaN|undefined|null|None(?! of)|[Ii]nfinity|inf)(?![\w./-])")
TAGS = {"tables": "tabular-classification", "texts": "text-classification", "images": "image-classification"}


@dataclass(frozen=True)
class Fitted:
    """A source with everything that was made of it, in `folder`."""

    folder: Path
    written: Written
    terminal: str
    metrics: dict[str, Any]

    @property
    def counts(self) -> Counter[str]:
        """How many rows each class has, by its name."""
        return Counter(self.written.labels)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture(params=SOURCES)
def fitted(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Fitted:
    written = SOURCES[request.param](tmp_path)
    do = Commands(tmp_path, capsys, monkeypatch)
    ended = do.run("fit", written.source, *written.options, "--out", "run")
    assert ended.status == 0, ended.err
    assert do.run("predict", "run", written.new, "--out", "answers.csv").status == 0
    exported = do.run("export", "run", "--to", "sklearn", "--out", "exported")
    assert exported.status == 0, exported.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    return Fitted(tmp_path, written, ended.out + ended.err, metrics)


@pytest.mark.long
def test_terminal_card_predictions_and_page(fitted: Fitted, browser: Any, request: pytest.FixtureRequest) -> None:
    check_metrics(fitted)
    check_terminal(fitted)
    check_card(fitted)
    check_predictions(fitted)
    check_page(fitted, browser)
    if PICTURES:
        take_pictures(browser, Path(PICTURES), request.node.callspec.params["fitted"])


def check_metrics(fitted: Fitted) -> None:
    """Classes are those of the source, and counts add up."""
    assert set(fitted.metrics["classes"]) == set(fitted.counts)
    for name in ("test", "validation", "train"):
        judged = fitted.metrics.get(name)
        if judged:
            confusion = np.array(judged["confusion"])
            assert confusion.sum() == judged["n"] == sum(entry["n"] for entry in judged["per_class"])
            assert judged["accuracy"] == pytest.approx(confusion.trace() / judged["n"])
    assert {entry["class"]: entry["n"] for entry in fitted.metrics["train"]["per_class"]} == fitted.counts


def check_terminal(fitted: Fitted) -> None:
    """The accuracy with its number of rows stands there; no cell is empty, nothing is no number."""
    said = fitted.terminal
    assert not NO_NUMBER.search(said), said
    judged = fitted.metrics.get("validation") or fitted.metrics["train"]
    assert f"{judged['accuracy']:.4f}" in said and f"n = {judged['n']}" in said
    assert fitted.metrics["status"] == "certified" and "certified: gap" in said
    assert not re.search(r"│ \S.*│ +│$", said, re.MULTILINE), "a name without a value"


def check_card(fitted: Fitted) -> None:
    """The card names the kind of data and every class, and no heading stands alone."""
    card = (fitted.folder / "exported" / "README.md").read_text(encoding="utf-8")
    outside_code = re.sub(r"```.*?```", "", card, flags=re.DOTALL)
    assert not NO_NUMBER.search(outside_code.replace("a missing one NaN", "")), card
    assert not re.search(r"^#[^\n]*\n+(#|\Z)", outside_code, re.MULTILINE), "an empty section"
    assert f"{fitted.metrics['train']['accuracy']:.4f}" in card
    listed = card[card.index("Classes:") : card.index("## Use")]
    assert len(fitted.counts) > 200 or listed.count(", ") >= len(fitted.counts) - 1
    source = fitted.written.source
    kind = "tables" if source == "table.csv" else "images" if source == "pictures" else "texts"
    wanted = None if source.endswith(".npy") else TAGS[kind]
    assert [tag for tag in TAGS.values() if tag in card] == ([wanted] if wanted else [])


def check_predictions(fitted: Fitted) -> None:
    """A row for each input with a class of the source, and in the run's own the accuracy that it claims."""
    answers = rows_of(fitted.folder / "answers.csv")
    assert len(answers) == fitted.written.n_new
    own = rows_of(fitted.folder / "run" / "predictions.csv")
    for row, name in [*((row, row["class"]) for row in answers), *((row, row["predicted"]) for row in own)]:
        assert name in fitted.counts
        assert row["name"] and 0 <= float(row["probability"]) <= 1
        assert np.isfinite(float(row["score"]))
    for split, rows in Counter(row["split"] for row in own).items():
        judged = fitted.metrics["validation" if split == "out of fold" else split]
        right = sum(row["label"] == row["predicted"] for row in own if row["split"] == split)
        assert (rows, right / rows) == (judged["n"], pytest.approx(judged["accuracy"]))


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


# Sections with nothing under their heading, links to nowhere, cells with nothing in them, what the window cuts off.
EMPTY = r"""
    const bare = (e) => !e.textContent.trim() && !e.querySelector('svg, img, canvas, input');
    const inside = (e) => e.closest('.scroll, .formula, pre, svg, .skip, [hidden], dialog, math');
    document.querySelectorAll('details').forEach((e) => { e.open = true; });
    return {
      sections: [...document.querySelectorAll('main section')]
        .filter((e) => e.innerText.trim() === (e.querySelector('h2')?.innerText.trim() ?? '')).map((e) => e.id),
      links: [...document.querySelectorAll('nav a')].map((e) => e.getAttribute('href'))
        .filter((href) => !document.querySelector(href)),
      cells: [...document.querySelectorAll('tbody td:not(.bar), tbody th, dd, figcaption, li')].filter(bare)
        .map((e) => e.closest('section')?.id + ': ' + e.parentElement.outerHTML.slice(0, 200)),
      figures: [...document.querySelectorAll('[data-figure]')]
        .filter((e) => !e.querySelector('svg path')).map((e) => e.id),
      wide: [...document.querySelectorAll('main *, header *')].filter((e) => !inside(e))
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120)),
      torn: [...document.querySelectorAll('main p')].flatMap((e) => e.innerText.split('\n'))
        .filter((line) => /^[.,;]/.test(line.trim())),
      scroll: document.documentElement.scrollWidth - innerWidth,
      classes: [...document.querySelectorAll('#classes tbody tr')]
        .map((e) => [...e.cells].slice(0, 2).map((c) => c.textContent.trim())),
    };
"""


def check_page(fitted: Fitted, browser: Any) -> None:
    """Nothing is empty, cut off or no number; classes have their counts; axe finds nothing."""
    show_at(browser, 390, "dark")
    open_report(browser, fitted.folder / "run" / "report.html")
    found = browser.execute_script(EMPTY)
    classes = {name: int(n) for name, n in found.pop("classes")}
    assert found.pop("scroll") <= 0
    assert found == {"sections": [], "links": [], "cells": [], "figures": [], "wide": [], "torn": []}
    judged = fitted.metrics.get("validation") or fitted.metrics["train"]
    assert classes == {entry["class"]: entry["n"] for entry in judged["per_class"]}
    fit = last_stage(read_run(fitted.folder / "run").trace, fitted.metrics["reg"], fitted.metrics["objective"])
    assert fit, "the proof has no figure"
    text = browser.find_element("css selector", "body").text
    assert not NO_NUMBER.search(text), NO_NUMBER.search(text)
    assert f"{100 * judged['accuracy']:.1f}" in text
    assert ("images" in text.partition("The question")[0]) == (fitted.written.source == "pictures")
    path = fitted.metrics.get("path") or []
    if path:
        assert f"All {len(path)} values of reg were solved" in text
    assert violations(browser, but="[data-figure] svg") == []  # figures are like those of other reports


def take_pictures(browser: Any, folder: Path, name: str) -> None:
    """Keep the whole page at three widths, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for width in (390, 1280, 2560):
        for scheme in ("light", "dark"):
            show_at(browser, width, scheme)
            height = browser.execute_script("return document.documentElement.scrollHeight")
            show_at(browser, width, scheme, min(height, 16_000))
            browser.save_screenshot(str(folder / f"{name}-{width}-{scheme}.png"))
