"""One family of errors: a stable code, what happened, where, and how to mend it.

Every error a user can cause or meet is a `StraightedgeError`. Its text always has the same order: what was found,
where (file, row, column), what was expected or how to mend it. `code` never changes between releases, so scripts
may rely on it; `exit_status` is what the command ends with: 2 for the user's mistakes, 1 for the machine's.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

# control characters, line separators, bidirectional controls, bytes of a name that are not UTF-8
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: object) -> str:
    r"""Return text that can be shown on a terminal: what would move its cursor, colour or order is escaped.

    File and class names come from other people. A carriage return in one overwrites the line, an escape
    sequence sets the terminal's title, a right-to-left override shows ``gpj.exe`` as ``exe.jpg``.

    Args:
        text: Anything; its `str` is taken.

    Returns:
        One line, in which ``ESC`` stands as ``\x1b``.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


class StraightedgeError(Exception):
    """Base of all errors raised on purpose.

    Args:
        code: Stable identifier, lower case with dashes, such as ``"labels-single-class"``.
        what: What was found, one sentence.
        where: File, row or argument it was found at, if there is one.
        mend: What was expected, or how to mend it.
    """

    exit_status = 1

    def __init__(self, code: str, what: str, where: str | None = None, mend: str | None = None) -> None:
        self.code = code
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(code, what, where, mend)

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"at: {self.where}")
        if self.mend:
            parts.append(self.mend)
        return visible(" · ".join(parts)) + f" [{self.code}]"

    def to_dict(self) -> dict[str, str | None]:
        """Return the error as the JSON object that ``--json`` prints."""
        return {"code": self.code, "what": self.what, "where": self.where, "mend": self.mend}


class InputError(StraightedgeError, ValueError):
    """The user's data, files or arguments cannot be used as they are (exit status 2)."""

    exit_status = 2


class InputTypeError(InputError, TypeError):
    """The user's data are of a kind that cannot be read as numbers at all (exit status 2)."""


class MissingExtraError(InputError, ImportError):
    """A feature needs an optional package that is not installed (exit status 2)."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            "missing-extra",
            f"{purpose} needs the package {package!r}, which is not installed",
            mend=f'install it with: pip install "straightedge[{extra}]"',
        )


def import_extra(module: str, package: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional package when it is needed.

    Args:
        module: Its name, such as ``skops.io``.
        package: What is installed, such as ``skops``.
        extra: The extra of this package that installs it.
        purpose: What needs it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, extra, purpose) from error


class MachineError(StraightedgeError, RuntimeError):
    """The machine could not do its part: disk full, out of memory, read-only folder (exit status 1)."""


class StraightedgeWarning(UserWarning):
    """Something the user should know that does not stop the work; `code` is stable."""

    def __init__(self, code: str, what: str) -> None:
        self.code = code
        self.what = what
        super().__init__(f"{visible(what)} [{code}]")


@contextmanager
def damage(
    code: str, where: object, kinds: tuple[type[BaseException], ...], mend: str = "save it again"
) -> Iterator[None]:
    """Turn what a reader raises on bytes that are no whole file into an error that names it.

    Args:
        code: The error's code.
        where: The file.
        kinds: What the reader raises; errors of this package stay as they are.
        mend: What would help.

    Raises:
        InputError: ``code``.
    """
    try:
        yield
    except StraightedgeError:
        raise
    except kinds as error:
        raise InputError(code, f"the file cannot be read: {error}", str(where), mend) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the known word nearest to one that is not known; "" where none is near."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def warn(code: str, what: str) -> None:
    """Issue a `StraightedgeWarning` with a stable code."""
    warnings.warn(StraightedgeWarning(code, what), stacklevel=3)
