"""Thumbnails and templates: the right pixels in the right place, and bounded."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from straightedge.data.base import Split
from straightedge.errors import InputError
from straightedge.evaluation import evaluate
from straightedge.report import collect_assets, load_assets, save_assets, templates_png, words
from straightedge.report.templates import data_uri, has_templates, template_pixels, template_strips, within
from support.report_fixture import digits_run


def split_of(n: int, shape: tuple[int, int, int], n_classes: int = 3, names: bool = True) -> Split:
    draw = np.random.default_rng(n)
    X = draw.integers(0, 256, (n, *shape), dtype=np.uint8)
    y = draw.integers(0, n_classes, n)
    return Split(X, y, [f"{row}.png" for row in range(n)] if names else None)


def pixels_of(uri: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))
    return np.asarray(picture.convert("RGB"))


def test_a_cell_keeps_its_surest_answers_first() -> None:
    split = split_of(200, (3, 4, 4))
    predicted = np.random.default_rng(1).integers(0, 3, 200)
    chance = np.random.default_rng(2).random(200).astype(np.float32)
    assets = collect_assets(split, predicted, chance, per_cell=4)
    for label in range(3):
        for other in range(3):
            here = (split.y == label) & (predicted == other)
            kept = (assets["cells_label"] == label) & (assets["cells_predicted"] == other)
            expected = np.flatnonzero(here)[np.argsort(-chance[here])][:4]
            assert assets["cells_index"][kept].tolist() == expected.tolist()
    first = int(assets["cells_index"][0])
    assert np.array_equal(assets["cells_images"][0], np.moveaxis(split.X[first], 0, -1))
    assert assets["cells_name"][0] == f"{first}.png"


def test_under_a_small_budget_every_cell_gets_one_picture_mistakes_first() -> None:
    split = split_of(300, (3, 4, 4))
    predicted = np.random.default_rng(1).integers(0, 3, 300)
    assets = collect_assets(split, predicted, budget_bytes=9 * 48)
    cells = set(zip(assets["cells_label"].tolist(), assets["cells_predicted"].tolist(), strict=True))
    assert len(cells) == len(assets["cells_label"]) == 9
    wrong = assets["cells_label"] != assets["cells_predicted"]
    assert wrong[:6].all() and not wrong[6:].any()
    assert np.isnan(assets["cells_probability"]).all()


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 8, 8), (8, 8)), ((3, 200, 100), (64, 32)), ((4, 16, 64), (16, 64)), ((2, 5, 5), (5, 5))],
)
def test_thumbnails_are_small_and_have_three_channels(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    split = split_of(10, shape, names=False)
    assets = collect_assets(split, split.y)
    assert assets["cells_images"].shape[1:] == (*size, 3)
    if shape[0] < 3:
        assert (assets["cells_images"] == assets["cells_images"][..., :1]).all()


def test_rows_are_read_one_by_one_from_a_row_source() -> None:
    split = split_of(50, (3, 4, 4))

    class OnDisk:
        shape, dtype, reads = split.X.shape, split.X.dtype, 0

        def read(self, start: int, stop: int) -> np.ndarray:
            self.reads += stop - start
            return split.X[start:stop]

    source = OnDisk()
    assets = collect_assets(Split(source, split.y), split.y, per_cell=2)
    assert source.reads == len(assets["cells_index"]) == 6
    assert np.array_equal(np.moveaxis(assets["cells_images"], -1, 1), split.X[assets["cells_index"]])


def test_features_have_no_thumbnails() -> None:
    features = Split(np.zeros((4, 7), np.float32), np.zeros(4, np.int64))
    assert collect_assets(features, np.zeros(4, np.int64)) == {}


def test_lists_take_names_or_indices_as_labels_and_leave_out_rows_that_are_not_there() -> None:
    split = split_of(5, (1, 3, 3))
    suspects = [{"index": 1, "suggested": "b", "score": 0.5}, {"index": 9, "suggested": "a", "score": 0.4}]
    hardest = [{"index": 0, "predicted": 2, "probability": None}]
    assets = collect_assets(
        split, split.y, train=split, suspects=suspects, hardest=hardest, classes=("a", "b", "c")
    )
    assert assets["suspects_index"].tolist() == [1]
    assert assets["suspects_predicted"].tolist() == [1]
    assert assets["hardest_predicted"].tolist() == [2]
    assert np.isnan(assets["hardest_probability"][0])


def test_assets_come_back_as_they_were_even_with_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    split = split_of(4, (3, 2, 2))
    named = Split(split.X, split.y, ["caf\udce9.png", "a'\"b.png", "", "x" * 300])
    assets = collect_assets(named, named.y)
    save_assets(tmp_path / "assets.npz", assets)
    back = load_assets(tmp_path / "assets.npz")
    assert set(back) == set(assets)
    assert all(np.array_equal(back[name], assets[name], equal_nan=back[name].dtype.kind == "f") for name in back)
    assert "caf\\udce9.png" in back["cells_name"].tolist()


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    split = split_of(4, (3, 2, 2))
    assets = collect_assets(split, split.y)
    save_assets(tmp_path / "assets.npz", assets | {"cells_index": np.zeros(99, np.int64)})
    with pytest.raises(InputError, match="do not fit together"):
        load_assets(tmp_path / "assets.npz")


def test_a_data_uri_holds_the_very_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(pixels_of(data_uri(pixels)), pixels)
    wide = np.zeros((1, 17_000, 3), np.uint8)
    assert np.array_equal(pixels_of(data_uri(wide)), wide)


def test_pictures_stop_where_the_budget_ends() -> None:
    assert list(within(["aaa", "bbb", "ccc"], 6)) == ["aaa", "bbb"]
    assert list(within(["aaaa"], 3)) == []


def test_templates_show_sign_and_size_of_each_weight() -> None:
    weight = np.zeros((12, 2))
    weight[:, 0] = np.linspace(-1, 1, 12)
    pictures = template_pixels(weight, (3, 2, 2))
    assert pictures.shape == (2, 2, 2, 3)
    assert pictures[0, 0, 0, 0] < 5 and pictures[0, 1, 1, 2] > 250
    assert np.all(np.diff(np.moveaxis(pictures[0], -1, 0).reshape(-1).astype(int)) > 0)
    assert (pictures[1] == 128).all()  # weights of zero: middle grey, no division by zero


def test_grey_templates_are_blue_below_zero_and_red_above() -> None:
    red, _, blue = (
        template_pixels(np.array([[-1.0], [0.0], [0.0], [1.0]]), (1, 2, 2))[0].reshape(4, 3).T.astype(int)
    )
    assert blue[0] - red[0] > 100
    assert red[3] - blue[3] > 100
    assert abs(red[1] - blue[1]) < 10


def test_strips_have_a_tile_a_class_at_every_reg() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 27, 13))
    strips = template_strips([0.1, 1.0], weights, (3, 3, 3))
    assert [strip.reg for strip in strips] == [0.1, 1.0]
    sheet = pixels_of(strips[1].uri)
    assert sheet.shape == (6, 30, 3)
    tiles = template_pixels(weights[1], (3, 3, 3))
    assert np.array_equal(sheet[3:6, 6:9], tiles[12])
    assert (sheet[3:, 9:] == 0).all()


def test_many_classes_and_regs_shrink_to_the_budget() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 768, 30)).astype(np.float32)
    strips = template_strips([1, 2, 3, 4], weights, (3, 16, 16), budget_bytes=30_000)
    assert sum(pixels_of(strip.uri).size for strip in strips) <= 30_000
    assert strips[0].height == 9


def test_templates_png_has_one_tile_a_class_under_its_name() -> None:
    weight = np.random.default_rng(0).normal(size=(12, 7))
    sheet = Image.open(io.BytesIO(templates_png(weight, ["a"] * 6 + ["名前 " + "long" * 40], (3, 2, 2))))
    assert sheet.size == (12 + 5 * 108, 12 + 2 * 130)
    tiles = template_pixels(weight, (3, 2, 2))
    assert np.array_equal(np.asarray(sheet)[12 + 22 : 12 + 22 + 96 : 48, 12 : 12 + 96 : 48], tiles[0])
    caption = np.asarray(sheet)[12 + 130 : 12 + 130 + 22, 120 + 96 + 12 :]
    assert (caption[:, 96:] == 255).all()  # the long name ends with its tile


@pytest.mark.parametrize(
    ("n_features", "shape", "expected"),
    [(12, [3, 2, 2], True), (12, [12], False), (13, [3, 2, 2], False), (12, None, False), (0, [], False)],
)
def test_only_weights_of_an_image_have_templates(n_features: int, shape: list[int] | None, expected: bool) -> None:
    assert has_templates(n_features, shape) is expected


def test_the_page_stays_small_whatever_the_assets_hold(tmp_path_factory: pytest.TempPathFactory) -> None:
    from straightedge.report import gallery
    from straightedge.report.run_files import Run

    noise = np.random.default_rng(0).integers(0, 256, (1500, 32, 32, 3), dtype=np.uint8)
    place = np.arange(1500)
    assets = {
        "split": np.array("test"), "cells_images": noise, "cells_index": place, "cells_label": place % 10,
        "cells_predicted": place // 10 % 10, "cells_probability": np.full(1500, np.nan, np.float32),
        "cells_name": np.array([""] * 1500),
    }  # fmt: skip
    metrics = {"classes": [str(name) for name in range(10)], "test": {"confusion": np.ones((10, 10), int).tolist()}}
    confusion = gallery.confusion(Run(digits_run(tmp_path_factory.getbasetemp()), {}, metrics, assets=assets))
    assert confusion is not None
    kept = [picture["src"] for pictures in confusion["data"]["cells"].values() for picture in pictures]
    assert 500 < len(kept) < 1500
    assert sum(map(len, kept)) <= gallery.CELLS_BUDGET


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.2e-4, "3.2 × 10⁻⁴"), (1e-3, "10⁻³"), (0.025, "0.025"), (1, "1"), (123456.0, "1.2 × 10⁵"), (0, "0"),
        (-2e-7, "-2 × 10⁻⁷"), (None, "–"), (float("nan"), "–"), ("", "–"), (9.99e-5, "10⁻⁴"), (150.0, "150"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(value: object, text: str) -> None:
    assert words.scientific(value).replace("\u00a0", " ") == text


def test_objective_and_dual_have_digits_to_tell_them_apart() -> None:
    assert words.bounds(1.68358867, 1.68342031) == ("1.68359", "1.68342")
    assert words.bounds(1.5, 1.5)[0] == "1.5000000000"
    assert words.bounds(2.0, None) == ("2.00000", "–")


@pytest.mark.parametrize(("right", "n"), [(3, 3), (0, 5), (81, 263), (40, 40)])
def test_the_page_and_metrics_json_give_one_interval(right: int, n: int) -> None:
    scores = np.eye(2)[(np.arange(n) < right).astype(int)]
    interval = evaluate(scores, np.ones(n, np.int64), ("a", "b"))["interval"]
    assert words.interval_of_share(right / n, n) == pytest.approx(interval, abs=1e-12)


def test_three_right_of_three_are_at_least_two_fifths() -> None:
    assert words.interval_of_share(1.0, 3) == pytest.approx((0.025 ** (1 / 4), 1.0))  # Beta(4, 1), 0.398
    assert words.interval_of_share(0.5, 0) is None
    assert words.interval_of_share(None, 3) is None
