"""Output that no file's content can steer: what would move the cursor, colour or order of a terminal is escaped.

Names of files, classes, columns and archive members are written by other people. Messages show them by `visible`;
here is the one place where everything that is printed goes through.
"""

import io
import re

STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters and bidirectional ones, but for the tabulator, the line's end and the return of a bar."""
OWN = re.compile(r"\x1b\[[0-9;?]*[A-HJKhlm]|\x1b\]8;[^\x00-\x1f\x7f-\x9f]*\x1b\\")
"""What bars and tables send to a terminal: colours, steps of the cursor, links."""


def guard(stream: io.TextIOWrapper, *, colours: bool) -> None:
    """Let a stream that others may hold escape what steers a terminal, but for `colours` of tables and bars."""
    if hasattr(stream, "unguarded"):  # it is already, as where tests call the command again
        return
    unguarded = stream.write

    def write(text: str) -> int:
        unguarded(_escaped(text, colours) if STEERING.search(text) else text)
        return len(text)

    vars(stream).update(unguarded=unguarded, write=write)


def _escaped(text: str, colours: bool) -> str:
    if not colours:
        return STEERING.sub(_escape, text)
    out, place = [], 0
    for own in OWN.finditer(text):
        out += [STEERING.sub(_escape, text[place : own.start()]), own[0]]
        place = own.end()
    return "".join([*out, STEERING.sub(_escape, text[place:])])


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
