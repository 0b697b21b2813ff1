"""Folders and label files in the forms in which people have them: splits by many names, levels, marks of bytes."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from straightedge.data import load_dataset
from straightedge.data.split_names import split_folders, split_of_word
from straightedge.errors import InputError, StraightedgeWarning

CASES = Path("../shared/cases/data")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(tmp_path_factory.mktemp("cache")))


def png(seed):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def images(root, *places):
    for seed, place in enumerate(places):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "a.png").write_bytes(png(seed))
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("seg_train", "seg_test"),
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("trainset", "testset"),
        ("trainingSet", "testSet"),
        ("train_images", "test_images"),
        ("train-data", "test-data"),
        ("Train Set", "Test Set"),
        ("birds_train", "birds_test"),
        ("train2017", "val2017"),
        ("images_train", "valid"),
    ],
)
def test_spellings_of_splits(tmp_path, names):
    images(tmp_path, *(f"{split}/{name}" for split in names for name in ("cat", "dog")))
    found = load_dataset(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.train.names == [f"{names[0]}/cat/a.png", f"{names[0]}/dog/a.png"]
    assert (found.test or found.validation).n == 2


@pytest.mark.parametrize(
    "names", [("bullet_train", "bus"), ("test_tube", "flask"), ("train_station", "test_site"), ("latest", "old")]
)
def test_class_names_that_hold_the_word_of_a_split_stay_classes(tmp_path, names):
    assert load_dataset(images(tmp_path, *names)).classes == tuple(sorted(names))


def test_a_folder_of_a_split_within_a_folder_of_that_name(tmp_path):
    images(tmp_path, *(f"{s}/{s}/{c}" for s in ("seg_train", "seg_test") for c in ("cat", "dog")))
    (tmp_path / "seg_pred").mkdir()
    (tmp_path / "seg_pred" / "1.png").write_bytes(png(0))
    found = load_dataset(tmp_path)
    assert found.classes == ("cat", "dog") and (found.train.n, found.test.n) == (2, 2)
    assert "1 file outside train, validation and test ignored" in found.notes
    assert "folders read as splits: seg_test as test, seg_train as train" in found.notes


def test_classes_that_hold_the_same_folders_are_refused_with_the_level_meant(tmp_path):
    images(tmp_path, *(f"{top}/{name}" for top in ("Dataset", "Examples") for name in ("cat", "dog")))
    with pytest.raises(InputError, match="class-level") as caught:
        load_dataset(tmp_path)
    assert "'Dataset' and 'Examples'" in caught.value.what and "'cat', 'dog'" in caught.value.what
    assert f"{tmp_path}/Dataset" in caught.value.mend
    assert load_dataset(tmp_path / "Dataset").classes == ("cat", "dog")


def test_splits_below_classes_are_refused_with_the_right_order(tmp_path):
    images(tmp_path, *(f"{name}/{split}" for name in ("cat", "dog") for split in ("train", "test")))
    with pytest.raises(InputError, match=r"put the splits above the classes: test/cat, test/dog.*class-level"):
        load_dataset(tmp_path)


def test_one_folder_name_shared_below_classes_is_no_mistake(tmp_path):
    assert load_dataset(images(tmp_path, "cat/images", "dog/images")).classes == ("cat", "dog")


def test_a_class_without_test_images_is_told_how_to_say_so(tmp_path):
    images(tmp_path, "train/cat", "train/dog", "test/cat")
    with pytest.raises(InputError, match="make an empty folder test/dog"):
        load_dataset(tmp_path)
    (tmp_path / "test" / "dog").mkdir()
    with pytest.warns(StraightedgeWarning, match=r"'dog'.*class-without-samples"):
        assert load_dataset(tmp_path).test.n == 1


def test_names_of_splits():
    assert split_of_word("train-images") == "train"
    assert split_of_word("bullet_train") is None and split_of_word("train_test") is None
    assert split_folders(["seg_train", "seg_test", "seg_pred"], "here") == {
        "train": "seg_train",
        "test": "seg_test",
    }
    with pytest.raises(InputError, match="split-twice"):
        split_folders(["Train", "training_set", "test"], "here")


@pytest.mark.parametrize("ending", ["tar", "tgz", "tar.gz", "tar.bz2", "tar.xz"])
def test_shards_under_every_ending_of_a_tar(tmp_path, ending):
    mode = {"tar": "w", "tgz": "w:gz"}.get(ending, f"w:{ending[4:]}")
    with tarfile.open(tmp_path / f"a.{ending}", mode) as archive:
        for sample in range(4):
            for name, data in ((f"{sample}.png", png(sample)), (f"{sample}.cls", b"\xef\xbb\xbf%d" % (sample % 2))):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    found = load_dataset(tmp_path / f"a.{ending}")
    assert found.classes == ("0", "1") and found.train.y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("content", "classes"),
    [
        pytest.param("\ufeffa\nb\na\nb\n", ("a", "b"), id="byte-order mark"),
        pytest.param("a\r\nb\r\na\r\nb\r\n", ("a", "b"), id="carriage returns"),
        pytest.param("a\u2028x\nb\na\u2028x\nb", ("a\u2028x", "b"), id="a line separator within a name"),
        pytest.param("a\x0bx\nb\na\x0bx\nb", ("a\x0bx", "b"), id="a vertical tab within a name"),
        pytest.param("\ufeff7\n10\n7\n10\n", ("7", "10"), id="numbers after a byte-order mark"),
    ],
)
def test_lines_of_a_label_file(tmp_path, content, classes):
    np.save(tmp_path / "X.npy", np.arange(8.0).reshape(4, 2))
    (tmp_path / "y.txt").write_bytes(content.encode())
    found = load_dataset(f"{tmp_path}/X.npy,{tmp_path}/y.txt")
    assert found.classes == classes and found.train.y.tolist() == [0, 1, 0, 1]


def test_a_label_file_of_carriage_returns_alone_is_refused(tmp_path):
    np.save(tmp_path / "X.npy", np.arange(8.0).reshape(4, 2))
    (tmp_path / "y.txt").write_bytes(b"a\rb\ra\rb\r")
    with pytest.raises(InputError, match=r"carriage return alone.*labels-file"):
        load_dataset(f"{tmp_path}/X.npy,{tmp_path}/y.txt")


def svmlight(path, rows):
    path.write_text("".join(f"{y} {' '.join(f'{i}:{v}' for i, v in row.items())}\n" for y, row in rows))


def test_svmlight_rows_get_the_width_of_the_model(tmp_path):
    svmlight(tmp_path / "a.svm", [(1, {1: 2.0}), (2, {2: 3.0})])
    assert load_dataset(tmp_path / "a.svm", n_features=4).train.X.toarray().tolist() == [[2, 0, 0, 0], [0, 3, 0, 0]]
    svmlight(tmp_path / "a.svm", [(1, {1: 2.0, 5: 1.0}), (2, {2: 3.0, 7: 1.0})])
    with pytest.warns(StraightedgeWarning, match=r"features '5', '7' are left out.*features-ignored"):
        found = load_dataset(tmp_path / "a.svm", n_features=4)
    assert found.train.X.toarray().tolist() == [[2, 0, 0, 0], [0, 3, 0, 0]]


@pytest.mark.skipif(not CASES.is_dir(), reason="no shared cases")
def test_the_layouts_of_other_people(tmp_path):
    found = load_dataset(CASES / "layout_seg_train", size=8)
    assert found.classes == ("cats", "dogs") and (found.train.n, found.test.n) == (80, 40)
    shutil.copy(CASES / "sample.tgz", tmp_path)
    assert load_dataset(tmp_path / "sample.tgz").train.n == 90
