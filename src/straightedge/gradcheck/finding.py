"""A student's function, by ``mine.py:svm_loss`` or ``package.module:svm_loss``; whether it is of torch or NumPy."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from straightedge.errors import InputError
from straightedge.gradcheck.answers import FormError, raised
from straightedge.gradcheck.function import LossFunction

# Words of a function's name that say which loss of the notes it is meant to be.
KINDS = {"svm": "svm", "hinge": "svm", "softmax": "softmax", "cross_entropy": "softmax"}


def names_a_function(word: str) -> bool:
    """Return whether a word of the command line is ``file or module : function`` and no data that exist."""
    return ":" in word and not Path(word).exists() and "://" not in word


def find_function(word: str) -> LossFunction:
    """Import a function by the word that names it, which runs the file: the user has asked for that.

    The folder of the file, and the folder above all packages it lies in, are looked in for what it imports.

    Args:
        word: ``path/to/mine.py:svm_loss`` or ``package.module:svm_loss``, found from the current folder.

    Raises:
        InputError: ``function-missing``, ``function-kind``: there is no such file, module or function.
        FormError: The file itself ends in an exception; the diagnosis says where.
    """
    place, _, name = word.rpartition(":")
    path, module_name, folders = _module(place, word)
    with _importable(folders):
        module = _imported(module_name, path, word)
    function = getattr(module, name, None)
    if function is None:
        there = ", ".join(sorted(_functions(module))) or "no function"
        raise InputError("function-missing", f"there is no function {name!r} in it", place, f"it has: {there}")
    if not callable(function):
        raise InputError("function-kind", f"{name} is a {type(function).__name__}", place, "name a function")
    return function  # type: ignore[no-any-return]


def expected_by_name(name: str) -> str | None:
    """Return ``svm`` or ``softmax`` where a function's name says one of them, else None."""
    kinds = {kind for word, kind in KINDS.items() if word in name.lower()}
    return kinds.pop() if len(kinds) == 1 else None


def takes_torch(function: LossFunction) -> bool:
    """Return whether a function, or its file where it names neither library itself, is of torch and not NumPy."""
    known = getattr(function, "__globals__", {})
    code = getattr(function, "__code__", None)
    used = _libraries({name: known.get(name) for name in _names(code)} if code else {})
    if len(used) != 1:  # neither, or both as in a function that calls torch and np.sqrt
        used = used or _libraries(known)
    return "torch" in used


def _module(place: str, word: str) -> tuple[Path | None, str, list[Path]]:
    """The file if one is named, the name it is imported by, and the folders to look in."""
    path = Path(place)
    if path.suffix != ".py":
        if path.exists() or "/" in place or not place:
            raise InputError("function-missing", f"{place or word!r} is no Python file", word, "mine.py:svm_loss")
        return None, place, [Path.cwd()]
    if not path.is_file():
        raise InputError("function-missing", "there is no such file", place, "a path such as mine.py:svm_loss")
    folder, parts = path.resolve().parent, [path.stem]
    while (folder / "__init__.py").exists():
        parts, folder = [folder.name, *parts], folder.parent
    return path.resolve(), ".".join(parts), [folder, path.resolve().parent, Path.cwd()]


def _imported(name: str, path: Path | None, word: str) -> ModuleType:
    """Import by name; a file is imported anew even if a module of that name is there already."""
    known = sys.modules.get(name)
    if path is not None and known is not None and getattr(known, "__file__", None) != str(path):
        del sys.modules[name]  # a library's module that happens to be called so, such as utils
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if path is None and error.name is not None and name.startswith(error.name):
            raise InputError("function-missing", f"there is no module {name!r}", word, "mine.py:…") from error
        raise FormError(raised(error, _Place(path))) from error
    except (Exception, SystemExit) as error:
        raise FormError(raised(error, _Place(path))) from error
    finally:
        if known is not None:
            sys.modules[name] = known
    return module


class _Place:
    """Stands for a function whose file is known, where the file did not come to define one."""

    def __init__(self, path: Path | None) -> None:
        self.__code__ = _Place.__init__.__code__.replace(co_filename=str(path or ""))

    def __call__(self) -> None:
        """Do nothing; `raised` asks for the file alone."""


@contextmanager
def _importable(folders: list[Path]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, thing in vars(module).items()
        if callable(thing) and getattr(thing, "__module__", None) == module.__name__
    ]


def _names(code: CodeType) -> set[str]:
    """Global names in a function and in the functions inside it."""
    inner: list[CodeType] = [part for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*(_names(part) for part in inner))


def _libraries(names: dict[str, Any]) -> set[str]:
    """Which of torch and NumPy these names stand for, or come from."""
    tops = {_home(thing).partition(".")[0] for thing in names.values()}
    return tops & {"torch", "numpy"}


def _home(thing: Callable[..., Any] | Any) -> str:
    return thing.__name__ if isinstance(thing, ModuleType) else str(getattr(thing, "__module__", ""))
