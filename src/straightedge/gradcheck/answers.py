"""What a function under test returned: one number and a matrix, or the name of what it is instead."""

import linecache
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch

from straightedge.errors import visible
from straightedge.gradcheck.mistakes import mistake
from straightedge.gradcheck.reference import Floats
from straightedge.gradcheck.report import Diagnosis

LONGEST_MESSAGE = 300  # characters of an exception's text that are shown


class FormError(Exception):
    """The function under test cannot be checked further; the diagnosis says why."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        super().__init__(diagnosis.text)


def to_array(values: Any) -> np.ndarray:
    """Return a tensor, array or number as a NumPy array."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    there = values.detach().to_dense() if values.layout != torch.strided else values.detach()
    return (there.float() if there.dtype == torch.bfloat16 else there).cpu().numpy()  # NumPy has no bfloat16


def read_answer(answer: Any, shape: tuple[int, ...]) -> tuple[float, Floats, np.dtype]:
    """Return loss, dW of W's ``shape`` (D, C) in float64, and the type that dW had.

    Raises:
        FormError: The answer is not a number and a matrix of that shape.
    """
    loss, gradient = _pair(answer)
    _refuse_lists(loss, gradient)
    value = _number(loss)
    dW, kind = _matrix(gradient, shape)
    if kind.kind in "iub" and (value or dW.any()):  # else it is a stub
        raise FormError(mistake("integer-gradient", kind=kind))
    return value, dW, kind


def raised(error: BaseException, function: Callable[..., Any]) -> Diagnosis:
    """Return the diagnosis of an exception: its text, and the line of the function's own file it came from."""
    message = visible(error)[:LONGEST_MESSAGE]
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    place = _own_line(error.__traceback__, getattr(getattr(function, "__code__", None), "co_filename", ""))
    return mistake("raises", error=f"{said}{place}")


def _own_line(traceback: TracebackType | None, file: str) -> str:
    """The deepest line of the function's own file: what lies below it is somebody else's."""
    found = ""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            source = visible(linecache.getline(file, traceback.tb_lineno).strip())
            found = f" (line {traceback.tb_lineno}: {source})" if source else f" (line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found


def _pair(answer: Any) -> tuple[Any, Any]:
    if answer is None:
        raise FormError(mistake("stub", found="it returns nothing"))
    if not isinstance(answer, (tuple, list)):
        raise FormError(mistake("no-pair", found=f"one {type(answer).__name__}"))
    if len(answer) == 3 and all(_is_array(part) for part in answer[1:]):
        raise FormError(mistake("weights-and-bias-apart"))
    if len(answer) != 2:
        raise FormError(mistake("no-pair", found=f"{len(answer)} things"))
    loss, gradient = answer
    if loss is None or gradient is None:
        raise FormError(mistake("stub", found=f"{'dW' if gradient is None else 'the loss'} is None"))
    if _are_weights_and_bias(gradient):
        raise FormError(mistake("weights-and-bias-apart"))
    if np.ndim(gradient) == 0 and _is_array(loss) and loss.ndim == 2 and loss.size > 1:
        raise FormError(mistake("pair-swapped"))
    return loss, gradient


def _is_array(part: Any) -> bool:
    return isinstance(part, (np.ndarray, torch.Tensor))


def _are_weights_and_bias(gradient: Any) -> bool:
    """Two arrays of different shapes, in a dictionary or a sequence."""
    parts: Sequence[Any] = list(gradient.values()) if isinstance(gradient, dict) else gradient
    if not isinstance(parts, (tuple, list)) or len(parts) != 2:
        return False
    return all(_is_array(part) for part in parts) and parts[0].shape != parts[1].shape


def _refuse_lists(loss: Any, gradient: Any) -> None:
    instead = {"the loss": "one number, the mean over all samples", "dW": "an array or tensor like W"}
    for part, found in (("the loss", loss), ("dW", gradient)):
        if isinstance(found, (list, tuple, dict)):
            kind = type(found).__name__
            raise FormError(mistake("returns-a-list", part=part, kind=kind, instead=instead[part]))


def _number(loss: Any) -> float:
    array = to_array(loss)
    if array.ndim:
        raise FormError(mistake("loss-has-shape", shape=array.shape))
    if array.dtype.kind not in "fiub":
        raise FormError(mistake("no-pair", found=f"a loss of type {type(loss).__name__}"))
    return float(array)


def _matrix(gradient: Any, shape: tuple[int, ...]) -> tuple[Floats, np.dtype]:
    array = to_array(gradient)
    if array.shape != shape:
        is_transposed = array.shape == shape[::-1]
        detail = "transposed" if is_transposed else "gradient-shape"
        raise FormError(mistake(detail, found=array.shape, expected=shape))
    if array.dtype.kind not in "fiub":
        raise FormError(mistake("no-pair", found=f"a dW of type {array.dtype}"))
    return np.array(array, dtype=np.float64), array.dtype
