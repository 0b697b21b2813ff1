"""Image folders: layouts, conversions and every line on images of the list of bad inputs."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from straightedge.data import load_dataset
from straightedge.errors import InputError, StraightedgeWarning


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRAIGHTEDGE_CACHE", str(folder))
    return folder


def picture(seed=0, size=(6, 5), mode="RGB"):
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def save(image, path, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for number in range(3):
        save(picture(number), root / "cat" / f"{number}.png")
        save(picture(10 + number), root / "dog" / f"{number}.png")
    return root


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def test_rows_are_the_pixels_in_order_of_class_and_name(folder):
    found = load_dataset(folder)
    assert found.classes == ("cat", "dog")
    assert found.image_shape == (3, 5, 6)
    assert found.train.X.dtype == np.uint8
    assert found.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert list(found.train.names) == [f"{c}/{n}.png" for c in ("cat", "dog") for n in range(3)]
    for name, row in zip(found.train.names, found.train.X, strict=True):
        assert (row == pixels(folder / name)).all()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "gif", "tiff"])
def test_formats(tmp_path, ending):
    for seed, name in enumerate(("cat", "dog")):
        save(picture(seed), tmp_path / "set" / name / f"a.{ending}")
    found = load_dataset(tmp_path / "set")
    assert (found.train.X[1] == pixels(tmp_path / "set" / "dog" / f"a.{ending}")).all()


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "valid", "Testing"), ("train", "validation", "test")]
)
def test_splits_and_their_aliases(tmp_path, names):
    for seed, split in enumerate(names):
        for label, name in enumerate(("cat", "dog")):
            save(picture(10 * seed + label), tmp_path / "set" / split / name / "a.png")
    found = load_dataset(tmp_path / "set")
    assert (found.train.n, found.validation.n, found.test.n) == (2, 2, 2)
    assert found.test.open("test").names[0] == f"{names[2]}/cat/a.png"


def test_a_split_given_twice_is_refused(tmp_path):
    for split in ("train", "val", "valid"):
        save(picture(), tmp_path / split / "cat" / "a.png")
    with pytest.raises(InputError, match="split-twice"):
        load_dataset(tmp_path)


def test_class_folders_that_differ_between_splits_are_listed(tmp_path):
    for place in ("train/cat", "train/dog", "test/cat", "test/bird"):
        save(picture(), tmp_path / place / "a.png")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path)
    assert caught.value.code == "classes-differ"
    assert "'bird'" in caught.value.what and "'dog'" in caught.value.what


def test_an_empty_class_folder_warns_and_goes_on(folder):
    assert load_dataset(folder).classes == ("cat", "dog")
    (folder / "bird").mkdir()
    with pytest.warns(StraightedgeWarning, match=r"'bird'.*class-without-samples"):
        found = load_dataset(folder)
    assert found.classes == ("bird", "cat", "dog")
    assert set(found.train.y.tolist()) == {1, 2}


@pytest.mark.parametrize("place", ["", "cat"], ids=["no folder at all", "files only"])
def test_no_class_folders(tmp_path, place):
    (tmp_path / "set").mkdir()
    if place:
        save(picture(), tmp_path / "set" / "a.png")
    with pytest.raises(InputError, match="no-class-folders"):
        load_dataset(tmp_path / "set")


def test_splits_without_class_folders(tmp_path):
    for split in ("train", "test"):
        save(picture(), tmp_path / "set" / split / "a.png")
    with pytest.raises(InputError, match="no-class-folders"):
        load_dataset(tmp_path / "set")


def test_a_class_may_be_called_train(tmp_path):
    for seed, name in enumerate(("car", "train")):
        save(picture(seed), tmp_path / "set" / name / "a.png")
    assert load_dataset(tmp_path / "set").classes == ("car", "train")


def test_what_a_killed_process_left_in_the_cache_is_swept(folder, own_cache):
    old, new = own_cache / "images" / ".old.tmp", own_cache / "images" / ".new.tmp"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (1, 1))
    load_dataset(folder)
    assert not old.exists() and new.exists()


def test_a_single_class_is_refused(tmp_path):
    save(picture(), tmp_path / "set" / "cat" / "a.png")
    save(picture(1), tmp_path / "set" / "cat" / "b.png")
    with pytest.raises(InputError, match="labels-single-class"):
        load_dataset(tmp_path / "set")


def test_grey_images_keep_one_channel(tmp_path):
    for seed, name in enumerate(("cat", "dog")):
        save(picture(seed, mode="L"), tmp_path / "set" / name / "a.png")
    found = load_dataset(tmp_path / "set")
    assert found.image_shape == (1, 5, 6)
    assert (found.train.X[0, 0] == np.asarray(picture(0, mode="L"))).all()


@pytest.mark.long
def test_a_late_colour_image_among_grey_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("straightedge.data.decode_pool.BLOCK_COUNT", 2)
    for seed in range(5):
        save(picture(seed, mode="L"), tmp_path / "set" / "cat" / f"{seed}.png")
    save(picture(9), tmp_path / "set" / "dog" / "a.png")
    found = load_dataset(tmp_path / "set")
    assert found.image_shape == (3, 5, 6)
    assert (found.train.X[5] == pixels(tmp_path / "set/dog/a.png")).all()
    assert found.notes == ["5 images without colour converted to colour"]


@pytest.mark.long
def test_many_blocks_through_worker_processes(folder, monkeypatch):
    whole = load_dataset(folder, cache=False)
    monkeypatch.setattr("straightedge.data.decode_pool.BLOCK_COUNT", 1)
    by_workers = load_dataset(folder, cache=False)
    assert (whole.train.X == by_workers.train.X).all()
    assert whole.fingerprint == by_workers.fingerprint


def test_mixed_sizes_need_a_size(folder):
    save(picture(size=(9, 5)), folder / "dog" / "wide.png")
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    assert caught.value.code == "mixed-sizes"
    assert "9 × 5" in caught.value.what and "6 × 5" in caught.value.what
    assert "wide.png" in caught.value.where and "--size" in caught.value.mend
    assert load_dataset(folder, size=4).image_shape == (3, 4, 4)
    assert load_dataset(folder, size=(4, 7)).image_shape == (3, 4, 7)
    assert load_dataset(folder, size="12").image_shape == (3, 12, 12)
    assert load_dataset(folder, size="4x7").image_shape == (3, 4, 7)


@pytest.mark.parametrize("size", [0, -3, 10**6, (3, 4, 5), "", "x", "3x", "axb", "3x4x5", 2.5j, ()])
def test_a_size_that_is_none(folder, size):
    with pytest.raises(InputError) as caught:
        load_dataset(folder, size=size)
    assert caught.value.code == "size"


def one_more(folder, image, name="x.png", **settings):
    """Add an image to the dogs and return its row and the notes."""
    save(image, folder / "dog" / name, **settings)
    found = load_dataset(folder)
    return found.train.X[list(found.train.names).index(f"dog/{name}")], found.notes


def test_cmyk_is_converted_and_counted(folder):
    row, notes = one_more(folder, picture().convert("CMYK"), "x.jpg")
    assert row.shape == (3, 5, 6)
    assert notes == ["1 image converted from CMYK"]


def test_palette_is_converted_and_counted(folder):
    image = picture(size=(6, 5)).quantize(7)
    row, notes = one_more(folder, image)
    assert (row == np.asarray(image.convert("RGB")).transpose(2, 0, 1)).all()
    assert notes == ["1 image converted from palette"]


def test_1_bit_is_converted_and_counted(folder):
    row, notes = one_more(folder, picture().convert("1"))
    assert set(np.unique(row)) <= {0, 255}
    assert "1 image converted from 1-bit" in notes


def test_16_bit_is_scaled_not_clipped(folder):
    values = np.linspace(0, 65535, 30).reshape(5, 6).astype(np.uint16)
    row, notes = one_more(folder, Image.fromarray(values))
    assert (row[0] == np.round(values / 257)).all()
    assert "1 image scaled from 16 bits" in notes


@pytest.mark.parametrize(("background", "colour"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_alpha_over_the_stated_background(folder, background, colour):
    clear = Image.new("RGBA", (6, 5), (200, 10, 10, 0))
    clear.putpixel((0, 0), (200, 10, 10, 255))
    clear.putpixel((1, 0), (200, 10, 10, 128))
    save(clear, folder / "dog" / "x.png")
    found = load_dataset(folder, background=background)
    row = found.train.X[-1]
    assert row[:, 0, 0].tolist() == [200, 10, 10]
    assert row[:, 4, 5].tolist() == list(colour)
    mixed = np.array([200, 10, 10]) * 128 / 255 + np.array(colour) * 127 / 255
    assert np.abs(row[:, 0, 1] - mixed).max() <= 1
    assert found.notes == ["1 image laid over the background"]


def test_transparent_palette_and_grey_alpha(folder):
    palette = Image.new("P", (6, 5), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((0, 0), 1)
    row, _ = one_more(folder, palette, transparency=0)
    assert row[:, 0, 0].tolist() == [0, 255, 0] and row[:, 1, 1].tolist() == [255, 255, 255]
    row, notes = one_more(folder, Image.new("LA", (6, 5), (7, 0)), "y.png")
    assert (row == 255).all()
    assert "2 images laid over the background" in notes


def test_a_background_that_is_no_colour(folder):
    with pytest.raises(InputError) as caught:
        load_dataset(folder, background="no-colour")
    assert caught.value.code == "background"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_exif_rotation_is_applied(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for seed, name in enumerate(("cat", "dog")):
        save(picture(seed), tmp_path / "set" / name / f"a.{ending}", exif=exif)
    found = load_dataset(tmp_path / "set")
    stored = pixels(tmp_path / "set" / "cat" / f"a.{ending}")
    turns = {
        2: stored[:, :, ::-1],
        3: stored[:, ::-1, ::-1],
        4: stored[:, ::-1],
        5: stored.transpose(0, 2, 1),
        6: stored.transpose(0, 2, 1)[:, :, ::-1],
        7: stored.transpose(0, 2, 1)[:, ::-1, ::-1],
        8: stored.transpose(0, 2, 1)[:, ::-1],
    }
    assert (found.train.X[0] == turns[orientation]).all()
    assert found.notes == ["2 images turned as the camera says"]


def test_animated_gif_gives_its_first_frame_with_a_warning(folder):
    frames = [picture(seed).quantize(16) for seed in (1, 2, 3)]
    save(frames[0], folder / "dog" / "x.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(StraightedgeWarning, match=r"several frames: 1.*several-frames"):
        found = load_dataset(folder)
    assert (found.train.X[-1] == pixels(folder / "dog" / "x.gif")).all()
    with pytest.warns(StraightedgeWarning, match="several-frames"):
        load_dataset(folder)  # from the cache too


def test_multi_page_tiff_gives_its_first_page_with_a_warning(folder):
    save(picture(1), folder / "dog" / "x.tif", save_all=True, append_images=[picture(2)])
    with pytest.warns(StraightedgeWarning, match="several-frames"):
        found = load_dataset(folder)
    assert (found.train.X[-1] == np.asarray(picture(1)).transpose(2, 0, 1)).all()


def whole_jpeg():
    stream = io.BytesIO()
    picture(size=(6, 5)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def png_of_size(width, height):
    """A PNG whose header claims a size, with almost no pixels behind it."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def float_tiff():
    stream = io.BytesIO()
    Image.fromarray(np.full((5, 6), 0.5, np.float32)).save(stream, "TIFF")
    return stream.getvalue()


