"""What must hold of a `LinearModel`, wherever it comes from."""

import math
from typing import Any

import numpy as np

from straightedge.errors import InputError


def check_model(model: Any) -> None:
    """Refuse a `LinearModel` whose parts do not fit together."""
    shape, C = tuple(model.arrays.weight.shape), len(model.classes)
    if model.arrays.weight.ndim != 2 or tuple(model.arrays.bias.shape) != (C,) or shape[1] != C:
        what = f"weight {shape}, bias {tuple(model.arrays.bias.shape)} and {C} classes do not fit together"
        raise InputError("model-shape", what)
    affine = model.arrays.affine
    if affine is not None and not affine.shift.shape == affine.scale.shape == (shape[0],):
        raise InputError("model-shape", f"the affine map has {affine.shift.size} features, the weights {shape[0]}")
    if model.features is None and math.prod(model.input_shape) != shape[0]:
        raise InputError("model-shape", f"samples of shape {model.input_shape} do not give {shape[0]} features")
    bad = sum(int((~np.isfinite(part)).sum()) for part in (model.arrays.weight, model.arrays.bias))
    if bad:
        mend = "train again; if the features are huge, scale them first"
        raise InputError("model-nan", f"{bad} weights are NaN or infinite", mend=mend)
    if model.threshold is not None and (C != 2 or not math.isfinite(model.threshold)):
        raise InputError("model-threshold", f"a threshold of {model.threshold} for {C} classes")
    if model.temperature is not None and not 0 < model.temperature < math.inf:
        raise InputError("model-nan", f"the temperature must be positive and finite, not {model.temperature}")
