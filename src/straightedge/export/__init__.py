"""Models that run elsewhere: ONNX, a torch layer, a scikit-learn estimator, a hub, each with a model card."""

from straightedge.export.card import model_card
from straightedge.export.check import random_rows
from straightedge.export.hub import hub_config, hub_files
from straightedge.export.onnx_file import check_onnx_file, onnx_bytes, read_onnx
from straightedge.export.sklearn_file import sklearn_bytes, sklearn_estimator
from straightedge.export.torch_file import torch_bytes, torch_module_text
from straightedge.export.write import FORMATS, export_model

__all__ = [
    "FORMATS",
    "check_onnx_file",
    "export_model",
    "hub_config",
    "hub_files",
    "model_card",
    "onnx_bytes",
    "random_rows",
    "read_onnx",
    "sklearn_bytes",
    "sklearn_estimator",
    "torch_bytes",
    "torch_module_text",
]
