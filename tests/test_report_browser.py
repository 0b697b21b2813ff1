"""The page in a real browser: it is silent on the network and in the console, and does what it offers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from straightedge.report import write_report
from support.browser import open_chromium, open_report, show_at, violations, wait
from support.report_fixture import digits_run, edit

pytestmark = [pytest.mark.browser, pytest.mark.long]  # a browser waits more than it works


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("browser") / 'a run\'s "page"'
    shutil.copytree(digits_run(tmp_path_factory.getbasetemp()), run)
    metrics = json.loads((run / "metrics.json").read_text())
    evil = "<script>alert(1)</script>"
    for entry in metrics["hardest"]:
        entry["name"] = f"{evil}\"'.png"
    edit(
        run,
        "metrics.json",
        **metrics | {"classes": [*"01234567", evil, "a class with a very long name of its own"]},
    )
    return write_report(run)


Opener = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, page: Path) -> Opener:
    """Open the page at a size and in a colour scheme, and wait until its figures are drawn."""

    def open_at(width: int = 1280, scheme: str = "light") -> Any:
        show_at(browser, width, scheme)
        open_report(browser, page)
        return browser

    return open_at


def press(browser: Any, key: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser).send_keys(getattr(Keys, key)).perform()


def focus_of(browser: Any) -> str:
    return str(browser.execute_script("return document.activeElement.dataset.cell || document.activeElement.id"))


def test_no_request_leaves_the_page_and_the_console_is_silent(opened: Opener, page: Path) -> None:
    browser = opened()
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.find_element("id", "theme").click()
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn") == "2")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    outside = [url for url in asked if not url.startswith("data:") and url != page.as_uri()]
    assert page.as_uri() in asked  # the log does see requests
    assert outside == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_the_policy_is_in_force(opened: Opener) -> None:
    browser = opened()
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s);"
        "document.body.setAttribute('style', 'display: none')"
    )
    assert browser.execute_script("return window.broken === undefined")
    assert browser.execute_script("return getComputedStyle(document.body).display") == "block"
    assert "Content Security Policy" in " ".join(entry["message"] for entry in browser.get_log("browser"))


def test_every_figure_is_drawn_and_labelled(opened: Opener) -> None:
    browser = opened()
    figures = "[...document.querySelectorAll('[data-figure]')]"
    counts = browser.execute_script(f"return {figures}.map(f => f.querySelectorAll('svg path').length)")
    assert len(counts) == 6
    assert all(count > 3 for count in counts)
    label = "return document.querySelector('#chart-path-0 [role=graphics-symbol][aria-label]').ariaLabel"
    assert "reg" in browser.execute_script(label)
    ticks = browser.execute_script("return document.querySelector('#chart-path-0').textContent")
    assert "10⁻⁴" in ticks and "10⁻²" in ticks


def test_the_slider_changes_the_templates(opened: Opener) -> None:
    browser = opened()
    painted = "return [...document.querySelectorAll('#tiles canvas')].map(c => c.toDataURL())"
    shown = "return document.getElementById('tiles').dataset.shown"
    start = wait(lambda: browser.execute_script(shown))
    slider = browser.find_element("id", "reg-slider")
    before, text = browser.execute_script(painted), browser.find_element("id", "reg-text").text
    assert len(set(before)) == 10
    slider.click()
    slider.send_keys("\ue010" if start == "0" else "\ue011")  # End or Home
    wait(lambda: browser.execute_script(shown) != start)
    after = browser.execute_script(painted)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert browser.find_element("id", "reg-text").text != text
    assert "certified" in str(slider.get_attribute("aria-valuetext"))


def test_a_confusion_cell_opens_its_images_by_keyboard(opened: Opener) -> None:
    browser = opened()
    browser.execute_script("document.querySelector('table.matrix button').focus()")
    assert focus_of(browser) == "0-0"
    for key, place in (("ARROW_DOWN", "1-0"), ("ARROW_RIGHT", "1-1"), ("END", "1-9"), ("HOME", "1-0")):
        press(browser, key)
        assert focus_of(browser) == place
    press(browser, "ARROW_UP")
    press(browser, "ENTER")
    wait(lambda: browser.execute_script("return document.getElementById('cell').open"))
    count = browser.execute_script("return [...document.querySelectorAll('#cell img')].length")
    assert count == 6
    assert "recognised" in browser.find_element("id", "cell-title").text
    wait(
        lambda: browser.execute_script(
            "return [...document.querySelectorAll('#cell img')].every(i => i.naturalWidth)"
        )
    )
    press(browser, "ESCAPE")
    wait(lambda: not browser.execute_script("return document.getElementById('cell').open"))
    assert focus_of(browser) == "0-0"
    assert (
        browser.execute_script("return document.querySelectorAll('table.matrix button[tabindex=\"0\"]').length")
        == 1
    )


def test_an_evil_class_name_is_only_text_in_the_dialog(opened: Opener) -> None:
    browser = opened()
    browser.find_element("css selector", "button[data-cell='8-8']").click()
    assert "<script>alert(1)</script>" in browser.find_element("id", "cell-title").text
    assert browser.execute_script("return document.querySelectorAll('#cell script').length") == 0


def test_the_first_tab_offers_to_skip_to_the_report(opened: Opener) -> None:
    browser = opened()
    press(browser, "TAB")
    assert browser.execute_script("return document.activeElement.className") == "skip"
    press(browser, "ENTER")
    wait(lambda: focus_of(browser) == "main")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_overflows_a_narrow_screen(opened: Opener, width: int) -> None:
    browser = opened(width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide = """
        const inside = (e) => e.closest('.scroll, .formula, pre, svg, .skip, [hidden], dialog, math');
        return [...document.querySelectorAll('main *, header *')].filter((e) => !inside(e))
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80));
    """
    assert browser.execute_script(wide) == []
    size = browser.execute_script("return parseFloat(getComputedStyle(document.querySelector('.lede')).fontSize)")
    assert size >= 16


CONTRAST = """
    const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => {
      probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
      return [...probe.getImageData(0, 0, 1, 1).data];
    };
    const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const colour = rgba(getComputedStyle(e).backgroundColor);
        if (colour[3] > 250) return colour;
      }
      return rgba(getComputedStyle(document.body).backgroundColor);
    };
    const poor = [];
    for (const e of document.querySelectorAll('body *')) {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!own || e.closest('script, [hidden], .skip') || !e.getClientRects().length) continue;
      const style = getComputedStyle(e);
      const ink = e.closest('svg') ? e.getAttribute('fill') || style.fill : style.color;
      const [a, b] = [light(rgba(ink)), light(ground(e.closest('svg') ? e.closest('[data-figure]') : e))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) poor.push([e.outerHTML.slice(0, 90), ratio]);
    }
    return poor;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_of_level_aa(opened: Opener, scheme: str) -> None:
    browser = opened(scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.execute_script(CONTRAST) == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(21, 23, 26)") == (scheme == "dark")


def test_the_toggle_recolours_the_figures(opened: Opener) -> None:
    browser = opened(scheme="dark")
    line = "return document.querySelector('#chart-path-0 .mark-line path').getAttribute('stroke')"
    dark = browser.execute_script(line)
    browser.find_element("id", "theme").click()
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn") == "2")
    assert browser.execute_script(line) != dark
    assert browser.execute_script("return document.documentElement.dataset.theme") == "light"
    assert browser.execute_script(CONTRAST) == []


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_axe_finds_nothing(opened: Opener, width: int, scheme: str) -> None:
    assert violations(opened(width, scheme)) == []
