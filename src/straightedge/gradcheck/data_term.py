"""Names for what is wrong in the data term: its value and gradient against those that known slips give."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from straightedge.gradcheck.mistakes import mistake, remark
from straightedge.gradcheck.probes import Precision, Probe
from straightedge.gradcheck.reference import KNOWN, VALUES, Floats, Labels, known_value_and_gradient, title
from straightedge.gradcheck.report import Diagnosis, GradCheckRow, Place, ValueRow
from straightedge.gradcheck.slips import Found, gradient_slips, margin_of, value_slips

Change = Callable[[Floats], Floats]
DIGITS_OF_A_SUM = 64  # roundings of the largest score or of X that a mean of right terms may differ by


@dataclass(frozen=True)
class DataTerm:
    """What a function's answers without regulariser are.

    Attributes:
        name: The loss it is, or nearly is; None where the value is that of no known loss.
        value_slips: Mistakes in the value.
        gradient_slips: Mistakes in dW; None where dW is neither right nor wrong in a known way.
    """

    name: str | None
    value_slips: Found
    gradient_slips: Found | None

    @property
    def is_right(self) -> bool:
        """Whether value and gradient are those of the loss called `name`."""
        return self.name is not None and not self.value_slips and self.gradient_slips == ()


class Matcher:
    """Compares what a function answered at the probes with what losses and slips give there.

    Args:
        X: (N, D) samples.
        probes: Answers at several weights; those that are not finite are left out.
        precision: The function's rounding.
    """

    def __init__(self, X: Floats, probes: Sequence[Probe], precision: Precision) -> None:
        self.X = X
        self.probes = [probe for probe in probes if probe.is_finite]
        self._precision = precision

    def data_term(self, expected: str | None) -> DataTerm:
        """Return the loss that the answers are, ``svm`` or ``softmax`` if expected, and the slips in them."""
        names = (expected,) if expected else tuple(VALUES)
        right = [name for name in (names if expected else KNOWN) if self._has_value(name)]
        for name in right:
            slips = self._gradient_slips(name, ()) if name in VALUES else self._gradient_of(name)
            if name in VALUES or slips == ():
                return DataTerm(name, (), slips)
        for name in names:
            found = self._value_slips(name)
            if found is not None:
                return DataTerm(name, found, self._gradient_slips(name, found))
        return self._another(expected)

    def deviating_entry(self, name: str, probe: Probe) -> tuple[int, int] | None:
        """Return the entry of dW that differs most from the right gradient, None where none does."""
        right = self._gradients(name)[self.probes.index(probe)]
        away = np.abs(probe.gradient - right)
        if away.max() <= self._gradient_slack(right, right):
            return None
        row, column = np.unravel_index(int(away.argmax()), away.shape)
        return int(row), int(column)

    def value_rows(self, name: str | None) -> tuple[ValueRow, ...]:
        """Return the values at the probes beside those of the loss called `name`."""
        rows = []
        for probe in self.probes:
            expected = None if name is None else known_value_and_gradient(name, probe.S, probe.y)[0]
            is_ok = expected is None or self._is_value(probe, expected)
            place: Place = "given W" if probe.is_given else "mixed margins"
            rows.append(ValueRow(place, probe.value, expected, is_ok))
        return tuple(rows)

    def _another(self, expected: str | None) -> DataTerm:
        """No slip fits: another loss that is known, or one that is not."""
        for name in KNOWN:
            if expected and name != expected and self._has_value(name):
                found = mistake("other-loss", found=title(name), expected=title(expected))
                return DataTerm(name, (found,), self._gradient_of(name))
        if expected:
            return DataTerm(expected, (mistake("value-differs"),), self._gradient_slips(expected, ()))
        return DataTerm(None, (), None)

    def _has_value(self, name: str) -> bool:
        pairs = ((probe, known_value_and_gradient(name, probe.S, probe.y)[0]) for probe in self.probes)
        return all(self._is_value(probe, value) for probe, value in pairs)

    def _value_slips(self, name: str) -> Found | None:
        delta = self._delta(name)
        for candidates in zip(*(_values(name, probe, delta) for probe in self.probes), strict=True):
            values = (value for _, value in candidates)
            if all(self._is_value(probe, value) for probe, value in zip(self.probes, values, strict=True)):
                slips: Found = candidates[0][0]
                return slips
        return None

    def _delta(self, name: str) -> float | None:
        """The SVM's Δ by the value at the last probe, to be confirmed at the others."""
        last = self.probes[-1]
        return margin_of(last.value, last.S, last.y) if name == "svm" else None

    def _gradient_of(self, name: str) -> Found | None:
        return () if self._is_gradient(self._gradients(name)) else None

    def _gradients(self, name: str) -> list[Floats]:
        found = (known_value_and_gradient(name, probe.S, probe.y)[1] for probe in self.probes)
        return [self.X.T @ A / len(self.X) for A in found]

    def _gradient_slips(self, name: str, in_value: Found) -> Found | None:
        """The slips that give dW: as few as possible, and rather those of the value."""
        delta, best, cost = self._delta(name), None, math.inf
        codes = {item.code for item in in_value}
        series = (_gradients(name, probe, self.X, delta) for probe in self.probes)
        for candidates in zip(*series, strict=True):
            found = candidates[0][0]
            price = len(found) + sum(item.code not in codes for item in found)
            if price < cost and self._is_gradient([gradient for _, gradient in candidates], name):
                best, cost = found, price
        return best

    def _is_value(self, probe: Probe, value: float) -> bool:
        largest = max(1.0, float(np.abs(probe.S).max()))
        rounding = DIGITS_OF_A_SUM * self._precision.value_epsilon * largest
        return abs(probe.value - value) <= self._precision.value_tolerance * abs(value) + rounding

    def _is_gradient(self, gradients: Sequence[Floats], name: str | None = None) -> bool:
        """Whether dW is this at every probe, one with a margin of exactly 0 left out."""
        rights = self._gradients(name) if name else gradients
        return all(
            float(np.linalg.norm(probe.gradient - gradient)) <= self._gradient_slack(gradient, right)
            for probe, gradient, right in zip(self.probes, gradients, rights, strict=True)
            if not probe.has_ties
        )

    def _gradient_slack(self, gradient: Floats, right: Floats) -> float:
        size = max(float(np.linalg.norm(gradient)), float(np.linalg.norm(right)))
        rounding = DIGITS_OF_A_SUM * self._precision.gradient_epsilon * float(np.abs(self.X).mean())
        return self._precision.gradient_tolerance * size + rounding


