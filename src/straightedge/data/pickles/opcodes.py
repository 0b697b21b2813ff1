"""The opcodes that plain values need, each a small function of the machine; and why the others are refused.

References:
    Python's `pickletools` documents every opcode.
"""

import codecs
from collections.abc import Callable
from typing import Any

from straightedge.data.pickles.names import ArrayDraft, Name, TypeDraft, broken, known, refused
from straightedge.data.pickles.stack import MARK, Machine

LARGEST_INTEGER = 16
"""Bytes of a whole number; longer ones are no labels, and their text takes quadratic time to write."""
NEWEST_PROTOCOL = 5


def _bytes(layout: str) -> Callable[[Machine], None]:
    return lambda m: m.push(m.take(m.number(layout)))


def _short_bytes(m: Machine) -> None:
    m.push(bytes(m.take(m.number("<B"))))


def _text(layout: str) -> Callable[[Machine], None]:
    return lambda m: m.push(codecs.decode(m.take(m.number(layout)), "utf-8", "surrogatepass"))


def _value(value: Any) -> Callable[[Machine], None]:
    return lambda m: m.push(value)


def _number(layout: str) -> Callable[[Machine], None]:
    return lambda m: m.push(m.number(layout))


def _integer(layout: str) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        count = m.number(layout)
        if not 0 <= count <= LARGEST_INTEGER:
            raise refused(f"a whole number of {count} bytes")
        m.push(int.from_bytes(m.take(count), "little", signed=True))

    return push


def _integer_line(m: Machine) -> None:
    digits = m.line(40).removesuffix(b"L")
    m.push({b"00": False, b"01": True}[digits] if digits in (b"00", b"01") else int(digits))


def _string_line(m: Machine) -> None:
    line = m.line(None)
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise broken("a text has no quotes")
    m.push(codecs.escape_decode(line[1:-1])[0])


def _tuple(count: int) -> Callable[[Machine], None]:
    def push(m: Machine) -> None:
        values = m.stack[-count:]
        if len(values) < count or any(value is MARK for value in values):
            raise broken("a value is missing on the stack")
        m.stack[-count:] = [tuple(map(finished_argument, values))]

    return push


def finished_argument(value: Any) -> Any:
    """Return a value as an argument or item: names and types stay, arrays that have their data are arrays."""
    return value.array if isinstance(value, ArrayDraft) and value.array is not None else value


def _append(m: Machine) -> None:
    value = finished_argument(m.pop())
    _list_at_top(m).append(value)


def _appends(m: Machine) -> None:
    values = [finished_argument(value) for value in m.pop_to_mark()]
    _list_at_top(m).extend(values)


def _list_at_top(m: Machine) -> list[Any]:
    target = m.stack[-1]
    if type(target) is not list:
        raise refused("items added to something that is no list")
    return target


def _set_items(m: Machine, values: list[Any]) -> None:
    target = m.stack[-1]
    if type(target) is not dict or len(values) % 2:
        raise refused("items set in something that is no dictionary")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[_key(key)] = finished_argument(value)


def _key(key: Any) -> Any:
    """Return a key of a dictionary; Python 2's text becomes text."""
    if isinstance(key, bytes | memoryview):
        return bytes(key).decode("latin1")
    if not isinstance(key, str | int | float | bool | None):
        raise refused(f"a dictionary with a key of type {type(key).__name__}")
    return key


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _set_items(m, [key, value])


def _dictionary_of_marked(m: Machine) -> None:
    values = m.pop_to_mark()
    m.push({})
    _set_items(m, values)


def _global_line(m: Machine) -> None:
    module, attribute = m.line().decode("latin1"), m.line().decode("latin1")
    m.push(known(Name(module, attribute)))


def _global_of_stack(m: Machine) -> None:
    attribute, module = m.pop(), m.pop()
    if not isinstance(attribute, str) or not isinstance(module, str):
        raise refused("a name that is no text")
    m.push(known(Name(module, attribute)))


def _instance(m: Machine) -> None:
    module, attribute = m.line().decode("latin1"), m.line().decode("latin1")
    raise refused(f"an object of {module}.{attribute}"[:200])


