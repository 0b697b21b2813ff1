"""One file that needs nothing else: the page of a run.

The page forbids itself everything (Content-Security-Policy ``default-src 'none'``) but pictures inside it and
the very scripts and styles written here, allowed by their SHA-256. Scripts need no ``eval``: Vega runs with its
interpreter. Data for scripts stands in JSON blocks in which ``<``, ``>`` and ``&`` are escaped.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from straightedge import atomic
from straightedge.report import gallery, measured, sections
from straightedge.report.coefficients import coefficients
from straightedge.report.run_files import Run, read_run
from straightedge.report.trying import no_box, try_box

_PACKAGE = "straightedge.report"
_SCRIPT_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def write_report(run_dir: Path | str) -> Path:
    """Write ``report.html`` from the files of a run folder, whole or not at all; return its path.

    Args:
        run_dir: A run folder; ``config.json`` and ``metrics.json`` must be there, every other file may be.

    Raises:
        InputError: As `read_run`.
        MachineError: When the page cannot be written.
    """
    folder = Path(run_dir)
    page = folder / "report.html"
    atomic.write_text(page, render(read_run(folder)))
    return page


def render(run: Run) -> str:
    """Return the page of a run as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    static = files(_PACKAGE) / "static"
    loader = FileSystemLoader(str(static))
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["script_json"] = script_json
    environment.filters["formula"] = formula
    context = _context(run)
    scripts, style = _scripts(_own_scripts(context["trying"])), (static / "page.css").read_text("utf-8")
    policy = content_policy(scripts, style)
    template = environment.get_template("page.html.j2")
    return template.render(**context, scripts=scripts, style=style, policy=policy)


def _own_scripts(trying: dict[str, Any] | None) -> tuple[str, ...]:
    if trying is None:
        return ("page.js",)
    return ("page.js", "texts.js", "try.js") if trying["kind"] == "text" else ("page.js", "try.js")


def _context(run: Run) -> dict[str, Any]:
    context: dict[str, Any] = {
        "heading": sections.heading(run),
        "asked": sections.asked(run),
        "answer": measured.answer(run),
        "proof": sections.proof(run),
        "path": sections.path(run),
        "templates": gallery.templates(run),
        "terms": sections.terms(run),
        "coefficients": coefficients(run),
        "confusion": gallery.confusion(run),
        "per_class": measured.per_class(run),
        "reliability": measured.reliability(run),
        "curves": measured.curves(run),
        "suspects": gallery.listed(run, "suspects"),
        "hardest": gallery.listed(run, "hardest"),
        "notes": sections.notes(run),
        "trying": try_box(run),
        "no_box": no_box(run),
        "use": sections.use(run),
        "command": sections.command(run),
    }
    figures: dict[str, Any] = {}
    for name in ("proof", "path", "reliability", "curves"):
        for place, figure in enumerate((context[name] or {}).get("figures", [])):
            if figure is not None:
                figures[f"{name}-{place}"] = figure
    pictures = {name: (context[name] or {}).get("data") for name in ("templates", "confusion")}
    data = pictures | {"figures": figures, "trying": context["trying"]}
    return context | {"figures": figures, "page_data": data}


def formula(text: str) -> Any:
    """Return a loss's line of text, such as "Σ_{j≠y} e^{s_j}", with its indices below and its powers above."""
    from markupsafe import Markup, escape

    marked = str(escape(text))
    for pattern in (r"([_^])(\w)", r"([_^])\{([^{}]*)\}"):  # inner ones first: e^{s_j}
        marked = re.sub(pattern, lambda found: _shifted(found[1], found[2]), marked)
    return Markup(marked)


def _shifted(sign: str, inner: str) -> str:
    tag = "sub" if sign == "_" else "sup"
    return f"<{tag}>{inner}</{tag}>"


def script_json(value: Any) -> Any:
    """Return JSON that can stand in a script element: no text in it can end the element."""
    from markupsafe import Markup

    return Markup(atomic.to_json(value).translate(_SCRIPT_ESCAPES))


def _scripts(own: Sequence[str]) -> list[str]:
    """Return the scripts in their order: the library, its interpreter as a plain script, the page's own."""
    package = files(_PACKAGE)
    library = [(package / "vendor" / name).read_text("utf-8") for name in ("vega.min.js", "vega-lite.min.js")]
    interpreter = (package / "vendor" / "vega-interpreter.js").read_text("utf-8")
    texts = [*library, plain_script(interpreter), *((package / "static" / name).read_text("utf-8") for name in own)]
    return [text.replace("//# sourceMappingURL=", "// source map: ") for text in texts]


def plain_script(module: str) -> str:
    """Turn Vega's interpreter, an ES module, into a script: its imports are members of the global ``vega``.

    A module's own script element would do without, but modules cannot import from an inlined script.
    """
    first, _, body = module.partition("\n")
    names = first.partition("{")[2].partition("}")[0]
    exported = "export { expression as expressionInterpreter };"
    if not first.startswith("import {") or exported not in body:
        raise RuntimeError("vega-interpreter.js is not the module this page was written for")
    body = body.replace(exported, "vega.expressionInterpreter = expression;")
    return f"(function () {{\nconst {{{names}}} = vega;\n{body}\n}})();\n"


def content_policy(scripts: list[str], style: str) -> str:
    """Return the policy that allows these scripts and this style, pictures in the page, and nothing else."""
    hashes = " ".join(_source_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src {_source_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
