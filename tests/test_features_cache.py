"""Features of data sets: cached, carried on after an interruption, the test split sealed to the end."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from straightedge import atomic
from straightedge.data.base import Dataset, SealedSplit, Split
from straightedge.errors import InputError, MachineError, StraightedgeWarning
from straightedge.features import cache
from straightedge.features.base import build_extractor
from straightedge.features.cache import extract_dataset
from straightedge.features.raw import RawPixels

SPEC = "patches:n_centroids=6,patch=3,n_patches=300,passes=1"


def dataset_of(n_train: int = 20, n_test: int = 7, seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n_train + n_test + 5, 1, 8, 8), dtype=np.uint8)
    y = np.arange(len(images)) % 2
    edges = {
        "train": slice(0, n_train),
        "validation": slice(n_train, n_train + 5),
        "test": slice(n_train + 5, None),
    }
    parts = {name: Split(images[part], y[part], [f"{name}{i}" for i in y[part]]) for name, part in edges.items()}
    return Dataset(
        "made", ("a", "b"), parts["train"], parts["validation"], SealedSplit(parts["test"]), image_shape=(1, 8, 8)
    )


class Counted(RawPixels):
    """Raw pixels that count the images they saw, and can break down at one of them."""

    def __init__(self, breaks_after: int | None = None) -> None:
        super().__init__()
        self.seen = 0
        self.breaks_after = breaks_after

    def transform(self, images: np.ndarray) -> np.ndarray:
        if self.breaks_after is not None and self.seen >= self.breaks_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        return super().transform(images)


def extract(dataset: Dataset, extractor: Any, folder: Path, **options: Any) -> Dataset:
    return extract_dataset(dataset, extractor, cache_dir=folder, progress=False, **options)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 4)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_the_extractors(tmp_path: Path, dtype: str) -> None:
    dataset, extractor = dataset_of(), build_extractor(SPEC)
    made = extract(dataset, extractor, tmp_path, dtype=dtype)
    assert made.features == extractor.config() and made.image_shape is None
    assert made.validation is not None and made.test is not None
    for images, split in ((dataset.train, made.train), (dataset.validation, made.validation)):
        assert images is not None
        assert split.X.dtype == dtype and isinstance(split.X, np.memmap) and not split.X.flags.writeable
        np.testing.assert_allclose(split.X, extractor.transform(images.X), rtol=1e-3, atol=1e-2)
        assert split.names == images.names
        np.testing.assert_array_equal(split.y, images.y)


def test_the_second_time_nothing_is_made(tmp_path: Path) -> None:
    first, second = Counted(), Counted()
    one = extract(dataset_of(), first, tmp_path)
    two = extract(dataset_of(), second, tmp_path)
    assert (first.seen, second.seen) == (25, 0)
    np.testing.assert_array_equal(one.train.X, two.train.X)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-9]), id="cut short"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: np.save(path, np.zeros((20, 3), np.float16)), id="of another shape"),
    ],
)
def test_a_damaged_file_of_features_is_made_again(tmp_path: Path, harm: Any) -> None:
    made = extract(dataset_of(), Counted(), tmp_path).train.X
    harm(Path(made.filename))
    again = Counted()
    rows = extract(dataset_of(), again, tmp_path).train.X
    assert again.seen == 20
    np.testing.assert_array_equal(rows, dataset_of().train.X.reshape(20, -1))


def test_what_was_learned_comes_from_the_cache_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = build_extractor(SPEC), build_extractor(SPEC)
    extract(dataset_of(), first, tmp_path, seed=4)
    monkeypatch.setattr("straightedge.features.patches.learn_dictionary", None)
    extract(dataset_of(), second, tmp_path, seed=4)
    assert second.config() == first.config() and second.config()["seed"] == 4
    for key, value in first.state().items():
        np.testing.assert_array_equal(second.state()[key], value)


def test_a_damaged_state_is_learned_again(tmp_path: Path) -> None:
    extract(dataset_of(), build_extractor(SPEC), tmp_path)
    (state,) = tmp_path.glob("*.extractor.safetensors")
    state.write_bytes(state.read_bytes()[:-9])
    again = build_extractor(SPEC)
    extract(dataset_of(), again, tmp_path)
    assert len(again.state()) == 3


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": SPEC.replace("=6", "=7")}, id="another setting"),
        pytest.param({"seed": 1}, id="another seed"),
        pytest.param({"dtype": "float32"}, id="another precision"),
        pytest.param({"data": 1}, id="other images under the same name"),
    ],
)
def test_whatever_changes_the_features_changes_the_file(tmp_path: Path, change: dict[str, Any]) -> None:
    before = extract(dataset_of(), build_extractor(SPEC), tmp_path).train.X.filename
    dataset, extractor = dataset_of(seed=change.pop("data", 0)), build_extractor(change.pop("spec", SPEC))
    assert extract(dataset, extractor, tmp_path, **change).train.X.filename != before


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract(dataset_of(), Counted(breaks_after=12), tmp_path)
    (partial,) = tmp_path.glob("*.partial")
    with partial.open("ab") as file:
        file.write(b"half a chunk that no journal knows of")
    resumed = Counted()
    made = extract(dataset_of(), resumed, tmp_path)
    assert resumed.seen == 20 - 12 + 5
    np.testing.assert_array_equal(made.train.X, dataset_of().train.X.reshape(20, -1))
    assert not [*tmp_path.glob("*.partial"), *tmp_path.glob("*.journal")]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda partial, journal: journal.unlink(), id="no journal"),
        pytest.param(lambda partial, journal: journal.write_text("{"), id="half a journal"),
        pytest.param(lambda partial, journal: journal.write_text('{"rows": 16}'), id="a journal ahead of its rows"),
        pytest.param(lambda partial, journal: journal.write_text('{"rows": -4}'), id="a journal below zero"),
        pytest.param(lambda partial, journal: partial.write_bytes(b"\0" * 5000), id="rows of another kind"),
    ],
)
def test_what_cannot_be_trusted_is_made_again(tmp_path: Path, harm: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract(dataset_of(), Counted(breaks_after=12), tmp_path)
    (partial,), (journal,) = tmp_path.glob("*.partial"), tmp_path.glob("*.journal")
    harm(partial, journal)
    resumed = Counted()
    made = extract(dataset_of(), resumed, tmp_path)
    assert resumed.seen == 25
    np.testing.assert_array_equal(made.train.X, dataset_of().train.X.reshape(20, -1))


def test_the_test_split_is_sealed_until_it_is_opened(tmp_path: Path) -> None:
    dataset, extractor = dataset_of(), Counted()
    made = extract(dataset, extractor, tmp_path)
    assert made.test is not None and dataset.test is not None and made.test.n == 7
    assert extractor.seen == 25 and dataset.test.opened_for is None
    split = made.test.open("evaluation")
    assert extractor.seen == 32 and split.X.shape == (7, 64)
    assert made.test.opened_for == dataset.test.opened_for == "evaluation"
    for sealed in (made.test, dataset.test):
        with pytest.raises(InputError) as caught:
            sealed.open("a second look")
        assert caught.value.code == "test-already-opened"


def test_a_split_that_was_opened_before_gives_no_features(tmp_path: Path) -> None:
    dataset = dataset_of()
    made = extract(dataset, Counted(), tmp_path)
    assert dataset.test is not None and made.test is not None
    dataset.test.open("a look at the images")
    with pytest.raises(InputError, match="a look at the images"):
        made.test.open("evaluation")


def test_the_test_images_change_nothing_that_is_learned(tmp_path: Path) -> None:
    states = []
    for n_test in (0, 7):
        extractor = build_extractor(SPEC)
        dataset = dataset_of(n_test=7)
        if n_test == 0:
            dataset = Dataset("made", ("a", "b"), dataset.train, dataset.validation)
        extract(dataset, extractor, tmp_path / str(n_test))
        states.append(extractor.state())
    for key, value in states[0].items():
        np.testing.assert_array_equal(states[1][key], value)


def test_a_restored_extractor_is_used_as_it_is(tmp_path: Path) -> None:
    extractor = build_extractor(SPEC)
    extractor.fit(dataset_of(seed=5).train.X)
    before = {key: value.clone() for key, value in extractor.state().items()}
    extract(dataset_of(), extractor, tmp_path, fit=False)
    for key, value in before.items():
        np.testing.assert_array_equal(extractor.state()[key], value)


class Broken(RawPixels):
    """Gives one value that is none, or leaves the range of float16."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def config(self) -> dict[str, Any]:
        return {**super().config(), "value": str(self.value)}

    def transform(self, images: np.ndarray) -> np.ndarray:
        rows = super().transform(images)
        rows[3, 2] = self.value
        return rows


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param(np.nan, "features-not-finite", id="NaN"),
        pytest.param(-np.inf, "features-not-finite", id="infinity"),
        pytest.param(1e6, "features-overflow", id="beyond float16"),
    ],
)
def test_features_that_are_no_numbers_are_refused(tmp_path: Path, value: float, code: str) -> None:
    with pytest.raises(InputError, match="row 3, feature 2") as caught:
        extract(dataset_of(), Broken(value), tmp_path)
    assert caught.value.code == code
    if code == "features-overflow":
        made = extract(dataset_of(), Broken(value), tmp_path, dtype="float32")
        assert made.train.X[3, 2] == value


