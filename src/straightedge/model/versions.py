"""The software that made a model."""

import platform
from importlib.metadata import version

import numpy as np

from straightedge import __version__


def versions() -> dict[str, str]:
    """Return the versions that decide the answer."""
    import torch

    return {
        "straightedge": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),
    }
