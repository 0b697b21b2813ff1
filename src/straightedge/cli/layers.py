"""``straightedge layers``: one probe for each layer of a network, all judged on the same rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.errors import visible

if TYPE_CHECKING:
    from straightedge.layers import Layers, LayerScore

BAR = 30  # letters of the bar that stands for an accuracy of 1


def command(
    source: Annotated[
        Path,
        typer.Argument(
            help="Features (N, L, D); a .npz, .h5, .safetensors with an array a layer; a folder, a file a layer."
        ),
    ],
    labels: Annotated[
        str,
        typer.Option("--labels", help="File of labels: .npy, text, any dump; or the name of an array in SOURCE."),
    ],
    positions: Annotated[str | None, typer.Option(help="For (N, L, T, D): last, first, mean, or a number.")] = None,
    loss: Annotated[str, typer.Option(help="Loss of the probes.")] = "softmax",
    tol: Annotated[float, typer.Option(help="Relative gap to certify.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Seed of splits and of random labels.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for layers.csv and layers.json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result alone, as JSON.")] = False,
) -> None:
    """Fit one probe a layer, with controls, and say which layer is best.

    reg and the best layer are chosen on validation rows; the numbers shown are of test rows. Beside each stand a
    probe fitted to random labels and one on shuffled features.
    """
    from straightedge.data.layer_files import LayerFiles, labels_for
    from straightedge.layers import fit_layers

    found = fit_layers(
        LayerFiles(source, positions),
        labels_for(source, labels),
        loss=loss,
        tol=tol,
        seed=seed,
        progress=None if as_json else _show,
    )
    if out is not None:
        _write(found, out)
    if as_json:
        print(json.dumps(_as_json(found)))
    else:
        _end(found, out)


def _show(score: LayerScore) -> None:
    bar = "#" * round(BAR * score.accuracy)
    low, high = score.interval
    told = f"{visible(score.name):<16.16} {score.accuracy:.4f} [{low:.4f}, {high:.4f}] {bar:<{BAR}}"
    certified = "" if score.certified == score.n_values else f"  {score.certified} of {score.n_values} certified"
    print(f"{told} random labels {score.control:.4f}, shuffled {score.shuffled:.4f}{certified}", flush=True)


def _end(found: Layers, out: Path | None) -> None:
    print(f"rows: {found.n_train} to train, {found.n_validation} to choose, {found.n_test} to judge")
    print(found.in_words())
    if out is not None:
        print(f"written: {out / 'layers.csv'}, {out / 'layers.json'}")


def _as_json(found: Layers) -> dict[str, Any]:
    cosine = [[None if math.isnan(value) else value for value in row] for row in found.cosine.tolist()]
    sizes = {"n_train": found.n_train, "n_validation": found.n_validation, "n_test": found.n_test}
    return {
        "best": found.scores[found.best].name,
        "classes": list(found.classes),
        **sizes,
        "layers": found.to_rows(),
        "cosine": cosine,
    }


def _write(found: Layers, out: Path) -> None:
    from straightedge import atomic
    from straightedge.runs.tables import write_table

    out.mkdir(parents=True, exist_ok=True)
    rows = found.to_rows()
    write_table(out / "layers.csv", list(rows[0]), rows)
    atomic.write_json(out / "layers.json", _as_json(found))
