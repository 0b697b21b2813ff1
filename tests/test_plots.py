"""Plots, by what is on their axes: labels with units, counts of artists, values."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import straightedge
from straightedge.errors import InputError
from straightedge.preprocess import AffineMap

matplotlib = pytest.importorskip("matplotlib", reason="no matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

SCORES = np.array([[3.0, 1, 0], [2.0, 1, 0], [0, 2.0, 0], [0, 0, 1.0], [1.0, 0, 0.5], [0, 0, 2.0]])
LABELS = np.array([0, 0, 1, 2, 2, 2])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def judged() -> straightedge.Evaluation:
    return straightedge.evaluate(SCORES, LABELS, ["cat", "dog", "a horse with a very long name"])


def model(n_classes: int = 3, channels: int = 1) -> straightedge.LinearModel:
    shape = (channels, 2, 3)
    D = channels * 6
    weight = torch.arange(float(D * n_classes)).reshape(D, n_classes) - 4
    scale = torch.full((D,), 0.5)
    return straightedge.LinearModel(
        weight=weight,
        bias=torch.zeros(n_classes),
        classes=tuple("abcdef"[:n_classes]),
        affine=AffineMap(torch.zeros(D), scale, "standardize"),
        input_shape=shape,
    )


def test_a_confusion_matrix_has_its_counts_its_names_and_its_shares() -> None:
    shown = judged().plot_confusion()
    ax = shown.ax_
    assert [text.get_text() for text in ax.texts] == ["2", "1", "1", "2"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "dog", "a horse with a very…"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "label")
    assert ax.images[0].get_array()[2, 0] == pytest.approx(1 / 3)


def test_many_classes_are_not_written_over_each_other() -> None:
    names = [str(k) for k in range(50)]
    shown = straightedge.evaluate(np.eye(50), np.arange(50), names).plot_confusion()
    assert list(shown.ax_.texts) == []


def test_reliability_is_drawn_with_its_intervals() -> None:
    evaluation = judged()
    shown = evaluation.plot_reliability()
    bins = [entry for entry in evaluation["reliability"] if entry["n"]]
    points = shown.ax_.containers[0].lines[0]
    assert points.get_xdata().tolist() == [entry["confidence"] for entry in bins]
    assert points.get_ydata().tolist() == [entry["accuracy"] for entry in bins]
    segments = shown.ax_.containers[0].lines[2][0].get_segments()
    assert len(segments) == len(bins)
    assert all(0 <= segment[0][1] < segment[1][1] <= 1 for segment in segments)
    ax = shown.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("probability of the prediction", "share that is right")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "as often right as said",
        "samples, 95 % interval",
    ]


def test_reliability_of_scores_that_are_no_probabilities_is_refused() -> None:
    with pytest.raises(InputError, match="not-calibrated"):
        straightedge.evaluate(SCORES, LABELS, "abc", probabilities=False).plot_reliability()


def test_roc_curves_have_scikit_learn_s_areas() -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    ax = judged().plot_roc().ax_
    lines = ax.lines
    chance = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    areas = [roc_auc_score(k == LABELS, chance[:, k]) for k in range(3)]
    assert [line.get_label().rsplit(" ", 1)[1] for line in lines[:3]] == [f"{area:.3f}" for area in areas]
    assert lines[3].get_label() == "chance"
    false, true, _ = roc_curve(LABELS == 2, chance[:, 2])
    at = np.interp(false, lines[2].get_xdata(), lines[2].get_ydata())
    assert (at[-1], at.max()) == (true[-1], true.max())
    assert ax.get_xlabel() == "share of other samples taken for the class"
    assert ax.get_ylabel() == "share of the class that is found"


def test_roc_of_two_classes_is_one_curve_and_of_a_file_is_refused() -> None:
    two = straightedge.evaluate(SCORES[:, :2], LABELS > 0, ["no", "yes"])
    assert [line.get_label()[:3] for line in two.plot_roc().ax_.lines] == ["yes", "cha"]
    with pytest.raises(InputError, match="evaluation-scores"):
        straightedge.Evaluation(json.loads(json.dumps(two))).plot_roc()


def test_templates_are_an_image_a_class() -> None:
    shown = model(channels=3).plot_templates()
    assert [ax.get_title() for ax in shown.ax_[:3]] == ["a", "b", "c"]
    assert shown.ax_[0].images[0].get_array().shape == (2, 3, 3)
    grey = model().plot_templates().ax_[1].images[0]
    assert grey.get_array().tolist() == [[-3, 0, 3], [6, 9, 12]]
    assert grey.get_clim() == (-12, 12)


def test_templates_need_images_and_an_axes_for_each_class() -> None:
    with pytest.raises(InputError, match="axes-number"):
        model().plot_templates(ax=plt.subplots(1, 2)[1])
    plain = straightedge.LinearModel(torch.ones(3, 2), torch.zeros(2), ("a", "b"))
    with pytest.raises(InputError, match="images-shape"):
        plain.plot_templates()


def test_coefficients_of_two_classes_are_their_difference_per_standard_deviation() -> None:
    _, ax = plt.subplots()
    shown = model(2).plot_coefficients(count=4, ax=ax)
    assert shown.ax_ is ax
    assert shown.figure_ is ax.figure
    assert [bar.get_width() for bar in ax.patches] == [2.0] * 4  # 1 per unit, and a deviation is 2 units
    assert ax.get_xlabel() == "score of b over the other, per standard deviation"
    assert len(ax.get_yticklabels()) == 4


def test_coefficients_of_several_classes_are_shades_with_a_unit() -> None:
    shown = model(3).plot_coefficients(count=2)
    assert shown.ax_.images[0].get_array().shape == (2, 3)
    assert shown.figure_.axes[1].get_ylabel() == "change of the score per standard deviation"


def test_a_path_shows_norms_or_the_accuracy_on_rows() -> None:
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    path = straightedge.fit_path(X, y, [1e-1, 1e-2, 1e-3])
    ax = path.plot().ax_
    assert (ax.get_xscale(), len(ax.lines), len(ax.get_legend().get_texts())) == ("log", 3, 3)
    assert ax.lines[0].get_ydata().tolist() == np.linalg.norm(path.coef[:, 0], axis=1).tolist()
    judged_on = path.plot(X, y).ax_
    assert judged_on.lines[0].get_ydata().tolist() == path.accuracy(X, y).tolist()
    (band,) = judged_on.collections  # from the lower ends of the intervals to the upper ones
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() < path.accuracy(X, y).min() and path.accuracy(X, y).max() < heights.max() <= 1
    assert ax.get_ylabel() == "norm of a class's coefficients, per unit of the features"
    assert judged_on.get_ylabel() == "accuracy"
    assert judged_on.get_xlabel() == "reg, the weight of ΣW²"


def test_every_plot_has_its_picture_in_the_guide() -> None:
    """A block that draws is followed by one that puts the figure on the page; the site's build runs both."""
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "notebooks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python ([^\n]*)\n(.*?)^```", guide, re.M | re.S)
    drawn = ""
    for (info, code), (after, shows) in itertools.pairwise(blocks):
        drawn += code if "source=" in info and "source=" not in after and "html(" in shows else ""
    things = (straightedge.RegularizationPath, straightedge.LinearModel, straightedge.Evaluation)
    plots = {name for thing in things for name in dir(thing) if name.startswith("plot")}
    assert plots == {
        "plot", "plot_templates", "plot_coefficients", "plot_confusion", "plot_reliability", "plot_roc"
    }  # fmt: skip
    assert [name for name in plots if f".{name}(" not in drawn] == []