DAMAGED = [
    pytest.param(whole_jpeg()[:-200], "image-broken", id="truncated file: its path"),
    pytest.param(b"", "image-broken", id="0-byte file: its path"),
    pytest.param(b"not an image at all", "image-broken", id="text with the ending of an image"),
    pytest.param(png_of_size(20_000, 15_000), "image-too-large", id="300-megapixel bomb: refused before decoding"),
    pytest.param(png_of_size(12_000, 10_000), "image-too-large", id="120 megapixels"),
    pytest.param(float_tiff(), "image-mode", id="floating-point pixels"),
    pytest.param(png_of_size(6, 5)[:40], "image-broken", id="cut inside the header"),
]


@pytest.mark.parametrize(("content", "code"), DAMAGED)
def test_damaged_images(folder, content, code):
    (folder / "dog" / "bad.png").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    assert caught.value.code == code
    assert "dog/bad.png" in caught.value.where and "--skip-bad" in caught.value.mend
    found = load_dataset(folder, skip_bad=True)
    assert found.train.n == 6
    assert [note for note in found.notes if "dog/bad.png" in note]


def test_wrong_extension_content_decides(folder):
    save(picture(3), folder / "dog" / "x.png", format="JPEG")
    save(picture(4), folder / "dog" / "y.txt", format="PNG")
    (folder / "dog" / "notes.txt").write_text("only words")
    found = load_dataset(folder)
    assert found.train.n == 8
    assert found.notes == ["1 file without an image ignored"]


