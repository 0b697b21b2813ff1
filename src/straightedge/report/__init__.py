"""One self-contained page a run: what was asked, the answer, its proof, and pictures of what was learned."""

from __future__ import annotations

from straightedge.report.assets import collect_assets, load_assets, save_assets
from straightedge.report.page import write_report
from straightedge.report.templates import templates_png

__all__ = [
    "collect_assets",
    "load_assets",
    "save_assets",
    "templates_png",
    "write_report",
]
