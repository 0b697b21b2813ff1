"""Extractors: specs, the patches encoding against its definition, HOG against its library, saved and restored."""

from __future__ import annotations

import colorsys
import json
import math

import numpy as np
import pytest
import torch

from straightedge.errors import InputError, MissingExtraError, StraightedgeWarning
from straightedge.features import dictionary, hog, hog_rows, triangle
from straightedge.features.base import EXTRACTORS, build_extractor, parse_spec, restore_extractor

TINY = {"n_centroids": 7, "n_patches": 500, "passes": 2}
SPECS = ["raw", "hog:cell=4,block=1", "patches:n_centroids=7,n_patches=500,passes=2,patch=3"]


def images_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("raw", ("raw", "", {}), id="a name alone"),
        pytest.param("patches:small", ("patches", "small", {}), id="a preset"),
        pytest.param(
            "patches:n_centroids=800,epsilon=1e-2",
            ("patches", "", {"n_centroids": 800, "epsilon": 0.01}),
            id="options after a colon",
        ),
        pytest.param(
            "patches,n-centroids=8", ("patches", "", {"n_centroids": 8}), id="options after a comma, with dashes"
        ),
        pytest.param("patches:small,stride=2", ("patches", "small", {"stride": 2}), id="a preset with an option"),
        pytest.param(
            "timm:vit_tiny.augreg,weights=/a/b.safetensors,save_weights=false",
            ("timm", "vit_tiny.augreg", {"weights": "/a/b.safetensors", "save_weights": False}),
            id="a model with a file",
        ),
        pytest.param("module:a.b:c", ("module", "a.b:c", {}), id="a module's attribute"),
    ],
)
def test_specs_are_read(spec: str, expected: object) -> None:
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    ("spec", "code", "says"),
    [
        pytest.param("patchs", "extractor-unknown", "did you mean 'patches'", id="a slip of the pen"),
        pytest.param("", "extractor-unknown", "extractors: raw", id="nothing"),
        pytest.param("raw:2", "extractor-option", "takes no argument", id="an argument raw has not"),
        pytest.param("patches:big", "extractor-option", "presets: small", id="no such preset"),
        pytest.param("patches:centroids=5", "extractor-option", "n_centroids", id="no such option"),
        pytest.param("patches:stride=0", "extractor-option", "whole number", id="stride 0"),
        pytest.param("patches:taper=0.01", "extractor-option", "taper", id="windows too narrow for a cell"),
        pytest.param("patches:n_centroids=1.5", "extractor-option", "whole number", id="half a centroid"),
        pytest.param("patches:mirror=2", "extractor-option", "true or false", id="mirrored twice"),
        pytest.param("patches:epsilon=0", "extractor-option", "above 0", id="epsilon 0"),
        pytest.param("patches:epsilon=nan", "extractor-option", "above 0", id="epsilon NaN"),
        pytest.param("patches:small,stride", "extractor-option", "key=value", id="an option without a value"),
        pytest.param("hog:cell=0", "extractor-option", "whole number", id="cells of no pixels"),
        pytest.param("module:nothing", "module-import", "package.module:attribute", id="no attribute"),
    ],
)
def test_bad_specs_are_refused(spec: str, code: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor(spec)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_options_win_over_the_spec() -> None:
    assert build_extractor("patches:n_centroids=5", n_centroids=9).config()["n_centroids"] == 9


@pytest.mark.parametrize("spec", SPECS)
def test_rows_do_not_depend_on_the_block(spec: str) -> None:
    images = images_of((11, 3, 12, 9))
    extractor = build_extractor(spec)
    extractor.fit(images)
    together = extractor.transform(images)
    alone = np.concatenate([extractor.transform(images[i : i + 1]) for i in range(len(images))])
    assert together.dtype == np.float32 and together.shape == (11, extractor.n_features)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS)
