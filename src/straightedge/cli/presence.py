"""Answers to a wrong path before anything heavy is imported."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from straightedge.errors import InputError, StraightedgeError
from straightedge.special_files import refuse_special

MODEL = "model.safetensors"  # of a run folder


@contextmanager
def told_by_one_rank() -> Iterator[None]:
    """Let the first rank of a host tell of a mistake in words or paths: all of its ranks meet the same one."""
    try:
        yield
    except StraightedgeError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            raise SystemExit(error.exit_status) from None
        raise


def require_source(source: str | None) -> None:
    """Refuse a source that is not there or of no kind that can be read.

    Raises:
        InputError: ``source-missing``, ``source-kind``, ``pickle-refused``.
    """
    if source is not None:
        from straightedge.data.finding import module_of

        module_of(source)


def require_run(run: Path) -> None:
    """Refuse a run or model that is not there, and a folder without a model."""
    refuse_special(run)
    empty = run.is_dir() and not (run / MODEL).exists()
    if empty or not run.exists():
        runs = sorted(path.parent for path in (run if empty else Path("runs")).glob(f"*/{MODEL}"))
        mend = f"runs here: {', '.join(map(str, runs[-5:]))}" if runs else "fit one: straightedge fit SOURCE"
        what = "there is no model in this folder" if empty else "there is no such run or model file"
        raise InputError("model-missing", what, str(run), mend)
