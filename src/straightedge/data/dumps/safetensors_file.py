"""Arrays in a safetensors file, by that library's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from straightedge.data.dumps.torch_file import array_of
from straightedge.errors import InputError


def read(path: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file by name.

    Raises:
        InputError: ``safetensors-broken``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: array_of(file.get_tensor(name), f"{path}, {name}") for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "safetensors-broken", f"the file cannot be read: {error}", str(path), "save it again"
        ) from None
