"""From a fitted classifier to a `LinearModel`, and back."""

from typing import Any

import numpy as np
import torch

from straightedge.errors import InputError
from straightedge.estimators.fitted import UNKNOWN
from straightedge.model import LinearModel
from straightedge.model.records import class_values
from straightedge.moments import KINDS
from straightedge.preprocess import AffineMap


def model_of(fitted: Any) -> LinearModel:
    """Return the model of a fitted classifier; see `FittedClassifier.to_model`."""
    image_shape = fitted.image_shape_
    return LinearModel.from_fit(
        torch.from_numpy(fitted.W_),
        _map_of(fitted),
        tuple(str(name) for name in fitted.classes_.tolist()),
        loss=fitted._loss_name,
        reg=float(getattr(fitted, "reg_", None) or fitted.reg),
        objective=fitted.objective_,
        dual=fitted.dual_,
        gap=fitted.gap_,
        status=fitted.status_,
        bias_mode=fitted.bias,
        input_shape=(fitted.n_features_in_,) if image_shape is None else tuple(image_shape),
        temperature=fitted.temperature_,
    )


def _map_of(fitted: Any) -> AffineMap:
    """Return the map that W was fitted behind."""
    if not hasattr(fitted, "affine_"):
        what = f"this {type(fitted).__name__} was pickled by a version that did not keep its map"
        raise InputError("map-unknown", what, mend="fit it again")
    if fitted.affine_ is None:
        return AffineMap.identity(fitted.n_features_in_)
    shift, scale, kind = fitted.affine_
    return AffineMap(torch.from_numpy(shift), torch.from_numpy(scale), kind)


def stated_parameters(fixed_loss: str | None, model: LinearModel) -> dict[str, Any]:
    """Return the parameters of a classifier that a model states.

    Raises:
        InputError: See `FittedClassifier.from_model`.
    """
    if model.multilabel or model.threshold is not None:
        what = "several labels a row" if model.multilabel else "a threshold"
        mend = "straightedge.export.sklearn_file.sklearn_estimator(model) decides as the model does"
        raise InputError("model-decides", f"the model decides by {what}, a classifier by the best score", mend=mend)
    if fixed_loss not in (None, model.loss):
        mend = "LinearClassifier.from_model(model) takes any loss"
        raise InputError("model-loss", f"the model's loss is {model.loss}, not {fixed_loss}", mend=mend)
    kind = model.affine.kind if model.affine is not None else "none"
    stated = {"loss": model.loss, "bias": model.bias_mode, "preprocess": kind if kind in KINDS else "none"}
    return stated | ({"reg": model.reg} if model.reg > 0 else {})


def fill(made: Any, model: LinearModel) -> None:
    """Give a classifier what a fit would have given it, of a model; see `FittedClassifier.from_model`."""
    values = class_values(model.classes)
    order = np.argsort(values)
    made.__dict__.update(UNKNOWN, classes_=values[order], n_features_in_=model.n_features)
    coef = model.arrays.weight.astype(np.float64)[:, order].T
    made._keep_weights(model.W.numpy()[:, order], coef, model.arrays.bias.astype(np.float64)[order])
    made._keep_map(model.affine)
    made.temperature_ = model.temperature
    made.image_shape_ = tuple(model.input_shape) if len(model.input_shape) == 3 and model.features is None else None
    if model.input_dtype == "uint8" and model.features is None:
        made.value_range_ = (0.0, 255.0)
    made.objective_, made.dual_, made.gap_ = model.objective, model.dual, model.gap
    made.status_, made.message_ = (model.status, f"of a model: {model.status or 'unknown'}, gap {model.gap:.1e}")
