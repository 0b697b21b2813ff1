"""``straightedge translate``: one regularisation strength in the words of every system."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from straightedge.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from straightedge.protocols import Equivalent, Translation

WIDTH = 132  # columns of the table where the output is no terminal


def command(
    C: Annotated[float | None, typer.Option("--C", help="C of scikit-learn, LIBLINEAR, cuML, DINOv2.")] = None,
    lambda_: Annotated[float | None, typer.Option("--lambda", help="λ of CLIP, cyanure.")] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="weight_decay of torch.optim.SGD.")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="α of SGDClassifier, RidgeClassifier.")] = None,
    reg: Annotated[float | None, typer.Option("--reg", help="reg of straightedge and of the course.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Number of training samples.")] = None,
    classes: Annotated[int, typer.Option("--classes", help="Number of classes.")] = 10,
    system: Annotated[
        str | None, typer.Option("--system", help="Whose parameter it is, where several use the name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result alone, as JSON.")] = False,
) -> None:
    """Translate C, λ, α or weight_decay into reg and back, with the objective of every system."""
    from straightedge.protocols import translate

    given = {"C": C, "lambda": lambda_, "weight_decay": weight_decay, "alpha": alpha, "reg": reg}
    parameter, value = _only({name: number for name, number in given.items() if number is not None})
    answer = translate(parameter, value, n=n, classes=classes, system=system)
    if as_json:
        print(json.dumps(answer.to_dict(), ensure_ascii=False))
    else:
        _show(answer)


def _only(given: dict[str, float]) -> tuple[str, float]:
    if len(given) != 1:
        mend = "give exactly one of --C, --lambda, --weight-decay, --alpha, --reg"
        raise InputError("translate-one-parameter", f"{len(given)} parameters given", mend=mend)
    return next(iter(given.items()))


def _show(answer: Translation) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    key, parameter, value = answer.given
    size = f"N = {answer.n:,}, " if answer.n is not None else ""
    console.print(f"{parameter} = {value:g} of {key}, {size}K = {answer.classes} classes")
    console.print(f"[bold]reg = {answer.reg:.6g}[/bold]   in   (1/N) Σ loss + reg Σ W²\n")
    notes: dict[str, int] = {}
    console.print(_table(answer, notes))
    for note, number in notes.items():
        console.print(f"  {number:>2}  {note}", markup=False)
    if answer.n is None:
        console.print("  –   needs N: give --n", markup=False)


def _table(answer: Translation, notes: dict[str, int]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("system", "parameter", "minimises", "same W as our", "intercept", "notes"):
        table.add_column(title, overflow="fold")
    for row in answer.rows:
        table.add_row(*_cells(row, notes))
    return table


def _cells(row: Equivalent, notes: dict[str, int]) -> tuple[str, ...]:
    from rich.markup import escape

    number = "–" if row.value is None else f"{row.value:.6g}"
    marks = [notes.setdefault(note, len(notes) + 1) for note in row.system.caveats]
    return (
        f"{row.system.title}\n[dim]{row.system.key}[/dim]",
        f"{row.system.parameter} = {number}",
        escape(row.system.objective),
        row.loss or "– (another loss)",
        row.system.intercept,
        " ".join(str(mark) for mark in marks),
    )
