"""Zip and tar files: the same rows as from a folder, and every line on archives of the list of bad inputs."""

import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from straightedge.data import listing, load_dataset
from straightedge.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path_factory.mktemp("cache")))


def png(seed):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


MEMBERS = {
    f"{split}/{name}/{number}.png": png(100 * shift + number)
    for shift, (split, name) in enumerate((s, n) for s in ("train", "test") for n in ("cat", "dog"))
    for number in range(3)
}


def make_folder(path):
    for name, content in MEMBERS.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def make_zip(path, members=MEMBERS, prefix="", **settings):
    with zipfile.ZipFile(path, "w", **settings) as archive:
        for name, content in members.items():
            archive.writestr(prefix + name, content)
    return path


def make_tar(path, mode="w", members=MEMBERS, prefix="", extra=()):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return path


def rows(found):
    test = found.test.open("test")
    return found.classes, np.array(found.train.X), found.train.y.tolist(), np.array(test.X), test.y.tolist()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_folder_zip_and_tar_give_the_same_rows(tmp_path):
    expected = rows(load_dataset(make_folder(tmp_path / "set")))
    assert expected[2] == [0, 0, 0, 1, 1, 1]
    sources = [
        make_zip(tmp_path / "stored.zip"),
        make_zip(tmp_path / "packed.zip", compression=zipfile.ZIP_DEFLATED, prefix="wrapper/set/"),
        make_tar(tmp_path / "plain.tar"),
        make_tar(tmp_path / "packed.tar.gz", "w:gz", prefix="wrapper/"),
        make_tar(tmp_path / "packed.tgz", "w:gz", prefix="./"),
        make_tar(tmp_path / "packed.tar.xz", "w:xz"),
        make_tar(tmp_path / "packed.tar.bz2", "w:bz2"),
        make_zip(tmp_path / "no-ending"),
    ]
    for source in sources:
        assert same(rows(load_dataset(source)), expected), source


def test_a_tar_is_read_in_its_own_order(tmp_path):
    shuffled = {name: MEMBERS[name] for name in sorted(MEMBERS, key=lambda name: name[::-1])}
    found = load_dataset(make_tar(tmp_path / "a.tar.gz", "w:gz", members=shuffled))
    assert list(found.train.names) == [name for name in shuffled if name.startswith("train")]
    for name, row in zip(found.train.names, found.train.X, strict=True):
        assert (row == np.asarray(Image.open(io.BytesIO(MEMBERS[name]))).transpose(2, 0, 1)).all()
    assert [found.classes[label] for label in found.train.y] == [name.split("/")[1] for name in found.train.names]


def test_names_that_are_no_utf8_or_300_characters_long(tmp_path):
    members = {**MEMBERS, f"train/dog/{'n' * 300}.png": png(50)}
    found = load_dataset(make_zip(tmp_path / "a.zip", members))
    assert found.train.n == 7
    odd = {**MEMBERS, "train/dog/caf\udce9.png": png(51)}
    found = load_dataset(make_tar(tmp_path / "a.tar", members=odd))
    assert "train/dog/caf\\xe9.png" in found.train.names


