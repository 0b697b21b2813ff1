"""torch: the state dict of a `torch.nn.Linear` in safetensors, and two lines that make the module."""

import json

import numpy as np
import torch

from straightedge.export.check import agree, calibrated, size_of
from straightedge.model import LinearModel

STATE_FILE = "linear.safetensors"


def torch_bytes(model: LinearModel, rows: np.ndarray) -> bytes:
    """Return a safetensors file with ``weight`` (C, D) and ``bias`` (C,), checked on rows.

    The layer's scores are the model's divided by its temperature, so their softmax is the model's probabilities.

    Args:
        model: The model.
        rows: Rows that the layer must give the model's scores on, and its probabilities.

    Raises:
        MachineError: ``export-differs``.
    """
    from safetensors.torch import load, save

    weight, bias = (torch.from_numpy(part).float() for part in calibrated(model))
    state = {"weight": weight.T.contiguous(), "bias": bias.contiguous()}
    data: bytes = save(state, metadata={"classes": json.dumps(model.classes), "format": "pt"})
    layer = torch.nn.Linear(model.n_features, len(model.classes))
    layer.load_state_dict(load(data))
    flat = torch.from_numpy(np.array(rows, dtype=np.float32)).reshape(len(rows), -1)
    scores = model.scores(rows)
    with torch.no_grad():
        found = layer(flat)
    expected = scores.astype(np.float64) / (model.temperature or 1.0)
    agree(found.numpy(), expected, "torch layer", rows)
    if model.has_probabilities:
        chances = found.double().softmax(dim=1).numpy()
        agree(chances, model.probabilities(scores), "softmax of the torch layer", rows, size_of(expected))
    return data


def torch_module_text(model: LinearModel) -> str:
    """Return a Python file of two statements that makes the module from the state dict beside it."""
    D, C = model.n_features, len(model.classes)
    return (
        "import os, torch, safetensors.torch  # scores = module(X.float()), X (N, ...) as the card says\n\n"
        f"module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear({D}, {C}))\n"
        "module[1].load_state_dict(safetensors.torch.load_file("
        f'os.path.join(os.path.dirname(os.path.abspath(__file__)), "{STATE_FILE}")))\n'
    )
