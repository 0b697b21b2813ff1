"""Straightedge: linear classifiers, trained to a proven optimum.

The public names, nothing else. They are imported when they are first used, so that ``import straightedge``
and the command's ``--help`` cost nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "SoftmaxClassifier": "straightedge.estimators",
    "SVMClassifier": "straightedge.estimators",
    "LinearClassifier": "straightedge.estimators",
    "LinearClassifierCV": "straightedge.selection",
    "fit_path": "straightedge.selection",
    "RegularizationPath": "straightedge.selection",
    "fit_layers": "straightedge.layers",
    "load": "straightedge.model",
    "evaluate": "straightedge.evaluation",
    "Evaluation": "straightedge.evaluation",
    "LinearModel": "straightedge.model",
    "load_dataset": "straightedge.data",
    "course": "straightedge.course",
    "gradcheck": "straightedge.gradcheck",
}

__all__ = [  # noqa: PLE0604  (names of the table above, each imported when it is first used)
    "__version__",
    *_PUBLIC,
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'straightedge' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"straightedge.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
