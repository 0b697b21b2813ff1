"""The documentation is true: its code runs, its commands exist, every public name is in the reference."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer

import straightedge
from straightedge.cli.app import _register, app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(p for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] if p.exists())])
FENCE = re.compile(r"^(?P<before>[^\n]*)\n```(?P<info>[^\n`]+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, without those that say why they are not run."""
    found = FENCE.finditer("\n" + page.read_text(encoding="utf-8"))
    return [m["code"] for m in found if m["info"].split()[0] == language and not NOT_RUN.search(m["before"])]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.long
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page share one namespace, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(DOCS / "tools"))
    if 'exec="on"' in page.read_text(encoding="utf-8"):
        pytest.importorskip("matplotlib", reason="no matplotlib")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(blocks(page, "python"), start=1):
        exec(compile(code, f"{name_of(page)}, block {number}", "exec", dont_inherit=True), namespace)


@pytest.mark.long
def test_what_a_reader_of_the_course_sees_runs_when_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks without ``source`` are not shown, so the others may need nothing of theirs."""
    pytest.importorskip("matplotlib", reason="no matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = FENCE.finditer("\n" + (DOCS / "course.md").read_text(encoding="utf-8"))
    seen = [m["code"] for m in found if "source=" in m["info"]]
    assert len(seen) > 10
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, code in enumerate(seen, start=1):
        exec(compile(code, f"course.md, visible block {number}", "exec", dont_inherit=True), namespace)


def command_lines() -> list[tuple[str, list[str]]]:
    lines = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "straightedge" in words and "pip" not in words:
                    lines.append((name_of(page), words[words.index("straightedge") + 1 :]))
    return lines


def test_every_command_line_of_the_pages_exists() -> None:
    _register()
    group = typer.main.get_command(app)
    lines = command_lines()
    assert lines
    for page, (name, *words) in lines:
        command = group.commands.get(name)  # type: ignore[attr-defined]
        assert command is not None, f"{page}: there is no command {name}"
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
        assert not unknown, f"{page}: straightedge {name} has no {unknown}"


def documented_modules() -> set[str]:
    pages = (DOCS / "reference").glob("*.md")
    return {m for page in pages for m in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def test_every_public_name_is_in_the_reference() -> None:
    """The place a public name is defined at is a module that the reference renders, and it has a docstring."""
    rendered = documented_modules()
    missing = []
    for name in straightedge.__all__:
        thing = getattr(straightedge, name)
        home = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
        shown = home is None or any(module == home or module.startswith(f"{home}.") for module in rendered)
        if not shown or (home is not None and not inspect.getdoc(thing)):
            missing.append(name)
    assert missing == []


def public_members(module_name: str) -> list[tuple[str, object]]:
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    own = [(name, getattr(module, name)) for name in names]
    return [(n, t) for n, t in own if getattr(t, "__module__", None) == module_name and callable(t)]


@pytest.mark.parametrize("module", sorted(documented_modules()))
def test_every_name_of_a_rendered_module_has_a_docstring(module: str) -> None:
    assert inspect.getdoc(importlib.import_module(module))
    assert [name for name, thing in public_members(module) if not inspect.getdoc(thing)] == []


def test_every_name_a_room_offers_is_in_the_reference() -> None:
    """What `__init__` of a documented room re-exports must be rendered where it is defined."""
    rendered, missing = documented_modules(), []
    for room in ("course", "losses", "protocols", "evaluation", "gradcheck", "data", "export", "distributed"):
        module = importlib.import_module(f"straightedge.{room}")
        for name in module.__all__:
            home = getattr(getattr(module, name), "__module__", None) or ""  # data has no home of its own
            if home.startswith("straightedge") and home not in rendered:
                missing.append(f"{home}.{name}")
    assert missing == []


def test_a_block_that_is_not_run_says_why() -> None:
    reasons = [NOT_RUN.findall(page.read_text(encoding="utf-8")) for page in PAGES]
    assert sum(map(len, reasons)) == sum(page.read_text(encoding="utf-8").count("<!-- not run") for page in PAGES)
