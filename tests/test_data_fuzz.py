"""Damaged bytes: every parser gives rows or an error of the family, never anything else."""

import io
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import feather, parquet

from straightedge.data import load_dataset
from straightedge.data.images import BadImage, Decoding, decode
from straightedge.data.tables.files import Table
from straightedge.errors import InputError, StraightedgeError


def encoded(kind):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


IMAGES = {kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")}


def archive(kind):
    stream = io.BytesIO()
    members = {f"{name}/{n}.bmp": encoded("BMP") for name in ("cat", "dog") for n in range(2)}
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as made:
            for name, content in members.items():
                made.writestr(name, content)
    else:
        with tarfile.open(fileobj=stream, mode="w") as made:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                made.addfile(member, io.BytesIO(content))
    return stream.getvalue()


ARCHIVES = {kind: archive(kind) for kind in ("zip", "tar")}
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=6)


def damaged(content, changes, cut):
    changed = bytearray(content)
    for place, flip in changes:
        changed[place % len(changed)] ^= flip
    return bytes(changed[: len(changed) - cut % 50])


@given(st.sampled_from(sorted(IMAGES)), CHANGES, st.integers(0, 49), st.sampled_from([None, (4, 4)]))
@settings(max_examples=400, deadline=None)
def test_a_damaged_image_is_pixels_or_a_bad_image(kind, changes, cut, size):
    try:
        pixels, _ = decode(damaged(IMAGES[kind], changes, cut), Decoding(3, size))
    except BadImage as bad:
        assert bad.kind in {"broken", "not-image", "too-large", "mode"} and bad.reason
    else:
        assert pixels.dtype == np.uint8 and pixels.shape[0] == 3


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_no_image(data):
    with pytest.raises(BadImage):
        decode(data, Decoding())


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")  # classes renamed by a flipped bit
@pytest.mark.parametrize("kind", sorted(ARCHIVES))
@given(changes=CHANGES, cut=st.integers(0, 49))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_archive_is_rows_or_an_error(tmp_path, kind, changes, cut):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(damaged(ARCHIVES[kind], changes, cut))
    try:
        found = load_dataset(path, cache=False)
    except StraightedgeError as error:
        assert error.code and error.where
    else:
        assert found.train.n == len(found.train.X) == len(found.train.names)


def written(path, **compression):
    """Write a small table of vectors and labels as Parquet or Arrow."""
    vectors = pa.array([[float(row), 1.0] for row in range(24)], pa.list_(pa.float32()))
    table = pa.table({"embedding": vectors, "label": ["aaaa", "bbbb"] * 12})
    if path.suffix == ".parquet":
        parquet.write_table(table, path, compression="none", use_dictionary=False)
    else:
        feather.write_feather(table, path, compression="uncompressed")
    return path


@pytest.mark.parametrize("word", ["element", "embedding", "aaaa"])  # of a name within, of a column, of values
def test_text_of_parquet_that_is_no_utf_8_is_named(word, tmp_path):
    path = written(tmp_path / "a.parquet")
    content = path.read_bytes()
    changed = content.replace(word.encode(), word[:-1].encode() + b"\xf4")
    assert changed != content
    path.write_bytes(changed)
    with pytest.raises(InputError, match=r"a\.parquet"):
        load_dataset(path, progress=False, cache=False)


def test_rows_that_are_not_there_are_missed(tmp_path):
    table = Table(written(tmp_path / "a.parquet"))
    table.counts[0] += 1
    with pytest.raises(InputError, match="said to have 25 rows, and has 24"):
        list(table.blocks(0, ["label"], 10))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_with_any_byte_changed_is_rows_or_an_error(kind, tmp_path):
    path = written(tmp_path / f"a.{kind}")
    content = path.read_bytes()
    for place in range(len(content)):
        for flip in (0x80, 0x01):
            path.write_bytes(damaged(content, [(place, flip)], 0))
            with suppress(InputError):
                load_dataset(path, progress=False, cache=False)
