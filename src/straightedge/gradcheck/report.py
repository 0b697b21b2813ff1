"""What a gradient check found: a row an entry, the values, and the names of the likely mistakes."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from straightedge.gradcheck.reference import title

Part = Literal["data", "regulariser"]
Verdict = Literal["ok", "kink", "mistake"]
Place = Literal["given W", "mixed margins", "penalty", "scores + 1e4", "scores - 1e4"]

PLACES: dict[Place, str] = {
    "given W": "the loss without regulariser",
    "mixed margins": "the loss without regulariser, at weights with open and closed margins,",
    "penalty": "what reg adds to the loss",
    "scores + 1e4": "the loss with all scores 1e4 higher",
    "scores - 1e4": "the loss with all scores 1e4 lower",
}


@dataclass(frozen=True)
class GradCheckRow:
    """One entry of dW beside its central difference.

    Attributes:
        part: ``data``, the mean loss (reg = 0), or ``regulariser``, what reg adds.
        row: Row of W; the last one is the bias.
        column: Column of W, a class.
        is_bias: Whether `row` is the bias row.
        analytic: The entry as the function under test gives it.
        numeric: (f(W + hM) − f(W − hM)) / 2h.
        relative_error: |analytic − numeric| / max(|analytic|, |numeric|), 0 where rounding alone makes them
            differ (an entry too small for the digits that the loss has).
        verdict: ``ok``; ``kink`` where the loss bends between the two points, so that the quotient proves
            nothing; ``mistake``.
    """

    part: Part
    row: int
    column: int
    is_bias: bool
    analytic: float
    numeric: float
    relative_error: float
    verdict: Verdict


@dataclass(frozen=True)
class ValueRow:
    """A value beside the right one.

    Attributes:
        place: Where: ``given W``; ``mixed margins``, weights at which some margins are closed and some open;
            ``penalty``, what reg adds; ``scores + 1e4`` and ``scores - 1e4``, all scores
            higher or lower by the same.
        value: What the function returns.
        expected: What the loss that it is, or should be, has there; None where none is known.
        is_ok: Whether they are the same but for rounding.
    """

    place: Place
    value: float
    expected: float | None
    is_ok: bool


@dataclass(frozen=True)
class Diagnosis:
    """A likely mistake, or a remark on a convention.

    Attributes:
        code: Stable name, such as ``missing-division-by-n``.
        text: What is wrong and what the notes have instead, one sentence.
        is_mistake: False for a remark: a choice that differs from the notes but is right in itself.
        detail: Stable finer name that says where it shows, such as ``mean-missing`` (in dW); often the same.
    """

    code: str
    text: str
    is_mistake: bool = True
    detail: str = ""


@dataclass(frozen=True)
class GradCheckReport:
    """The whole answer of `check_gradient`.

    Attributes:
        loss: The known loss that the value is, or nearly is: ``svm``, ``softmax`` or another one of
            `straightedge.losses`; None where it is none.
        rows: The entries that were checked.
        diagnosis: Likely mistakes first, then remarks.
        values: The loss beside the known one's.
    """

    loss: str | None
    rows: tuple[GradCheckRow, ...]
    diagnosis: tuple[Diagnosis, ...]
    values: tuple[ValueRow, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the data term was checked somewhere away from kinks, and nothing is wrong."""
        checked = any(row.verdict == "ok" and row.part == "data" for row in self.rows)
        wrong = any(row.verdict == "mistake" for row in self.rows)
        return checked and not wrong and not self.mistakes

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Codes of the likely mistakes, each once, remarks left out."""
        return tuple(dict.fromkeys(item.code for item in self.diagnosis if item.is_mistake))

    @property
    def n_kinks(self) -> int:
        """Number of entries that lie on a kink."""
        return sum(row.verdict == "kink" for row in self.rows)

    @property
    def max_relative_error(self) -> float:
        """Largest relative error away from kinks; NaN when nothing was checked."""
        errors = [row.relative_error for row in self.rows if row.verdict != "kink"]
        return max(errors, default=float("nan"))

    @property
    def where(self) -> str:
        """The entry or the value that a mistake shows in most, one sentence; empty where none does."""
        wrong = [row for row in self.rows if row.verdict == "mistake"]
        if wrong:
            errors = [abs(row.analytic - row.numeric) for row in wrong]
            worst = max(range(len(wrong)), key=lambda k: errors[k] if math.isfinite(errors[k]) else math.inf)
            row = wrong[worst]
            bias = " (the bias row)" if row.is_bias else ""
            found = f"dW[{row.row}, {row.column}]{bias} is {row.analytic:.6g}, differences give {row.numeric:.6g}"
            return f"{found} ({row.part} term)"
        for value in self.values:
            if not value.is_ok:
                right = "finite" if value.expected is None else f"{value.expected:.6g}"
                return f"{PLACES[value.place]} is {value.value:.6g}, it should be {right}"
        return ""

    @property
    def verdict(self) -> str:
        """What the check says in the end, one sentence: of gradient and value."""
        if not self.ok:
            return "not right" if self.mistakes else "the gradient is not proven right"
        if self.loss is None:
            return "the gradient is the derivative of the value; the value is not that of a known loss"
        if any(item.code == "other-regulariser" for item in self.diagnosis):
            return f"the gradient is the derivative of the value: {title(self.loss)} with another penalty"
        return f"gradient and value are right: it is {title(self.loss)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON object that ``check-gradients --json`` prints."""
        return {
            "ok": self.ok,
            "loss": self.loss,
            "verdict": self.verdict,
            "where": self.where,
            "max_relative_error": _finite(self.max_relative_error),
            "n_entries": len(self.rows),
            "n_kinks": self.n_kinks,
            "rows": [_fields(row) for row in self.rows],
            "values": [_fields(row) for row in self.values],
            "diagnosis": [asdict(item) for item in self.diagnosis],
        }

    def __str__(self) -> str:
        head = f"{'part':<12}{'row':>6}{'class':>6}{'analytic':>16}{'numeric':>16}{'rel. error':>12}  verdict"
        lines = [head, *map(_line, self.rows)] if self.rows else []
        lines += map(_value_line, self.values)
        lines += map(_diagnosis_line, self.diagnosis)
        lines += [f"where: {self.where}"] if self.where else []
        return "\n".join([*lines, self.verdict])


def _diagnosis_line(item: Diagnosis) -> str:
    names = item.code if item.detail in ("", item.code) else f"{item.code}: {item.detail}"
    return f"{'mistake' if item.is_mistake else 'remark'}: {item.text} [{names}]"


def _fields(row: GradCheckRow | ValueRow) -> dict[str, Any]:
    return {name: _finite(item) for name, item in asdict(row).items()}


def _finite(item: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _line(row: GradCheckRow) -> str:
    name = "bias" if row.is_bias else str(row.row)
    numbers = f"{row.analytic:>16.8g}{row.numeric:>16.8g}{row.relative_error:>12.1e}"
    return f"{row.part:<12}{name:>6}{row.column:>6}{numbers}  {row.verdict}"


def _value_line(row: ValueRow) -> str:
    expected = f"{'–':>16}" if row.expected is None else f"{row.expected:>16.8g}"
    verdict = "ok" if row.is_ok else "mistake"
    return f"{'value, ' + row.place:<24}{row.value:>16.8g}{expected}{'':>12}  {verdict}"