def test_an_extractor_is_restored_from_its_config_and_state(spec: str) -> None:
    images = images_of((6, 1, 9, 12))
    extractor = build_extractor(spec)
    extractor.fit(images, seed=3)
    config = json.loads(json.dumps(extractor.config()))
    restored = restore_extractor(config, extractor.state())
    assert restored.config() == extractor.config()
    np.testing.assert_array_equal(restored.transform(images), extractor.transform(images))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("images", "code"),
    [
        pytest.param(np.zeros((2, 1, 12, 13), np.uint8), "features-shape", id="another size"),
        pytest.param(np.zeros((2, 5), np.float32), "features-need-images", id="rows of features"),
        pytest.param(np.zeros((2, 1, 12, 12), np.float32), "features-need-images", id="float images"),
    ],
)
def test_images_that_do_not_fit_are_refused(spec: str, images: np.ndarray, code: str) -> None:
    extractor = build_extractor(spec)
    extractor.fit(images_of((6, 1, 12, 12)))
    with pytest.raises(InputError) as caught:
        extractor.transform(images)
    assert caught.value.code == code


@pytest.mark.parametrize("spec", SPECS)
def test_transform_before_fit_is_refused(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor(spec).transform(images_of((1, 3, 12, 12)))
    assert caught.value.code == "extractor-unfitted"


def test_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="version 0") as caught:
        restore_extractor({"name": "raw", "version": 0})
    assert caught.value.code == "extractor-version"


def test_a_state_of_another_shape_is_refused() -> None:
    extractor = build_extractor("patches", **TINY)
    extractor.fit(images_of((9, 3, 12, 12)))
    state = extractor.state() | {"mean": torch.zeros(3)}
    with pytest.raises(InputError, match="mean of shape") as caught:
        restore_extractor(extractor.config(), state)
    assert caught.value.code == "extractor-state"


def window_by_hand(region: int, cell: int, taper: float) -> float:
    """Return the weight of a cell in a region: a bell on half regions, or all or nothing."""
    return math.exp(-((((cell + 0.5) / 2 - region - 0.5) / taper) ** 2) / 2) if taper else float(region == cell)


def triangle_by_loops(
    image: np.ndarray, learned: dictionary.Dictionary, patch: int, stride: int, pool: int, taper: float
) -> np.ndarray:
    """Follow the definition, patch by patch, in float64."""
    rows, columns = ((size - patch) // stride + 1 for size in image.shape[1:])
    features = np.zeros((pool, pool, len(learned.centroids)))
    cells = 2 * pool if taper else pool
    for row in range(rows):
        for column in range(columns):
            window = image[:, row * stride : row * stride + patch, column * stride : column * stride + patch]
            p = window.reshape(-1).astype(np.float64)
            p = (p - p.mean()) / np.sqrt(p.var() + 10)
            x = (p - learned.mean) @ learned.whitening.astype(np.float64)
            z = np.sqrt(((x - learned.centroids) ** 2).sum(axis=1))
            down, across = row * cells // rows, column * cells // columns
            for i in range(pool):
                for j in range(pool):
                    weight = window_by_hand(i, down, taper) * window_by_hand(j, across, taper)
                    features[i, j] += weight * np.maximum(0, z.mean() - z)
    return features.reshape(-1)


@pytest.mark.parametrize(
    ("shape", "patch", "stride", "pool"),
    [
        pytest.param((3, 3, 32, 32), 6, 1, 2, id="as CIFAR-10"),
        pytest.param((2, 1, 8, 8), 3, 1, 2, id="digits"),
        pytest.param((5, 3, 13, 11), 4, 2, 3, id="odd sizes"),
        pytest.param((1, 2, 6, 70), 6, 1, 1, id="one row of patches"),
    ],
)
@pytest.mark.parametrize("taper", [0.0, 0.6])
@pytest.mark.parametrize("encode", [triangle.encode_portable, triangle.encode_compiled, triangle.encode])
def test_encoding_follows_its_definition(
    encode: object, taper: float, shape: tuple[int, ...], patch: int, stride: int, pool: int
) -> None:
    images = images_of(shape)
    images[0, :, :5] = 255  # flat patches, where contrast is nothing but its constant
    learned = dictionary.learn_dictionary(
        images, n_centroids=13, patch=patch, n_patches=400, epsilon=0.1, passes=1, seed=0
    )
    layout = {"patch": patch, "stride": stride, "pool": pool, "taper": taper, "size": shape[2:]}
    encoder = triangle.make_encoder(learned, **layout, device=torch.device("cpu"))
    found = encode(torch.from_numpy(images), encoder).numpy()  # type: ignore[operator]
    expected = np.stack([triangle_by_loops(image, learned, patch, stride, pool, taper) for image in images])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 * expected.max())


