"""One self-contained page a run: what was asked, the answer, its proof, and pictures of what was learned.

The names below are imported when they are first used: a command that prints a headline needs no page.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from straightedge.report.assets import collect_assets, load_assets, save_assets
    from straightedge.report.page import write_report
    from straightedge.report.templates import templates_png

__all__ = ["collect_assets", "load_assets", "save_assets", "templates_png", "write_report"]

_MODULES = {"write_report": "page", "templates_png": "templates"}
"""Where a name is made; the others are of `assets`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"straightedge.report.{_MODULES.get(name, 'assets')}"), name)
