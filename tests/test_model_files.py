"""The lines of "model file": each way a file can be wrong is refused with its own code."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from straightedge.errors import InputError
from straightedge.model import LinearModel, load
from straightedge.tensorfile import TYPES, read_stored, read_tensors, write_tensors


def make_model() -> LinearModel:
    weight = torch.arange(12.0).reshape(6, 2)
    return LinearModel(weight=weight, bias=torch.ones(2), classes=("a", "b"), reg=0.5)


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    make_model().save(path)
    return path


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def assemble(path: Path, header: dict[str, Any] | bytes, body: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def change_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        header, body = parts(path)
        change(header)
        assemble(path, header, body)

    return damage


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("unpickled"),))


def _flip(position_from_end: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[-position_from_end] ^= 1
        path.write_bytes(data)

    return damage


def _overlap(header: dict[str, Any]) -> None:
    header["weight"]["data_offsets"] = [4, 52]


def _hole(header: dict[str, Any]) -> None:
    header["weight"]["data_offsets"] = [16, 64]
    header["weight"]["shape"] = [6, 2]


def _rename_class(header: dict[str, Any]) -> None:
    meta = header["__metadata__"]
    meta["straightedge.meta"] = meta["straightedge.meta"].replace('"a"', '"z"')


def _signed(meta: dict[str, Any], **tensors: torch.Tensor) -> Callable[[Path], None]:
    """A file whose digest is right but whose content is not a model."""

    def damage(path: Path) -> None:
        header, _ = parts(path)
        whole = json.loads(header["__metadata__"]["straightedge.meta"]) | meta
        fields = {"weight": torch.ones(6, 2), "bias": torch.ones(2)} | tensors
        write_tensors(path, fields, kind="model", version=1, meta={k: v for k, v in whole.items() if v != "drop"})

    return damage


LINES = [
    pytest.param(
        lambda path: path.write_bytes(struct.pack("<Q", 4 << 30) + b"{}"),
        "model-header",
        "4,294,967,296",
        id="header of 4 GB",
    ),
    pytest.param(change_header(_overlap), "model-overlap", "over another", id="overlapping tensors"),
    pytest.param(
        change_header(lambda h: h["bias"].update(shape=[3])), "model-short", "needs 12", id="short tensors"
    ),
    pytest.param(change_header(_hole), "model-header", "unused bytes", id="hole between tensors"),
    pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-5]), "model-truncated", "cut off", id="cut off"),
    pytest.param(
        lambda path: path.write_bytes(path.read_bytes()[:40]), "model-truncated", "whole file", id="cut header"
    ),
    pytest.param(lambda path: path.write_bytes(b""), "model-truncated", "0 bytes", id="empty file"),
    pytest.param(
        lambda path: path.write_bytes(path.read_bytes() + b"x"), "model-header", "after the last", id="tail"
    ),
    pytest.param(lambda path: path.write_bytes(pickle.dumps(Trap())), "model-pickle", "never", id="pickle renamed"),
    pytest.param(
        lambda path: path.write_bytes(pickle.dumps(list(range(99)), 2)),
        "model-pickle",
        "never",
        id="old pickle renamed",
    ),
    pytest.param(
        lambda path: torch.save({"weight": Trap()}, path), "model-pickle", "never", id="torch.save renamed"
    ),
    pytest.param(
        change_header(lambda h: h["__metadata__"].update({"straightedge.version": "2"})),
        "model-newer",
        "upgrade",
        id="newer version",
    ),
    pytest.param(_signed({}, bias=torch.tensor([np.nan, 0])), "model-nan", "1 weights are NaN", id="NaN weights"),
    pytest.param(_flip(1), "model-damaged", "SHA-256", id="a flipped bit"),
    pytest.param(_flip(40), "model-damaged", "SHA-256", id="a flipped bit elsewhere"),
    pytest.param(change_header(_rename_class), "model-damaged", "SHA-256", id="a changed class name"),
    pytest.param(
        change_header(lambda h: h.pop("__metadata__")), "model-foreign", "not a model", id="another program's"
    ),
    pytest.param(
        lambda path: write_tensors(path, {}, kind="checkpoint", version=1, meta={}),
        "model-foreign",
        "a checkpoint file",
        id="a checkpoint",
    ),
    pytest.param(lambda path: assemble(path, b"[1, 2]  ", b""), "model-header", "not a JSON object", id="a list"),
    pytest.param(lambda path: assemble(path, b"{" * 9999, b""), "model-header", "not JSON", id="no JSON"),
    pytest.param(
        lambda path: assemble(path, b"{" + b'"a":[' * 99999, b""), "model-header", "not JSON", id="deep JSON"
    ),
    pytest.param(lambda path: assemble(path, b'{"a\xff":1}', b""), "model-header", "not JSON", id="no UTF-8"),
    pytest.param(lambda path: assemble(path, b'{"a":1,"a":2}', b""), "model-header", "twice", id="a name twice"),
    pytest.param(
        change_header(lambda h: h["bias"].update(dtype="F8")), "model-header", "dtype", id="unknown dtype"
    ),
    pytest.param(
        change_header(lambda h: h["bias"].update(shape=[-2])), "model-header", "counts", id="negative shape"
    ),
    pytest.param(
        change_header(lambda h: h["bias"].update(shape=[1 << 40, 1 << 40, 1 << 40])),
        "model-short",
        "needs",
        id="huge shape",
    ),
    pytest.param(_signed({"classes": "drop"}), "model-header", "incomplete", id="no classes"),
    pytest.param(_signed({"reg": "much"}), "model-header", "incomplete", id="reg is text"),
    pytest.param(_signed({"classes": ["a"]}), "model-shape", "fit together", id="too few classes"),
    pytest.param(_signed({}, weight=torch.ones(7, 2)), "model-shape", "7 features", id="another width"),
    pytest.param(lambda path: path.unlink(), "model-missing", "No such file", id="no file"),
]


@pytest.mark.parametrize(("damage", "code", "says"), LINES)
def test_model_file_is_refused(tmp_path: Path, monkeypatch, damage, code: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path)
    damage(path)
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert "model.safetensors" in (caught.value.where or "")
    assert not Path("unpickled").exists()


def test_a_header_length_that_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path)
    header, body = parts(path)
    text = json.dumps(header).encode()
    text += b" " * (0x10280 - len(text))  # 80 02 01: the bytes a pickle of protocol 2 begins with
    assemble(path, text, body)
    assert load(path).classes == ("a", "b")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.integers(0, 10_000))
def test_any_flipped_bit_or_cut_is_refused_or_harmless(tmp_path: Path, position: int, bit: int, cut: int) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[position % len(whole)] ^= 1 << bit
    for data in (bytes(flipped), whole[: cut % len(whole)]):
        path.write_bytes(data)
        try:
            model = load(path)
        except InputError as error:
            assert error.code.startswith("model-")
        else:  # only a space of the header can change without changing the model
            assert torch.equal(model.weight, make_model().weight)
            assert (model.classes, model.reg) == (("a", "b"), 0.5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=300),
    table=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "w"]), inner, max_size=4
            )
        ),
    ),
)
def test_any_bytes_and_any_header_end_in_a_named_error(tmp_path: Path, data: bytes, table: Any) -> None:
    path = tmp_path / "any.safetensors"
    for content in (data, None):
        if content is None:
            assemble(path, json.dumps({"w": table}).encode(), data)
        else:
            path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load(path)
        assert caught.value.code.startswith("model-")


def test_every_type_of_entries_is_read_as_an_array_and_as_a_tensor(tmp_path: Path) -> None:
    numbers = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 2.5]])
    written = {name: numbers.to(getattr(torch, dtype)) for name, dtype in TYPES.items()}
    written |= {"none": torch.zeros(0, 3), "one": torch.tensor(2.0)}
    write_tensors(tmp_path / "all", written, kind="model", version=1, meta={})
    tensors, _ = read_tensors(tmp_path / "all", kind="model", version=1)
    arrays = {name: one.array() for name, one in read_stored(tmp_path / "all", kind="model", version=1)[0].items()}
    for name, tensor in written.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)
        same = tensor.float() if name == "BF16" else tensor
        assert torch.equal(torch.from_numpy(arrays[name]), same), name
    write_tensors(tmp_path / "arrays", arrays, kind="model", version=1, meta={})
    again, _ = read_stored(tmp_path / "arrays", kind="model", version=1)
    assert all(np.array_equal(again[name].array(), array) for name, array in arrays.items())