def test_rows_that_are_no_images_are_refused(tmp_path: Path) -> None:
    rows = Dataset("rows", ("a", "b"), Split(np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1])))
    with pytest.raises(InputError) as caught:
        extract(rows, Counted(), tmp_path)
    assert caught.value.code == "features-need-images"


@pytest.mark.usefixtures("small_chunks")
def test_on_a_full_disk_what_is_made_goes_on_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    extractor = Counted()
    with monkeypatch.context() as patch:
        patch.setattr(atomic.disk, "sync", full)
        with pytest.warns(StraightedgeWarning, match="cache-not-written"):
            made = extract(dataset_of(), extractor, tmp_path)
    np.testing.assert_array_equal(made.train.X, dataset_of().train.X.reshape(20, -1))
    assert extractor.seen == 25 + 4  # the chunk that could not be written is made twice
    resumed = Counted()
    extract(dataset_of(), resumed, tmp_path)
    assert 0 < resumed.seen < 25


@pytest.mark.parametrize("learns", [False, True])
def test_without_a_folder_for_the_cache_features_are_made_in_memory(tmp_path: Path, learns: bool) -> None:
    (tmp_path / "file").write_text("here")
    extractor = Counted()
    extractor.learns = learns
    with pytest.warns(StraightedgeWarning, match="cache-not-written"):
        made = extract(dataset_of(), extractor, tmp_path / "file")
    np.testing.assert_array_equal(made.train.X, dataset_of().train.X.reshape(20, -1))


