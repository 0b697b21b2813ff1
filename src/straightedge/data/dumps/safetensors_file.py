"""Arrays in a safetensors file, by that library's own reader."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from straightedge.atomic import json_object
from straightedge.data.dumps.torch_file import array_of
from straightedge.errors import damage


def own_metadata(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return class names and the extractor's description where this package wrote the file."""
    text = (metadata or {}).get("straightedge", "")
    classes = json_object(text).get("classes")
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return {"classes": classes, "straightedge": text} if named else {}


def read(path: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file by name."""
    from safetensors import SafetensorError, safe_open

    kinds = (SafetensorError, OSError, ValueError, RuntimeError)
    with damage("safetensors-broken", path, kinds), safe_open(path, framework="pt") as file:
        found = {name: array_of(file.get_tensor(name), f"{path}, {name}") for name in file.keys()}  # noqa: SIM118
        return found | own_metadata(file.metadata())
