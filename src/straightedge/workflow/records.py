"""The records of which `FitOptions` is made: what is read, split, fitted and chosen, and what is written.

Their fields are the options of ``straightedge fit`` by name; config.json has them all in one table.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import torch

from straightedge.errors import InputError
from straightedge.evaluation.thresholds import ThresholdRule
from straightedge.moments import KINDS
from straightedge.parameters import one_reg
from straightedge.solvers import SOLVERS


@dataclass(frozen=True)
class DataOptions:
    """What is read, and how. See `straightedge.data.load_dataset` for all but the last.

    Attributes:
        source: File, folder or name of the data; "" where a resumed run says it.
        labels, column: Where labels and features stand.
        classes: Class names in their order, with commas, or None: numbers by size, text by letter.
        multilabel: Whether rows have several labels each: `labels` names several columns, or one of lists.
        sample_weight: Column or file of how often each row counts, or None.
        root: Folder with a copy of a named data set, or None.
        size, background: Images are resized to it; the colour under transparent pixels.
        skip_bad: Go on without broken images.
        cache: Keep decoded images and features.
        table: How a table is read: ``drop``, ``keep``, ``categories``, ``numeric``, ``dates``, ``encoding``,
            ``delimiter``, ``header``, ``decimal``, ``missing``, ``image_shape``, ``split_column``, ``time`` of
            `load_dataset`.
        memory: Bytes that solvers and readers may use; None is a quarter of the machine's.
    """

    source: str = ""
    labels: str | None = None
    column: str | None = None
    classes: str | None = None
    multilabel: bool = False
    sample_weight: str | None = None
    root: str | None = None
    size: str | None = None
    background: str = "white"
    skip_bad: bool = False
    cache: bool = True
    table: dict[str, Any] = field(default_factory=dict)
    memory: int | None = None

    @property
    def usable_memory(self) -> int:
        """Bytes that solvers and readers may use."""
        if self.memory is not None:
            return self.memory
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        return 4 << 30


@dataclass(frozen=True)
class ExtractorOptions:
    """What makes features of images or texts.

    Attributes:
        features: Extractor ("patches", "hog", "tfidf", ...), or None.
        weights: File with an extractor's weights, or None.
        features_trusted: Whether the user wrote `features`; False where it was read from a run's files, whose
            word is not enough to import code.
        text: How texts become features: ``ngrams``, ``min_df``, ``max_features``, ``sublinear`` of an extractor.
    """

    features: str | None = None
    weights: str | None = None
    features_trusted: bool = True
    text: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitOptions:
    """Which rows are fitted, which choose reg and which judge.

    Attributes:
        test: File or folder of test rows, or None.
        groups: Column or file of what belongs together, or None: splits keep groups whole.
        validation_size: Share of the training rows held out where the data bring no validation split, in (0, 1).
        folds: Number of folds, 2 or more, that judge and choose in place of a held-out split, or None.
        seed: Of splits and of minibatches.
    """

    test: str | None = None
    groups: str | None = None
    validation_size: float = 0.1
    folds: int | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise `InputError` ``folds-invalid`` or ``validation-size``."""
        if self.folds is not None and self.folds < 2:
            raise InputError("folds-invalid", f"folds is {self.folds}", mend="give 2 or more, such as 5")
        if not 0 < self.validation_size < 1:
            what = f"validation is {self.validation_size:g}"
            raise InputError("validation-size", what, mend="a share, such as 0.1")


