"""Answers to a wrong path before anything heavy is imported."""

from pathlib import Path

from straightedge.errors import InputError
from straightedge.special_files import refuse_special


def require_source(source: str | None) -> None:
    """Refuse a source that is not there or of no kind that can be read.

    Raises:
        InputError: ``source-missing``, ``source-kind``, ``pickle-refused``.
    """
    if source is not None:
        from straightedge.data.finding import module_of

        module_of(source)


def require_run(run: Path) -> None:
    """Refuse a run or model that is not there."""
    refuse_special(run)
    if not run.exists():
        runs = sorted(path.parent for path in Path("runs").glob("*/model.safetensors"))
        mend = f"runs here: {', '.join(map(str, runs[-5:]))}" if runs else "fit one: straightedge fit SOURCE"
        raise InputError("model-missing", "there is no such run or model file", str(run), mend)
