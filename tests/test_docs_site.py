"""The site builds without a warning, loads nothing from elsewhere, indexes every name, and axe finds nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import straightedge
from support.browser import open_chromium, open_page, show_at, violations

ROOT = Path(__file__).parents[1]
LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "use": "href"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("mkdocs", "material", "mkdocstrings", "markdown_exec", "latex2mathml", "matplotlib"):
        pytest.importorskip(package, reason=f"no {package}: the site's packages are not installed")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # a banner, not a warning about this site
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return target


class _Loads(HTMLParser):
    """What a page loads by itself: not the links a reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        entry = dict(attrs).get(LOADING.get(tag, ""))
        if entry and dict(attrs).get("rel") != "canonical":
            self.found.append(entry)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [entry for entry in loads.found if re.match(r"(https?:)?//", entry)] == [], page


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_formulas_are_mathml_and_code_has_run(site: Path) -> None:
    notes = (site / "notes" / "index.html").read_text(encoding="utf-8")
    assert notes.count("<math") > 20
    assert "arithmatex" not in notes
    course = (site / "course" / "index.html").read_text(encoding="utf-8")
    assert course.count('<figure class="drawn">') >= 6
    assert "certified" in course
    assert "Traceback" not in course


SHAPES = (  # pages of every shape: figures, long code, tables that scroll, an index of names, a frame
    "index.html", "course/index.html", "notes/index.html", "guides/notebooks/index.html",
    "guides/several-machines/index.html", "reference/course/index.html", "benchmarks/index.html",
    "playground/index.html", "404.html",
)  # fmt: skip


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the site: the page of a wrong address names its styles from the root."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_on_pages_of_every_shape(address: str, tmp_path: Path, width: int, scheme: str) -> None:
    browser = open_chromium(tmp_path)
    try:
        show_at(browser, width, scheme)
        found = {}
        for page in SHAPES:
            open_page(browser, f"{address}/{page}")
            found[page] = violations(browser)
        assert {page: faults for page, faults in found.items() if faults} == {}
    finally:
        browser.quit()


def test_every_public_name_has_its_place_in_the_index(site: Path) -> None:
    import zlib

    raw = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    index = {line.split()[0].decode() for line in zlib.decompress(raw).splitlines()}
    things = [getattr(straightedge, name) for name in straightedge.__all__ if name[0] != "_"]
    places = [f"{thing.__module__}.{thing.__name__}" for thing in things if hasattr(thing, "__module__")]
    assert places
    assert [place for place in places if place not in index] == []