@dataclass(frozen=True)
class ObjectiveOptions:
    """Which objective is minimised, how closely, by what and where.

    Attributes:
        loss: Name of the loss.
        reg: The value, or None to have it chosen (for SGD: one from the data's scale).
        bias: "penalized" or "free".
        preprocess: See `moments.fit_affine`.
        class_weight: ``balanced``, or a file of class weights (see `read_class_weights`), or None.
        solver: "auto", or a solver's name.
        tol: Relative gap to certify; None is 1e-4 for one value and 1e-3 for a path.
        max_passes: Passes over the rows for one configuration.
        max_seconds: Wall time of one solve, s.
        device: Where products run, the extractor's too; None is the CPU.
    """

    loss: str = "softmax"
    reg: float | None = None
    bias: str = "penalized"
    preprocess: str = "auto"
    class_weight: str | None = None
    solver: str = "auto"
    tol: float | None = None
    max_passes: float = 1000
    max_seconds: float = float("inf")
    device: str | None = None

    def check(self) -> None:
        """Refuse a word that names nothing before any data are read.

        Raises:
            InputError: ``solver-unknown``, ``bias-unknown``, ``preprocess-unknown``, ``device-unknown``,
                ``device-missing``; ``reg-invalid`` and ``reg-zero`` for a reg that is no single usable number.
        """
        for name, words in (("solver", ("auto", *SOLVERS)), ("bias", ("penalized", "free")), ("preprocess", KINDS)):
            value = getattr(self, name)
            if value not in words:
                raise InputError(f"{name}-unknown", f"{name} is {value!r}", mend=f"one of: {', '.join(words)}")
        _refuse_device(self.device)
        if self.reg is not None:
            one_reg(self.reg, exact=self.solver != "sgd")


@dataclass(frozen=True)
class ChoiceOptions:
    """How reg is chosen.

    Attributes:
        path: Whether reg is chosen among several values.
        regs: The values tried, or None for the default grid.
        protocol: Name of a published protocol, which fixes split, grid, bias and metric, or None.
        metric: "accuracy", "balanced_accuracy" or "log_loss".
        one_standard_error: Take the largest reg whose metric is within one standard error of the best, and whose
            log loss of the least among those.
        threshold: How two classes are parted: see `ThresholdRule.read`; None names the class of the higher score.
    """

    path: bool = False
    regs: list[float] | None = None
    protocol: str | None = None
    metric: str = "accuracy"
    one_standard_error: bool = False
    threshold: str | None = None

    def check(self) -> None:
        """Refuse a rule for the threshold that says nothing."""
        if self.threshold is not None:
            ThresholdRule.read(self.threshold)


@dataclass(frozen=True)
class MinibatchOptions:
    """What minibatch SGD is asked for (see `solvers.sgd.MinibatchSGD`); no other solver looks at it.

    Attributes:
        search: Train a grid of learning rates and regs, and choose on held-out rows.
        learning_rate: Step length, or None for one from the data's scale.
        epochs: Passes worth of batches, or None for 8, or as many as make 2,000 batches.
        batch_size: Rows of a batch.
        momentum: Heavy ball, in [0, 1).
        schedule: "constant", "cosine" or "linear".
    """

    search: bool = False
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int = 200
    momentum: float = 0.0
    schedule: str = "cosine"


@dataclass(frozen=True)
class RunOptions:
    """Where the run is written, and what is shown and kept on the way.

    Attributes:
        out: The run folder.
        suspects: Whether training samples are ranked by how likely their label is wrong.
        bootstrap: Refits for the intervals of a table's coefficients; 0 gives none.
        checkpoint_every: Seconds between checkpoints.
        overwrite: Replace a run of the same name.
        resume: Go on with an interrupted run of this name.
        progress: Show bars on a terminal.
        command: The command line, for config.json; empty means this process's own.
    """

    out: str = ""
    suspects: bool = True
    bootstrap: int = 0
    checkpoint_every: float = 60.0
    overwrite: bool = False
    resume: bool = False
    progress: bool = True
    command: list[str] = field(default_factory=list)


def _refuse_device(device: str | None) -> None:
    """Refuse a device that has no such name, or that this machine has not."""
    kind, _, number = (device or "cpu").partition(":")
    if kind not in {"cpu", "cuda"} or (number and not number.isdecimal()):
        raise InputError("device-unknown", f"device is {device!r}", mend="cpu or cuda")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        what = f"there is no device {device!r} on this machine"
        raise InputError("device-missing", what, mend="leave --device out, or cpu")
