"""Damaged bytes: every parser gives rows or an error of the family, never anything else."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from straightedge.data import load_dataset
from straightedge.data.images import BadImage, Decoding, decode
from straightedge.errors import StraightedgeError


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
