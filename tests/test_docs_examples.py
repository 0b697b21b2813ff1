"""The notebooks are what their sources say, and they run without a warning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SOURCES = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
parts = [part for cell in notebook.cells for part in cell.get("outputs", [])]
print("".join(part.get("text", "") for part in parts))
warned = [part["text"] for part in parts if part.get("name") == "stderr" and "Warning" in part["text"]]
assert not warned, warned
"""


def cells_of_source(source: Path) -> list[tuple[str, str]]:
    jupytext = pytest.importorskip("jupytext", reason="no jupytext")
    return [(cell.cell_type, cell.source) for cell in jupytext.read(source).cells]


def test_every_notebook_has_its_source() -> None:
    assert {path.stem for path in SOURCES} == {path.stem for path in NOTEBOOKS}
    assert len(NOTEBOOKS) >= 5


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_its_source_without_outputs(source: Path) -> None:
    notebook = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert cells == cells_of_source(source)
    assert all(not cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.long
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="no nbclient")
    environment = os.environ | {"IPYTHONDIR": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(notebook), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()
