"""What an object says of itself: at most ten lines of text, or a small table in a notebook."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from straightedge.errors import InputError, visible

MOST_LINES = 10  # lines of a text: a notebook shows them without scrolling
MOST_NAMES = 10  # names that stand in a list before the others are counted
NAME_WIDTH = 24  # characters of a name in a list of names
LINE_WIDTH = 100  # characters of a line
LEFT = 'style="text-align:left"'  # notebooks set cells to the right, as numbers are; these are words


@dataclass(frozen=True)
class Facts:
    """A title and what is to be known, a line each.

    Attributes:
        title: What it is.
        rows: Name and value; a value of "" is left out.
    """

    title: str
    rows: tuple[tuple[str, str], ...]

    @property
    def said(self) -> list[tuple[str, str]]:
        """The rows that say something, as many as there is room for."""
        return [(name, visible(value)) for name, value in self.rows if value][: MOST_LINES - 1]

    def text(self) -> str:
        """Return at most `MOST_LINES` lines."""
        width = max((len(name) for name, _ in self.said), default=0)
        lines = [self.title, *(f"  {name:<{width}}  {value}" for name, value in self.said)]
        return "\n".join(short(line, LINE_WIDTH) for line in lines)

    def html(self) -> str:
        """Return a table of two columns."""
        rows = "".join(
            f"<tr><th {LEFT}>{escape(name)}</th><td {LEFT}>{escape(value)}</td></tr>" for name, value in self.said
        )
        return f"<table><caption>{escape(visible(self.title))}</caption><tbody>{rows}</tbody></table>"


class Described:
    """Shows itself by its `_facts`, in a terminal and in a notebook."""

    @abstractmethod
    def _facts(self) -> Facts:
        """Return what is to be shown."""

    def __repr__(self) -> str:
        return self._facts().text()

    def _repr_html_(self) -> str:
        return self._facts().html()


def short(text: str, width: int) -> str:
    """Return a text of at most `width` characters, cut with an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def names(words: Sequence[Any]) -> str:
    """Return the first names of a list, and how many more there are."""
    first = [short(visible(word), NAME_WIDTH) for word in words[:MOST_NAMES]]
    while len(first) > 1 and sum(len(word) + 2 for word in first) > LINE_WIDTH - 30:
        first.pop()
    rest = len(words) - len(first)
    return ", ".join(first) + (f" and {rest:,} more" if rest else "")


def amount(number: int, thing: str) -> str:
    """Return a number with the word for what is counted: ``1 class``, ``10 classes``."""
    plural = thing + ("es" if thing.endswith("s") else "s")
    return f"{number:,} {thing if number == 1 else plural}"


def frame(columns: Mapping[str, Any]) -> Any:
    """Return columns of equal length as a ``pandas.DataFrame``."""
    try:
        import pandas
    except ImportError as error:
        raise InputError("pandas-missing", "to_frame needs pandas", mend="pip install pandas") from error
    return pandas.DataFrame(dict(columns))
