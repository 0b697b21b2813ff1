"""What a classifier keeps of its fit, as a model and back; pickles of earlier versions; what it warns of."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from straightedge.errors import warn
from straightedge.status import Status, TraceRow

if TYPE_CHECKING:
    from torch import Tensor

    from straightedge.model import LinearModel
    from straightedge.preprocess import AffineMap
    from straightedge.solvers.solution import Solution

UNKNOWN: dict[str, Any] = {
    "value_range_": (math.nan, math.nan),
    "image_shape_": None,
    "temperature_": None,
    "message_": "",
    "n_passes_": math.nan,
    "n_iter_": 1,
    "trace_": [],
}
"""What a fitted classifier has beside its weights and its bounds, where nothing is known of it."""
CONSTANT = {
    "optimum": "reg is so large, or the features so small, that W = 0 is an optimum to the gap asked for: give a "
    "smaller reg, or preprocess='standardize'",
    "features": "every feature is constant in the training rows",
}
"""Why the coefficient of every feature is 0."""


class FittedClassifier:
    """The part of a classifier that knows its solution; parameters and `fit` are `LinearClassifier`'s."""

    _fixed_loss: str | None = None
    loss: str
    tol: float
    bias: str
    preprocess: str
    warm_start: bool
    classes_: np.ndarray
    n_features_in_: int
    image_shape_: tuple[int, ...] | None
    affine_: tuple[np.ndarray, np.ndarray, str] | None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled; what an earlier version did not have yet gets its default."""
        words = inspect.signature(type(self).__init__).parameters.values()
        known = {word.name: word.default for word in words if word.name != "self"}
        if "coef_" in state:
            known |= UNKNOWN | ({"affine_": None} if state.get("preprocess", "none") == "none" else {})
        self.__dict__.update(known | state)

    @property
    def _loss_name(self) -> str:
        return self._fixed_loss or self.loss

    def to_model(self) -> LinearModel:
        """Return the `LinearModel` of this fit, which saves, exports and shows itself.

        It has the same proof, and the same scores but for rounding, since a model's weights are float32. Its class
        names are the classes as text.

        Raises:
            InputError: ``map-unknown`` for a classifier behind a map, of a pickle that does not hold it.
        """
        from sklearn.utils.validation import check_is_fitted

        from straightedge.estimators.conversion import model_of

        check_is_fitted(self, "coef_")
        return model_of(self)

    @classmethod
    def from_model(cls, model: LinearModel, **parameters: Any) -> Self:
        """Return a fitted classifier that scores rows as a `LinearModel` does.

        It takes the rows that the model's weights see: numbers that a table was encoded as, features of an
        extractor. Classes are whole numbers where all names are, else text, and sorted. What a model does not keep
        (the trace, the number of passes, the range of the training values) is not known.

        Args:
            model: A model of one class a row.
            **parameters: Of the classifier, beside those that the model states: loss, reg, bias, preprocess.

        Raises:
            InputError: ``model-loss`` for a model of another loss than the class is of; ``model-decides`` for one
                of several labels a row or with a threshold.
        """
        from straightedge.estimators.conversion import fill, stated_parameters

        words = inspect.signature(cls.__init__).parameters
        stated = stated_parameters(cls._fixed_loss, model)
        made = cls(**({name: value for name, value in stated.items() if name in words} | parameters))
        fill(made, model)
        return made

    def _warm_start(self, shape: tuple[int, ...]) -> Tensor | None:
        if not self.warm_start or not hasattr(self, "W_"):
            return None
        import torch

        W = torch.as_tensor(self.W_).t()[None]
        return W if W.shape == shape else None

    def _finish(self, solution: Solution, affine: AffineMap) -> None:
        W = solution.W[0].t()
        weight, bias = affine.fold(W)
        self._keep_weights(W.numpy(), weight.t().numpy(), bias.numpy())
        self._keep_map(affine)
        numbers = (solution.objective, solution.dual, solution.gap)
        objective, dual, gap = (float(values[0]) for values in numbers)
        self._keep_proof(objective, dual, gap, solution.status[0], float(solution.n_passes[0]), solution.trace)
        self._warn(active=bool(affine.scale.any()))

    def _keep_map(self, affine: AffineMap | None) -> None:
        if affine is not None and not affine.is_identity:
            self.affine_ = (affine.shift.numpy(), affine.scale.numpy(), affine.kind)

    def _keep_weights(self, W: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> None:
        """Keep W (D + 1, C) on mapped rows and the coefficients (C, D), (C,) on raw ones."""
        if len(self.classes_) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.W_, self.affine_, self.temperature_ = W, None, None
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), np.ascontiguousarray(intercept)

    def _keep_proof(
        self, objective: float, dual: float, gap: float, status: Status, n_passes: float, trace: list[TraceRow]
    ) -> None:
        self.objective_, self.dual_, self.gap_ = objective, dual, gap
        self.status_, self.message_ = status.value, status.explain(gap, float(self.tol), n_passes)
        self.n_passes_, self.n_iter_, self.trace_ = n_passes, max(1, len(trace)), trace

    def _warn(self, *, active: bool) -> None:
        """Warn of what a fit did not reach; ``active`` says whether any feature varies."""
        if self.status_ != Status.CERTIFIED.value:
            warn_not_certified(self.message_)
        if not self.coef_.any():
            cause = "optimum" if active else "features"
            warn_constant(self.classes_.tolist()[int(self.W_[-1].argmax())], cause)


def warn_on_range(trained: tuple[float, float], seen: tuple[float, float]) -> None:
    """Warn when of two (smallest, largest) values one looks like pixels of 0–255 and the other like 0–1."""
    low, high = sorted((trained[1], seen[1]))
    if min(trained[0], seen[0]) >= 0 and 0 < low <= 1 and 64 <= high <= 255:
        warn(
            "ranges-differ",
            f"values of the training rows reach {trained[1]:g}, those of these rows {seen[1]:g}: "
            "is one of them scaled by 255?",
        )


def print_row(row: dict[str, Any]) -> None:
    """Print a row of the trace; the callback of ``verbose=1``."""
    print(f"{row['n_passes']:6.0f} passes  {row['seconds']:7.2f} s  P {row['objective']:.8f}  gap {row['gap']:.2e}")


def warn_not_certified(message: str) -> None:
    """Warn of a fit that did not reach its gap (scikit-learn's ConvergenceWarning)."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(message, ConvergenceWarning, stacklevel=5)  # where fit was called


def warn_constant(answer: Any, cause: str) -> None:
    """Warn of a classifier that gives every row the same class, for a cause among `CONSTANT`."""
    warn("constant-prediction", f"every row is given the class {answer!r}: {CONSTANT[cause]}")
