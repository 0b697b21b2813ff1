"""Tensors that `torch.save` wrote, alone or in dictionaries and lists, by torch's own reader of weights alone."""

import re
from pathlib import Path
from typing import Any

from straightedge.data.pickles.values import members_of
from straightedge.errors import InputError, MachineError
from straightedge.memory import require_memory


def read(path: Path) -> dict[str, Any]:
    """Return the tensors and lists of a ``.pt`` or ``.pth`` file by name.

    Only tensors, numbers, text, lists and dictionaries are taken (``weights_only``).

    Raises:
        InputError: ``pickle-refused`` for whatever else is in it, ``torch-refused`` for tensors of other forms,
            ``dump-contents`` where there is no table of numbers.
    """
    mend = 'save a dictionary: torch.save({"X": features, "y": labels}, path)'
    return members_of(plain(_loaded(path), str(path)), path, mend)


def _loaded(path: Path) -> Any:
    import torch

    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the form that torch wrote before 1.6 cannot be mapped
            require_memory(
                path.stat().st_size, "to read the file", str(path), "save it again: newer files are mapped"
            )
            return torch.load(path, map_location="cpu", weights_only=True)
    except MachineError:
        raise
    except Exception as error:  # torch raises errors of many kinds on bytes that are none of its own
        what = f"torch's reader of weights refuses the file: {_reason(error)}"
        mend = 'save tensors alone: torch.save({"X": features, "y": labels}, path)'
        raise InputError("pickle-refused", what, str(path), mend) from None


def _reason(error: Exception) -> str:
    """Return why torch refuses a file: the object in it by name, else the first line of what it says."""
    named = re.search(r"(?:GLOBAL|global) ([\w.]+\.[\w.]+) was not", str(error))
    if named:
        return f"it holds an object, {named[1]}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def plain(value: Any, where: str) -> Any:
    """Return the value with NumPy arrays in the place of tensors.

    Raises:
        InputError: ``torch-refused`` for a tensor that names the same numbers again and again.
    """
    if hasattr(value, "detach"):
        return array_of(value, where)
    if isinstance(value, dict):
        return {str(key): plain(item, where) for key, item in value.items()}
    if isinstance(value, list | tuple) and value and hasattr(value[0], "detach"):
        return [plain(item, where) for item in value]
    return list(value) if isinstance(value, list | tuple) else value


def array_of(tensor: Any, where: str) -> Any:
    """Return a tensor as an array; half formats that NumPy lacks become float32."""
    import torch

    if tensor.layout != torch.strided:
        what = f"a tensor is of layout {tensor.layout}"
        raise InputError("torch-refused", what, where, "save it dense: tensor.to_dense()")
    if tensor.numel() > tensor.untyped_storage().nbytes() // max(1, tensor.element_size()):
        what = "a tensor unfolds to more numbers than are stored"
        raise InputError("torch-refused", what, where, "save tensor.contiguous()")
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        require_memory(4 * tensor.numel(), "to widen bfloat16", where, "save it as float32: tensor.float()")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