@pytest.mark.parametrize("mirror", [True, False])
def test_a_mirrored_image_has_the_same_features_where_that_is_asked_for(mirror: bool) -> None:
    images = images_of((4, 3, 12, 13))
    extractor = build_extractor("patches", **TINY, mirror=mirror)
    extractor.fit(images)
    rows, mirrored = extractor.transform(images), extractor.transform(images[..., ::-1])
    assert np.allclose(rows, mirrored, rtol=1e-4, atol=1e-3) == mirror
    plain = restore_extractor({**extractor.config(), "mirror": False}, extractor.state())
    added = plain.transform(images) + plain.transform(images[..., ::-1]) * mirror
    np.testing.assert_allclose(rows, added, rtol=1e-4, atol=1e-3)


def test_whitening_makes_directions_equally_strong() -> None:
    patches = dictionary.normalise_contrast(
        dictionary.sample_patches(images_of((40, 1, 12, 12)), 3, 3000, np.random.default_rng(0))
    )
    mean, whitening = dictionary.zca(patches, 1e-9)
    covariance = np.cov(((patches - mean) @ whitening).T)
    values = np.linalg.eigvalsh(covariance)
    np.testing.assert_allclose(values[1:], 1, rtol=1e-3)  # a patch sums to zero: one direction has nothing in it
    assert values[0] < 1e-3
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-5)


