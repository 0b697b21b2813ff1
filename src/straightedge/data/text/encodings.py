"""Bytes of text files as text: the encoding found and said, files that are no text refused.

UTF-8 is tried first, which other encodings hardly ever satisfy by chance. All files of a source that are no UTF-8
are looked at together: a lone byte beyond ASCII tells nothing, a thousand lines with such bytes do.
"""

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from straightedge.errors import InputError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte-order marks, longer ones before those they begin with."""
KNOWN = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive, as Word documents are",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"{\\rtf": "rich text (RTF)",
    b"\x1f\x8b": "packed by gzip",
    b"BZh": "packed by bzip2",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"\x7fELF": "a program",
}
"""First bytes of files that people mistake for texts -> what they are."""
CONTROL = re.compile(rb"[\x01-\x06\x0e-\x1a\x1c-\x1f\x7f]")
MOST_CONTROL = 0.15
"""Share of control characters from which bytes are no text; one in sixteen characters was one in a message."""
LOOKED_AT = 2**16  # bytes of lines beyond ASCII that tell an encoding
WESTERN = "cp1252"
NEARLY = 0.02  # disorder within which Windows-1252 is preferred: its relatives differ from it in a few characters


@dataclass
class TextsRead:
    """Texts in the order of their files, and what is to be said of them.

    Attributes:
        texts: One a file; None for a file that was left out.
        encodings: Name of an encoding -> number of files.
        bad: (position, why it is no text) of each file that was left out.
    """

    texts: list[str | None] = field(default_factory=list)
    encodings: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return the encodings in one line, where there is more than plain UTF-8."""
        if set(self.encodings) <= {"UTF-8"}:
            return []
        counts = ", ".join(f"{n} in {name}" for name, n in self.encodings.most_common())
        return [f"encodings of the texts: {counts}"]


def read_texts(blobs: Sequence[bytes], encoding: str | None = None) -> TextsRead:
    """Decode files of one source; without an encoding it is found.

    Raises:
        InputError: ``text-encoding`` for an encoding that there is not.
    """
    found = TextsRead()
    _refuse_unknown(encoding)
    for position, data in enumerate(blobs):
        why = why_no_text(data) if encoding is None else None
        text, name = (None, "") if why else _plain(data, encoding)
        if why:
            found.bad.append((position, why))
        elif text is not None:
            found.encodings[name] += 1
        found.texts.append(text)
    bad = {position for position, _ in found.bad}
    rest = [place for place, text in enumerate(found.texts) if text is None and place not in bad]
    _decode_rest(blobs, rest, encoding, found)
    return found


def _refuse_unknown(encoding: str | None) -> None:
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        what = f"there is no encoding {encoding!r}"
        raise InputError("text-encoding", what, "--encoding", "such as utf-8 or cp1252") from None


def why_no_text(data: bytes) -> str | None:
    """Return what bytes are that are no text, or None for text in any encoding."""
    known = next((what for head, what in KNOWN.items() if data.startswith(head)), None)
    if known is not None:
        return known
    if data.startswith(tuple(MARKS)):
        return None
    if b"\0" in data:
        return "binary: there is a NUL byte"
    share = len(CONTROL.findall(data)) / max(1, len(data))
    return f"binary: {share:.0%} of its bytes are control characters" if share > MOST_CONTROL else None


def _plain(data: bytes, encoding: str | None) -> tuple[str | None, str]:
    """Return text and encoding where a mark, the user or UTF-8 say it, else (None, "")."""
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    name = encoding or marked or "utf-8"
    try:
        return data.decode(name), {"utf-8": "UTF-8", "utf-8-sig": "UTF-8"}.get(name, name)
    except UnicodeDecodeError:
        return None, ""


def _decode_rest(blobs: Sequence[bytes], rest: Sequence[int], encoding: str | None, found: TextsRead) -> None:
    """Decode the files that are neither marked nor UTF-8 by the encoding that their lines have together."""
    if not rest:
        return
    together = encoding or likely_encoding(telling_lines([blobs[place] for place in rest]))
    for place in rest:
        text, name = _by(blobs[place], together, encoding)
        if text is None:
            found.bad.append((place, name))
        else:
            found.texts[place] = text
            found.encodings[name] += 1
    found.bad.sort()


def _by(data: bytes, together: str | None, said: str | None) -> tuple[str | None, str]:
    """Return text and encoding, or (None, why it cannot be read)."""
    for name in [together] if said else [together, None]:
        name = name or likely_encoding(data[:LOOKED_AT])  # its own, where it is not written as the others are
        try:
            return data.decode(name or "ascii"), str(name)
        except UnicodeDecodeError:
            continue
    return None, f"no text in {said}" if said else "binary: in no known encoding"


def telling_lines(blobs: Sequence[bytes]) -> bytes:
    """Return lines with bytes beyond ASCII, a share of each file, some `LOOKED_AT` bytes in all."""
    most = max(256, LOOKED_AT // len(blobs))
    lines = [re.findall(rb"[^\n]*[\x80-\xff][^\n]*\n?", data) for data in blobs]
    return b"".join(b"".join(own)[:most] for own in lines)[: 2 * LOOKED_AT]


def likely_encoding(data: bytes) -> str | None:
    """Return the likeliest encoding of bytes that are no UTF-8, or None where none fits."""
    from charset_normalizer import from_bytes

    matches = from_bytes(data)
    best = matches.best()
    if best is None:
        return None
    western = next((match for match in matches if WESTERN in match.could_be_from_charset), None)
    if western is not None and western.chaos <= best.chaos + NEARLY:
        return WESTERN
    return str(best.encoding)
