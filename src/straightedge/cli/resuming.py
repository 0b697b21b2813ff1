"""The options of a run that is resumed: those it was begun with, which no other may replace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straightedge.errors import InputError

if TYPE_CHECKING:
    from straightedge.workflow import FitOptions


def resumed(options: FitOptions, folder: Path) -> FitOptions:
    """Return the options an interrupted run was started with, from its config.json.

    What these name is not the user's word: a module among them is imported only if the user names it as well.
    """
    from dataclasses import replace

    config = _config_of(folder)
    same = _options_of(config, folder)
    _refuse_other_options(options, same, folder)
    return replace(
        same,
        data=replace(same.data, source=options.data.source or same.data.source),
        extractor=replace(same.extractor, features_trusted=options.extractor.features is not None),
        run=replace(
            same.run, resume=True, progress=options.run.progress, checkpoint_every=options.run.checkpoint_every
        ),
    )


def _config_of(folder: Path) -> dict[str, Any]:
    """Return what an interrupted run was started with; one process alone asks whether another one writes it."""
    from straightedge.runs import RunFolder

    if os.environ.get("RANK", "0") != "0":
        return RunFolder.look(folder).config
    with RunFolder.resume(folder) as interrupted:
        config = interrupted.config
        interrupted.abandon()
    return config


def _refuse_other_options(asked: FitOptions, before: FitOptions, folder: Path) -> None:
    """Refuse an option that was given and is another than the run's: a resumed run would go on without it."""
    from straightedge.runs.checkpoint import differences
    from straightedge.workflow import FitOptions as Options

    usual = Options(asked.data.source, asked.run.out).identity()
    given = {name: value for name, value in asked.identity().items() if value != usual[name]}
    kept = before.identity() | {"source": asked.data.source}
    found = differences({name: kept[name] for name in given}, given)
    if found:
        what = "the run was started with something else: " + "; ".join(found)
        mend = "leave these options out, or start again with --overwrite"
        raise InputError("resume-differs", what, str(folder), mend)


def _options_of(config: dict[str, Any], folder: Path) -> FitOptions:
    """Return the options in a run's config.json, which anybody may have written."""
    from straightedge.workflow import FitOptions as Options

    try:
        before: dict[str, Any] = dict(config["options"])
        before["max_seconds"] = float("inf") if before.get("max_seconds") is None else before["max_seconds"]
        before |= {"source": str(before["source"]), "out": str(folder), "command": list(config["command"])}
        return Options(**before)
    except (KeyError, TypeError, ValueError) as error:
        what = f"config.json does not say how the run was started ({error})"
        raise InputError("run-damaged", what, str(folder), "start again with --overwrite") from error
