"""RunFolder: everything one fit leaves behind, written beside its place and moved there whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from straightedge import atomic
from straightedge.errors import InputError
from straightedge.model import MODEL_FILE, LinearModel
from straightedge.runs.checkpoint import CHECKPOINT_FILE, read_checkpoint, write_checkpoint
from straightedge.runs.lock import FolderLock
from straightedge.runs.publish import MARKER_FILE, neighbour, publish, read_marker, settle
from straightedge.runs.reading import RunFiles
from straightedge.runs.tables import PREDICTION_COLUMNS, TRACE_COLUMNS, write_blocks, write_path, write_table

if TYPE_CHECKING:
    from torch import Tensor

# what a run may hold without a marker saying so: files that commands add to a finished run
KNOWN_FILES = frozenset(
    {"model.safetensors", "config.json", "metrics.json", "trace.csv", "predictions.csv", "report.html"}
    | {"path.safetensors", "assets.npz", "suspects.csv", "hardest.csv", "templates.png", MARKER_FILE}
    | {CHECKPOINT_FILE, "onnx", "torch", "sklearn"}
)


class RunFolder(RunFiles):
    """A run's folder, for writing while a fit goes on, or for reading and adding to afterwards.

    While a run is written, its files lie in a hidden folder beside `target`, under a lock; `finish` gives it
    the name in one step. Until then a former run of that name stays as it is, whatever happens. Use it as a
    context manager: a block that ends without an error finishes, one that fails leaves a checkpoint to resume
    from if one was saved, else nothing.

    Attributes:
        target: Where the run will stand.
        path: Where its files are now.
    """

    def __init__(self, target: Path, path: Path, lock: FolderLock | None, fingerprints: dict[str, Any]) -> None:
        super().__init__(path)
        self.target = target
        self._lock = lock
        self._fingerprints = fingerprints
        self._finished = lock is None
        self._taken_up = False

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        config: dict[str, Any],
        overwrite: bool = False,
        fingerprints: dict[str, Any] | None = None,
    ) -> RunFolder:
        """Start a run.

        Args:
            path: The run folder; its parents are made.
            config: Written as config.json.
            overwrite: Replace the run that is there once this one is whole.
            fingerprints: What checkpoints of this run belong to (data, config, classes, code), by name.

        Returns:
            The folder, locked until `finish` or the end of the ``with`` block.

        Raises:
            InputError: ``run-exists``, ``run-interrupted``, ``run-foreign``, ``run-locked``, ``output-path``.
            MachineError: ``disk-full``, ``read-only``.
        """
        target, lock = _lock(path)
        try:
            settle(target)
            _check_free(target, overwrite)
            return cls._start(target, lock, config, fingerprints or {})
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _start(
        cls, target: Path, lock: FolderLock, config: dict[str, Any], fingerprints: dict[str, Any]
    ) -> RunFolder:
        """Make the partial folder anew, with its config.json; a failure leaves none."""
        partial = neighbour(target, "partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with atomic.disk_errors(target):
                atomic.disk.make_folder(partial)
            run = cls(target, partial, lock, fingerprints)
            run.write_json("config.json", config)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return run

    @classmethod
    def resume(cls, path: str | os.PathLike[str], fingerprints: dict[str, Any] | None = None) -> RunFolder:
        """Take up a run that was interrupted; its `config` says how it was started.

        Args:
            path: The run folder that was asked for then.
            fingerprints: As for `create`; may also be given to `load_checkpoint`.

        Raises:
            InputError: ``nothing-to-resume``, ``run-locked``.
        """
        target, lock = _lock(path)
        try:
            settle(target)
            partial = _interrupted(target)
            atomic.sweep_temporaries(partial)
        except BaseException:
            lock.release()
            raise
        run = cls(target, partial, lock, fingerprints or {})
        run._taken_up = True
        return run

    @classmethod
    def look(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Return a run that was interrupted, to be read alone, without its lock: another rank holds that one.

        Raises:
            InputError: ``nothing-to-resume``.
        """
        target = _resolve(path)
        return cls(target, _interrupted(target), None, {})

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Open a finished run, for reading and for adding files to it.

        Raises:
            InputError: ``run-missing``, ``run-unfinished``.
        """
        target = _resolve(path)
        if (target / "metrics.json").is_file():
            return cls(target, target, None, {})
        if (neighbour(target, "partial") / "config.json").exists():
            what = "this run did not end"
            raise InputError("run-unfinished", what, str(target), f"go on with: straightedge fit --resume {path}")
        what = "there is no run here" if target.exists() else "this folder does not exist"
        mend = "give the folder that `straightedge fit` wrote (it has a metrics.json)"
        raise InputError("run-missing", what, where=str(target), mend=mend)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write one file, whole or not at all (as all the writing methods)."""
        atomic.write_bytes(self.path / name, data)

    def write_json(self, name: str, value: Any) -> None:
        """Write strict JSON; NaN and infinities become null."""
        atomic.write_json(self.path / name, value)

    def write_trace(self, rows: Iterable[Any]) -> None:
        """Write trace.csv from mappings or objects with the trace's columns."""
        self.write_csv("trace.csv", TRACE_COLUMNS, rows)

    def write_predictions(self, blocks: Iterable[Sequence[Any]]) -> None:
        """Write predictions.csv from blocks of the columns of `PREDICTION_COLUMNS` (see `write_blocks`)."""
        write_blocks(self.path / "predictions.csv", PREDICTION_COLUMNS, blocks)

    def write_csv(self, name: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
        """Write a table; None and NaN become empty cells."""
        write_table(self.path / name, columns, rows)

    def save_model(self, model: LinearModel) -> None:
        """Write model.safetensors."""
        model.save(self.path / MODEL_FILE)

    def save_path(self, points: Sequence[tuple[float, Tensor, Tensor]]) -> None:
        """Write path.safetensors: (reg, weight (D, C), bias (C,)) for every value of reg."""
        write_path(self.path / "path.safetensors", points)

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Write the state of the fit in one file; the former checkpoint stays until the new one is whole."""
        write_checkpoint(self.path, tensors, meta, self._fingerprints)

    def load_checkpoint(
        self, fingerprints: dict[str, Any] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return (tensors, meta) of the last checkpoint, or None if there is none.

        Args:
            fingerprints: What the run is now; the ones given at the start when left out. Later checkpoints
                carry them.

        Raises:
            InputError: ``resume-differs`` with what differs, or the code of a broken file.
        """
        self._fingerprints = fingerprints if fingerprints is not None else self._fingerprints
        return read_checkpoint(self.path, self._fingerprints)

    def finish(self) -> None:
        """Give the run its name in one step and the lock back; metrics.json must have been written.

        Raises:
            MachineError: The disk's refusals; a former run is then as it was.
        """
        if self._finished:
            return
        if not (self.path / "metrics.json").exists():
            # a mistake of the caller, not of the user
            raise RuntimeError("write metrics.json before finish()")
        atomic.sweep_temporaries(self.path)
        publish(self.target, secrets.token_hex(8), [entry.name for entry in self.path.iterdir()])
        self._finished, self.path = True, self.target
        (self.path / CHECKPOINT_FILE).unlink(missing_ok=True)
        self._release()

    def abandon(self) -> None:
        """End without a result and unlock: what can be resumed stays, a run without a checkpoint goes.

        A run that was taken up by `resume` stays in any case, so that looking at it costs nothing.
        """
        if not self._finished:
            has_checkpoint = (self.path / CHECKPOINT_FILE).exists()
            if not (has_checkpoint or self._taken_up or read_marker(self.path) is not None):
                shutil.rmtree(self.path, ignore_errors=True)
            self._finished = True
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abandon()


def _interrupted(target: Path) -> Path:
    """Return the folder of what an interrupted run has so far (InputError ``nothing-to-resume``)."""
    partial = neighbour(target, "partial")
    if read_marker(partial) is not None or not (partial / "config.json").exists():
        what = "no interrupted run was found: " + (
            "it is finished" if (target / "metrics.json").exists() else "there is none"
        )
        raise InputError("nothing-to-resume", what, str(target), "start it without --resume")
    return partial


def _resolve(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _lock(path: str | os.PathLike[str]) -> tuple[Path, FolderLock]:
    """Resolve the folder, make its parents, and lock it."""
    target = _resolve(path)
    if not target.name:
        raise InputError("output-path", "the root folder cannot be a run folder", str(target))
    if target.exists() and not target.is_dir():
        raise InputError("output-path", "a file stands where the run folder should be", str(target))
    with atomic.disk_errors(target):
        atomic.disk.make_folder(target.parent)
    lock = FolderLock(neighbour(target, "lock"), target)
    lock.acquire()
    return target, lock


def _check_free(target: Path, overwrite: bool) -> None:
    """Refuse to write over a run, an interrupted run or somebody's files, unless it was asked for."""
    names = {entry.name for entry in target.iterdir()} if target.exists() else set()
    is_run = bool(names & {MARKER_FILE, "config.json", "metrics.json"})
    if names and not overwrite and is_run:
        mend = "choose another --out, or replace it with --overwrite"
        raise InputError("run-exists", "there is already a run in this folder", str(target), mend)
    foreign = sorted(names - KNOWN_FILES - set((read_marker(target) or {}).get("files", [])))
    if names and (foreign or not is_run):
        what = f"the folder has files that no run wrote: {', '.join(foreign[:3] or sorted(names)[:3])}"
        raise InputError("run-foreign", what, str(target), "choose another --out, or move these files away")
    if not overwrite and (neighbour(target, "partial") / CHECKPOINT_FILE).exists():
        mend = "go on with --resume, or start again with --overwrite"
        raise InputError("run-interrupted", "a run of this folder was interrupted and can go on", str(target), mend)
