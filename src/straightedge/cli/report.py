"""``straightedge report RUN``: write the page of a run again."""

from pathlib import Path
from typing import Annotated

import typer

from straightedge.errors import visible


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, as `straightedge fit` wrote it.")],
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the result alone, as JSON on standard output.")
    ] = False,
) -> None:
    """Write report.html of a run folder again, from its files alone."""
    from straightedge.atomic import to_json
    from straightedge.report import write_report

    page = write_report(run)
    if json_output:
        print(to_json({"report": str(page), "bytes": page.stat().st_size}))
    else:
        print(visible(page))