def diagnose_data(term: DataTerm, rows: Sequence[GradCheckRow], n_samples: int) -> list[Diagnosis]:
    """Return the mistakes of the data term in words, and the remark that the loss is unknown."""
    found = list(term.value_slips)
    if term.name is None:
        found.append(remark("unknown-loss"))
    if term.gradient_slips is not None:
        return [*found, *term.gradient_slips]
    by_ratio = _by_ratio(rows, n_samples)
    has_wrong_rows = any(row.verdict == "mistake" for row in rows)
    is_derivative_of_unknown = term.name is None and not has_wrong_rows
    if by_ratio or is_derivative_of_unknown or (term.value_slips and not has_wrong_rows):
        return [*found, *by_ratio]
    return [*found, mistake("gradient-differs")]


def _by_ratio(rows: Sequence[GradCheckRow], n_samples: int) -> list[Diagnosis]:
    """Without the formula at hand: one factor between analytic and numeric in every row has a name."""
    wrong = [row for row in rows if row.verdict == "mistake" and row.numeric]
    if not wrong:
        return []
    if all(row.is_bias == (row.verdict == "mistake") or not row.numeric for row in rows):
        return [mistake("bias-row")] if all(row.analytic == 0 for row in wrong) else []
    ratios = np.array([row.analytic / row.numeric for row in wrong])
    factors = {
        "sign": -1.0,
        "gradient-missing": 0.0,
        "mean-missing": n_samples,
        "mean-twice": 1 / n_samples,
        "factor": 2.0,
    }
    names = [code for code, factor in factors.items() if np.allclose(ratios, factor, rtol=1e-4, atol=1e-12)]
    return [mistake(names[0])] if names else []


def _values(name: str, probe: Probe, delta: float | None) -> Iterator[tuple[Found, float]]:
    """Values at reg = 0 with the slips in them: one slip of the loss, one of what follows it, or both."""
    n_samples, n_classes = probe.S.shape
    scales = {
        "loss-mean-missing": n_samples,
        "class-mean": 1 / n_classes,
        "loss-sign": -1.0,
        "loss-mean-twice": 1 / n_samples,
    }
    slips = list(value_slips(name, probe.S, probe.y, delta))
    yield from slips[1:]
    for found, value in slips:
        for detail, scale in scales.items():
            yield (*found, mistake(detail)), scale * value
        yield (*found, mistake("reg-added")), value + float(np.sum(probe.W**2))


def _gradients(name: str, probe: Probe, X: Floats, delta: float | None) -> Iterator[tuple[Found, Floats]]:
    """Gradients at reg = 0 with the slips in them: none first, then one, then two."""
    changes = _changes(probe.W, probe.y)
    for found, A in gradient_slips(name, probe.S, probe.y, delta):
        G = X.T @ A / len(X)
        yield found, G
        for detail, change in changes:
            yield (*found, mistake(detail)), change(G)


def _changes(W: Floats, y: Labels) -> list[tuple[str, Change]]:
    """What can go wrong after XᵀA / N, whatever the loss."""
    n_samples, n_classes = len(y), W.shape[1]
    counts = np.maximum(np.bincount(y, minlength=n_classes), 1)
    changes: list[tuple[str, Change]] = [
        ("mean-missing", lambda G: G * n_samples),
        ("mean-twice", lambda G: G / n_samples),
        ("sign", lambda G: -G),
        ("class-mean-in-gradient", lambda G: G / n_classes),
        ("factor", lambda G: G * 2),
        ("factor", lambda G: G / 2),
        ("gradient-missing", lambda G: G * 0),
        ("bias-row", lambda G: np.vstack([G[:-1], np.zeros_like(G[:1])])),
        ("one-over-n-per-class", lambda G: G * n_samples / counts),
        ("regulariser-without-reg", lambda G: G + 2 * W),
    ]
    if W.shape[0] == W.shape[1]:
        changes.append(("transposed", lambda G: G.T))
    return changes
