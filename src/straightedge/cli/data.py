"""`straightedge data`: the named sources, where they are, and getting them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from straightedge.errors import visible

group = typer.Typer(help="List the named data sets, or download one.", no_args_is_help=True)

ABOUT = {
    "digits": "1,797 scans of digits, 8 × 8, ten classes; comes with scikit-learn",
    "cifar10": "60,000 colour images, 32 × 32, ten classes",
    "mnist": "70,000 scans of digits, 28 × 28, ten classes",
    "fashion-mnist": "70,000 grey pictures of clothes, 28 × 28, ten classes",
}


@group.command("list")
def list_sources(
    root: Annotated[Path | None, typer.Option(help="Folder that holds the files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result alone, as JSON.")] = False,
) -> None:
    """List the named data sets, their size, and whether they are here."""
    rows = [_describe(name, root) for name in ABOUT]
    if as_json:
        print(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "what", "download", "here")
    for row in rows:
        size = f"{row['bytes'] / 2**20:.1f} MiB" if row["bytes"] else "none"
        table.add_row(row["name"], row["about"], size, "yes" if row["present"] else "no")
    Console().print(table)


@group.command()
def fetch(
    name: Annotated[str, typer.Argument(help="cifar10, mnist, fashion-mnist or digits.")],
    root: Annotated[Path | None, typer.Option(help="Folder to keep the files in.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result alone, as JSON.")] = False,
) -> None:
    """Download a named data set, resuming where it broke off, and check its SHA-256."""
    from straightedge.data.named import fetch_all

    paths = [str(path) for path in fetch_all(name, root)]
    if as_json:
        print(json.dumps({"name": name, "files": paths}))
        return
    print("\n".join(map(visible, paths)) if paths else f"{name} needs no download")


def _describe(name: str, root: Path | None) -> dict[str, Any]:
    from straightedge.data.named import missing, remotes

    files = remotes(name)
    return {
        "name": name,
        "about": ABOUT[name],
        "bytes": sum(remote.size for remote in files),
        "present": not missing(name, root),
        "urls": [remote.url for remote in files],
    }
