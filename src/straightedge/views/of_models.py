"""How a fitted classifier shows itself."""

import math
from typing import Any

import numpy as np

from straightedge.errors import InputError
from straightedge.views.coefficients import Coefficients
from straightedge.views.facts import Described, Facts, amount, frame, names
from straightedge.views.fitted_plots import CoefficientsDisplay, TemplatesDisplay


class ModelViews(Described):
    """Facts, coefficients and a frame of predictions of a `LinearModel`, which lies above: ``self`` is one."""

    def coefficients(self: Any) -> Coefficients:
        """Return the coefficients on raw features, with names and units: ``.to_frame()`` makes a table of them."""
        spread = None
        affine = self.arrays.affine
        if affine is not None and affine.kind == "standardize":
            scale = affine.scale.astype(np.float64)
            spread = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
        return Coefficients(self.arrays.weight.astype(np.float64), spread, self.feature_names, self.classes)

    def predict_frame(self: Any, X: Any) -> Any:
        """Return a ``pandas.DataFrame``, a row for each sample: class, score, second class, probability."""
        scores = self.scores(X)
        order = np.argsort(-scores, axis=1, kind="stable")
        rows = np.arange(len(scores))
        found = np.asarray(self.classes, dtype=object)
        columns = {"class": found[order[:, 0]], "score": scores[rows, order[:, 0]]}
        columns |= {"second": found[order[:, 1]], "second_score": scores[rows, order[:, 1]]}
        if self.has_probabilities:
            columns["probability"] = self.probabilities(scores)[rows, order[:, 0]]
        return frame(columns)

    def plot_coefficients(self: Any, count: int = 15, ax: Any = None) -> CoefficientsDisplay:
        """Plot the `count` features whose coefficients differ most between classes (`Display.plot` for ``ax``)."""
        return CoefficientsDisplay(self.coefficients(), count).plot(ax)

    def plot_templates(self: Any, ax: Any = None) -> TemplatesDisplay:
        """Plot the coefficients of each class as an image.

        Raises:
            InputError: ``images-shape`` where the features are not the pixels of an image with 1 or 3 channels.
        """
        shape = self.input_shape
        if self.features is not None or len(shape) != 3 or shape[0] not in (1, 3):
            what = "the features are not the pixels of an image"
            raise InputError("images-shape", what, mend="plot_coefficients() takes any features")
        return TemplatesDisplay(self.arrays.weight.T.astype(np.float64).reshape(-1, *shape), self.classes).plot(ax)

    def _facts(self: Any) -> Facts:
        D, C = self.arrays.weight.shape
        proof = f"{self.status}, relative gap {self.gap:.1e}" if self.status else ""
        bounds = "" if math.isnan(self.dual) else f"{self.objective:.6g}, and no W is below {self.dual:.6g}"
        kind = "images of " if len(self.input_shape) == 3 else "rows of "
        shape = " × ".join(map(str, self.input_shape))
        extractor = "" if self.features is None else str(self.features.get("name", "an extractor"))
        return Facts(
            f"LinearModel: {self.loss}, {amount(D, 'feature')}, {amount(C, 'class')}",
            (
                ("classes", names(self.classes)),
                ("reg", f"{self.reg:.3g}" if self.reg else ""),
                ("proof", proof),
                ("objective", bounds),
                ("input", f"{kind}{shape}, {self.input_dtype}"),
                ("features", extractor or (names(self.feature_names) if D <= 1000 else "")),
                ("temperature", "" if self.temperature is None else f"{self.temperature:.4g}"),
            ),
        )
