"""What a page says a run learned and how it is used: coefficients, lines that work, a model to try."""

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
from straightedge.report import write_report
from straightedge.report.coefficients import coefficients
from straightedge.report.run_files import read_run
from straightedge.workflow import FitOptions, run_fit
from support.browser import open_chromium, open_page
from support.report_fixture import page_data_of

JOBS = ("clerk", "cook", "miner", None)


pytestmark = pytest.mark.long  # a browser waits more than it works


def people(n: int, seed: int) -> list[list[str]]:
    """Rows of age (sometimes missing), height, job (sometimes missing) and income."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        age, height, job = rng.uniform(20, 70), rng.normal(170, 10), JOBS[rng.integers(4)]
        rich = 0.08 * (age - 45) + (1.5 if job == "clerk" else 0) + rng.normal() > 0
        known = rng.random() > 0.1
        rows.append([f"{age:.3f}" if known else "", f"{height:.3f}", job or "", "high" if rich else "low"])
    return rows


def write_people(path: Path, rows: list[list[str]]) -> Path:
    lines = ["age,height,job,income", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    source = write_people(folder / "people.csv", people(300, 0))
    run_fit(FitOptions(str(source), str(folder / "runs" / "people"), reg=1e-2, labels="income", progress=False))
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    run_fit(FitOptions("digits", str(folder / "run"), reg=1e-3, progress=False, suspects=False))
    return folder / "run"


def page_of(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def test_coefficients_of_two_classes_have_units_and_odds(table: Path) -> None:
    run = read_run(table / "runs" / "people")
    shown = coefficients(run)
    assert shown is not None
    assert (shown["two"], shown["unit"], shown["both"]) == (["high", "low"], "standard deviation", True)
    rows = {row["name"]: row for row in shown["rows"]}
    weight = load(run.folder).weight.double().numpy()
    per_year = weight[0, 1] - weight[0, 0]
    assert rows["age"]["each"] == f"{per_year:+.3g}".replace("-", "−")
    temperature = load(run.folder).temperature or 1.0
    assert rows["age"]["odds"] == f"× {np.exp(per_year / temperature):.3g}"
    ages = [float(row[0]) for row in people(300, 0) if row[0]]
    told = float(rows["age"]["value"].replace("−", "-"))
    assert told == pytest.approx(per_year * np.std(ages), rel=0.08)  # the missing ones lie at the mean
    assert "job=clerk" in rows


def test_a_table_s_page_draws_no_templates_and_images_no_coefficients(table: Path, scans: Path) -> None:
    html = page_of(table / "runs" / "people")
    assert 'id="templates"' not in html
    assert "no pictures of the weights" not in html
    assert "odds, per unit" in html
    assert 'id="coefficients"' not in page_of(scans)


def test_the_lines_of_how_to_use_it_work_when_pasted(
    table: Path, scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _register()
    for folder, run in ((table, table / "runs" / "people"), (scans.parent, scans)):
        monkeypatch.chdir(folder)
        part = page_of(run).partition('<section id="use">')[2].partition("</section>")[0]
        shell, python = (unescape(block).splitlines() for block in re.findall(r"<code>(.*?)</code>", part, re.S))
        assert len(shell) == len(python) == 3
        for line in shell:
            result = CliRunner().invoke(app, shlex.split(line)[1:])
            assert result.exit_code == 0, (line, result.output, result.exception)
        exec("\n".join(python), {})
        assert "LinearModel: softmax" in capsys.readouterr().out


def test_a_model_that_is_too_large_is_not_put_into_the_page(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from straightedge.report import trying

    assert page_data_of(page_of(scans))["trying"]["kind"] == "image"
    monkeypatch.setattr(trying, "MOST_WEIGHTS", 100)
    html = page_of(scans)
    assert page_data_of(html)["trying"] is None
    assert 'id="try"' not in html


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


def _field(text: str, place: int) -> str:
    """A cell as the form gives it: numbers as text, categories as their place, sorted, the missing one last."""
    return text if place < 2 else str(JOBS.index(text or None))


@pytest.mark.browser
def test_the_model_in_the_page_answers_rows_of_a_table_as_predict_does(table: Path, browser: Any) -> None:
    from straightedge.prediction import predict_paths

    run = table / "runs" / "people"
    rows = people(100, 1)
    model, new = load(run), write_people(table / "new.csv", rows)
    wanted = predict_paths(model, [new])
    open_page(browser, write_report(run).as_uri())
    texts = [[_field(cell, place) for place, cell in enumerate(row[:3])] for row in rows]
    found = browser.execute_script("return arguments[0].map((texts) => straightedge.answer(texts))", texts)
    for one, answer in zip(wanted, found, strict=True):
        assert answer["order"][0] == one.label
        assert answer["shares"][answer["order"][0]] == pytest.approx(one.probability, abs=1e-5)


@pytest.mark.browser
def test_the_form_of_a_table_answers_as_it_is_filled_in(table: Path, browser: Any) -> None:
    open_page(browser, write_report(table / "runs" / "people").as_uri())
    before = browser.find_element("id", "try-answer").text
    age = browser.find_elements("css selector", "[data-field]")[0]
    age.clear()
    age.send_keys("twenty")
    assert "twenty is no number" in browser.find_element("id", "try-others").text
    age.clear()
    age.send_keys("69")
    after = browser.find_element("id", "try-answer").text
    assert after.startswith("high: ")
    assert after != before


@pytest.mark.browser
def test_the_model_in_the_page_answers_images_as_predict_does(scans: Path, browser: Any, tmp_path: Path) -> None:
    from PIL import Image

    from straightedge.data import load_dataset

    model = load(scans)
    images = np.asarray(load_dataset("digits", progress=False).test.open("a test of the page").X[:100])
    wanted = model.predict_proba(images)
    open_page(browser, write_report(scans).as_uri())
    rgba = [np.stack([one[0]] * 3 + [np.full((8, 8), 255)], axis=-1).ravel().tolist() for one in images]
    found = browser.execute_script("return arguments[0].map((p) => straightedge.answerOfPixels(p).shares)", rgba)
    assert np.abs(np.array(found) - wanted).max() <= 1e-5

    Image.fromarray(images[0, 0]).save(tmp_path / "scan.png")
    browser.find_element("id", "try-file").send_keys(str(tmp_path / "scan.png"))
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda page: page.find_element("id", "try-answer").text)
    top = int(wanted[0].argmax())
    said = browser.find_element("id", "try-answer").text
    assert said == f"{model.classes[top]}: {100 * wanted[0, top]:.1f} %"
    assert browser.find_element("id", "try-others").text.count("scaled") == 0


@pytest.mark.browser
def test_a_model_of_several_labels_answers_in_the_page_with_every_label_it_gives(
    tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, source = np.random.default_rng(0), tmp_path / "fruit.csv"
    X = rng.normal(size=(120, 3)).round(3)
    Y = (np.stack([X[:, 0], X[:, 1], X[:, 0] + X[:, 2]]) > 0).astype(int).T
    rows = [",".join(map(str, [*row, *labels])) for row, labels in zip(X, Y, strict=True)]
    source.write_text("\n".join(["a,b,c,sweet,red,round", *rows]) + "\n", encoding="utf-8")
    options = FitOptions(
        str(source), str(tmp_path / "run"), reg=1e-3, labels="sweet,red,round", multilabel=True, progress=False
    )
    run_fit(options)
    html = page_of(tmp_path / "run")
    assert "straightedge export" not in html and "one label against its absence" in html
    open_page(browser, (tmp_path / "run" / "report.html").as_uri())
    for row in ((1.0, 1.0, 1.0), (-2.0, 1.0, 0.0), (-1.0, -1.0, -1.0)):
        for field, value in zip(browser.find_elements("css selector", "[data-field]"), row, strict=True):
            field.clear()
            field.send_keys(str(value))
        chance = load(tmp_path / "run").predict_proba(np.array([row], np.float32))[0]
        given = sorted(np.flatnonzero(chance >= 0.5), key=lambda k: -chance[k])
        said = ", ".join(f"{('sweet', 'red', 'round')[k]}: {100 * chance[k]:.1f} %" for k in given)
        assert browser.find_element("id", "try-answer").text == (said or "None of the labels")
