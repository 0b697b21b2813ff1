"""How to use a run: lines of shell and of Python that work when they are pasted."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from straightedge.report.run_files import Run

Section = dict[str, Any]


def use(run: Run) -> Section:
    """Three lines of each, with this run's own names."""
    place, source = _place(run.folder), str(run.config.get("source") or "")
    quoted, first = shlex.quote(place), source.split(",", maxsplit=1)[0]
    verb = "predict" if Path(first).exists() else "evaluate"
    judged = [f"straightedge {verb} {quoted} {shlex.quote(first)}"] if source else []
    folder = os.path.dirname(place) or "."
    listed = "straightedge runs" + ("" if folder == "runs" else f" {shlex.quote(folder)}")
    python = ["from straightedge import load", f"model = load({json.dumps(place)})", "print(model)"]
    shell = [*judged, *_export(run, quoted), listed]
    return {"shell": shell, "python": python, "piped": f"straightedge predict {quoted} -"}


def _export(run: Run, quoted: str) -> list[str]:
    """The export that takes this model: several labels have none, and of texts only scikit-learn cuts words."""
    if run.metrics.get("multilabel"):
        return []
    texts = run.model is not None and run.model.takes_texts
    return [f"straightedge export {quoted} --to {'sklearn' if texts else 'torch'}"]


def _place(folder: Path) -> str:
    """Return the run's folder as it is called from here; while it is written, its name is hidden."""
    name = folder.name[1:].removesuffix(".partial") if folder.name.endswith(".partial") else folder.name
    return os.path.relpath(folder.resolve().with_name(name))
