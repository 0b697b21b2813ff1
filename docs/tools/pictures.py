"""Screenshots of the built site, to be looked at: `python docs/tools/pictures.py SITE`.

They are kept in SITE/pictures. Without Chromium and chromedriver, or without Firefox, those pictures are left out
and said. Formulas are taken by both browsers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FIREFOX = ("firefox-esr", "firefox")
SIZES = ((1280, 720), (390, 844))  # a small laptop and a phone
PAGES = {"playground": "playground/index.html#zero=1", "course": "course/index.html"}
FORMULAS = "pictures/formulas.html"
STEPS = 30  # of gradient descent, so that the playground's picture has lines
PATIENCE = 120  # seconds that Firefox may take for one picture


def write_formulas(site: Path) -> None:
    """Put the formulas of the course on a page of their own, which fits a picture."""
    course = (site / "course" / "index.html").read_text(encoding="utf-8")
    formulas = re.findall(r'<math [^>]*display="block".*?</math>', course, re.DOTALL)
    head = '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="../assets/site.css">'
    page = f'{head}<body class="md-typeset">{"".join(formulas)}</body>'
    (site / FORMULAS).write_text(page, encoding="utf-8")


def first(names: tuple[str, ...]) -> str | None:
    """Return the first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


def chromium(program: str, driver: str) -> Any:
    """Return a headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(switch)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def take(browser: Any, address: str, size: tuple[int, int], scheme: str, target: Path) -> None:
    """Take one picture of a page in a window of this size, in light or in dark."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(address)
    browser.execute_script("localStorage.clear()")  # the choice of the picture before
    browser.get("about:blank")
    browser.get(address)
    browser.execute_async_script("document.fonts.ready.then(arguments[0])")
    step = "for (let i = 0; i < arguments[0]; i++) document.getElementById('step')?.click()"
    browser.execute_script(step, STEPS)
    browser.save_screenshot(str(target))


def with_chromium(site: Path, folder: Path) -> None:
    """Take every page at every size in both schemes, and the formulas."""
    program, driver = first(CHROMIUM), shutil.which("chromedriver")
    if program is None or driver is None:
        print("no Chromium with chromedriver: its pictures are left out")
        return
    browser = chromium(program, driver)
    try:
        for name, page in PAGES.items():
            for size in SIZES:
                for scheme in ("light", "dark"):
                    target = folder / f"{name}-{size[0]}-{scheme}.png"
                    take(browser, f"{site.as_uri()}/{page}", size, scheme, target)
        take(browser, f"{site.as_uri()}/{FORMULAS}", SIZES[0], "light", folder / "formulas-chromium.png")
    finally:
        browser.quit()


def with_firefox(site: Path, folder: Path) -> None:
    """Take the formulas in Firefox."""
    program = first(FIREFOX)
    if program is None:
        print("no Firefox: its picture is left out")
        return
    with tempfile.TemporaryDirectory() as profile:
        command = [program, "--headless", "--profile", profile, "--window-size", "1280,720"]
        command += ["--screenshot", str(folder / "formulas-firefox.png"), f"{site.as_uri()}/{FORMULAS}"]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def main() -> None:
    """Take all pictures that the browsers at hand allow."""
    site = Path(sys.argv[1]).resolve()
    folder = site / "pictures"
    folder.mkdir(exist_ok=True)
    write_formulas(site)
    with_chromium(site, folder)
    with_firefox(site, folder)
    print(f"{len(list(folder.glob('*.png')))} pictures are in {folder}")


if __name__ == "__main__":
    main()
