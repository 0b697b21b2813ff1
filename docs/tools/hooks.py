"""What the site's build does besides Markdown: formulas become MathML, benchmark results become a page.

MathML needs no script: browsers draw it themselves, with the font in `docs/assets/fonts`.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

from accessible import accessible
from formulas import mathml

ROOT = TOOLS.parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NOTEBOOKS = ROOT / "examples"
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: Any, **_: Any) -> Any:
    """Let the pages' code find the figures of the course, and the package where it is not installed."""
    for place in (str(TOOLS), str(ROOT / "src")):
        if place not in sys.path:
            sys.path.insert(0, place)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Put the notebooks beside the pages, which link to them."""
    from mkdocs.structure.files import File

    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        files.append(File.generated(config, f"examples/{notebook.name}", abs_src_path=str(notebook)))
    return files


def on_page_content(page_html: str, **_: Any) -> str:
    """Turn the formulas of a page into MathML."""
    return FORMULA.sub(_mathml, page_html)


def _mathml(found: re.Match[str]) -> str:
    block = found[1] == "div"
    formula = mathml(html.unescape(found[2]), block=block)
    return (
        f'<div class="formula" tabindex="0" role="group" aria-label="Formula">{formula}</div>'
        if block
        else formula
    )


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the measured numbers into the page of the benchmarks; notebooks lie beside the pages of the site."""
    if page.file.src_path == "benchmarks.md":
        return markdown.replace("<!-- results -->", _results())
    return re.sub(r"\]\(((?:\.\./)*)\.\./(examples/\w+\.ipynb)\)", r"](\1\2)", markdown)


def _results() -> str:
    """Return the pages that lie beside the results, as the benchmarks wrote them from their JSON."""
    pages = [page for page in sorted(RESULTS.glob("*.md")) if page.with_suffix(".json").exists()]
    if not pages:
        return "No results lie in `benchmarks/results` yet; `straightedge bench` writes them there."
    return "\n\n".join(_deeper(page.read_text(encoding="utf-8")) for page in pages)


def _deeper(page: str) -> str:
    """Move headings down by one level, and point to charts where the build puts them."""
    page = re.sub(r"^#", "##", page, flags=re.MULTILINE)
    return re.sub(r"\]\((?!https?:|#|/)([^)]+\.svg)\)", r"](benchmark-charts/\1)", page)


def on_post_page(output: str, **_: Any) -> str:
    """Name the playground's file in links to it, so that they work from a folder; add what the theme leaves out."""
    return accessible(re.sub(r'(href="(?:\.\./)*playground/)(?=["#])', r"\1index.html", output))


def on_post_template(output_content: str, **_: Any) -> str:
    """Add what the theme leaves out to the page of a wrong address, which no Markdown makes."""
    return accessible(output_content)


def on_post_build(config: Any, **_: Any) -> None:
    """Copy the benchmark charts to where the page looks for them."""
    target = Path(config["site_dir"]) / "benchmarks" / "benchmark-charts"
    for chart in RESULTS.glob("*.svg"):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(chart, target / chart.name)
