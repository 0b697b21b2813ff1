"""Chromium for the tests of pages: opened without a head, at a size and in a colour scheme; axe's rules in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE = """
    const done = arguments[1], context = arguments[0] ? {exclude: [[arguments[0]]]} : document;
    axe.run(context, {resultTypes: ['violations']}).then((found) => done(found.violations));
"""


def open_chromium(profile: Path) -> Any:
    """Return a browser that logs its console and its requests; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in [*SWITCHES, f"--user-data-dir={profile}"]:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def show_at(browser: Any, width: int, scheme: str, height: int = 900) -> None:
    """Set the size of the window and the colour scheme; clicks do not wait for scrolling."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    features.append({"name": "prefers-reduced-motion", "value": "reduce"})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def open_page(browser: Any, address: str) -> None:
    """Open a page anew and wait until it stands: the driver may come back while the empty page is still there."""
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")  # what earlier pages left is not this one's
    browser.get(address)
    loaded = "return location.protocol !== 'about:' && document.readyState === 'complete'"
    wait(lambda: browser.execute_script(loaded))


def open_report(browser: Any, page: Path) -> None:
    """Open a report and wait until its figures are drawn."""
    open_page(browser, page.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn"))


def wait(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return what a condition gives once it gives something."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)
    return value


def violations(browser: Any, but: str = "") -> list[str]:
    """Return what axe finds against the page as it is shown: the rule, how often, and the first element.

    Args:
        browser: With the page open.
        but: A selector of what is left out.
    """
    rules = files(pytest.importorskip("axe_core_python", reason="no axe")) / "axe.min.js"
    browser.execute_script(rules.read_text(encoding="utf-8"))
    browser.set_script_timeout(60)
    found = browser.execute_async_script(AXE, but)
    return [f"{one['id']} {len(one['nodes'])} {one['nodes'][0]['html'][:200]}" for one in found]
