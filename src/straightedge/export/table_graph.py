"""A table's columns in ONNX: one input a column, numbers as float32 and categories as strings, both (N, 1).

NaN is a missing number. A category looks its weights up by value; an empty string, ``?``, ``NA`` and their
kin are a missing one, and what training did not have counts as it does in `predict`.
"""

from typing import Any

import numpy as np

from straightedge.data.tables.encoding import Column, TableEncoding
from straightedge.export.table_pipeline import category_weights, first_features

ML_OPSET = 3  # opset of ai.onnx.ml, whose LabelEncoder maps strings to places
OWN = "straightedge:"  # what the names of the graph's own values begin with: columns may be called anything else


class TableGraph:
    """Nodes that turn raw columns into ``scores``.

    Args:
        onnx: The package.
        encoding: How columns become features.
        weight: (D, C).
        bias: (C,).

    Attributes:
        inputs: Their descriptions, one a column.
        nodes: In order.
        values: What they multiply with.
    """

    def __init__(self, onnx: Any, encoding: TableEncoding, weight: np.ndarray, bias: np.ndarray) -> None:
        self._onnx, self._weight = onnx, weight
        self.inputs: list[Any] = []
        self.nodes: list[Any] = []
        self.values: list[Any] = []
        terms = [self._constant("bias", bias[None].astype(np.float32))]
        for place, (column, start) in enumerate(first_features(encoding)):
            add = self._number if column.kind == "number" else self._category
            terms += add(column, start, str(place))
        self.nodes.append(onnx.helper.make_node("Sum", terms, ["scores"]))

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.values.append(self._onnx.numpy_helper.from_array(value, OWN + name))
        return OWN + name

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [OWN + name], **attributes))
        return OWN + name

    def _input(self, column: Column, kind: int) -> None:
        self.inputs.append(self._onnx.helper.make_tensor_value_info(column.name, kind, ["N", 1]))

    def _number(self, column: Column, start: int, tag: str) -> list[str]:
        """Add what a column of numbers contributes to the scores: itself, and whether it is missing."""
        kinds = self._onnx.TensorProto
        self._input(column, kinds.FLOAT)
        missing = self._node("IsNaN", [column.name], f"{tag} missing")
        mean = self._constant(f"{tag} mean", np.array([[column.mean]], dtype=np.float32))
        filled = self._node("Where", [missing, mean, column.name], f"{tag} filled")
        terms = [self._product(filled, start, f"{tag} value")]
        if column.indicator:
            marked = self._node("Cast", [missing], f"{tag} mark", to=kinds.FLOAT)
            terms.append(self._product(marked, start + 1, f"{tag} marked"))
        return terms

    def _product(self, feature: str, place: int, name: str) -> str:
        own = self._constant(f"{name} weight", self._weight[place : place + 1].astype(np.float32))
        return self._node("MatMul", [feature, own], name)

    def _category(self, column: Column, start: int, tag: str) -> list[str]:
        """Add the weights of a column's value."""
        self._input(column, self._onnx.TensorProto.STRING)
        values, own, otherwise = category_weights(column, start, self._weight)
        known = [(value, place) for place, value in enumerate(values) if value is not None]
        table = np.concatenate([own, otherwise[None]]).astype(np.float32)
        place = self._node(
            "LabelEncoder",
            [column.name],
            f"{tag} place",
            domain="ai.onnx.ml",
            keys_strings=[value for value, _ in known],
            values_int64s=[place for _, place in known],
            default_int64=len(values),
        )
        flat = self._node("Reshape", [place, self._constant(f"{tag} flat", np.array([-1]))], f"{tag} places")
        return [self._node("Gather", [self._constant(f"{tag} table", table), flat], f"{tag} weights", axis=0)]
