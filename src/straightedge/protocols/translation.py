"""From C, λ, α and weight_decay to reg and back: what each system minimises, written out.

Everywhere P(W) = (1/N) Σ ℓ(xᵢW, yᵢ) + reg ΣW² is ours. Two objectives with the same loss have the same minimiser
when one is a multiple of the other, so every translation is one factor. Where a system keeps a single weight
vector w for two classes, W = [−w/2, w/2] gives the same scores and ΣW² = ‖w‖²/2: reg doubles.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from straightedge.errors import InputError


@dataclass(frozen=True)
class System:
    """A program that fits linear classifiers, and what it minimises.

    Attributes:
        key: Name on the command line.
        title: Name for people.
        parameter: What it calls its regularisation: ``C``, ``lambda``, ``alpha``, ``weight_decay``, ``reg``.
        objective: What it minimises, with N samples and K classes.
        loss: Our loss it equals: ``softmax`` or ``svm``; "" where it has another one (then only the penalties
            correspond, and the minimisers differ).
        inverse: Whether the parameter is an inverse strength, like C.
        factor: (N, K) -> f with reg = f · parameter, or f / parameter where `inverse`.
        single_vector: Whether two classes are one weight vector: reg doubles, and one-against-rest losses
            become ours (`loss_of_two`).
        loss_of_two: Our loss it equals with two classes, if not `loss`.
        intercept: ``free``, ``penalized`` or ``choice``.
        caveats: What else to know before comparing numbers.
    """

    key: str
    title: str
    parameter: str
    objective: str
    loss: str
    inverse: bool
    factor: Callable[[int, int], float]
    single_vector: bool = False
    loss_of_two: str = ""
    intercept: str = "free"
    caveats: tuple[str, ...] = ()

    def to_reg(self, value: float, n: int, classes: int) -> float:
        """Return the reg whose penalty weighs against the loss as `value` does in this system."""
        factor = self.factor(n, classes) * self._doubling(classes)
        return factor / value if self.inverse else factor * value

    def from_reg(self, reg: float, n: int, classes: int) -> float:
        """Return the parameter of this system for our reg."""
        factor = self.factor(n, classes) * self._doubling(classes)
        return factor / reg if self.inverse else reg / factor

    def equals(self, classes: int) -> str:
        """Return our loss that it minimises with so many classes: ``softmax``, ``svm`` or ""."""
        return self.loss or (self.loss_of_two if classes == 2 else "")

    def _doubling(self, classes: int) -> float:
        return 2.0 if self.single_vector and classes == 2 else 1.0


@dataclass(frozen=True)
class Equivalent:
    """One row of a translation: the value of one system's parameter.

    Attributes:
        system: The system.
        value: Its parameter; None where it needs an N that was not given.
        loss: Our loss that the system minimises, or "" where only the penalties correspond.
    """

    system: System
    value: float | None
    loss: str


@dataclass(frozen=True)
class Translation:
    """The answer of `translate`.

    Attributes:
        given: Which parameter of which system was given, and its value.
        reg: The same strength in P(W) = mean loss + reg ΣW².
        n: Number of samples, if known.
        classes: Number of classes.
        rows: Every system's equivalent.
    """

    given: tuple[str, str, float]
    reg: float
    n: int | None
    classes: int
    rows: tuple[Equivalent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "given": dict(zip(("system", "parameter", "value"), self.given, strict=True)),
            "reg": self.reg,
            "n": self.n,
            "classes": self.classes,
            "objective": "(1/N) Σ loss + reg Σ W²",
            "systems": [_row(row) for row in self.rows],
        }


def _row(row: Equivalent) -> dict[str, Any]:
    system = row.system
    return {
        "system": system.key,
        "title": system.title,
        "parameter": system.parameter,
        "value": row.value,
        "objective": system.objective,
        "same_minimiser_as": row.loss or None,
        "intercept": system.intercept,
        "caveats": list(system.caveats),
    }


def translate(
    parameter: str, value: float, *, n: int | None = None, classes: int = 10, system: str | None = None
) -> Translation:
    """Express one regularisation strength in the words of every system.

    Args:
        parameter: ``reg``, ``C``, ``lambda``, ``alpha`` or ``weight_decay``.
        value: Its value, positive.
        n: Number of training samples N, needed wherever a system adds up losses instead of averaging them.
        classes: Number of classes.
        system: Whose parameter it is (a `System.key`); None is the first system that has one of that name:
            scikit-learn for C, CLIP for lambda, SGDClassifier for alpha, PyTorch's cross-entropy for weight_decay.

    Returns:
        The equivalent reg, and every system's parameter for it.

    Raises:
        InputError: ``translate-parameter``, ``translate-system``, ``translate-value``, ``translate-needs-n``,
            ``translate-classes``.
    """
    source = _source(parameter, system)
    _check(value, n, classes)
    if n is None and needs_n(source):
        what = f"{source.title} adds up the losses of all samples, so its {parameter} means nothing without N"
        raise InputError("translate-needs-n", what, mend="say how many training samples there are: --n 50000")
    reg = source.to_reg(value, n or 1, classes)
    rows = tuple(_equivalent(other, reg, n, classes) for other in _systems())
    return Translation((source.key, parameter, value), reg, n, classes, rows)


def needs_n(system: System) -> bool:
    """Return whether the parameter's meaning depends on the number of samples."""
    return system.factor(1, 2) != system.factor(2, 2)


def _equivalent(system: System, reg: float, n: int | None, classes: int) -> Equivalent:
    known = n is not None or not needs_n(system)
    value = system.from_reg(reg, n or 1, classes) if known else None
    return Equivalent(system, value, system.equals(classes))


def _systems() -> tuple[System, ...]:
    from straightedge.protocols.systems import SYSTEMS

    return SYSTEMS


def _source(parameter: str, key: str | None) -> System:
    known = [s for s in _systems() if s.parameter == parameter]
    if not known:
        names = ", ".join(dict.fromkeys(s.parameter for s in _systems()))
        raise InputError("translate-parameter", f"no system calls its regularisation {parameter!r}", mend=names)
    if key is None:
        return known[0]
    for system in known:
        if system.key == key:
            return system
    what = f"{key!r} is no system with a parameter {parameter!r}"
    raise InputError("translate-system", what, mend="one of: " + ", ".join(s.key for s in known))


def _check(value: float, n: int | None, classes: int) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError("translate-value", f"{value} is no regularisation strength", mend="expected a number > 0")
    if n is not None and n < 1:
        raise InputError("translate-needs-n", f"{n} is no number of samples", mend="expected --n 1 or more")
    if classes < 2:
        raise InputError("translate-classes", f"{classes} is no number of classes", mend="expected 2 or more")