def test_patches_come_from_distinct_places_of_their_images() -> None:
    images = np.arange(2 * 1 * 5 * 6, dtype=np.uint8).reshape(2, 1, 5, 6)  # every pixel has its own value
    patches = dictionary.sample_patches(images, 2, 1000, np.random.default_rng(0))
    assert len(patches) == 2 * 4 * 5
    assert len(np.unique(patches[:, 0])) == len(patches)
    np.testing.assert_array_equal(patches[:, 3] - patches[:, 0], 7)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_seed_gives_the_same_dictionary(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of((30, 3, 16, 16))
    settings = {"n_centroids": 40, "patch": 6, "n_patches": 3000, "epsilon": 0.1, "passes": 3}
    reference = dictionary.learn_dictionary(images, **settings, seed=1)
    monkeypatch.setattr(dictionary, "available_cores", lambda: workers)
    monkeypatch.setattr(dictionary, "_BLOCK", 500)
    again = dictionary.learn_dictionary(images, **settings, seed=1)
    other = dictionary.learn_dictionary(images, **settings, seed=2)
    np.testing.assert_allclose(again.centroids, reference.centroids, atol=1e-5)
    assert np.abs(again.centroids - other.centroids).max() > 0.1


@pytest.mark.parametrize("workers", [2, 3])
def test_centroids_are_the_same_bits_on_any_number_of_workers(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(0).standard_normal((5000, 27)).astype(np.float32)
    found = []
    for number in (1, workers):
        monkeypatch.setattr(dictionary, "available_cores", lambda number=number: number)
        found.append(dictionary.cluster(rows, 60, 4, seed=3))
    np.testing.assert_array_equal(found[0], found[1])


def test_no_centroid_is_idle() -> None:
    random = np.random.default_rng(0)
    flat = np.zeros((3000, 12), np.float32)  # as the background of drawings: most patches are one and the same
    rows = np.concatenate([flat, random.standard_normal((1000, 12)).astype(np.float32)])
    centroids = dictionary.cluster(rows, 100, 8, seed=0)
    nearest, squared = dictionary.nearest_centroids(rows, centroids)
    assert np.bincount(nearest, minlength=100).min() > 0
    distances = ((rows[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    np.testing.assert_array_equal(nearest, distances.argmin(axis=1))
    np.testing.assert_allclose(squared, distances.min(axis=1), atol=1e-4)


def test_a_pass_moves_each_centroid_to_the_mean_of_its_rows() -> None:
    rows = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)
    before, after = (dictionary.cluster(rows, 6, passes, seed=1) for passes in (3, 4))
    nearest, _ = dictionary.nearest_centroids(rows, before)
    expected = [rows[nearest == k].mean(axis=0) for k in range(6)]
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_fewer_distinct_patches_than_centroids_are_told() -> None:
    rows = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    with pytest.warns(StraightedgeWarning, match="fewer distinct patches than 9"):
        centroids = dictionary.cluster(rows, 9, 3, seed=0)
    assert np.isfinite(centroids).all()


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        pytest.param((1, 1, 8, 8), "patches-too-few", id="fewer patches than centroids"),
        pytest.param((100, 1, 6, 6), "patches-small-images", id="images smaller than the pooled patches"),
    ],
)
def test_images_that_patches_cannot_use(shape: tuple[int, ...], code: str) -> None:
    with pytest.raises(InputError) as caught:
        build_extractor("patches:n_centroids=50").fit(images_of(shape))
    assert caught.value.code == code


def test_learned_features_tell_digits_better_than_pixels() -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    X, y = load_digits(return_X_y=True)
    images = (X.reshape(-1, 1, 8, 8) * 15.9).astype(np.uint8)
    right = {}
    for spec in ("raw", "patches:n_centroids=60,patch=3"):
        extractor = build_extractor(spec)
        extractor.fit(images[:1000])
        rows = StandardScaler().fit(extractor.transform(images[:1000])).transform(extractor.transform(images))
        right[spec] = RidgeClassifier(alpha=10).fit(rows[:1000], y[:1000]).score(rows[1000:], y[1000:])
    raw, patches = right.values()
    assert patches > raw + 0.02 and patches > 0.94


def test_hog_is_the_librarys_and_colours_are_counted() -> None:
    feature = pytest.importorskip("skimage.feature")
    images = images_of((3, 3, 32, 32))
    extractor = build_extractor("hog:orientations=8,cell=8,block=2,hues=5")
    extractor.fit(images)
    rows = extractor.transform(images)
    settings = {"orientations": 8, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "channel_axis": -1}
    expected = np.stack([feature.hog(image.transpose(1, 2, 0), **settings) for image in images])
    np.testing.assert_allclose(rows[:, :-5], expected, rtol=1e-5)
    counts = np.zeros(5)
    for red, green, blue in images[0].reshape(3, -1).T / 255:
        hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
        counts[min(int(hue * 5), 4)] += saturation / 1024
    np.testing.assert_allclose(rows[0, -5:], counts, rtol=1e-3)


def test_hog_gives_the_same_rows_from_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    images = images_of((40, 1, 16, 16))
    extractor = build_extractor("hog")
    extractor.fit(images)
    alone = extractor.transform(images)
    monkeypatch.setattr(hog, "_PARALLEL_FROM", 1)
    monkeypatch.setattr(hog, "_CHUNK", 16)
    monkeypatch.setattr(hog, "available_cores", lambda: 2)
    np.testing.assert_array_equal(extractor.transform(images), alone)


def test_a_grey_pixel_has_no_hue_and_black_no_saturation() -> None:
    grey = np.full((1, 3, 2, 2), 77, np.uint8)
    assert hog_rows.colour_histogram(grey, 4).sum() == 0
    assert hog_rows.colour_histogram(np.zeros((1, 3, 2, 2), np.uint8), 4).sum() == 0
    brightness = hog_rows.colour_histogram(np.array([[[[0, 255]]]], np.uint8), 4)
    np.testing.assert_allclose(brightness, [[0.5, 0, 0, 0.5]])


def test_images_smaller_than_a_hog_block_are_refused() -> None:
    pytest.importorskip("skimage")
    with pytest.raises(InputError) as caught:
        build_extractor("hog").fit(images_of((2, 1, 8, 8)))
    assert caught.value.code == "hog-small-images"


def test_hog_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(MissingExtraError) as caught:
        build_extractor("hog")
    assert 'pip install "straightedge[hog]"' in str(caught.value)


def test_every_extractor_names_itself_as_the_registry_does() -> None:
    from importlib import import_module

    for name, place in EXTRACTORS.items():
        module, _, attribute = place.partition(":")
        assert getattr(import_module(module), attribute).name == name