def _reduce(m: Machine) -> None:
    arguments, name = m.pop(), m.pop()
    m.push(m.make(name, arguments))


def _build(m: Machine) -> None:
    state, target = m.pop(), m.stack[-1]
    if not isinstance(target, ArrayDraft | TypeDraft):
        raise refused(f"a state for a value of type {type(target).__name__}")
    target.set_state(state)


def _remember(m: Machine, index: int) -> None:
    m.memo[index] = m.stack[-1]


def _protocol(m: Machine) -> None:
    protocol = m.number("<B")
    if protocol > NEWEST_PROTOCOL:
        raise refused(f"protocol {protocol}, newer than {NEWEST_PROTOCOL}")


def _frame(m: Machine) -> None:
    if m.number("<Q") > len(m.data) - m.place:
        raise EOFError("a frame ends after the file")


ACTIONS: dict[str, Callable[[Machine], Any]] = {
    "\x80": _protocol,
    "\x95": _frame,
    "N": _value(None),
    "\x88": _value(True),
    "\x89": _value(False),
    "I": _integer_line,
    "L": _integer_line,
    "J": _number("<i"),
    "K": _number("<B"),
    "M": _number("<H"),
    "\x8a": _integer("<B"),
    "\x8b": _integer("<i"),
    "F": lambda m: m.push(float(m.line(400))),
    "G": _number(">d"),
    "S": _string_line,
    "T": _bytes("<i"),
    "U": _short_bytes,
    "B": _bytes("<I"),
    "C": _short_bytes,
    "\x8e": _bytes("<Q"),
    "\x96": _bytes("<Q"),
    "V": lambda m: m.push(m.line(None).decode("raw-unicode-escape")),
    "X": _text("<I"),
    "\x8c": _text("<B"),
    "\x8d": _text("<Q"),
    "]": lambda m: m.push([]),
    "a": _append,
    "e": _appends,
    "l": lambda m: m.push(m.pop_to_mark()),
    "}": lambda m: m.push({}),
    "s": _set_item,
    "u": lambda m: _set_items(m, m.pop_to_mark()),
    "d": _dictionary_of_marked,
    ")": _value(()),
    "t": lambda m: m.push(tuple(map(finished_argument, m.pop_to_mark()))),
    "\x85": _tuple(1),
    "\x86": _tuple(2),
    "\x87": _tuple(3),
    "(": _value(MARK),
    "0": lambda m: m.stack.pop(),
    "1": lambda m: m.pop_to_mark(),
    "2": lambda m: m.push(m.stack[-1]),
    "p": lambda m: _remember(m, int(m.line(40))),
    "q": lambda m: _remember(m, m.number("<B")),
    "r": lambda m: _remember(m, m.number("<I")),
    "\x94": lambda m: _remember(m, len(m.memo)),
    "g": lambda m: m.push(m.memo[int(m.line(40))]),
    "h": lambda m: m.push(m.memo[m.number("<B")]),
    "j": lambda m: m.push(m.memo[m.number("<I")]),
    "c": _global_line,
    "\x93": _global_of_stack,
    "R": _reduce,
    "b": _build,
    "i": _instance,
}
"""What the machine does at each opcode it knows."""
BY_CODE = [ACTIONS.get(chr(code)) for code in range(256)]

REFUSED = {
    "o": "an object of a class (opcode OBJ)",
    "\x81": "an object of a class (opcode NEWOBJ)",
    "\x92": "an object of a class (opcode NEWOBJ_EX)",
    "P": "a persistent id, which some other program would have to look up",
    "Q": "a persistent id, which some other program would have to look up",
    "\x82": "an extension code of copyreg (EXT1)",
    "\x83": "an extension code of copyreg (EXT2)",
    "\x84": "an extension code of copyreg (EXT4)",
    "\x97": "an out-of-band buffer, which is not in the file",
    "\x98": "an out-of-band buffer, which is not in the file",
    "\x8f": "a set (save a sorted list)",
    "\x90": "a set (save a sorted list)",
    "\x91": "a set (save a sorted list)",
}
"""What is said of the opcodes that are refused."""
