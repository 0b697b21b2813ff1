"""Named sources: digits, CIFAR-10 from its binary release, IDX files, and downloads from a server made here."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from straightedge.cli.data import group
from straightedge.data import cifar10, download, idx, load_dataset
from straightedge.data.download import Remote, fetch
from straightedge.errors import InputError, MachineError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(folder))
    return folder


# digits


def test_digits_are_kept_as_stored_with_a_fixed_split():
    from sklearn.datasets import load_digits

    found = load_dataset("digits")
    test = found.test.open("test")
    assert (found.train.n, test.n) == (1442, 355)
    assert found.image_shape == (1, 8, 8) and found.train.X.dtype == np.uint8
    bunch = load_digits()
    for split in (found.train, test):
        rows = [int(name.split("/")[1]) for name in split.names]
        assert (split.X[:, 0] == bunch.images[rows]).all()
        assert (split.y == bunch.target[rows]).all()
    assert np.abs(np.bincount(test.y) * 5 - np.bincount(bunch.target)).max() < 5
    assert load_dataset("digits").fingerprint == found.fingerprint


# CIFAR-10


def batch(seed, n=4):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    y = (np.arange(n) + seed) % 10
    return X, y, b"".join(bytes([label]) + row.tobytes() for row, label in zip(X, y, strict=True))


BATCHES = {name: batch(seed) for seed, name in enumerate(cifar10.FILES)}


def cifar_archive(path, change=lambda name, data: data, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, (_, _, data) in reversed(BATCHES.items()):
            content = change(name, data)
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        archive.addfile(tarfile.TarInfo(f"{cifar10.FOLDER}/readme.html"), io.BytesIO(b""))
    return path


def pinned(path, url="http://127.0.0.1:9/none.tar.gz"):
    content = path.read_bytes()
    return Remote(url, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """A small archive in a folder of its own, taken for the official one."""
    (tmp_path / "root").mkdir()
    path = cifar_archive(tmp_path / "root" / "cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar10, "REMOTE", pinned(path, "http://127.0.0.1:9/cifar-10-binary.tar.gz"))
    return path


def check_cifar(found):
    train = [name for name in cifar10.FILES if name != "test_batch.bin"]
    assert (np.concatenate([BATCHES[name][0] for name in train]) == found.train.X).all()
    assert (found.train.y == np.concatenate([BATCHES[name][1] for name in train])).all()
    assert (BATCHES["test_batch.bin"][0] == found.test.open("test").X).all()
    assert found.classes == cifar10.CLASSES and found.image_shape == (3, 32, 32)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")  # few rows: classes stay empty
def test_cifar10_from_a_copy_that_is_already_there(small_cifar):
    check_cifar(load_dataset("cifar10", root=small_cifar.parent))
    second = load_dataset("cifar10", root=small_cifar.parent)
    assert isinstance(second.train.X, np.memmap)
    check_cifar(second)
    check_cifar(load_dataset(small_cifar))


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_cifar10_from_its_unpacked_folder(tmp_path):
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    for name, (_, _, data) in BATCHES.items():
        (folder / name).write_bytes(data)
    check_cifar(load_dataset(folder))
    check_cifar(load_dataset("cifar10", root=tmp_path))


CIFAR_FAULTS = [
    pytest.param(lambda name, data: data[:-1], "cifar-broken", id="half a record"),
    pytest.param(lambda name, data: b"\x0a" + data[1:], "cifar-broken", id="a label beyond 9"),
    pytest.param(lambda name, data: b"", "cifar-broken", id="an empty file"),
]


@pytest.mark.parametrize(("change", "code"), CIFAR_FAULTS)
def test_a_broken_cifar_archive(tmp_path, change, code):
    with pytest.raises(InputError) as caught:
        load_dataset(cifar_archive(tmp_path / "cifar-10-binary.tar.gz", change))
    assert caught.value.code == code
    assert ".bin" in caught.value.where


def test_a_truncated_cifar_archive(tmp_path):
    path = cifar_archive(tmp_path / "cifar-10-binary.tar.gz")
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match="archive-broken"):
        load_dataset(path)


def test_a_wrong_copy_in_root_is_refused_and_left_alone(small_cifar):
    content = small_cifar.read_bytes()
    small_cifar.write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError) as caught:
        load_dataset("cifar10", root=small_cifar.parent)
    assert caught.value.code == "download-hash"
    assert small_cifar.exists()


@given(st.binary(max_size=3 * cifar10.RECORD))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_records_or_an_error(data):
    try:
        X, y = cifar10.parse_batch(data, "made")
    except InputError as error:
        assert error.code == "cifar-broken"
    else:
        assert len(X) == len(y) == len(data) // cifar10.RECORD and y.max() < 10


# IDX


def idx_bytes(array, code=0x08):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(idx.TYPES[code]).tobytes()


def mnist_folder(path, packed=True):
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    made = {}
    for split, (images, labels) in idx.FILES.items():
        made[split] = rng.integers(0, 256, (20, 7, 5), dtype=np.uint8), np.arange(20) % 10
        for name, array in zip((images, labels), made[split], strict=True):
            content = idx_bytes(array)
            (path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return made


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "not gz"])
def test_idx_files_of_a_folder(tmp_path, packed):
    made = mnist_folder(tmp_path / "set", packed)
    found = load_dataset(tmp_path / "set")
    assert found.image_shape == (1, 7, 5) and found.train.X.dtype == np.uint8
    assert (found.train.X[:, 0] == made["train"][0]).all() and (found.train.y == made["train"][1]).all()
    assert (found.test.open("test").X[:, 0] == made["test"][0]).all()


def test_mnist_and_fashion_mnist_by_name(tmp_path, monkeypatch):
    mnist_folder(tmp_path)
    remotes = tuple(pinned(path, f"http://127.0.0.1:9/{path.name}") for path in sorted(tmp_path.iterdir()))
    monkeypatch.setattr(idx, "REMOTES", {"mnist": remotes, "fashion-mnist": remotes})
    assert load_dataset("mnist", root=tmp_path).classes == tuple("0123456789")
    assert load_dataset("fashion-mnist", root=tmp_path).classes[9] == "Ankle boot"


@pytest.mark.parametrize("code", sorted(idx.TYPES))
def test_every_type_of_idx(tmp_path, code):
    array = np.arange(12).reshape(2, 3, 2)
    (tmp_path / "a").write_bytes(idx_bytes(array, code))
    got = idx.read_idx(tmp_path / "a")
    assert (got == array).all() and got.dtype.isnative


WHOLE = idx_bytes(np.zeros((3, 2, 2)))
IDX_FAULTS = [
    pytest.param(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 28, 28), id="header claiming 2³² rows"),
    pytest.param(gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 28, 28)), id="the same in gzip"),
    pytest.param(gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 20_000)), id="gzip that holds less"),
    pytest.param(WHOLE[:-1], id="a byte short"),
    pytest.param(WHOLE + b"x", id="a byte over"),
    pytest.param(WHOLE[:9], id="cut in the header"),
    pytest.param(b"", id="empty"),
    pytest.param(b"<!doctype html>", id="an HTML page"),
    pytest.param(gzip.compress(WHOLE)[:-9], id="a truncated gzip"),
    pytest.param(bytes([0, 0, 7, 1, 0, 0, 0, 1, 5]), id="an unknown type"),
    pytest.param(bytes([0, 0, 8, 8]) + b"\xff" * 32, id="a shape beyond any number"),
]


@pytest.mark.parametrize("content", IDX_FAULTS)
def test_broken_idx_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError) as caught:
        idx.read_idx(tmp_path / "a")
    assert caught.value.code == "idx-broken" and caught.value.where == str(tmp_path / "a")


@given(st.binary(max_size=64), st.integers(0, 2**40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_header_or_an_error(data, available):
    try:
        header = idx.parse_header(data, available, "made")
    except InputError as error:
        assert error.code == "idx-broken"
    else:
        assert header.offset + header.n_bytes <= available


# downloads


class Server:
    """A file server that can break off, ignore ranges, or answer with something else."""

    def __init__(self, content):
        self.content, self.breaks, self.ranges, self.status = content, [], True, 200
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/file.tar.gz"

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        body = self.content[start:]
        if self.status != 200:
            request.send_error(self.status)
            return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        request.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


CONTENT = np.random.default_rng(5).bytes(700_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    made = Server(CONTENT)
    yield made
    made.close()


def remote_of(server, content=CONTENT):
    return Remote(server.url, hashlib.sha256(content).hexdigest(), len(content))


def test_a_download_arrives_and_is_not_asked_for_again(server, tmp_path):
    path = fetch(remote_of(server), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert fetch(remote_of(server), tmp_path / "new" / "folder") == path
    assert server.asked == [None]
    assert [found.name for found in path.parent.iterdir()] == ["file.tar.gz"]


def test_a_downloaded_file_that_was_damaged_is_set_aside_and_got_again(server, own_cache):
    folder = own_cache / "downloads"
    fetch(remote_of(server), folder).write_bytes(CONTENT[:1000])
    assert fetch(remote_of(server), folder).read_bytes() == CONTENT
    assert (folder / "file.tar.gz.rejected").read_bytes() == CONTENT[:1000]


def test_a_download_broken_off_resumes(server, tmp_path):
    server.breaks = [300_000, 100_000]
    assert fetch(remote_of(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]


def test_a_download_of_a_former_process_goes_on(server, tmp_path):
    (tmp_path / "file.tar.gz.part").write_bytes(CONTENT[:123_456])
    assert fetch(remote_of(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=123456-"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.breaks, server.ranges = [300_000], False
    assert fetch(remote_of(server), tmp_path).read_bytes() == CONTENT


def test_a_part_that_belongs_to_something_else_is_set_aside(server, tmp_path):
    (tmp_path / "file.tar.gz.part").write_bytes(b"other" * 100)
    with pytest.raises(InputError, match="download-hash"):
        fetch(remote_of(server), tmp_path)
    assert fetch(remote_of(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><p>Sign in", b"<html>" + b"x" * 2_000_000], ids=["short", "long"]
)
def test_an_html_page_instead_is_a_hash_error_and_set_aside(server, tmp_path, page):
    server.content = page
    with pytest.raises(InputError) as caught:
        fetch(remote_of(server), tmp_path)
    assert caught.value.code == "download-hash"
    assert "an HTML page" in caught.value.what
    assert [path.name for path in tmp_path.iterdir()] == ["file.tar.gz.rejected"]
    server.content = CONTENT
    assert fetch(remote_of(server), tmp_path).read_bytes() == CONTENT


def test_a_damaged_copy_is_a_hash_error(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(InputError, match=r"other content.*download-hash"):
        fetch(remote_of(server), tmp_path)


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_refuses(server, tmp_path, status):
    server.status = status
    with pytest.raises(MachineError) as caught:
        fetch(remote_of(server), tmp_path)
    assert caught.value.code == "download-failed"
    assert str(status) in caught.value.what and "--root" in caught.value.mend


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with pytest.raises(MachineError, match="download-failed"):
        fetch(Remote("http://127.0.0.1:9/file.tar.gz", "0" * 64, 10), tmp_path)


def test_a_disk_that_is_full(server, tmp_path, monkeypatch):
    def full(response, write, *others):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(MachineError, match="disk-full"):
        fetch(remote_of(server), tmp_path)


@pytest.mark.filterwarnings("ignore::straightedge.errors.StraightedgeWarning")
def test_cifar10_is_downloaded_when_it_is_first_named(server, tmp_path, monkeypatch, own_cache):
    server.content = cifar_archive(tmp_path / "made.tar.gz").read_bytes()
    monkeypatch.setattr(cifar10, "REMOTE", remote_of(server, server.content))
    check_cifar(load_dataset("cifar10"))
    check_cifar(load_dataset("cifar10"))
    assert server.asked == [None]
    assert (own_cache / "downloads" / "file.tar.gz").exists()


# the commands


def test_data_list_and_fetch(server, tmp_path, monkeypatch):
    runner = CliRunner()
    monkeypatch.setattr(cifar10, "REMOTE", remote_of(server))

    def listed():
        rows = json.loads(runner.invoke(group, ["list", "--json", "--root", str(tmp_path)]).output)
        return {row["name"]: row["present"] for row in rows}

    assert listed() == {"digits": True, "cifar10": False, "mnist": False, "fashion-mnist": False}
    result = runner.invoke(group, ["fetch", "cifar10", "--root", str(tmp_path)])
    assert result.exit_code == 0 and result.output.strip() == str(tmp_path / "file.tar.gz")
    assert listed()["cifar10"] is True
    assert "cifar10" in runner.invoke(group, ["list"]).output
    assert "needs no download" in runner.invoke(group, ["fetch", "digits"]).output


def test_data_fetch_of_an_unknown_name():
    result = CliRunner().invoke(group, ["fetch", "mnits"])
    assert isinstance(result.exception, InputError) and "did you mean 'mnist'" in str(result.exception)
