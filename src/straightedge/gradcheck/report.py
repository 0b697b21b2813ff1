"""What a gradient check found: a row an entry, and the names of the likely mistakes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Part = Literal["data", "regulariser"]
Verdict = Literal["ok", "kink", "mistake"]


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
class Diagnosis:
    """A likely mistake, or a remark on a convention.

    Attributes:
        code: Stable name, such as ``mean-missing``.
        text: What is wrong and what the notes have instead, one sentence.
        is_mistake: False for a remark: a choice that differs from the notes but is right in itself.
    """

    code: str
    text: str
    is_mistake: bool = True


@dataclass(frozen=True)
class GradCheckReport:
    """The whole answer of `check_gradient`.

    Attributes:
        loss: ``svm`` or ``softmax`` when the value is that of a loss of the notes, else None.
        rows: The entries that were checked.
        diagnosis: Likely mistakes first, then remarks.
    """

    loss: str | None
    rows: tuple[GradCheckRow, ...]
    diagnosis: tuple[Diagnosis, ...]

    @property
    def ok(self) -> bool:
        """Whether the data term was checked somewhere away from kinks, and nothing is wrong."""
        checked = any(row.verdict == "ok" and row.part == "data" for row in self.rows)
        wrong = any(row.verdict == "mistake" for row in self.rows)
        return checked and not wrong and not self.mistakes

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Codes of the likely mistakes, remarks left out."""
        return tuple(item.code for item in self.diagnosis if item.is_mistake)

    @property
    def n_kinks(self) -> int:
        """Number of entries that lie on a kink."""
        return sum(row.verdict == "kink" for row in self.rows)

    @property
    def max_relative_error(self) -> float:
        """Largest relative error away from kinks; NaN when nothing was checked."""
        errors = [row.relative_error for row in self.rows if row.verdict != "kink"]
        return max(errors, default=float("nan"))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON object that ``check-gradients --json`` prints."""
        return {
            "ok": self.ok,
            "loss": self.loss,
            "max_relative_error": _finite(self.max_relative_error),
            "n_entries": len(self.rows),
            "n_kinks": self.n_kinks,
            "rows": [{name: _finite(item) for name, item in asdict(row).items()} for row in self.rows],
            "diagnosis": [asdict(item) for item in self.diagnosis],
        }

    def __str__(self) -> str:
        head = f"{'part':<12}{'row':>6}{'class':>6}{'analytic':>16}{'numeric':>16}{'rel. error':>12}  verdict"
        lines = [head] + [_line(row) for row in self.rows]
        lines += [f"{'mistake' if item.is_mistake else 'remark'}: {item.text}" for item in self.diagnosis]
        return "\n".join([*lines, "the gradient is right" if self.ok else "the gradient is not proven right"])


def _finite(item: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _line(row: GradCheckRow) -> str:
    name = "bias" if row.is_bias else str(row.row)
    numbers = f"{row.analytic:>16.8g}{row.numeric:>16.8g}{row.relative_error:>12.1e}"
    return f"{row.part:<12}{name:>6}{row.column:>6}{numbers}  {row.verdict}"
