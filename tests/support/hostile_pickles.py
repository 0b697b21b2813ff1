"""Pickles that would run something if they were unpickled, or that unfold: two hundred and more, by kind."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

CALLS = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "Popen"),
    ("subprocess", "check_output"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("__builtin__", "eval"),
    ("__builtin__", "execfile"),
    ("builtins", "__import__"),
    ("builtins", "getattr"),
    ("builtins", "open"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
    ("webbrowser", "open"),
    ("socket", "create_connection"),
    ("shutil", "rmtree"),
    ("pathlib", "Path.unlink"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.core.multiarray", "fromfile"),
    ("torch", "load"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("pandas", "read_pickle"),
    ("pandas.core.frame", "DataFrame"),
    ("scipy.sparse._csr", "csr_matrix"),
    ("sklearn.utils._bunch", "Bunch"),
    ("operator", "attrgetter"),
    ("functools", "partial"),
    ("codecs", "decode"),
    ("_pickle", "loads"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("types", "FunctionType"),
    ("ctypes", "CDLL"),
]
WORD = "touch called"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def named(module: str, attribute: str) -> Iterator[tuple[str, bytes]]:
    """The same call in every form that names it: GLOBAL, STACK_GLOBAL, memo tricks, INST, OBJ, NEWOBJ."""
    line = f"c{module}\n{attribute}\n".encode()
    stack = text(module) + text(attribute) + b"\x93"
    argument = b"(" + text(WORD) + b"t"
    yield "global", b"\x80\x02" + line + argument + b"R."
    yield "stack_global", b"\x80\x04" + stack + argument + b"R."
    yield "text", line + b"(S'touch called'\ntR."
    yield "inst", b"(S'touch called'\ni" + f"{module}\n{attribute}\n.".encode()
    yield "obj", b"(" + line + text(WORD) + b"o."
    yield "newobj", b"\x80\x02" + line + argument + b"\x81."
    memo = text(module) + b"q\x00" + text(attribute) + b"q\x01" + b"00h\x00h\x01\x93"
    yield "memo", b"\x80\x04" + memo + argument + b"R."
    inner = line + argument + b"R"
    yield "nested", b"\x80\x02cnumpy\ndtype\n(" + inner + b"tR."


class Call:
    """An object whose pickle calls os.system."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (WORD,)


def kinds() -> Iterator[tuple[str, bytes]]:
    """Every hostile pickle, with the kind it is of."""
    for module, attribute in CALLS:
        for form, data in named(module, attribute):
            yield f"{module}.{attribute} by {form}", data
    for protocol in range(6):
        yield f"object in a dictionary, protocol {protocol}", pickle.dumps({"X": [Call()]}, protocol)
        yield f"path, protocol {protocol}", pickle.dumps(Path("x"), protocol)
    for name, code in (("EXT1", b"\x82\x01"), ("EXT2", b"\x83\x01\x00"), ("EXT4", b"\x84\x01\x00\x00\x00")):
        yield f"copyreg extension {name}", b"\x80\x02" + code + b"."
    yield "persistent id", b"Pmine\n."
    yield "binary persistent id", b"\x80\x02" + text("mine") + b"Q."
    yield "out-of-band buffer", b"\x80\x05\x97."
    yield "read-only buffer", b"\x80\x05N\x98."
    yield "build on a dictionary", b"\x80\x02}" + b"}b."
    yield "build on a list", b"\x80\x02]" + b"}b."
    yield "memo loop of reduce", b"\x80\x02cnumpy\ndtype\nq\x00h\x00(h\x00tRh\x00(h\x00tR\x86."
    yield "array called", b"\x80\x02cnumpy\nndarray\n(K\x05tR."
    yield "1 GB of bytes by number", b"\x80\x03cbuiltins\nbytes\n(J\x00\x00\x00\x40tR."
    yield "1 GB of bytearray by number", b"\x80\x03cbuiltins\nbytearray\n(J\x00\x00\x00\x40tR."
    yield "a claimed length of 2^62", b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x."
    yield "a whole number of 2^30 bytes", b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"."
    yield "a whole number of a million digits", b"L" + b"9" * 10**6 + b"L\n."
    yield "bytes unfolded by the memo", unfolded()
    yield "nested lists", b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."
    yield "nested tuples", b"\x80\x02)" + b"\x85" * 10**5 + b"."
    yield "a list in itself", b"\x80\x02]q\x00h\x00a."
    yield "a billion laughs", b"\x80\x02](K\x01K\x01e" + b"q\x002(h\x00h\x00t0" * 60 + b"."
    rows, labels = [[1] * 1000] * 130, ["a"] * 10**5
    yield "rows under many names", pickle.dumps({str(name): rows for name in range(300)})
    yield "labels under many names", pickle.dumps({str(name): labels for name in range(1000)})
    yield "codec rot13", b"\x80\x02c_codecs\nencode\n(" + text("abc") + text("rot13") + b"tR."
    yield "codec zlib", b"\x80\x02c_codecs\nencode\n(" + text("abc") + text("zlib_codec") + b"tR."
    yield "type with fields", b"\x80\x02cnumpy\ndtype\n(" + text("V8") + b"K\x00K\x01tR."
    yield "type of objects of a class", b"\x80\x02cnumpy\ndtype\n(cos\nsystem\ntR."
    yield "protocol 6", b"\x80\x06N."
    yield "a mark as an argument", b"\x80\x02cnumpy\ndtype\n(R."
    yield "a set", pickle.dumps({1, 2, 3}, 4)
    yield "an empty file of opcodes", b"\x80\x04."


def unfolded() -> bytes:
    """One megabyte of text, made into bytes a thousand times over."""
    word = text("a" * 2**20) + b"q\x00" + text("latin1") + b"q\x010"
    once = b"c_codecs\nencode\n(h\x00h\x01tR"
    return b"\x80\x02" + word + b"(" + once * 1000 + b"l."


HOSTILE = list(kinds())
