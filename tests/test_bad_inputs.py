"""The table of bad inputs: a row for each item of the list, named after its words, run end to end.

Every row runs the real command (or the Python front door where the item is about arrays), which must end within
ten seconds, without a traceback, with a stable code and exit status, naming file and row, leaving nothing half
done. Items whose fault has to be injected at a moment of its own are in `ELSEWHERE`, with the test that does.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from straightedge import SoftmaxClassifier, SVMClassifier, atomic
from straightedge.errors import InputError, StraightedgeWarning
from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.rows import Rows
from support.bad_inputs import Commands, X, encoded, picture, png, y
from support.failing_disk import FailingDisk

Row = Callable[[Commands], None]
ROWS: list[Any] = []


def item(*words: str, marks: Any = ()) -> Callable[[Row], Row]:
    """Add a row to the table under each of these words of the list."""

    def add(row: Row) -> Row:
        ROWS.extend(pytest.param(row, id=word, marks=marks) for word in words)
        return row

    return add


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, capsys, monkeypatch)


# ---------------------------------------------------------------------------- labels


@item("single class: error naming it")
def _(do: Commands) -> None:
    do.refused_fit("labels-single-class", "'3'", "data.npz", source=do.npz(y=np.full(60, 3)))


@item("declared class without samples: goes on, warns, never NaN")
def _(do: Commands) -> None:
    result, said = do.fitted(do.npz(y=y % 2, classes=np.array(["a", "b", "c"])))
    assert "class-without-samples" in said and "c" in said
    assert result["status"] == "certified" and result["n_classes"] == 3
    assert bool(do.model().weight.isfinite().all())


@item("label ≥ C or negative: error with the first row and the count")
def _(do: Commands) -> None:
    high, low = y.copy(), y.copy()
    high[[17, 40]] = 9
    low[[5, 6, 7]] = -1
    names = np.array(["a", "b", "c"])
    do.refused_fit("labels-out-of-range", "row 17", "2 such", source=do.npz(y=high, classes=names))
    do.refused_fit("labels-out-of-range", "row 5", "3 such", source=do.npz(y=low, classes=names))
    do.refused_fit("labels-out-of-range", "row 5", "3 such", source=do.npz(y=low))


@item("non-contiguous 0, 2, 7: mapped, mapping saved")
def _(do: Commands) -> None:
    result, _ = do.fitted(do.npz(y=np.array([0, 2, 7])[y]))
    assert result["classes"] == ["0", "2", "7"]
    assert do.model().classes == ("0", "2", "7")
    np.save(do.path / "rows.npy", X)
    ended = do.run("predict", do.path / "run", do.path / "rows.npy")
    assert {line.split(",")[1] for line in ended.out.splitlines()[1:]} == {"0", "2", "7"}


@item("float 1.5, NaN: error")
def _(do: Commands) -> None:
    half, missing = y.astype(float), y.astype(float)
    half[11], missing[12] = 1.5, np.nan
    do.refused_fit("labels-not-integral", "row 11", "1.5", source=do.npz(y=half))
    do.refused_fit("labels-missing", "row 12", source=do.npz(y=missing))


@item("one-hot: error with a hint")
def _(do: Commands) -> None:
    do.refused_fit("labels-one-hot", "argmax", source=do.npz(y=np.eye(3)[y]))


@item("strings: accepted, saved as text")
def _(do: Commands) -> None:
    do.fitted(do.npz(y=np.array(["ant", "bee", "cöw"])[y]))
    assert do.model().classes == ("ant", "bee", "cöw")


@item("len(y) ≠ N: both sizes")
def _(do: Commands) -> None:
    do.refused_fit("labels-length", "59 labels", "60 samples", source=do.npz(y=y[:-1]))


@item("empty set: error")
def _(do: Commands) -> None:
    do.refused_fit("labels-empty", "data.npz", source=do.npz(X=X[:0], y=y[:0]))
    (do.path / "images" / "cat").mkdir(parents=True)
    do.refused_fit("no-images", "images", source=do.path / "images")


@item("one sample a class: works")
def _(do: Commands) -> None:
    result, _ = do.fitted(do.npz(X=X[:3], y=y[:3]))
    assert result["status"] == "certified" and result["train"]["accuracy"] == 1.0


@item("same image in two classes: fits, counted in the report")
def _(do: Commands) -> None:
    result, _ = do.fitted(do.images(cat__same_DOT_png=png(99), dog__same_DOT_png=png(99)))
    assert any("1 image appears under more than one class" in note for note in result["notes"])
    assert "under more than one class" in (do.path / "run" / "report.html").read_text()


@item("train and test class sets differ: error listing the difference")
def _(do: Commands) -> None:
    source = do.npz(X_train=X, y_train=np.array(list("abc"))[y], X_test=X + 1, y_test=np.array(list("abd"))[y])
    do.refused_fit("classes-differ", "'d'", "'c'", "test", source=source)


@item("same classes in another order: aligned by name")
def _(do: Commands) -> None:
    names = np.array(["a", "b", "c"])
    result, _ = do.fitted(
        do.npz(X_train=X, y_train=names[y], X_test=X[::-1] + 1e-3, y_test=names[y][::-1]), "--reg", "1e-3"
    )
    assert abs(result["test"]["accuracy"] - result["train"]["accuracy"]) < 0.04
    other = do.npz("other.npz", y=2 - y, classes=names[::-1])
    judged = do.run("evaluate", do.path / "run", other, "--json").json
    assert judged["accuracy"] == result["train"]["accuracy"]


@item("images that are in both train and test: warning with the count")
def _(do: Commands) -> None:
    source = do.npz(X_train=X, y_train=y, X_test=X[:7], y_test=y[:7])
    _, said = do.fitted(source)
    assert "rows-in-train-and-test" in said and "7 rows" in said


# ---------------------------------------------------------------------------- numbers


@item("NaN or ±Inf in X: error with row and column")
def _(do: Commands) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        broken = X.copy()
        broken[17, 2] = bad
        do.refused_fit("rows-not-finite", "row 17, column 2", "data.npz", source=do.npz(X=broken))


@item("float16 whose sums overflow: same result as float32")
def _(do: Commands) -> None:
    half = (X * 8000).astype(np.float16)
    with np.errstate(over="ignore"):
        assert np.isinf(np.abs(half).sum(axis=0, dtype=np.float16)).all()
    same = [do.fitted(do.npz(X=half.astype(kind)), "--reg", "1")[0] for kind in (np.float16, np.float32)]
    assert same[0]["objective"] == same[1]["objective"]
    assert same[0]["status"] == "certified"


@item("values of 1e150: scaled or an error within a second (LIBLINEAR hangs here)")
def _(do: Commands) -> None:
    source = do.npz(X=X.astype(np.float64) * 1e150)
    for loss in ("softmax", "svm"):
        began = time.perf_counter()
        do.refused_fit("x-too-large", "row 0", "column", source=source, options=("--loss", loss))
        assert time.perf_counter() - began < 5.0  # of which the fit is a small part


@item("1e-300: no 0/0")
def _(do: Commands) -> None:
    result, _ = do.fitted(do.npz(X=np.full((60, 4), 1e-300)), "--reg", "1e-3")
    assert result["gap"] <= result["tol"]
    for preprocess in ("standardize", "none"):
        result, _ = do.fitted(do.npz(X=X.astype(np.float64) * 1e-300), "--reg", "1e-3", "--preprocess", preprocess)
        assert bool(do.model().weight.isfinite().all())
        assert np.isfinite(result["objective"])


@item("constant feature: weight 0, no division")
def _(do: Commands) -> None:
    constant = X.copy()
    constant[:, 2] = 7.25
    for preprocess in ("auto", "standardize", "center"):
        result, _ = do.fitted(do.npz(X=constant), "--reg", "1e-3", "--preprocess", preprocess)
        assert result["status"] == "certified"
        weight = do.model().weight.abs()
        assert weight[2].max() <= 1e-8 * weight.max()


@item("all features constant: predicts the priors")
def _(do: Commands) -> None:
    skewed = np.repeat([0, 1, 2], [30, 20, 10])
    do.fitted(do.npz(X=np.ones((60, 4)), y=skewed), "--reg", "1e-7", "--bias", "free", "--tol", "1e-8")
    found = do.model().predict_proba(np.ones((1, 4), np.float32))[0]
    assert np.allclose(found, [1 / 2, 1 / 3, 1 / 6], atol=1e-3)


@item("D > N: works, certified")
def _(do: Commands) -> None:
    wide = np.random.default_rng(1).standard_normal((30, 200))
    for loss in ("softmax", "svm"):
        result, _ = do.fitted(do.npz(X=wide, y=y[:30]), "--loss", loss, "--reg", "0.1")
        assert result["status"] == "certified", (loss, result["message"])


@item("scores of ±1e4 and ±1e308: finite loss, no NaN")
def _(do: Commands) -> None:
    labels = torch.tensor([0, 1, 2])
    for name in ("softmax", "svm"):
        for size in (1e4, 1e307):
            S = torch.tensor([[1.0, -1.0, 1.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64) * size
            loss = get_loss(name).value_and_gradient(S[:, None], labels)
            assert bool(loss.isfinite().all()) and bool(S.isfinite().all()), (name, size)
    from straightedge.evaluation import evaluate

    judged = evaluate(np.array([[1e308, -1e308], [-1e308, 1e308], [1e308, 0.0]]), np.array([0, 1, 1]), ("a", "b"))
    assert judged["accuracy"] == pytest.approx(2 / 3)
    assert not np.isnan(judged["log_loss"]["value"])


@item('separable data with reg = 0: refused for an exact solver ("no minimiser")')
def _(do: Commands) -> None:
    for loss in ("softmax", "svm"):
        options = ("--reg", "0", "--loss", loss)
        do.refused_fit("reg-zero", "no minimiser", "1e-8", source=do.npz(X=np.eye(3)[y]), options=options)


@item("reg negative, NaN, text: error")
def _(do: Commands) -> None:
    for reg in ("-1", "nan", "inf"):
        do.refused_fit("reg-invalid", reg, source=do.npz(), options=(f"--reg={reg}",))
    do.refused_fit("reg-invalid", "much", source=do.npz(), options=("--regs", "1,much"))
    ended = do.run("fit", do.npz(), "--reg", "much")
    assert ended.status == 2 and "'--reg'" in ended.err and re.search("valid (number|float)", ended.err)
    for reg in (-1, float("nan"), "much"):
        with pytest.raises(InputError, match="reg-invalid"):
            SoftmaxClassifier(reg=reg).fit(X, y)


@item('reg 1e-12: an honest gap, "not certified"')
def _(do: Commands) -> None:
    words = ("--reg", "1e-12", "--max-passes", "6", "--solver", "lbfgs")  # Newton's method certifies it
    result, _ = do.fitted(do.npz(X=np.eye(3)[y]), *words)
    assert result["status"] != "certified" and "not certified" in result["message"]
    assert result["gap"] > result["tol"]
    assert result["dual"] <= result["objective"]


@item("sample weights negative, all zero, NaN: error (scikit-learn takes negative ones in silence)")
def _(do: Commands) -> None:
    for classifier in (SoftmaxClassifier(), SVMClassifier()):
        for row, value in ((3, -1.0), (4, np.nan), (5, np.inf)):
            weights = np.ones(60)
            weights[row] = value
            with pytest.raises(InputError, match=f"row {row}.*sample-weight-invalid"):
                classifier.fit(X, y, sample_weight=weights)
        with pytest.raises(InputError, match="all sample weights are zero"):
            classifier.fit(X, y, sample_weight=np.zeros(60))


@item("complex, object, 3-D, 1-D X: error")
def _(do: Commands) -> None:
    do.refused_fit("rows-kind", "complex", source=do.npz(X=X.astype(complex)))
    do.refused_fit("npy-objects", "data.npz", source=do.npz(X=X.astype(object)))
    do.refused_fit("rows-shape", "(60, 4, 1)", source=do.npz(X=X[:, :, None]))
    do.refused_fit("rows-shape", "(60,)", source=do.npz(X=X[:, 0]))
    texts = np.array([["a"] * 4] * 60, dtype=object)
    for bad in (X.astype(complex), texts, X[:, :, None], X[:, 0]):
        with pytest.raises(InputError, match=r"x-shape|x-dtype"):
            SoftmaxClassifier().fit(bad, y)


@item("Fortran order, strided, read-only, big-endian: same result")
def _(do: Commands) -> None:
    frozen, strided = X.copy(), np.zeros((120, 8), np.float32)
    frozen.flags.writeable = False
    strided[::2, 1::2] = X
    kinds = [X, np.asfortranarray(X), strided[::2, 1::2], frozen, X.astype(">f4"), X[::-1][::-1]]
    found = [SoftmaxClassifier(reg=1e-2).fit(kind, y).W_ for kind in kinds]
    assert all(np.array_equal(W, found[0]) for W in found)
    results = [do.fitted(do.npz(X=kind))[0]["objective"] for kind in (X, np.asfortranarray(X), X.astype(">f4"))]
    assert results[0] == results[1] == results[2]


@item("uint8 not scaled: same result as its float copy")
def _(do: Commands) -> None:
    bytes_ = np.random.default_rng(2).integers(0, 256, (60, 9), dtype=np.uint8)
    results = [do.fitted(do.npz(X=bytes_.astype(kind)), "--reg", "1")[0] for kind in (np.uint8, np.float32)]
    assert results[0]["objective"] == pytest.approx(results[1]["objective"], rel=1e-9)


@item("train 0–255 and test 0–1: warning")
def _(do: Commands) -> None:
    large = (np.abs(X) * 50).clip(0, 255)
    source = do.npz(X_train=large, y_train=y, X_test=large / 255, y_test=y)
    _, said = do.fitted(source)
    assert "ranges-differ" in said
    fitted = SoftmaxClassifier(reg=1.0).fit(large, y)
    with pytest.warns(StraightedgeWarning, match="255"):
        fitted.predict(large / 255)


@item("wrong width or NaN at predict: error")
def _(do: Commands) -> None:
    do.fitted(do.npz())
    np.save(do.path / "wide.npy", np.ones((2, 5), np.float32))
    broken = X.copy()
    broken[17, 2] = np.nan
    np.save(do.path / "nan.npy", broken)
    ended = do.run("predict", do.path / "run", do.path / "wide.npy")
    assert ended.status == 2 and "5" in ended.err and "4" in ended.err and ended.out == ""
    ended = do.run("predict", do.path / "run", do.path / "nan.npy")
    assert ended.status == 2 and "row 17" in ended.err and "column 2" in ended.err and ended.out == ""


@item("N·D > 2³¹: correct", marks=pytest.mark.slow)
def _(do: Commands) -> None:
    n_rows, width = 2**22 + 5, 512
    assert n_rows * width > 2**31
    values = np.random.default_rng(3).integers(0, 256, n_rows + width, dtype=np.uint8)
    rows = np.lib.stride_tricks.as_strided(values, (n_rows, width), (1, 1), writeable=False)
    labels = torch.from_numpy((values[:n_rows] > 127).astype(np.int64))
    W = 1e-3 * torch.randn(1, 2, width + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    objective = Objective(Rows(rows), labels, 2, get_loss("softmax"), [0.5])
    evaluated = objective.evaluate(W)
    total, last = 0.0, None
    for start in range(0, n_rows, 2**16):
        block = rows[start : start + 2**16].astype(np.float32)
        S = torch.from_numpy(block @ W[0, :, :-1].T.numpy().astype(np.float32)) + W[0, :, -1].float()
        total += float(torch.nn.functional.cross_entropy(S, labels[start : start + 2**16], reduction="sum"))
        last = S[-1]
    expected = total / n_rows + 0.5 * float(W.square().sum())
    assert float(evaluated.objective[0]) == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(objective.scores(W)[-1, 0], last, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------- images


@item("mixed sizes: error unless a size is asked for")
def _(do: Commands) -> None:
    source = do.images(cat__other_DOT_png=png(7, (9, 9)))
    do.refused_fit("mixed-sizes", "--size", "other.png", source=source)
    result, _ = do.fitted(source, "--size", "5x6")
    assert result["train"]["n"] == 7


@item("CMYK, palette, 1-bit: converted, counted")
def _(do: Commands) -> None:
    source = do.images(
        cat__a_DOT_jpg=encoded(picture(1).convert("CMYK"), "JPEG"),
        cat__b_DOT_png=encoded(picture(2).convert("P")),
        dog__c_DOT_png=encoded(picture(3).convert("1")),
    )
    result, _ = do.fitted(source)
    text = " ".join(result["notes"])
    assert all(word in text for word in ("CMYK", "palette", "1-bit")), text


@item("16-bit: scaled, not clipped")
def _(do: Commands) -> None:
    deep = np.linspace(0, 65535, 30).reshape(5, 6).astype(np.uint16)
    source = do.images(cat__deep_DOT_png=encoded(Image.fromarray(deep)))
    from straightedge.data import load_dataset

    found = load_dataset(source, cache=False).train
    row = next(i for i, name in enumerate(found.names) if "deep" in name)
    assert np.abs(found.X[row, 0].astype(float) - deep / 257).max() <= 1


@item("alpha: over a stated background")
def _(do: Commands) -> None:
    clear = Image.new("RGBA", (6, 5), (9, 9, 9, 0))
    source = do.images(cat__clear_DOT_png=encoded(clear))
    for background in ("white", "#102030"):
        do.fitted(source, "--background", background)
        assert do.run("predict", do.path / "run", source / "cat").status == 0
    do.refused_fit("background", "mauvish", source=source, options=("--background", "mauvish"))


@item("EXIF rotation: applied")
def _(do: Commands) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(4, (5, 6))
    source = do.images(cat__turned_DOT_png=encoded(turned, exif=exif))
    from straightedge.data import load_dataset

    found = load_dataset(source, cache=False).train  # of one size only once it is turned
    row = next(i for i, name in enumerate(found.names) if "turned" in name)
    assert (found.X[row] == np.rot90(np.asarray(turned), -1).transpose(2, 0, 1)).all()


@item("animated GIF, multi-page: first frame, warning")
def _(do: Commands) -> None:
    frames = [picture(1), picture(2)]
    for name, kind in (("cat__x_DOT_gif", "GIF"), ("cat__x_DOT_tif", "TIFF")):
        odd = {name: encoded(frames[0], kind, save_all=True, append_images=frames[1:])}
        _, said = do.fitted(do.images(kind, **odd))
        assert "several-frames" in said


@item("truncated or 0-byte file: its path; `--skip-bad` goes on and lists them")
def _(do: Commands) -> None:
    source = do.images(cat__cut_DOT_png=png(1)[:-40], dog__none_DOT_png=b"")
    do.refused_fit("image-broken", "--skip-bad", source=source)
    assert "cut.png" in do.run("fit", source, "--out", do.path / "run").err
    result, _ = do.fitted(source, "--skip-bad")
    notes = " ".join(result["notes"])
    assert "cut.png" in notes and "none.png" in notes and result["train"]["n"] == 6


@item("wrong extension: content decides")
def _(do: Commands) -> None:
    result, _ = do.fitted(do.images(cat__a_DOT_jpg=png(8), dog__b_DOT_txt=png(9)))
    assert result["train"]["n"] == 8


@item("300-megapixel bomb: refused before decoding")
def _(do: Commands) -> None:
    from test_data_images import png_of_size

    source = do.images(cat__bomb_DOT_png=png_of_size(20_000, 15_000))
    do.refused_fit("image-too-large", "bomb.png", source=source)


@item("hidden files, Thumbs.db: ignored, counted")
def _(do: Commands) -> None:
    source = do.images(cat___DOT_hidden=b"x", cat__Thumbs_DOT_db=b"x", dog__desktop_DOT_ini=b"x")
    result, _ = do.fitted(source)
    assert any("3 hidden or system files ignored" in note for note in result["notes"]), result["notes"]


@item("symlink loop: ends")
def _(do: Commands) -> None:
    source = do.images(cat__loop=lambda place: place.symlink_to(place.parent.parent))
    result, _ = do.fitted(source)
    assert result["train"]["n"] == 6


@item("non-UTF-8 and 300-character names: work")
def _(do: Commands) -> None:
    source = do.images()
    os.makedirs(os.fsencode(source) + b"/\xff\xfe")
    (Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe")) / "a.png").write_bytes(png(3))
    (source / "cat" / ("x" * 251 + ".png")).write_bytes(png(4))
    result, _ = do.fitted(source)
    assert result["n_classes"] == 3 and (do.path / "run" / "report.html").exists()
    with zipfile.ZipFile(do.path / "long.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{'ab'[number % 2]}/{'n' * 300}{number}.png", png(number))
    assert do.fitted(do.path / "long.zip", out="long")[0]["train"]["n"] == 4


# ---------------------------------------------------------------------------- files and archives


def packed(do: Commands, kind: str, name: str = "a", extra: dict[str, bytes] | None = None) -> Path:
    """Write a zip or tar of two classes."""
    members = {f"{'ab'[n % 2]}/{n}.png": png(n) for n in range(6)} | (extra or {})
    path = do.path / f"{name}.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
    else:
        with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as tar:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@item("corrupt or truncated archive: error, the file set aside, nothing half-extracted")
def _(do: Commands) -> None:
    for kind in ("zip", "tar", "tar.gz"):
        path = packed(do, kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        do.refused_fit("archive-broken", path.name, source=path)
    for kind in ("zip", "tar", "tar.gz"):
        path = do.path / f"text.{kind}"
        path.write_bytes(b"no archive at all" * 100)
        do.refused_fit("archive-broken", path.name, source=path)


@item("member with `../`, absolute path, link or device: refused")
def _(do: Commands) -> None:
    for name in ("../outside.png", "/etc/outside.png", "a/../../outside.png"):
        for kind in ("zip", "tar"):
            do.refused_fit("archive-member-unsafe", "outside.png", source=packed(do, kind, extra={name: png(1)}))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        path = packed(do, "tar", name=f"kind{int(kind)}")
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo("a/odd.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        do.refused_fit("archive-member-unsafe", "a/odd.png", source=path)
    assert not (do.path.parent / "outside.png").exists()


@item("zip bomb: refused by ratio and total")
def _(do: Commands) -> None:
    path = do.path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a/1.png", bytes(60_000_000))
        archive.writestr("b/1.png", png(1))
    do.refused_fit("archive-bomb", "bomb.zip", source=path)


@item("IDX header claiming 2³² rows: checked against the file size before allocating")
def _(do: Commands) -> None:
    folder = do.path / "idx"
    folder.mkdir()
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 28, 28) + bytes(1000)
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(10))
    do.refused_fit("idx-broken", "train-images-idx3-ubyte", "4294967295", source=folder)


@item("`.npy` with objects: refused")
def _(do: Commands) -> None:
    np.save(do.path / "X.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.save(do.path / "y.npy", np.array([0, 1]))
    do.refused_fit("npy-objects", "X.npy", source=f"{do.path / 'X.npy'},{do.path / 'y.npy'}")


@item('pickles: never unpickled, the CIFAR-10 "python" batches included (plain values in them are read)')
def _(do: Commands) -> None:
    import pickle

    from test_model_files import Trap

    for name in ("data.pkl", "data.pt", "model.joblib"):
        (do.path / name).write_bytes(pickle.dumps(Trap()))
        do.refused_fit("pickle-refused", name, source=do.path / name)
    batches = do.path / "cifar-10-batches-py"
    batches.mkdir()
    for number in range(1, 6):
        (batches / f"data_batch_{number}").write_bytes(pickle.dumps(Trap()))
    ended = do.run("fit", batches, "--out", do.path / "run")
    assert ended.status == 2 and ended.err.startswith("error:"), ended.err
    assert not (do.path / "unpickled").exists()


MODEL_FILES = {
    "header of 4 GB": "model-header",
    "overlapping tensors": "model-overlap",
    "short tensors": "model-short",
    "pickle renamed": "model-pickle",
    "newer version": "model-newer",
    "NaN weights": "model-nan",
    "a flipped bit": "model-damaged",
}


@item(
    "model file: header of 4 GB, overlapping or short tensors, pickle renamed `.safetensors`, newer version, "
    "NaN weights, a flipped bit: refused, each with its own message"
)
def _(do: Commands) -> None:
    from test_model_files import LINES, saved

    damages = {row.id: row.values for row in LINES}
    np.save(do.path / "rows.npy", np.ones((2, 6), np.float32))
    said = set()
    for name in MODEL_FILES:
        path = saved(do.path)
        damages[name][0](path)
        ended = do.refused(damages[name][1], path.name, by=("predict", path, do.path / "rows.npy"))
        assert ended.out == ""
        said.add(ended.err.splitlines()[0])
    assert len(said) == len(MODEL_FILES)
    assert not (do.path / "unpickled").exists()


# ---------------------------------------------------------------------------- system


@item("disk full: the old file or the new one, never a broken one")
def _(do: Commands) -> None:
    before, _ = do.fitted(do.npz(), "--reg", "0.01")
    for fails_at in (1, 4, 9, 15, 21):
        do.monkeypatch.setattr(atomic, "disk", FailingDisk(fails_at, short=True, broken=True))
        ended = do.run("fit", do.npz(), "--out", do.path / "run", "--overwrite", "--reg", "0.5", "--no-suspects")
        do.monkeypatch.setattr(atomic, "disk", atomic.Disk())
        assert ended.status == 1 and "[disk-full]" in ended.err and str(do.path) in ended.err
        assert do.model().reg == before["reg"]
    assert [entry.name for entry in do.path.iterdir() if "run" in entry.name] == ["run"]


@item("output folder read-only: one clear error")
def _(do: Commands) -> None:
    class ReadOnly(atomic.Disk):
        def make_folder(self, path: Path) -> None:
            raise PermissionError(13, "Permission denied")

    source = do.npz()
    do.monkeypatch.setattr(atomic, "disk", ReadOnly())
    do.refused("read-only", str(do.path), by=("fit", source, "--out", do.path / "deep" / "run"), status=1)


@item(
    "two runs with the same output folder: the second is refused by a lock; a lock left by a dead process is "
    "taken over"
)
def _(do: Commands) -> None:
    from straightedge.runs import RunFolder

    source = do.npz()
    with RunFolder.create(do.path / "run", {}) as first:
        do.refused_fit("run-locked", str(os.getpid()), source=source)
        first.abandon()
    (do.path / ".run.lock").write_text('{"pid": 999999999, "host": "elsewhere"}')
    assert do.fitted(source)[0]["status"] == "certified"


@item("resume with other data, reg or classes: refused by fingerprint")
def _(do: Commands) -> None:
    from straightedge.workflow import FitOptions
    from test_resume import interrupted

    source = do.npz()
    steps = {"tol": 1e-7, "checkpoint_every": 0.0, "progress": False, "solver": "lbfgs"}  # many, to stop between
    interrupted(FitOptions(str(source), str(do.path / "run"), **steps))
    do.npz(X=X + 1)
    ended = do.run("fit", "--resume", do.path / "run")
    assert ended.status == 2 and "[resume-differs]" in ended.err and "data:" in ended.err
    do.npz(y=np.array(["a", "b", "c"])[y])
    ended = do.run("fit", "--resume", do.path / "run")
    assert ended.status == 2 and "classes:" in ended.err
    do.npz()
    assert do.run("fit", "--resume", do.path / "run").status == 0
    assert do.model().classes == ("0", "1", "2")


ELSEWHERE = {
    "ONNX external data outside the folder: refused": ("test_export.test_onnx_external_data_outside_the_folder"),
    "kill −9 during a save": "test_runs_faults.test_kill_9_during_saves_leaves_the_old_run_or_the_new_one",
    "kill −9 during a run": "test_resume.test_kill_9_at_random_moments_ends_in_the_same_w",
    "Ctrl-C: stops within a second, leaves a checkpoint that resumes": (
        "test_resume.test_ctrl_c_stops_within_a_second_and_leaves_a_checkpoint"
    ),
    "a second Ctrl-C leaves at once": "test_resume.test_a_second_ctrl_c_leaves_at_once",
    "out of memory: the row block is halved, at least five times, then one clear error": (
        "test_resume.test_out_of_memory_for_good_is_one_clear_error"
    ),
    "data file changed during a run: refused by fingerprint": (
        "test_resume.test_a_data_file_changed_during_a_run_is_refused"
    ),
    "1 or 64 threads: the same certified result": "test_resume.test_1_or_64_threads_certify_the_same",
    "download broken off: resumes": "test_data_named.test_a_download_broken_off_resumes",
    "an HTML page instead: hash error": ("test_data_named.test_an_html_page_instead_is_a_hash_error_and_set_aside"),
}


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row: Row, commands: Commands) -> None:
    row(commands)


@pytest.mark.parametrize("test", [pytest.param(test, id=words) for words, test in ELSEWHERE.items()])
def test_the_other_items_have_a_test_of_their_own(test: str) -> None:
    module, name = test.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert callable(getattr(importlib.import_module(module), name))
