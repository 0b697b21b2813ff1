"""The runs of a folder, read from their two small JSON files alone: a list needs no torch and comes at once."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SPLITS = ("test", "validation", "train")  # splits in the order in which one is believed
PARTIAL = ".partial"  # ending of the hidden folder that a run lies in until it is whole, with a dot before its name


@dataclass(frozen=True)
class ListedRun:
    """One run, as a list shows it.

    Attributes:
        run: Its folder.
        state: ``finished``, ``unfinished`` (it can be resumed or was stopped) or ``damaged``.
        source: What was fitted.
        loss: Name of the loss.
        reg: The fitted value, or None.
        split: What the accuracy is of: ``test``, ``validation`` or ``train``.
        accuracy: Share that is right, or None.
        interval: Its 95 % interval, or None.
        gap: Relative duality gap, or None.
        status: Why the fit ended.
        created: When it began, in ISO 8601, UTC.
        report: Its page, or None where there is none.
    """

    run: str
    state: str
    source: str = ""
    loss: str = ""
    reg: float | None = None
    split: str = ""
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    gap: float | None = None
    status: str = ""
    created: str = ""
    report: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def runs_of(folder: Path) -> list[ListedRun]:
    """Return the runs in a folder, the newest first."""
    folders = (path.parent for path in folder.glob("*/config.json"))
    found = [_listed(run) for run in folders if run.name[0] != "." or run.name.endswith(PARTIAL)]
    return sorted(found, key=lambda run: (run.created, run.run), reverse=True)


def _listed(run: Path) -> ListedRun:
    """Return one run; its files may be anybody's."""
    finished = (run / "metrics.json").exists()
    try:
        config = _object(run / "config.json")
        metrics = _object(run / "metrics.json") if finished else {}
        return _of(run, config, metrics, "finished" if finished else "unfinished")
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return ListedRun(str(_target(run)), "damaged")


def _target(run: Path) -> Path:
    """Return the name that a run has, or will have once it is whole."""
    return run.with_name(run.name[1:].removesuffix(PARTIAL)) if run.name.endswith(PARTIAL) else run


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise TypeError(f"{path} holds no object")
    return found


def _of(run: Path, config: dict[str, Any], metrics: dict[str, Any], state: str) -> ListedRun:
    split = next((name for name in SPLITS if metrics.get(name)), "")
    judged = metrics.get(split) or {}
    interval = judged.get("interval")
    page = run / "report.html"
    return ListedRun(
        str(_target(run)),
        state,
        str(config.get("source", "")),
        str(config.get("loss", "")),
        _number(metrics.get("reg", config.get("reg"))),
        split,
        _number(judged.get("accuracy")),
        None if interval is None else (float(interval[0]), float(interval[1])),
        _number(metrics.get("gap")),
        str(metrics.get("status", "")),
        str(config.get("created", "")),
        str(page) if page.exists() else None,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
