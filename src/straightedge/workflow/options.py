"""What a fit was asked for, as the command line or a caller gave it: seven records of options."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from straightedge.errors import InputError
from straightedge.fitting import FitSettings
from straightedge.losses import get_loss
from straightedge.nested import records_from
from straightedge.selection import SelectionSettings
from straightedge.workflow.records import (
    ChoiceOptions,
    DataOptions,
    ExtractorOptions,
    MinibatchOptions,
    ObjectiveOptions,
    RunOptions,
    SplitOptions,
)

RECORDS: dict[str, type] = {
    "data": DataOptions,
    "extractor": ExtractorOptions,
    "split": SplitOptions,
    "fit": ObjectiveOptions,
    "choice": ChoiceOptions,
    "sgd": MinibatchOptions,
    "run": RunOptions,
}
SAYS_NOTHING_OF_THE_ANSWER = frozenset(
    {
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
)
"""Options in which a resumed run may differ from its beginning."""


@dataclass(frozen=True, init=False)
class FitOptions:
    """Everything that decides the answer, and where it goes.

    Options stand in records, and may be given by their own names, too: ``FitOptions("digits", "run", reg=1e-3)`` is
    ``FitOptions(data=DataOptions("digits"), run=RunOptions("run"), fit=ObjectiveOptions(reg=1e-3))``.
    `dataclasses.replace` takes both as well.

    Args:
        source: Option of `data`.
        out: Option of `run`.
        **given: Records by their names, and options by theirs; an option changes the record that has it.

    Attributes:
        data: What is read.
        extractor: What makes features of images or texts.
        split: Which rows are fitted, which choose, and which judge.
        fit: Which objective is minimised, how closely, by what and where.
        choice: How reg is chosen.
        sgd: What minibatch SGD is asked for.
        run: Where the run is written, and what is shown on the way.
        names_values: Whether values of reg to choose among were named.
        is_automatic: Whether nobody said which reg, nor which values to choose among.

    Raises:
        TypeError: For an option that no record has.
    """

    data: DataOptions
    extractor: ExtractorOptions
    split: SplitOptions
    fit: ObjectiveOptions
    choice: ChoiceOptions
    sgd: MinibatchOptions
    run: RunOptions
    names_values: bool = field(init=False, repr=False, compare=False)
    is_automatic: bool = field(init=False, repr=False, compare=False)

    def __init__(self, source: str | None = None, out: str | None = None, **given: Any) -> None:
        given |= {name: value for name, value in (("source", source), ("out", out)) if value is not None}
        self.__dict__.update(records_from(RECORDS, given, "FitOptions"))
        choice, fit = self.choice, self.fit
        named = choice.path or choice.regs is not None or self.sgd.search or choice.protocol is not None
        automatic = fit.reg is None and not named and fit.solver != "sgd"
        self.__dict__.update(names_values=named, is_automatic=automatic)

    def checked(self) -> FitOptions:
        """Return self; raise `InputError` on combinations that make no sense."""
        if self.fit.reg is not None and (self.choice.path or self.choice.regs):
            what = "both a single reg and a path were asked for"
            raise InputError("reg-and-path", what, mend="give --reg or --path")
        self._check_sgd()
        self.fit.check()
        self.split.check()
        self.choice.check()
        self.settings().checked()
        self.selection().checked()
        return self

    def _check_sgd(self) -> None:
        if self.sgd.search and self.fit.solver != "sgd":
            raise InputError("search-needs-sgd", "--search is the grid of minibatch SGD", mend="add --solver sgd")
        unlike = [name for name, value in asdict(MinibatchOptions()).items() if getattr(self.sgd, name) != value]
        if unlike and self.fit.solver != "sgd":
            what = f"--{unlike[0].replace('_', '-')} is for minibatch SGD alone"
            raise InputError("option-unused", what, mend="add --solver sgd")
        if self.sgd.search and self.split.folds is not None:
            what = "--search chooses on a held-out split, not by folds"
            raise InputError("search-folds", what, mend="leave --folds out")

    @property
    def chooses(self) -> bool:
        """Whether reg is chosen on validation samples."""
        return self.names_values or self.is_automatic

    def settings(self) -> FitSettings:
        """Return what the solvers are asked for."""
        fit = self.fit
        usual = 1e-3 if self.names_values else get_loss(fit.loss).tolerance
        return FitSettings(
            loss=fit.loss,
            tol=fit.tol if fit.tol is not None else usual,
            max_passes=fit.max_passes,
            max_seconds=fit.max_seconds,
            bias=fit.bias,
            solver=fit.solver,
            device=fit.device,
            seed=self.split.seed,
        )

    def selection(self) -> SelectionSettings:
        """Return how reg is chosen."""
        split, choice = self.split, self.choice
        return SelectionSettings(
            choice.metric, split.folds, split.validation_size, choice.one_standard_error, split.seed
        )

    def flat(self) -> dict[str, Any]:
        """Return all options in one table, by name: what config.json has."""
        return {option: value for name in RECORDS for option, value in asdict(getattr(self, name)).items()}

    def identity(self) -> dict[str, Any]:
        """Return what a resumed run must share: all that decides the answer, nothing that does not."""
        return {name: value for name, value in self.flat().items() if name not in SAYS_NOTHING_OF_THE_ANSWER}
