"""``straightedge features SOURCE``: features of images, written for later or for other programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from straightedge.errors import InputError, visible

if TYPE_CHECKING:
    from straightedge.data.assemble import Part
    from straightedge.data.base import Dataset


def command(
    source: Annotated[str, typer.Argument(help="whatever fit reads: images, or rows to write in another form")],
    out: Annotated[Path, typer.Option(help="file to write: .npz, .npy, .parquet, .safetensors, .svmlight")],
    extractor: Annotated[
        str | None,
        typer.Option(
            help="raw, hog, patches (for images where none is given), patches:small, patches:n_centroids=800, "
            "timm:NAME, module:package.module:name"
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="file of labels, or the name of the label column")] = None,
    column: Annotated[str | None, typer.Option(help="column or array of rows, by name")] = None,
    weights: Annotated[
        str | None, typer.Option(help="for timm and module: a safetensors file; for timm also pretrained or random")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="for timm: model, cls or mean")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda")] = None,
    dtype: Annotated[str, typer.Option(help="float16 or float32")] = "float16",
    size: Annotated[str | None, typer.Option(help="resize images: 32, or HEIGHTxWIDTH")] = None,
    root: Annotated[str | None, typer.Option(help="folder with a copy of a named data set")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without broken images")] = False,
    background: Annotated[str, typer.Option(help="colour under transparent pixels")] = "white",
    cache_dir: Annotated[Path | None, typer.Option(help="where features are kept while they are made")] = None,
    seed: Annotated[int, typer.Option(help="of what the extractor learns")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as JSON")] = False,
) -> None:
    """Make features of every split and write them with their labels.

    Rows that are no images, such as those of a sparse file, are written as they are; sparse ones stay sparse.
    What the extractor learns, it learns from the training images. An interrupted run goes on where it stopped.
    The file is read again by: straightedge fit FILE.
    """
    from straightedge.data import load_dataset
    from straightedge.data.write import write_features
    from straightedge.features.base import build_extractor
    from straightedge.features.cache import extract_dataset

    precision = _precision(dtype)
    _check_out(out)
    named: dict[str, Any] = {} if column is None else {"column": column}
    dataset = load_dataset(
        source,
        size=size,
        root=root,
        skip_bad=skip_bad,
        background=background,
        progress=not as_json,
        labels=labels,
        **named,
    )
    if dataset.image_shape is not None or extractor not in (None, "raw"):
        built = build_extractor(extractor or "patches", weights=weights, pool=pool, device=device)
        settings: dict[str, Any] = {"cache_dir": cache_dir, "progress": not as_json, "seed": seed}
        dataset = extract_dataset(dataset, built, dtype=precision, **settings)
    parts = _parts(dataset)
    files = write_features(out, parts, dataset.classes, features=dataset.features)
    width = math.prod(parts["train"].X.shape[1:])
    _tell({name: int(part.X.shape[0]) for name, part in parts.items()}, width, files, as_json)


def _precision(dtype: str) -> Any:
    if dtype not in {"float16", "float32"}:
        raise InputError("dtype-invalid", f"--dtype is {dtype!r}", mend="float16 or float32")
    return dtype


def _check_out(out: Path) -> None:
    """Refuse an output that could not be written before hours are spent on it."""
    from straightedge.data.write import check_output

    check_output(out)
    if not out.absolute().parent.is_dir():
        raise InputError("output-path", "the folder does not exist", where=str(out.parent))


def _parts(dataset: Dataset) -> dict[str, Part]:
    """Return every split; writing features is the one purpose the test split is opened for here."""
    from straightedge.data.assemble import Part

    splits = {"train": dataset.train, "validation": dataset.validation}
    if dataset.test is not None:
        splits["test"] = dataset.test.open("writing features")
    return {name: Part(split.X, split.y) for name, split in splits.items() if split is not None}


def _tell(rows: dict[str, int], n_features: int, files: list[Path], as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps({"rows": rows, "n_features": n_features, "files": [str(path) for path in files]}))
        return
    counts = ", ".join(f"{n:,} {name}" for name, n in rows.items())
    print(f"{n_features:,} features of {counts} rows: {', '.join(visible(path) for path in files)}")
