"""Figures of the course, drawn when the site is built, in colours that read on light and on dark paper."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, GREY = "#3f7de0", "#d9742b", "#1fa47e", "#808a99"
mpl.rcParams.update(
    {
        "svg.hashsalt": "straightedge",
        "font.size": 11,
        "text.color": GREY,
        "axes.labelcolor": GREY,
        "axes.edgecolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "lines.linewidth": 2.2,
        "legend.frameon": False,
        "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, GREEN, "#a65fc4", GREY]),
    }
)


def html(figure: Any, caption: str) -> str:
    """Return a figure as HTML, with its caption as the text for those who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    svg = own_names(buffer.getvalue()[buffer.getvalue().index("<svg") :], caption)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{caption}"', 1)
    return f'<figure class="drawn">{svg}<figcaption>{caption}</figcaption></figure>'


def own_names(svg: str, caption: str) -> str:
    """Return a picture whose ids no other picture of the page has: Matplotlib numbers them from 1 in each.

    Args:
        svg: As Matplotlib writes it.
        caption: What tells it from a picture of the same marks.
    """
    mark = hashlib.sha256((caption + svg).encode()).hexdigest()[:8]
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{mark}-", svg)


def images(rows: np.ndarray, titles: list[str], *, signed: bool = False) -> Any:
    """Return a figure of images (n, height, width) side by side; signed ones have 0 in the middle grey."""
    figure, axes = plt.subplots(1, len(rows), figsize=(9, 1.35))
    for axis, image, title in zip(axes, rows, titles, strict=True):
        reach = np.abs(rows).max()
        limits = {"vmin": -reach, "vmax": reach, "cmap": "RdBu"} if signed else {"cmap": "gray_r", "vmin": 0}
        axis.imshow(image, interpolation="nearest", **limits)
        axis.set_title(title, fontsize=11)
        axis.axis("off")
    return figure
