"""Images with a table of labels, data sets as Hugging Face keeps them, pixels in CSV, tar shards, IDX files."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from PIL import Image

from straightedge.data import Dataset, load_dataset
from straightedge.data.tables.pixels import PIXEL_NAME
from straightedge.errors import InputError

RNG = np.random.default_rng(0)
N = 12
IMAGES = RNG.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
LABELS = ["cat", "dog", "owl"] * 4


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def put(folder: Path, names: list[str], images: np.ndarray = IMAGES) -> None:
    """Write images as PNG under names; the content decides what a file is, not its ending."""
    for name, pixels in zip(names, images, strict=False):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))


def lines(path: Path, rows: list[Any], mark: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(mark.join(map(str, row)) + "\n" for row in rows))


def read(source: Any, **options: Any) -> Dataset:
    return load_dataset(source, progress=False, cache=False, **options)


def holds(found: Dataset, images: np.ndarray = IMAGES, labels: list[str] = LABELS) -> None:
    """Compare the training split with what was written, in the order of the table."""
    np.testing.assert_array_equal(found.train.X, images.transpose(0, 3, 1, 2))
    assert [found.classes[label] for label in found.train.y] == list(labels)


def names(ending: str = ".png", folder: str = "") -> list[str]:
    return [f"{folder}{row:03d}{ending}" for row in range(N)]


def plain(folder: Path) -> Path:
    put(folder, names())
    lines(folder / "labels.csv", [("filename", "label"), *zip(names(), LABELS, strict=True)])
    return folder


def metadata(folder: Path) -> Path:
    put(folder, names())
    lines(folder / "metadata.csv", [("file_name", "width", "label"), *zip(names(), range(N), LABELS, strict=True)])
    return folder


def metadata_lines(folder: Path) -> Path:
    put(folder, names())
    rows = [{"file_name": name, "label": label} for name, label in zip(names(), LABELS, strict=True)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def kaggle(folder: Path) -> Path:
    """``train.csv`` with names without ending, ``train/`` and ``test/`` with the images, a sample submission."""
    put(folder / "train", names(".jpg"))
    put(folder / "test", names(".jpg"), 255 - IMAGES)
    lines(folder / "train.csv", [("id", "breed"), *zip(names(""), LABELS, strict=True)])
    lines(folder / "test.csv", [("id",), *((name,) for name in names(""))])
    lines(folder / "sample_submission.csv", [("id", "breed"), *((name, "cat") for name in names(""))])
    return folder


def numbered(folder: Path) -> Path:
    put(folder / "train", [f"{row + 1}.png" for row in range(N)])
    lines(folder / "trainLabels.csv", [("id", "label"), *((row + 1, LABELS[row]) for row in range(N))])
    return folder


def images_folder(folder: Path) -> Path:
    put(folder / "train_images", names(".jpg"))
    lines(folder / "train.csv", [("image_id", "label"), *zip(names(".jpg"), LABELS, strict=True)])
    return folder


def other_machine(folder: Path) -> Path:
    put(folder / "pictures" / "a", names())
    rows = [(f"/kaggle/input/birds/pictures/a/{name}", label) for name, label in zip(names(), LABELS, strict=True)]
    lines(folder / "labels.csv", [("path", "label"), *rows])
    return folder


def one_hot(folder: Path) -> Path:
    put(folder, names())
    rows = [
        [name, *(int(label == one) for one in ("cat", "dog", "owl"))]
        for name, label in zip(names(), LABELS, strict=True)
    ]
    lines(folder / "train.csv", [("image", "cat", "dog", "owl"), *rows])
    return folder


def table_alone(folder: Path) -> Path:
    plain(folder)
    return folder / "labels.csv"


def list_file(folder: Path) -> Path:
    put(folder / "images", names(".jpg"))
    lines(folder / "train.txt", list(zip(names(".jpg", "images/"), LABELS, strict=True)), " ")
    return folder / "train.txt"


def paths_in_parquet(folder: Path) -> Path:
    put(folder, names())
    pq.write_table(pa.table({"path": names(), "label": LABELS}), folder / "labels.parquet")
    return folder / "labels.parquet"


def struct_of_paths(folder: Path) -> Path:
    put(folder, names())
    column = [{"bytes": None, "path": name} for name in names()]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(column, kind), "label": LABELS}), folder / "train.parquet")
    return folder


FORMS: dict[str, Callable[[Path], Path]] = {
    "filename,label": plain,
    "metadata.csv": metadata,
    "metadata.jsonl": metadata_lines,
    "train.csv and train/": kaggle,
    "trainLabels.csv with numbers": numbered,
    "train.csv and train_images/": images_folder,
    "paths of another machine": other_machine,
    "a column a class": one_hot,
    "the CSV itself": table_alone,
    "a list without header": list_file,
    "paths in Parquet": paths_in_parquet,
    "paths in a Hugging Face column": struct_of_paths,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_says_the_labels_of_images(form: str, tmp_path: Path) -> None:
    found = read(FORMS[form](tmp_path))
    holds(found)
    assert found.image_shape == (3, 8, 8) and found.test is None


def test_splits_are_those_of_tables_of_folders_or_of_a_column(tmp_path: Path) -> None:
    for split in ("train", "test"):
        put(tmp_path / "one" / split, names(), IMAGES if split == "train" else 255 - IMAGES)
        rows = list(zip(names(), LABELS, strict=True))
        lines(tmp_path / "one" / split / "metadata.csv", [("file_name", "label"), *rows])
    put(tmp_path / "two", names("", "train/a") + names("", "test/b"), np.concatenate([IMAGES, 255 - IMAGES]))
    both = [
        (name, label) for name, label in zip(names("", "train/a") + names("", "test/b"), LABELS * 2, strict=True)
    ]
    lines(tmp_path / "two" / "metadata.csv", [("file_name", "label"), *both])
    put(tmp_path / "three", names() + names(".jpg"), np.concatenate([IMAGES, 255 - IMAGES]))
    split = ["train"] * N + ["test"] * N
    rows = list(zip(names() + names(".jpg"), LABELS * 2, split, strict=True))
    lines(tmp_path / "three" / "labels.csv", [("filename", "label", "split"), *rows[::2], *rows[1::2]])
    for name in ("one", "two", "three"):
        found = read(tmp_path / name)
        assert found.test is not None and found.test.n == N and found.train.n == N, name


def test_class_folders_go_before_a_table_unless_it_is_metadata(tmp_path: Path) -> None:
    paths = [f"{label}/{name}" for name, label in zip(names(), LABELS, strict=True)]
    put(tmp_path, paths)
    lines(
        tmp_path / "ages.csv",
        [("filename", "label"), *((path, "old" if row % 2 else "young") for row, path in enumerate(paths))],
    )
    assert read(tmp_path).classes == ("cat", "dog", "owl")
    assert read(tmp_path / "ages.csv").classes == ("old", "young")
    (tmp_path / "ages.csv").rename(tmp_path / "metadata.csv")
    assert read(tmp_path).classes == ("old", "young")


def test_what_a_table_names_must_be_there(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / "010.png").unlink()
    with pytest.raises(InputError, match=r"names '010.png'.*row 10.*image-file-missing"):
        read(tmp_path)
    found = read(tmp_path, skip_bad=True)
    assert found.train.n == N - 1 and any("1 row without an image" in note for note in found.notes)


def test_two_tables_for_one_split_are_told(tmp_path: Path) -> None:
    plain(tmp_path)
    lines(tmp_path / "breeds.csv", [("filename", "label"), *zip(names(), LABELS, strict=True)])
    with pytest.raises(InputError, match=r"breeds\.csv.*labels\.csv.*manifest-ambiguous"):
        read(tmp_path)


def test_a_table_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "outside", names())
    inside = tmp_path / "in"
    for hostile in (
        [f"../outside/{name}" for name in names()],
        [str(tmp_path / "outside" / name) for name in names()],
    ):
        lines(inside / "labels.csv", [("filename", "label"), *zip(hostile, LABELS, strict=True)])
        with pytest.raises(InputError):
            read(inside, column="filename")


def test_a_pipe_under_the_name_of_an_image_is_no_image(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / "003.png").unlink()
    os.mkfifo(tmp_path / "003.png")
    with pytest.raises(InputError, match="image-file-missing"):
        read(tmp_path)


def test_tables_that_name_no_images_stay_tables(tmp_path: Path) -> None:
    rows = [(f"img{row}.png", row % 7, RNG.normal(), LABELS[row % N]) for row in range(60)]
    lines(tmp_path / "features.csv", [("filename", "a", "b", "label"), *rows])
    assert read(tmp_path / "features.csv").image_shape is None


# ------------------------------------------------------------------ Hugging Face


def saved(folder: Path, labels: bool = True) -> Path:
    """A ``DatasetDict`` as ``save_to_disk`` writes it: Arrow streams, a state and an info a split, and a cache."""
    names = ["cat", "dog", "owl"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    meta = {"huggingface": json.dumps({"info": {"features": features}})} if labels else {}
    schema = pa.schema([("image", kind), ("label", pa.int64())], meta)
    folder.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split in ("train", "test"):
        (folder / split).mkdir()
        images = IMAGES if split == "train" else 255 - IMAGES
        files = [f"data-{part:05d}-of-00002.arrow" for part in range(2)]
        for part, file in enumerate(files):
            rows = slice(part * N // 2, (part + 1) * N // 2)
            column = pa.array([{"bytes": png(one), "path": None} for one in images[rows]], kind)
            table = pa.table([column, [names.index(label) for label in LABELS[rows]]], schema=schema)
            with pa.OSFile(str(folder / split / file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
                writer.write_table(table)
        state = {"_data_files": [{"filename": file} for file in files], "_fingerprint": "0", "_split": split}
        (folder / split / "state.json").write_text(json.dumps(state))
        (folder / split / "dataset_info.json").write_text(json.dumps({"features": features}))
    (folder / "train" / "cache-0123.arrow").write_bytes(b"left over from a map")
    return folder


def test_a_data_set_saved_to_disk(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "saved"))
    holds(found)
    assert found.test is not None and found.test.n == N and found.classes == ("cat", "dog", "owl")
    (tmp_path / "saved" / "train" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"state\.json lists a file that is not there"):
        read(tmp_path / "saved")


def test_parquet_shards_and_the_cache_of_datasets_have_their_splits(tmp_path: Path) -> None:
    table, test = (
        pa.table({"image": [{"bytes": png(one), "path": "x.png"} for one in images], "label": LABELS})
        for images in (IMAGES, 255 - IMAGES)
    )
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for part in range(2):
        pq.write_table(
            table.slice(part * N // 2, N // 2), tmp_path / "hub" / "data" / f"train-0000{part}-of-00002.parquet"
        )
    pq.write_table(test, tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    (tmp_path / "cache").mkdir()
    for name in ("beans-train-00000-of-00001", "beans-test", "cache-beans-train"):
        rows = test if "test" in name else table
        pyarrow.feather.write_feather(rows, tmp_path / "cache" / f"{name}.arrow", compression="uncompressed")
    for name in ("hub", "cache"):
        found = read(tmp_path / name)
        holds(found)
        assert found.test is not None and found.test.n == N, name


# ------------------------------------------------------------------ pixels in CSV

GREY = np.clip(np.add.outer(np.arange(N) * 7, np.arange(64).reshape(8, 8) * 2), 0, 255)
DIGITS = list(range(3)) * 4


def digits(path: Path, columns: list[str] | None, last: bool = False) -> Path:
    rows = [[label, *grey.ravel()] for label, grey in zip(DIGITS, GREY, strict=True)]
    rows = [row[1:] + row[:1] if last else row for row in rows]
    lines(path, ([columns] if columns else []) + rows * 5)
    return path


PIXEL_COLUMNS = {
    "label,pixel0": ["label", *(f"pixel{place}" for place in range(64))],
    "label,1x1": ["label", *(f"{i}x{j}" for i in range(1, 9) for j in range(1, 9))],
    "no header": None,
}


@pytest.mark.parametrize("form", PIXEL_COLUMNS)
def test_a_column_a_pixel_is_an_image(form: str, tmp_path: Path) -> None:
    found = read(digits(tmp_path / "train.csv", PIXEL_COLUMNS[form]))
    assert found.image_shape == (1, 8, 8) and found.train.X.dtype == np.uint8
    np.testing.assert_array_equal(found.train.X[:N, 0], GREY)
    np.testing.assert_array_equal(found.train.y[:N], DIGITS)
    flat = read(tmp_path / "train.csv", image_shape="no")
    assert flat.image_shape is None and flat.train.X.shape[0] == 5 * N


def test_colours_side_by_side_or_one_after_the_other_are_told_apart(tmp_path: Path) -> None:
    smooth = np.stack([GREY, 255 - GREY, GREY // 3], axis=3)
    for name, flat in (("together", smooth.reshape(N, -1)), ("apart", smooth.transpose(0, 3, 1, 2).reshape(N, -1))):
        path = tmp_path / f"{name}.csv"
        head = ["label", *(f"pixel{place}" for place in range(192))]
        lines(path, [head, *([label, *row] for label, row in zip(DIGITS, flat, strict=True))])
        np.testing.assert_array_equal(read(path).train.X, smooth.transpose(0, 3, 1, 2))
        said = "8x8x3" if name == "together" else "3x8x8"
        np.testing.assert_array_equal(read(path, image_shape=said).train.X, smooth.transpose(0, 3, 1, 2))


def test_a_shape_that_was_asked_for_is_kept_to(tmp_path: Path) -> None:
    columns = ["label", *(f"sensor {place}" for place in "abcdefgh" for _ in range(1))]
    rows = [[label, *grey.ravel()[:8]] for label, grey in zip(DIGITS, GREY, strict=True)]
    lines(tmp_path / "t.csv", [columns, *rows])
    assert read(tmp_path / "t.csv").image_shape is None
    assert read(tmp_path / "t.csv", image_shape="2x4").image_shape == (1, 2, 4)
    with pytest.raises(InputError, match="28x28 is 784 pixels, and the table has 8 columns"):
        read(tmp_path / "t.csv", image_shape="28x28")
    with pytest.raises(InputError, match="is no shape of images"):
        read(tmp_path / "t.csv", image_shape="28")


def test_numbers_that_are_no_pixels_stay_numbers(tmp_path: Path) -> None:
    for name, rows in (("large", GREY.reshape(N, -1) * 3), ("negative", GREY.reshape(N, -1) - 1.0)):
        head = ["label", *(f"pixel{place}" for place in range(64))]
        lines(tmp_path / f"{name}.csv", [head, *([label, *row] for label, row in zip(DIGITS, rows, strict=True))])
        assert read(tmp_path / f"{name}.csv").image_shape is None
    assert not PIXEL_NAME.fullmatch("mean radius") and PIXEL_NAME.fullmatch("px_12")


def test_a_model_of_pixels_takes_new_tables(tmp_path: Path) -> None:
    from straightedge.model import load
    from straightedge.prediction import predict_paths
    from straightedge.workflow import FitOptions, run_fit

    digits(tmp_path / "train.csv", PIXEL_COLUMNS["label,pixel0"])
    run_fit(FitOptions(str(tmp_path / "train.csv"), str(tmp_path / "run"), reg=0.01, cache=False, progress=False))
    model = load(tmp_path / "run")
    assert model.input_shape == (1, 8, 8)
    lines(tmp_path / "new.csv", [[f"pixel{place}" for place in range(64)], *(grey.ravel() for grey in GREY)])
    found = predict_paths(model, [tmp_path / "new.csv"])
    assert [prediction.label for prediction in found] == [
        prediction.label
        for prediction in predict_paths(model, [digits(tmp_path / "again.csv", PIXEL_COLUMNS["label,pixel0"])])
    ][:N]
    judged = read(tmp_path / "train.csv", classes=model.classes, columns=model.columns)
    assert judged.image_shape == (1, 8, 8)


# ------------------------------------------------------------------ shards and IDX


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".tar.gz"])
def test_shards_may_be_packed(ending: str, tmp_path: Path) -> None:
    for part in range(2):
        with tarfile.open(tmp_path / f"train-{part:04d}{ending}", "w:gz" if "gz" in ending else "w") as shard:
            for row in range(part * N // 2, (part + 1) * N // 2):
                for name, data in ((f"{row:04d}.png", png(IMAGES[row])), (f"{row:04d}.cls", LABELS[row].encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    shard.addfile(info, io.BytesIO(data))
    holds(read(tmp_path))
    holds(read(tmp_path / f"train-0000{ending}"), IMAGES[: N // 2], LABELS[: N // 2])


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("images", "labels", "source"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", ""),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", ""),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte", ""),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"),
        ("images-idx3-ubyte", "mine", "images-idx3-ubyte,mine"),
    ],
)
def test_idx_files_packed_or_not(images: str, labels: str, source: str, tmp_path: Path) -> None:
    for name, array in ((images, GREY), (labels, np.array(DIGITS))):
        data = idx(array)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    given = ",".join(str(tmp_path / part) for part in source.split(","))
    found = read(given)
    np.testing.assert_array_equal(found.train.X[:, 0], GREY)
    np.testing.assert_array_equal(found.train.y, DIGITS)


# ------------------------------------------------------------------ the same inside archives


def packed(folder: Path, ending: str, order: int = 1, top: str = "") -> Path:
    """Pack a folder as people do: at the top or in a folder of its own, members in one order or the other."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())[::order]
    archive = folder.parent / f"{folder.name}{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as target:
            for path in files:
                target.write(path, top + str(path.relative_to(folder)))
    else:
        with tarfile.open(archive, "w:gz" if ending == ".tgz" else "w") as target:
            for path in files:
                target.add(path, top + str(path.relative_to(folder)))
    return archive


