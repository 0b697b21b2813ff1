"""Published probing protocols by name: split, grid, normalisation, bias, metric and choice, all fixed.

Each is logistic regression (or the course's losses) solved exactly, so a difference from the published number is
one of features or data, not of a solver that stopped early. The notes of each say where the source leaves a choice
open or where this project differs.
"""

import math
from dataclasses import dataclass

from straightedge.errors import InputError
from straightedge.protocols.systems import SYSTEMS


@dataclass(frozen=True)
class HoldOut:
    """How a validation split is taken from the training samples when the data bring none.

    Attributes:
        count: Samples held out, if the protocol says how many.
        fraction: Share held out, rounded down, if it says a share.
        where: ``random`` or ``stratified`` (every class in its share).
    """

    count: int | None = None
    fraction: float | None = None
    where: str = "random"

    def size(self, n: int) -> int:
        """Return how many of n training samples are held out, at least 1 and at most n − 1."""
        wanted = self.count if self.count is not None else math.floor(n * (self.fraction or 0.0))
        return max(1, min(wanted, n - 1))


@dataclass(frozen=True)
class Protocol:
    """One published way of probing.

    Attributes:
        name: What ``--protocol`` takes.
        title: Where it is from.
        loss: ``softmax`` or ``svm``; None leaves the choice to the user.
        parameter: What the grid's numbers are: a parameter name of `system`.
        system: Key of the system whose objective gives them meaning.
        grid: The values tried, in the order they are tried; the first of equally good ones is chosen.
        split: How validation samples are held out if the data bring no validation split.
        normalization: ``none``, or ``channel-mean``: the mean of each colour channel is subtracted.
        bias: ``free`` or ``penalized``.
        metric: What is chosen by and reported.
        refit: Whether the chosen value is fitted again on training and validation samples together.
        references: Where this is written.
        notes: What the source leaves open, and what is done here.
    """

    name: str
    title: str
    loss: str | None
    parameter: str
    system: str
    grid: tuple[float, ...]
    split: HoldOut
    normalization: str
    bias: str
    metric: str
    refit: bool
    references: tuple[str, ...]
    notes: tuple[str, ...]

    def reg(self, value: float, n: int, classes: int) -> float:
        """Return the reg of one grid value for n training samples.

        Ask again with the new n before a refit: what the source keeps is its own parameter, not our reg.
        """
        (system,) = (s for s in SYSTEMS if s.key == self.system)
        return system.to_reg(value, n, classes)

    def reg_values(self, n: int, classes: int) -> tuple[float, ...]:
        """Return the reg of every grid value for n training samples, in the order of the grid."""
        return tuple(self.reg(value, n, classes) for value in self.grid)


def _log_spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return `count` powers of ten with exponents evenly spaced from `low` to `high`, both included."""
    return tuple(10 ** (low + (high - low) * i / (count - 1)) for i in range(count))


CLIP = Protocol(
    name="clip",
    title="CLIP linear probe: 96 values of λ from 1e-6 to 1e6",
    loss="softmax",
    parameter="lambda",
    system="clip",
    grid=_log_spaced(-6, 6, 96),
    split=HoldOut(fraction=0.2, where="stratified"),
    normalization="none",
    bias="free",
    metric="accuracy",
    refit=True,
    references=(
        "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, "
        "appendix A.3",
        "github.com/openai/CLIP, README, linear-probe evaluation",
    ),
    notes=(
        "the paper searches the range by halving to save fits; here all values are fitted",
        "λ is 1/C of scikit-learn's LogisticRegression; the grid is the same read as C, in the other order",
        "the paper splits training data that bring no validation split, without saying how: 20 %, stratified",
        "the paper reports mean per class on some data sets: add --metric balanced_accuracy there",
    ),
)

DINOV2 = Protocol(
    name="dinov2",
    title="DINOv2 logistic regression: 45 values of C from 1e-6 to 1e5",
    loss="softmax",
    parameter="C",
    system="dinov2",
    grid=_log_spaced(-6, 5, 45),
    split=HoldOut(fraction=0.1, where="random"),
    normalization="none",
    bias="free",
    metric="accuracy",
    refit=True,
    references=(
        "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024",
        "github.com/facebookresearch/dinov2, dinov2/eval/log_regression.py (C_POWER_RANGE, sweep_C_values)",
    ),
    notes=(
        "the original stops cuML's L-BFGS at 1,000 iterations; here every value is solved with a proof",
        "the original holds out a random tenth with torch's generator and seed 0; here with this project's seed",
        "after the choice the original trains on all samples with the same C, so reg falls by a tenth",
    ),
)

COURSE = Protocol(
    name="course",
    title="EECS 498-007 / CS231n assignment: 49,000 / 1,000 images of CIFAR-10",
    loss=None,
    parameter="reg",
    system="straightedge",
    grid=_log_spaced(-6, 1, 15),
    split=HoldOut(count=1_000, where="stratified"),
    normalization="channel-mean",
    bias="penalized",
    metric="accuracy",
    refit=False,
    references=(
        "EECS 498-007 / 598-005 Deep Learning for Computer Vision, assignment 2 (validation_ratio 0.02)",
        "CS231n Convolutional Neural Networks for Visual Recognition, assignment 1 (49,000 / 1,000)",
    ),
    notes=(
        "the course leaves the grid to the student: 15 values from 1e-6 to 10, two a decade",
        "EECS 498 takes the mean over all 50,000 images, of each channel; here over the 49,000 trained on",
        "CS231n subtracts the mean image, pixel by pixel, instead",
        "the course holds out the last 1,000 rows, in random order there; files may be sorted: stratified here",
    ),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (CLIP, DINOV2, COURSE)}


def protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        InputError: ``protocol-unknown``, with the names there are.
    """
    if name not in PROTOCOLS:
        what = f"no protocol is called {name!r}"
        raise InputError("protocol-unknown", what, mend="one of: " + ", ".join(PROTOCOLS))
    return PROTOCOLS[name]
