"""The stack, the memo and the place in the bytes of a pickle that is being read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from straightedge.data.pickles.names import broken, build, refused

LONGEST_LINE = 2**16  # bytes of a line of the text opcodes of protocols 0 and 1, strings apart
STOP = ord(".")
MOST_MADE = 4  # bytes that builders may make, as a multiple of the file's: an honest file needs 2
MARK = object()


class Machine:
    """The stack, the memo and the place in the bytes of a whole pickle."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.place = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.made = 0

    def run(self, actions: Sequence[Callable[[Machine], Any] | None], refusals: Mapping[str, str]) -> Any:
        """Run to the end and return the value on the stack.

        Args:
            actions: What is done at each of the 256 opcodes; None refuses.
            refusals: What is said of opcodes that are refused.
        """
        data = self.data
        while True:
            code = data[self.place]
            self.place += 1
            action = actions[code]
            if action is not None:
                action(self)
            elif code == STOP:
                return self.stack.pop()
            else:
                opcode = chr(code)
                raise refused(refusals.get(opcode, f"an opcode {opcode!r} that plain values do not need"))

    def take(self, count: int) -> memoryview:
        """Return the next bytes."""
        if count < 0 or count > len(self.data) - self.place:
            raise EOFError("it ends too early")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, layout: str) -> Any:
        """Return the next number, by its `struct` layout."""
        (value,) = struct.unpack_from(layout, self.data, self.place)
        self.place += struct.calcsize(layout)
        return value

    def line(self, longest: int | None = LONGEST_LINE) -> bytes:
        """Return the bytes up to the end of the line."""
        rest = len(self.data) - self.place
        piece = 256
        while True:
            found = bytes(self.data[self.place : self.place + piece]).find(b"\n")
            if found >= 0:
                return bytes(self.take(found + 1)[:-1])
            if piece >= rest or (longest is not None and piece > longest):
                raise EOFError("a line has no end")
            piece *= 4

    def make(self, name: Any, arguments: Any) -> Any:
        """Return what a name makes of its arguments; refuse a file that makes far more than it holds."""
        value = build(name, arguments)
        if isinstance(value, bytes):
            self.made += len(value)
        if self.made > MOST_MADE * len(self.data) + 2**20:
            raise refused(f"bytes that unfold to more than {MOST_MADE} times the file")
        return value

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take a value from the stack."""
        value = self.stack.pop()
        if value is MARK:
            raise broken("a value is missing on the stack")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Take all values above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise broken("a mark is missing on the stack")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values