def test_hidden_files_and_thumbs_db_are_ignored_and_counted(folder):
    for name in (".DS_Store", "Thumbs.db", "._0.png"):
        (folder / "cat" / name).write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.png").write_bytes(b"x")
    save(picture(), folder / "loose.png")
    found = load_dataset(folder)
    assert found.classes == ("cat", "dog")
    assert found.notes == ["4 hidden or system files ignored", "1 file in no class folder ignored"]


def test_symlink_loop_ends(folder):
    (folder / "cat" / "again").symlink_to(folder)
    (folder / "cat" / "self.png").symlink_to(folder / "cat" / "self.png")
    found = load_dataset(folder)
    assert found.train.n == 6
    assert "1 link back to a folder above ignored" in found.notes


def test_a_linked_class_folder_is_read(folder, tmp_path):
    save(picture(5), tmp_path / "elsewhere" / "a.png")
    (folder / "bird").symlink_to(tmp_path / "elsewhere")
    assert load_dataset(folder).classes == ("bird", "cat", "dog")


def test_a_pipe_in_a_folder_does_not_hang(folder):
    os.mkfifo(folder / "cat" / "pipe.png")
    assert load_dataset(folder).train.n == 6


def test_non_utf8_names_work(folder):
    odd = os.fsencode(folder / "dog") + b"/caf\xe9.png"
    os.rename(folder / "dog" / "0.png", odd)
    os.rename(os.fsencode(folder / "cat"), os.fsencode(folder) + b"/c\xffat")
    found = load_dataset(folder)
    assert found.classes == ("c\\xffat", "dog")
    assert "dog/caf\\xe9.png" in found.train.names
    "".join(found.train.names).encode("utf-8")