def bad_member(kind, name, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


TAR_MEMBERS = [
    pytest.param(bad_member(tarfile.SYMTYPE, "train/cat/l.png", "/etc/passwd"), id="member that is a link"),
    pytest.param(
        bad_member(tarfile.LNKTYPE, "train/cat/l.png", "train/cat/0.png"), id="member that is a hard link"
    ),
    pytest.param(bad_member(tarfile.CHRTYPE, "train/cat/zero"), id="member that is a device"),
    pytest.param(bad_member(tarfile.FIFOTYPE, "train/cat/pipe"), id="member that is a pipe"),
    pytest.param(bad_member(tarfile.REGTYPE, "../outside.png"), id="member with ../"),
    pytest.param(bad_member(tarfile.REGTYPE, "/etc/outside.png"), id="absolute path"),
]


@pytest.mark.parametrize("member", TAR_MEMBERS)
def test_unsafe_members_of_a_tar_are_refused(tmp_path, member):
    with pytest.raises(InputError) as caught:
        load_dataset(make_tar(tmp_path / "a.tar", extra=[member]))
    assert caught.value.code == "archive-member-unsafe"
    assert member.name.split("/")[-1] in caught.value.where


@pytest.mark.parametrize("name", ["../x.png", "train/../../x.png", "/x.png", "C:/x.png", "..\\x.png", "\\x.png"])
def test_unsafe_members_of_a_zip_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="archive-member-unsafe"):
        load_dataset(make_zip(tmp_path / "a.zip", {**MEMBERS, name: png(1)}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("train/cat/link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="archive-member-unsafe"):
        load_dataset(path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="archive-encrypted"):
        load_dataset(path)


def test_a_zip_bomb_is_refused_by_ratio(tmp_path):
    members = {**MEMBERS, "train/cat/bomb.bmp": bytes(2**23)}
    for path in (
        make_zip(tmp_path / "a.zip", members, compression=zipfile.ZIP_DEFLATED),
        make_tar(tmp_path / "a.tar.gz", "w:gz", members={"train/cat/bomb.bmp": bytes(2**23)}),
    ):
        with pytest.raises(InputError) as caught:
            load_dataset(path)
        assert caught.value.code == "archive-bomb"
        assert "bomb.bmp" in caught.value.where


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_zip_bomb_is_refused_by_total(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(listing, "TOTAL_FROM", 2**20)
    members = {f"train/cat/{number}.bmp": bytes(2**19) for number in range(40)}
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        make_zip(path, members, compression=zipfile.ZIP_DEFLATED)
    else:
        make_tar(path, "w:gz", members=members)
    with pytest.raises(InputError, match=r"claim to hold.*together.*archive-bomb"):
        load_dataset(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_archive_is_an_error(tmp_path, kind, part):
    path = tmp_path / f"a.{kind}"
    make_zip(path) if kind == "zip" else make_tar(
        path, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind]
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)] if kind != "tar" else content[: int(8000 * part)])
    with pytest.raises(InputError) as caught:
        load_dataset(path)
    assert caught.value.code in ("archive-broken", "no-class-folders"), caught.value
    assert str(path) in caught.value.where


def test_a_flipped_bit_is_an_error_that_names_the_member(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset(path)
    assert caught.value.code == "archive-broken"
    assert "/0.png" in caught.value.where


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_something_else_with_the_ending_of_an_archive(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"<!doctype html><title>404</title>" * 40)
    with pytest.raises(InputError, match="archive-broken"):
        load_dataset(path)


def test_the_python_batches_of_cifar10_are_never_unpickled(tmp_path):
    members = {
        f"cifar-10-batches-py/{name}": b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00xtR."
        for name in ("data_batch_1", "test_batch", "batches.meta")
    }
    with pytest.raises(InputError) as caught:
        load_dataset(make_tar(tmp_path / "cifar-10-python.tar.gz", "w:gz", members=members))
    assert caught.value.code == "pickle-refused"
    assert "os.system" in str(caught.value)


@pytest.mark.slow
def test_sixty_thousand_images_start_within_three_seconds_the_second_time():
    path = Path(os.environ.get("STRAIGHTEDGE_CIFAR10", "../shared/data/cifar10-images.zip"))
    if not path.exists():
        pytest.skip("no CIFAR-10 zip")
    first = load_dataset(path)
    assert (first.train.n, first.test.n, first.image_shape) == (50_000, 10_000, (3, 32, 32))
    start = time.perf_counter()
    second = load_dataset(path)
    assert time.perf_counter() - start < 3
    assert second.fingerprint == first.fingerprint and isinstance(second.train.X, np.memmap)


def test_nothing_is_written_beside_an_archive(tmp_path):
    load_dataset(make_zip(tmp_path / "a.zip"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
