"""``straightedge export RUN --to onnx|torch|sklearn|hub``: a model for another program, or for a hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.cli.presence import require_run
from straightedge.errors import InputError, visible, warn

if TYPE_CHECKING:
    from straightedge.model import LinearModel

N_CHECKED = 1000


def command(
    run: Annotated[Path, typer.Argument(help="run folder or model.safetensors")],
    to: Annotated[str, typer.Option(help="onnx, torch, sklearn or hub")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="folder to write; RUN/onnx, RUN/torch, … if left out")] = None,
    rows: Annotated[
        str | None, typer.Option(help="source of the rows to check on; the run's own if left out")
    ] = None,
    root: Annotated[str | None, typer.Option(help="folder with a copy of the data")] = None,
    verify: Annotated[
        Path | None, typer.Option(help="write nothing; compare this ONNX file with the model")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Write a model that runs without straightedge, or a repository of the Hugging Face hub, with a model card.

    The artefact is run on real rows and compared with the model before it is kept.
    """
    require_run(run)
    from straightedge.cli.predict import run_config
    from straightedge.export import check_onnx_file, export_model
    from straightedge.model import load

    model, config = load(run), run_config(run)
    checked, source = _rows(model, config, rows, root)
    result: dict[str, Any] = {"checked_on": source, "n_checked": len(checked), "compared": _compared(model, to)}
    if verify is not None:
        result |= {"file": str(verify), "difference": check_onnx_file(model, verify, checked)}
    else:
        folder = out if out is not None else (run if run.is_dir() else run.parent) / to
        files = export_model(model, to, folder, rows=checked, config=config, metrics=_metrics(run))
        result |= {"to": to, "folder": str(folder), "files": files}
    _print(result, as_json)


def _compared(model: LinearModel, to: str) -> list[str]:
    """Return what of the artefact was compared with the model; a torch layer names no classes."""
    compared = ["scores"] if to == "torch" else ["scores", "classes"]
    return [*compared, "probabilities"] if model.has_probabilities else compared


def _metrics(run: Path) -> dict[str, Any]:
    from straightedge.runs import RunFolder

    return RunFolder.open(run).metrics if run.is_dir() else {}


def _rows(model: LinearModel, config: dict[str, Any], source: str | None, root: str | None) -> tuple[Any, str]:
    """Return rows to check on and where they come from: real ones wherever they can be read."""
    from straightedge.export import random_rows

    wanted = source or config.get("source")
    if wanted is None:
        warn("checked-on-random-rows", "the model file names no data: checked on random rows; see --rows")
        return random_rows(model, N_CHECKED), "random rows"
    try:
        return _real_rows(model, config, str(wanted), root), str(wanted)
    except InputError as error:
        if source is not None:
            raise
        warn("checked-on-random-rows", f"the run's data cannot be read ({error.what}): checked on random rows")
        return random_rows(model, N_CHECKED), "random rows"


def _real_rows(model: LinearModel, config: dict[str, Any], source: str, root: str | None) -> Any:
    """Return training rows of a source, through the extractor if the model has one; of a table its raw cells."""
    import numpy as np

    from straightedge.cli.evaluate import fit_rows
    from straightedge.cli.predict import decoding_of
    from straightedge.data import load_dataset

    if model.is_of_table:
        from straightedge.export.cells import real_cells

        options = config.get("options")
        how = options.get("table") if isinstance(options, dict) else None
        return real_cells(model, source, how if isinstance(how, dict) else {}, N_CHECKED)
    size, background = decoding_of(config)
    dataset = load_dataset(
        source, root=root, skip_bad=True, classes=model.classes, size=size, background=background
    )
    X = dataset.train.X
    rows = X.read(0, min(N_CHECKED, X.shape[0])) if hasattr(X, "read") else X[:N_CHECKED]
    rows = np.asarray(fit_rows(model, rows, source))
    if model.takes_texts:
        return rows
    is_raw = model.features is not None and tuple(rows.shape[1:]) != (model.n_features,)
    return model.extract(rows) if is_raw else rows


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from straightedge.atomic import to_json

        print(to_json(result))
        return
    print(
        f"same as the model on {result['n_checked']} rows ({visible(result['checked_on'])}): "
        f"{', '.join(result['compared'])}"
    )
    for name, size in result.get("files", {}).items():
        print(f"{visible(Path(result['folder']) / name)}  {size:,} bytes")
