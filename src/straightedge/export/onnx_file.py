"""ONNX: pixels or features in; label, scores and probabilities out; one file, nothing beside it.

The affine map is folded into the weights and the class names are inside, so a program in any language needs
this file alone. Operators are those of opset 17, which runtimes have had since 2022.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import straightedge
from straightedge.data.tables.encoding import Column, TableEncoding, as_floats, as_text
from straightedge.errors import InputError, MachineError, import_extra
from straightedge.export.cells import encoding_of, is_cells, scores_of_cells, terms_of_cells
from straightedge.export.check import agree, row_dtype, row_shape
from straightedge.export.table_pipeline import category_weights, first_features
from straightedge.model import LinearModel

OPSET, IR_VERSION = 17, 8
ML_OPSET = 3  # opset of ai.onnx.ml, whose LabelEncoder maps strings to places
OWN = "straightedge:"  # what the names of the graph's own values begin with: columns may be called anything else


def onnx_bytes(model: LinearModel, rows: Any) -> bytes:
    """Return the model as an ONNX file that was checked on rows.

    Args:
        model: The model.
        rows: Rows that onnxruntime must give the model's scores, labels and probabilities on; raw cells of a
            table as an Arrow table, for a file that takes its columns as they are written.

    Returns:
        The file's bytes. Input ``input`` (N, ...) uint8 or float32, or one input (N, 1) a column; outputs
        ``label`` (N,) string, ``scores`` (N, C) float32 and, where scores mean probabilities,
        ``probabilities`` (N, C) float32.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        MachineError: ``export-differs``.
    """
    onnx = _extra("onnx")
    proto = _graph(onnx, model, raw=is_cells(rows))
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString()
    check_onnx(model, data, rows)
    return data


def check_onnx(model: LinearModel, data: bytes, rows: Any) -> float:
    """Run an ONNX file's bytes on rows and compare everything it says with the model.

    Returns:
        The largest difference of scores.

    Raises:
        MachineError: ``export-differs``.
        InputError: ``onnx-broken`` when onnxruntime refuses the bytes.
    """
    runtime = _extra("onnxruntime")
    try:
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        out = dict(zip(names, session.run(None, _given(model, session, rows)), strict=True))
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise InputError("onnx-broken", f"onnxruntime refuses the file: {str(error)[:200]}") from error
    scores = scores_of_cells(model, rows) if is_cells(rows) else model.scores(rows)
    scale = terms_of_cells(model, rows) if is_cells(rows) else 1.0
    difference = agree(out.get("scores"), scores, "ONNX file", rows, scale)
    labels = np.array(model.classes, dtype=object)[model.labels_of(np.asarray(out["scores"]))]
    if list(out.get("label", [])) != list(labels):
        raise MachineError("export-differs", "the ONNX file gives other labels than the model")
    if model.has_probabilities:
        agree(out.get("probabilities"), model.probabilities(scores), "ONNX file's probabilities", rows, scale)
    return difference


def _given(model: LinearModel, session: Any, rows: Any) -> dict[str, np.ndarray]:
    """Return the inputs of a session: rows, or each column of a table."""
    if is_cells(rows):
        kinds = {one.name: one.type for one in session.get_inputs()}
        return {name: _column(rows.column(name), "string" in kinds[name]) for name in kinds}
    X = np.ascontiguousarray(rows, dtype=row_dtype(model)).reshape(-1, *row_shape(model))
    return {session.get_inputs()[0].name: X}


def _column(values: Any, is_category: bool) -> np.ndarray:
    """Return a column as ONNX takes it, (N, 1): strings, a missing one empty; or float32, a missing one NaN."""
    if is_category:
        texts = [value or "" for value in as_text(values.combine_chunks()).to_pylist()]
        return np.array(texts, dtype=object)[:, None]
    return as_floats(values.combine_chunks(), "cells", loose=True).astype(np.float32)[:, None]


def _rows_in(onnx: Any, model: LinearModel) -> tuple[list[Any], list[Any], list[Any]]:
    """Return inputs, nodes and values that make ``scores`` of rows."""
    helper, kinds = onnx.helper, onnx.TensorProto
    kind = kinds.UINT8 if row_dtype(model) == "uint8" else kinds.FLOAT
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"], axis=1),
        helper.make_node("Cast", ["flat"], ["rows"], to=kinds.FLOAT),
        helper.make_node("Gemm", ["rows", "weight", "bias"], ["scores"]),
    ]
    values = [
        onnx.numpy_helper.from_array(model.arrays.weight, "weight"),
        onnx.numpy_helper.from_array(model.arrays.bias, "bias"),
    ]
    return [helper.make_tensor_value_info("input", kind, ["N", *row_shape(model)])], nodes, values


def _graph(onnx: Any, model: LinearModel, *, raw: bool) -> Any:
    helper, kinds = onnx.helper, onnx.TensorProto
    C = len(model.classes)
    opsets = [helper.make_opsetid("", OPSET)]
    if raw:
        table = _TableGraph(onnx, encoding_of(model), model.arrays.weight, model.arrays.bias)
        inputs, nodes, values = table.inputs, table.nodes, table.values
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    else:
        inputs, nodes, values = _rows_in(onnx, model)
    nodes += [
        *_index_nodes(helper, kinds, model),
        helper.make_node("Gather", ["classes", "index"], ["label"], axis=0),
    ]
    outputs = [
        helper.make_tensor_value_info("label", kinds.STRING, ["N"]),
        helper.make_tensor_value_info("scores", kinds.FLOAT, ["N", C]),
    ]
    values += _constants(onnx, model)
    if model.has_probabilities:
        nodes.append(helper.make_node("Div", ["scores", "temperature"], ["scaled"]))
        nodes.append(helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1))
        outputs.append(helper.make_tensor_value_info("probabilities", kinds.FLOAT, ["N", C]))
    graph = helper.make_graph(nodes, "straightedge", inputs, outputs, values)
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="straightedge")
    helper.set_model_props(proto, _properties(model))
    return proto


def _constants(onnx: Any, model: LinearModel) -> list[Any]:
    """Return class names, and what the threshold and the temperature need."""
    array = onnx.numpy_helper.from_array
    names = [name.encode("utf-8", "backslashreplace") for name in model.classes]
    values = [onnx.helper.make_tensor("classes", onnx.TensorProto.STRING, [len(names)], names)]
    if model.threshold is not None:
        places = enumerate(("first", "second"))
        values += [array(np.array(place, dtype=np.int64), name) for place, name in places]
        values.append(array(np.array(model.threshold, dtype=np.float32), "threshold"))
    if model.has_probabilities:
        values.append(array(np.array([model.temperature or 1.0], dtype=np.float32), "temperature"))
    return values


def _index_nodes(helper: Any, kinds: Any, model: LinearModel) -> list[Any]:
    """Return what finds the index of the class: of the largest score, or of two scores by the threshold."""
    if model.threshold is None:
        return [helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=0)]
    return [
        helper.make_node("Gather", ["scores", "first"], ["score of first"], axis=1),
        helper.make_node("Gather", ["scores", "second"], ["score of second"], axis=1),
        helper.make_node("Sub", ["score of second", "score of first"], ["difference"]),
        helper.make_node("GreaterOrEqual", ["difference", "threshold"], ["is second"]),
        helper.make_node("Cast", ["is second"], ["index"], to=kinds.INT64),
    ]


def _properties(model: LinearModel) -> dict[str, str]:
    """Return what a reader of the file may want to know, as texts."""
    found = {"loss": model.loss, "reg": repr(model.reg), "gap": repr(model.gap)}
    found |= {"classes": json.dumps(model.classes), "straightedge": straightedge.__version__}
    return found | ({"features": json.dumps(model.features)} if model.features else {})


def read_onnx(path: Path) -> bytes:
    """Read an ONNX file whose tensors are all inside it or in files beside it.

    Args:
        path: The file.

    Returns:
        Its bytes, tensors of files beside it taken in.

    Raises:
        InputError: ``onnx-external-data`` when a tensor's file is outside the folder; ``onnx-broken``,
            ``path-missing``.
    """
    onnx = _extra("onnx")
    try:
        proto = onnx.load_model(str(path), load_external_data=False)
    except OSError as error:
        raise InputError("path-missing", f"cannot be read ({error.strerror})", str(path)) from error
    except Exception as error:  # protobuf's DecodeError, of one of two implementations
        raise InputError("onnx-broken", f"not an ONNX file ({str(error)[:100]})", str(path)) from error
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.external_data):
            _refuse_outside(tensor, path)
    try:
        onnx.external_data_helper.load_external_data_for_model(proto, str(path.parent))
        onnx.checker.check_model(proto, full_check=True)
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError("onnx-broken", f"not a valid ONNX file ({str(error)[:100]})", str(path)) from error
    data: bytes = proto.SerializeToString()
    return data


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor anywhere in a message: initial values, constants, subgraphs, functions."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if item.DESCRIPTOR.name == "TensorProto":
                yield item
            else:
                yield from _tensors(item)


def _refuse_outside(tensor: Any, path: Path) -> None:
    """Refuse a location that is absolute, climbs out, or is a link that leads out."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    parts = PurePosixPath(location.replace("\\", "/"))
    folder = path.parent.resolve()
    outside = parts.is_absolute() or ".." in parts.parts or ":" in location
    if outside or not (folder / parts).resolve().is_relative_to(folder):
        what = f"tensor {tensor.name[:80]!r} has its data outside the folder: {location[:100]!r}"
        mend = "pack the tensors into the file (onnx.save_model with save_as_external_data=False)"
        raise InputError("onnx-external-data", what, where=str(path), mend=mend)


def check_onnx_file(model: LinearModel, path: Path, rows: np.ndarray) -> float:
    """Compare an ONNX file with the model on rows and return the largest difference of scores."""
    return check_onnx(model, read_onnx(path), rows)


def _extra(name: str) -> Any:
    parts = ("checker", "external_data_helper", "helper", "numpy_helper") if name == "onnx" else ()
    for module in (*(f"onnx.{part}" for part in parts), name):
        found = import_extra(module, name, "export", "writing ONNX files")
    return found


class _TableGraph:
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
