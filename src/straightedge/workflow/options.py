"""What a fit was asked for, as the command line or a caller gave it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from straightedge.errors import InputError
from straightedge.evaluation.thresholds import ThresholdRule
from straightedge.fitting import FitSettings
from straightedge.losses import get_loss
from straightedge.moments import KINDS
from straightedge.selection import SelectionSettings
from straightedge.solvers import SOLVERS


@dataclass(frozen=True)
class FitOptions:
    """Everything that decides the answer, and where it goes.

    Attributes:
        source: See `straightedge.data.load_dataset`.
        out: The run folder.
        loss: Name of the loss.
        reg: The value, or None to have it chosen (for SGD: one from the data's scale).
        path: Whether reg is chosen among several values.
        regs: The values tried, or None for the default grid.
        tol: Relative gap to certify; None is 1e-4 for one value and 1e-3 for a path.
        max_passes: Passes for one configuration.
        max_seconds: Wall time of one solve, s.
        solver: "auto", or a solver's name.
        bias: "penalized" or "free".
        preprocess: See `moments.fit_affine`.
        device: Where products run, the extractor's too.
        metric, folds, validation_size, one_standard_error: See `SelectionSettings`.
        threshold: How two classes are parted: see `ThresholdRule.read`; None names the class of the higher score.
        protocol: Name of a published protocol, which fixes the above.
        features: Extractor of the images ("patches", "hog", ...), or None.
        weights: File with an extractor's weights.
        features_trusted: Whether the user wrote `features`; False where it was read from a run's files, whose
            word is not enough to import code.
        size, root, skip_bad, labels, column, background, cache, test, groups, sample_weight: See `load_dataset`.
        class_weight: ``balanced``, or a file of class weights (see `read_class_weights`), or None.
        table: How a table is read: ``drop``, ``keep``, ``categories``, ``numeric``, ``encoding``, ``delimiter``,
            ``header``, ``decimal``, ``missing`` of `load_dataset`.
        text: How texts become features: ``ngrams``, ``min_df``, ``max_features``, ``sublinear`` of an extractor.
        search: With sgd: a grid of learning rates and regs.
        learning_rate, epochs, batch_size, momentum, schedule: Of sgd.
        suspects: Whether training images are ranked by how likely their label is wrong.
        memory: Bytes that solvers and readers may use; None is a quarter of the machine's.
        seed: Of splits and batches.
        checkpoint_every: Seconds between checkpoints.
        overwrite: Replace a run of the same name.
        resume: Go on with an interrupted run of this name.
        progress: Show bars on a terminal.
    """

    source: str
    out: str
    loss: str = "softmax"
    reg: float | None = None
    path: bool = False
    regs: list[float] | None = None
    tol: float | None = None
    max_passes: float = 1000
    max_seconds: float = float("inf")
    solver: str = "auto"
    bias: str = "penalized"
    preprocess: str = "auto"
    device: str | None = None
    metric: str = "accuracy"
    threshold: str | None = None
    folds: int | None = None
    validation_size: float = 0.1
    one_standard_error: bool = False
    protocol: str | None = None
    features: str | None = None
    weights: str | None = None
    features_trusted: bool = True
    size: str | None = None
    root: str | None = None
    skip_bad: bool = False
    labels: str | None = None
    column: str | None = None
    test: str | None = None
    groups: str | None = None
    sample_weight: str | None = None
    class_weight: str | None = None
    background: str = "white"
    cache: bool = True
    table: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    search: bool = False
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int = 200
    momentum: float = 0.0
    schedule: str = "cosine"
    suspects: bool = True
    memory: int | None = None
    seed: int = 0
    checkpoint_every: float = 60.0
    overwrite: bool = False
    resume: bool = False
    progress: bool = True
    command: list[str] = field(default_factory=list)

    def checked(self) -> FitOptions:
        """Return self; raise `InputError` on combinations that make no sense."""
        if self.reg is not None and (self.path or self.regs):
            raise InputError(
                "reg-and-path", "both a single reg and a path were asked for", mend="give --reg or --path"
            )
        if self.search and self.solver != "sgd":
            raise InputError(
                "search-needs-sgd", "--search is the grid of minibatch SGD", mend="add --solver sgd"
            )
        self._known_words()
        if self.threshold is not None:
            ThresholdRule.read(self.threshold)
        self._counts()
        self.settings().checked()
        self.selection().checked()
        _refuse_device(self.device)
        return self

    def _known_words(self) -> None:
        """Refuse a word that names nothing before any data are read."""
        for name, words in (
            ("solver", ("auto", *SOLVERS)),
            ("bias", ("penalized", "free")),
            ("preprocess", KINDS),
        ):
            value = getattr(self, name)
            if value not in words:
                raise InputError(
                    f"{name}-unknown", f"{name} is {value!r}", mend=f"one of: {', '.join(words)}"
                )

    def _counts(self) -> None:
        if self.search and self.folds is not None:
            raise InputError(
                "search-folds", "--search chooses on a held-out split, not by folds", mend="leave --folds out"
            )
        if self.folds is not None and self.folds < 2:
            raise InputError("folds-invalid", f"folds is {self.folds}", mend="give 2 or more, such as 5")
        if not 0 < self.validation_size < 1:
            raise InputError(
                "validation-size", f"validation is {self.validation_size:g}", mend="a share, such as 0.1"
            )

    @property
    def usable_memory(self) -> int:
        """Bytes that solvers and readers may use."""
        if self.memory is not None:
            return self.memory
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        return 4 << 30

    @property
    def chooses(self) -> bool:
        """Whether reg is chosen on validation samples."""
        return self._names_values or self.is_automatic

    @property
    def is_automatic(self) -> bool:
        """Whether nobody said which reg, nor which values to choose among."""
        return self.reg is None and not self._names_values and self.solver != "sgd"

    @property
    def _names_values(self) -> bool:
        return self.path or self.regs is not None or self.search or self.protocol is not None

    def settings(self) -> FitSettings:
        """Return what the solvers are asked for."""
        usual = 1e-3 if self._names_values else get_loss(self.loss).tolerance
        tol = self.tol if self.tol is not None else usual
        return FitSettings(
            loss=self.loss,
            tol=tol,
            max_passes=self.max_passes,
            max_seconds=self.max_seconds,
            bias=self.bias,
            solver=self.solver,
            device=self.device,
            seed=self.seed,
        )

    def selection(self) -> SelectionSettings:
        """Return how reg is chosen."""
        return SelectionSettings(
            self.metric, self.folds, self.validation_size, self.one_standard_error, self.seed
        )

    def identity(self) -> dict[str, Any]:
        """Return what a resumed run must share: all that decides the answer, nothing that does not."""
        free = {
            "out",
            "progress",
            "checkpoint_every",
            "overwrite",
            "resume",
            "command",
            "memory",
            "cache",
            "root",
            "features_trusted",
        }
        return {key: value for key, value in asdict(self).items() if key not in free}


def _refuse_device(device: str | None) -> None:
    """Refuse a device that has no such name, or that this machine has not."""
    kind, _, number = (device or "cpu").partition(":")
    if kind not in {"cpu", "cuda"} or (number and not number.isdecimal()):
        raise InputError("device-unknown", f"device is {device!r}", mend="cpu or cuda")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(
            "device-missing",
            f"there is no device {device!r} on this machine",
            mend="leave --device out, or cpu",
        )
