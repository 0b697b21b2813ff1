"""``straightedge bench``: straightedge beside its peers, same data, same objective, one run."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from straightedge.errors import InputError

CIFAR10 = "STRAIGHTEDGE_CIFAR10"


def command(
    data: Annotated[
        str | None,
        typer.Option(help=f"any source of images, or synthetic; by default what {CIFAR10} names, else synthetic"),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="rows to use", min=1)] = None,
    only: Annotated[
        str | None, typer.Option(help="parts, with commas: pass, softmax, svm, path, svm_path, folds, memory")
    ] = None,
    reg: Annotated[str | None, typer.Option(help="values for the fits, with commas")] = None,
    peers: Annotated[str | None, typer.Option(help="names of peers, with commas; none for no peer")] = None,
    tol: Annotated[float | None, typer.Option(help="relative gap; 1e-4 softmax, 1e-3 the rest")] = None,
    repeat: Annotated[int, typer.Option(help="repetitions of what is short; medians are told", min=1)] = 3,
    cap: Annotated[float | None, typer.Option(help="longest time of one peer fit, s")] = None,
    out: Annotated[Path, typer.Option(help="results file; parts of several runs merge into it")] = Path(
        "bench.json"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
    field: Annotated[
        bool, typer.Option("--field", help="race at every shape of problem; --only then names problems, with |")
    ] = False,
    loss: Annotated[str, typer.Option(help="losses of the field, with commas")] = "softmax",
    bias: Annotated[str, typer.Option(help="of the field: penalized or free")] = "penalized",
    tables: Annotated[Path | None, typer.Option(help="a folder with more tables for the field")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="of the field: leave out races that --out has of this commit")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="of the field: begin no race later than this", min=0)
    ] = None,
) -> None:
    """Measure straightedge against its peers, each to the same certified gap.

    Needs a source checkout: the benchmarks are not part of the package.
    """
    if field:
        asked = {"--only": only or "", "--loss": loss, "--bias": bias, "--repeat": repeat, "--out": out}
        asked |= {"--reg": reg, "--tables": tables, "--minutes": minutes}
        words = [word for name, value in asked.items() if value is not None for word in (name, str(value))]
        _benchmarks("field").main([*words, *(["--missing"] if missing else [])])
        return
    options = _benchmarks("parts").Options(
        reg=_numbers(reg), peers=_words(peers), tol=tol, repeat=repeat, cap=cap, say=_say(as_json)
    )
    source = data or os.environ.get(CIFAR10) or "synthetic"
    results = _benchmarks("run").run(source, _words(only), options, out, limit)
    print(json.dumps(results) if as_json else _benchmarks("table").markdown(results))


def _benchmarks(name: str) -> Any:
    """Return a module of the benchmarks, from the source tree that this package was installed from."""
    from importlib import import_module

    root = Path(__file__).resolve().parents[3]
    if not (root / "benchmarks" / "run.py").is_file():
        what = "the benchmarks are not part of the installed package"
        raise InputError("bench-needs-source", what, mend="run it from a source checkout: make bench")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(f"benchmarks.{name}")


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """Return the numbers in a text, checked as values of reg."""
    from straightedge.parameters import checked_reg

    words = _words(text)
    return None if words is None else tuple(checked_reg([_number(word) for word in words]))


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError("reg-invalid", f"reg is {word!r}", mend="give numbers ≥ 0, such as 1e-4") from None


def _say(quiet: bool) -> Any:
    def say(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr, flush=True)

    return say