def test_without_a_cache_nothing_is_written(tmp_path: Path) -> None:
    made = extract(dataset_of(), Counted(), tmp_path / "cache", cache=False)
    np.testing.assert_array_equal(made.train.X, dataset_of().train.X.reshape(20, -1))
    assert not (tmp_path / "cache").exists()


def test_a_bar_tells_images_a_second(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from straightedge.data.bar import bar

    with bar("features", 10) as advance:
        advance(5)
    assert capsys.readouterr().err == ""  # no terminal, no bar
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with bar("features", 10) as advance:
        for _ in range(4):
            time.sleep(0.06)
            advance(2)
    shown = capsys.readouterr().err
    assert "images/s" in shown and "8/10" in shown


def test_an_error_of_reading_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    class Unreadable(Counted):
        def transform(self, images: np.ndarray) -> np.ndarray:
            raise OSError(errno.EIO, "a disk with images on it")

    with pytest.raises(OSError, match="a disk with images on it") as caught:
        extract(dataset_of(), Unreadable(), tmp_path)
    assert not isinstance(caught.value, MachineError)


class Rows:
    """Images that can only be read in order, as those of a table."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        self.shape, self.dtype = images.shape, images.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._images[start:stop]


def test_images_on_disk_give_the_features_of_those_in_memory(tmp_path: Path) -> None:
    dataset = dataset_of()
    streamed = Dataset("made", ("a", "b"), Split(Rows(dataset.train.X), dataset.train.y))
    one = extract(dataset, build_extractor(SPEC), tmp_path / "1")
    two = extract(streamed, build_extractor(SPEC), tmp_path / "2")
    np.testing.assert_array_equal(one.train.X, two.train.X)
    assert Path(one.train.X.filename).name == Path(two.train.X.filename).name


@pytest.mark.parametrize("ending", ["npz", "npy", "parquet"])
def test_the_command_writes_a_file_that_is_read_again(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from straightedge.cli.features import command
    from straightedge.data import load_dataset

    if ending == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / f"features.{ending}"
    command("digits", out, extractor="raw", size=None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["n_features"] == 64 and told["rows"].keys() == {"train", "test"}
    read, digits = load_dataset(str(out)), load_dataset("digits")
    assert read.classes == digits.classes and read.features is not None and read.features["name"] == "raw"
    X = read.train.X.read(0, 50) if hasattr(read.train.X, "read") else read.train.X[:50]
    np.testing.assert_array_equal(X, digits.train.X[:50].reshape(50, -1))
    np.testing.assert_array_equal(read.train.y, digits.train.y)


@pytest.mark.parametrize("ending", ["npz", "safetensors", "svmlight"])
def test_sparse_rows_are_written_as_they_are_and_stay_sparse(tmp_path: Path, ending: str) -> None:
    from scipy import sparse

    from straightedge.cli.features import command
    from straightedge.data import load_dataset

    X = sparse.random(60, 500, 0.02, format="csr", random_state=0, dtype=np.float32)
    sparse.save_npz(tmp_path / "rows.npz", X)
    np.save(tmp_path / "y.npy", np.arange(60) % 3)
    out = tmp_path / f"features.{ending}"
    command(str(tmp_path / "rows.npz"), out, labels=str(tmp_path / "y.npy"), as_json=True)
    read = load_dataset(str(out), progress=False)
    assert sparse.issparse(read.train.X) and read.train.X.nnz == X.nnz
    np.testing.assert_array_equal(read.train.X.toarray()[:, : X.shape[1]], X.toarray())
    np.testing.assert_array_equal(read.train.y, np.arange(60) % 3)


@pytest.mark.parametrize(
    ("out", "options", "code"),
    [
        pytest.param("features.csv", {}, "output-kind", id="an ending that is not written"),
        pytest.param("no/folder/x.npz", {}, "output-path", id="a folder that is not there"),
        pytest.param("x.npz", {"dtype": "float8"}, "dtype-invalid", id="a type that is not written"),
    ],
)
def test_the_command_refuses_before_it_begins(tmp_path: Path, out: str, options: dict[str, str], code: str) -> None:
    from straightedge.cli.features import command

    with pytest.raises(InputError) as caught:
        command("digits", tmp_path / out, **options)  # type: ignore[arg-type]
    assert caught.value.code == code