def test_long_names_work(folder):
    (folder / "dog" / "0.png").rename(folder / "dog" / ("n" * 240 + ".png"))
    deep = folder / "dog" / ("d" * 200)
    deep.mkdir()
    (folder / "dog" / "1.png").rename(deep / ("n" * 200 + ".png"))
    assert load_dataset(folder).train.n == 6


def test_an_unreadable_file_names_its_path(folder, monkeypatch):
    opened = os.open

    def refused(path, *flags, **settings):
        if str(path).endswith(".png"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *flags, **settings)

    monkeypatch.setattr("straightedge.special_files.os.open", refused)
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    assert caught.value.code == "file-unreadable" and "cat/0.png" in caught.value.where


def test_second_start_reads_the_cache(folder, monkeypatch):
    first = load_dataset(folder)

    def fails(*args, **settings):
        raise AssertionError("decoded again")

    monkeypatch.setattr("straightedge.data.decode_run.DecodeRun", fails)
    second = load_dataset(folder)
    assert isinstance(second.train.X, np.memmap)
    assert (second.train.X == first.train.X).all()
    assert second.fingerprint == first.fingerprint
    assert list(second.train.names) == list(first.train.names)
    with pytest.raises(AssertionError, match="decoded again"):
        load_dataset(folder, size=3)


def test_a_changed_file_is_decoded_again(folder):
    first = load_dataset(folder)
    save(picture(77), folder / "dog" / "0.png")
    os.utime(folder / "dog" / "0.png", ns=(1, 1))
    second = load_dataset(folder)
    assert first.fingerprint != second.fingerprint
    assert (second.train.X[3] == pixels(folder / "dog" / "0.png")).all()


def test_a_damaged_cache_is_made_again(folder, own_cache):
    first = load_dataset(folder)
    expected = np.array(first.train.X)
    (array,) = own_cache.glob("images/*/X_train.npy")
    array.write_bytes(array.read_bytes()[:150])
    assert (expected == load_dataset(folder).train.X).all()


def test_a_full_disk_only_costs_the_cache(folder, own_cache, monkeypatch):
    from straightedge.atomic import Disk

    def full(self, descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Disk, "write", full)
    with pytest.warns(StraightedgeWarning, match="cache-not-written"):
        found = load_dataset(folder)
    assert found.train.n == 6
    assert not list(own_cache.glob("images/*"))


def test_an_image_folder_of_large_pictures_shrinks(tmp_path):
    for name, colour in (("cat", (250, 10, 10)), ("dog", (10, 10, 250))):
        save(Image.new("RGB", (800, 600), colour), tmp_path / "set" / name / "a.jpg")
    found = load_dataset(tmp_path / "set", size=8)
    assert np.abs(found.train.X[0].astype(int) - np.array([250, 10, 10])[:, None, None]).max() <= 3


def test_source_that_is_not_there_suggests_a_name():
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.joblib"])
def test_pickles_are_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n(X\x01\x00\x00\x00xtR.")
    with pytest.raises(InputError, match="pickle-refused"):
        load_dataset(tmp_path / name)


def test_an_unknown_kind_of_file(tmp_path):
    Path(tmp_path / "a.xyz").write_bytes(b"hello")
    with pytest.raises(InputError, match="source-kind"):
        load_dataset(tmp_path / "a.xyz")
