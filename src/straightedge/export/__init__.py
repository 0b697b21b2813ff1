"""Models that run elsewhere: ONNX, a torch layer, a scikit-learn estimator, a hub, each with a model card."""

from straightedge.export.card import model_card
from straightedge.export.check import random_rows
from straightedge.export.onnx_file import check_onnx_file, onnx_bytes, read_onnx
from straightedge.export.write import export_model

__all__ = ["check_onnx_file", "export_model", "model_card", "onnx_bytes", "random_rows", "read_onnx"]