@pytest.mark.parametrize("form", [plain, metadata, metadata_lines, kaggle, numbered, images_folder, one_hot])
def test_an_archive_reads_as_the_folder_with_the_same_content(form: Callable[[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    folder = read(form(tmp_path / "set"))
    for ending, order, top in ((".zip", 1, ""), (".tgz", -1, "set/"), (".tar", -1, "")):
        found = read(packed(tmp_path / "set", ending, order, top))
        holds(found)
        assert found.train.names == folder.train.names and found.fingerprint == folder.fingerprint
        assert (found.test is None) == (folder.test is None)


def test_splits_in_an_archive_are_those_of_the_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        images = IMAGES if split == "train" else 255 - IMAGES
        put(tmp_path / "set" / split, names(), images)
        rows = list(zip(names(), LABELS, strict=True))
        lines(tmp_path / "set" / split / "metadata.csv", [("file_name", "label"), *rows])
    for ending in (".zip", ".tgz"):
        found = read(packed(tmp_path / "set", ending, -1))
        holds(found)
        assert found.test is not None and found.test.n == N


def test_a_table_in_an_archive_is_held_to_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (plain(tmp_path / "set") / "010.png").unlink()
    archive = packed(tmp_path / "set", ".zip")
    with pytest.raises(InputError, match=r"names '010.png'.*set\.zip.*labels\.csv, row 10.*image-file-missing"):
        read(archive)
    assert read(archive, skip_bad=True).train.n == N - 1
    put(tmp_path, ["outside.png"])
    rows = list(zip(["../outside.png"] * N, LABELS, strict=True))
    lines(tmp_path / "set" / "labels.csv", [("filename", "label"), *rows])
    with pytest.raises(InputError):
        read(packed(tmp_path / "set", ".zip"), column="filename")


def test_class_folders_in_an_archive_go_before_a_table_that_is_no_metadata(tmp_path: Path) -> None:
    paths = [f"{label}/{name}" for name, label in zip(names(), LABELS, strict=True)]
    put(tmp_path / "set", paths)
    lines(tmp_path / "set" / "ages.csv", [("filename", "label"), *((path, "old") for path in paths)])
    for top in ("", "set/"):
        assert read(packed(tmp_path / "set", ".zip", 1, top)).classes == ("cat", "dog", "owl")


def test_a_readme_beside_class_folders_is_no_class(tmp_path: Path) -> None:
    put(tmp_path / "set", [f"{label}/{name}" for name, label in zip(names(), LABELS, strict=True)])
    (tmp_path / "set" / "README.md").write_text("Cats, dogs and owls.")
    assert read(packed(tmp_path / "set", ".tgz", -1, "set/")).classes == ("cat", "dog", "owl")
