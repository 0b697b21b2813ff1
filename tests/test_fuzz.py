"""Changed and random bytes for every parser of the project's own; `make fuzz` runs the same ones for longer."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.fuzz import parsers


def nameless_zip() -> bytes:
    """A zip with a member whose name is empty."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
    return stream.getvalue()


def unclosed_npz() -> bytes:
    """An array whose header opens a bracket and never closes it."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, " + b" " * 8 + b"\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return stream.getvalue()


def huge_idx_of_nothing() -> bytes:
    """No entries, in a shape whose other sides no array can have."""
    return bytes([0, 0, 8, 5]) + b"".join(side.to_bytes(4, "big") for side in (0, 3, 2**24, 2**31, 2**31))


def misnamed_zip() -> bytes:
    """A member whose own header has a name that is no UTF-8; the list at the end has a good one."""
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a/é.png", "b/é.png"):
            archive.writestr(name, picture.getvalue())
    return stream.getvalue().replace("é".encode(), b"\xf7\xa9", 1)


FOUND: list[tuple[str, bytes]] = [
    ("zip", nameless_zip()),
    ("npz", unclosed_npz()),
    ("idx", huge_idx_of_nothing()),
    ("zip", misnamed_zip()),
]
"""What the fuzzers found, kept after it was mended: (parser, bytes)."""


@pytest.mark.parametrize("name", [name for name in parsers.PARSERS if name not in {"cifar", "run", "arguments"}])
def test_the_seeds_are_whole_files(name: str) -> None:
    assert all(parsers.try_parser(name, seed) for seed in parsers.seeds(name))


@pytest.mark.parametrize("name", [name for name in parsers.PARSERS if name != "arguments"])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 200),
    tail=st.binary(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_changed_files_are_values_or_errors(
    name: str, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    for seed in parsers.seeds(name):
        data = bytearray(seed)
        for place, value in changes:
            data[place % len(data)] = value
        parsers.try_parser(name, bytes(data[: max(1, len(data) - cut)]) + tail)


@pytest.mark.parametrize("name", [name for name in parsers.PARSERS if name != "arguments"])
@given(data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_value_or_an_error(name: str, data: bytes) -> None:
    parsers.try_parser(name, data)


OPTIONS = ["--reg", "--regs", "--path", "--tol", "--size", "--loss", "--solver", "--memory", "--folds", "--json"]


@given(words=st.lists(st.sampled_from(OPTIONS) | st.text(max_size=8), max_size=8))
@settings(max_examples=15, deadline=None)
@pytest.mark.long
def test_any_words_end_with_a_status(words: list[str]) -> None:
    parsers.try_parser("arguments", " ".join(words).encode("utf-8", "replace"))


def test_what_the_fuzzers_found_stays_mended() -> None:
    for name, data in FOUND:
        parsers.try_parser(name, data)
