"""The lines of most svmlight files, ``label index:value …`` and no more, read with NumPy.

scikit-learn reads all that the format allows (comments, query numbers, several labels a line) and names what is
wrong in a file; but to import it takes longer than to read a small file. Large files, and lines that are not plain,
are left to it.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from straightedge.special_files import open_regular

LARGEST_FILE = 2**22
"""Bytes of text that are read sooner than scikit-learn is imported, which is faster from then on."""
PLAIN = b"0123456789+-.eE: \t\r\n"  # the bytes of plain lines
LARGEST_INDEX = 2**31 - 1
SPACE, COLON, NEWLINE, ZERO, NINE = b" :\n09"


@dataclass
class PlainLines:
    """Rows of plain lines.

    Attributes:
        labels: (n,) float64.
        lengths: (n,) entries of each row.
        indices: (nnz,) int32, as they are written, ascending in each row.
        values: (nnz,) float32.
    """

    labels: np.ndarray
    lengths: np.ndarray
    indices: np.ndarray
    values: np.ndarray


def read_plain(path: Path) -> PlainLines | None:
    """Return the rows of a small file, or None where it is large or a line of it is not plain.

    Args:
        path: A text file, which may begin with a line of comment; packed files hold other bytes, and give None.
    """
    if path.stat().st_size > LARGEST_FILE:
        return None
    with open_regular(path) as file:
        text = file.read()
    return plain_rows(text.partition(b"\n")[2] if text.startswith(b"#") else text)


def plain_rows(text: bytes) -> PlainLines | None:
    """Return the rows of whole lines, or None where one of them is not plain."""
    if text.translate(None, PLAIN):
        return None
    letters = np.frombuffer(text, np.uint8)
    seen = letters > SPACE
    begins = np.flatnonzero(seen & np.append(True, ~seen[:-1]))
    before = np.searchsorted(begins, np.flatnonzero(letters == NEWLINE))
    # words before each line that is not blank
    edges = np.unique(np.concatenate([[0], before, [len(begins)]]))
    colons = np.flatnonzero(letters == COLON)
    is_label = np.zeros(len(begins), dtype=bool)
    is_label[edges[:-1]] = True
    if not len(begins) or not _one_each(np.flatnonzero(~is_label), begins, colons, letters):
        return None
    numbers = _numbers(text)
    if numbers is None or len(numbers) != len(begins) + len(colons):
        return None
    places = np.cumsum(np.where(is_label, 1, 2)) - np.where(is_label, 1, 2)
    indices = numbers[places[~is_label]]
    rising = np.diff(indices, prepend=-1.0)
    first_of_row = edges[:-1] - np.arange(len(edges) - 1)  # entries before each row
    rising[first_of_row[first_of_row < len(indices)]] = 1.0
    whole = (indices == np.floor(indices)) & (indices >= 0) & (indices <= LARGEST_INDEX)
    if not whole.all() or not (rising > 0).all():
        return None
    with np.errstate(over="ignore"):  # infinite ones are refused with their row
        values = numbers[places[~is_label] + 1].astype(np.float32)
    return PlainLines(numbers[places[is_label]], np.diff(edges) - 1, indices.astype(np.int32), values)


def _one_each(words: np.ndarray, begins: np.ndarray, colons: np.ndarray, letters: np.ndarray) -> bool:
    """Return whether these words are digits, a colon and more each, and no other word holds a colon."""
    if len(words) != len(colons) or not np.array_equal(np.searchsorted(begins, colons, side="right") - 1, words):
        return False
    digits = np.append(0, np.cumsum((letters >= ZERO) & (letters <= NINE), dtype=np.int32))
    wide = colons - begins[words]
    after = np.append(letters, SPACE)[colons + 1] > SPACE
    return bool(after.all() and (wide > 0).all() and (digits[colons] - digits[begins[words]] == wide).all())


def _numbers(text: bytes) -> np.ndarray | None:
    """Return all numbers of a text, or None where something is none."""
    with warnings.catch_warnings():
        # what is no number ends the reading with this warning
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text.replace(b":", b" "), sep=" ")
        except (DeprecationWarning, ValueError):
            return None
