"""Probes of layers: planted signal is found, controls are at chance, files of every form are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from typer.testing import CliRunner

from straightedge import fit_layers
from straightedge.cli.app import _register, app
from straightedge.data.layer_files import LayerFiles, natural
from straightedge.errors import InputError

PLANTED = (2, 3)
REGS = [1e-1, 1e-2, 1e-3]


def planted(n: int = 400, n_layers: int = 6, n_features: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Noise in every layer; in the planted ones a direction a class."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, n_layers, n_features)).astype(np.float32), rng.integers(0, 3, n)
    for layer in PLANTED:
        X[:, layer, :3] += 2.5 * np.eye(3, dtype=np.float32)[y]
    return X, y


X, Y = planted()


@pytest.fixture(scope="module")
def found() -> Any:
    return fit_layers(X, Y, reg=REGS, seed=1)


def test_the_curve_finds_what_was_planted(found: Any) -> None:
    accuracy = np.array([score.accuracy for score in found.scores])
    assert found.best in PLANTED
    assert accuracy[list(PLANTED)].min() > 0.8
    others = np.delete(accuracy, PLANTED)
    assert others.max() < 0.5
    assert all(low <= one <= high for one, (low, high) in ((s.accuracy, s.interval) for s in found.scores))
    assert found.n_train + found.n_validation + found.n_test == len(Y)


def test_controls_are_at_chance(found: Any) -> None:
    for name in ("control", "shuffled"):
        assert np.mean([getattr(score, name) for score in found.scores]) == pytest.approx(1 / 3, abs=0.08)
    assert found.scores[2].selectivity > 0.4


def test_nearest_means_are_those_of_scikit_learn(found: Any) -> None:
    from sklearn.neighbors import NearestCentroid
    from sklearn.preprocessing import StandardScaler

    from straightedge.splits import hold_out

    rest, test = hold_out(Y, 0.2, 1)
    train = rest[hold_out(Y[rest], 0.15 / 0.8, 1)[0]]
    scaler = StandardScaler().fit(X[train, 2])
    centroid = NearestCentroid().fit(scaler.transform(X[train, 2]), Y[train])
    assert found.scores[2].nearest_mean == pytest.approx(
        centroid.score(scaler.transform(X[test, 2]), Y[test]), abs=1e-12
    )


def test_weights_of_planted_layers_point_alike(found: Any) -> None:
    assert found.cosine[2, 3] > 0.8
    assert abs(found.cosine[0, 2]) < 0.5
    np.testing.assert_allclose(np.diag(found.cosine), 1)


def test_every_value_is_certified_or_counted(found: Any) -> None:
    assert all(score.certified == score.n_values == 3 for score in found.scores)


def test_the_test_rows_choose_nothing() -> None:
    from straightedge.splits import hold_out

    test = hold_out(Y, 0.2, 1)[1]
    changed = X.copy()
    changed[test] = np.random.default_rng(5).normal(size=changed[test].shape)
    one, other = fit_layers(X, Y, reg=REGS, seed=1), fit_layers(changed, Y, reg=REGS, seed=1)
    assert [s.reg for s in one.scores] == [s.reg for s in other.scores]
    assert one.best == other.best


def as_array(folder: Path) -> Path:
    np.save(folder / "layers.npy", X)
    return folder / "layers.npy"


def as_keys(folder: Path) -> Path:
    np.savez(folder / "layers.npz", **{f"layer_{place}": X[:, place] for place in range(6)})
    return folder / "layers.npz"


def as_tensors(folder: Path) -> Path:
    save_file(
        {f"h.{place}": np.ascontiguousarray(X[:, place]) for place in range(6)}, folder / "h.safetensors"
    )
    return folder / "h.safetensors"


def as_folder(folder: Path) -> Path:
    (folder / "dumps").mkdir()
    for place in range(6):
        torch.save(torch.from_numpy(X[:, place].copy()), folder / "dumps" / f"layer{place}.pt")
    np.save(folder / "dumps" / "y.npy", Y)
    return folder / "dumps"


@pytest.mark.parametrize("write", [as_array, as_keys, as_tensors, as_folder])
def test_layers_in_every_form(write: Any, tmp_path: Path) -> None:
    layers = LayerFiles(write(tmp_path))
    assert len(layers) == 6
    for place, name in enumerate(layers):
        np.testing.assert_array_equal(layers[name], X[:, place])


def test_positions_of_tokens() -> None:
    tokens = np.stack([X, X + 1, X + 2], axis=2)  # (N, L, T, D)
    for positions, expected in (("last", X + 2), ("first", X), ("1", X + 1), ("-1", X + 2), ("mean", X + 1)):
        layers = {str(place): tokens[:, place] for place in range(6)}
        from straightedge.data.layer_files import at_positions

        np.testing.assert_allclose(at_positions(layers["4"], positions, "4"), expected[:, 4], atol=1e-6)
    with pytest.raises(InputError, match="layers-positions"):
        at_positions(tokens[:, 0], None, "0")
    with pytest.raises(InputError, match="layers-positions"):
        at_positions(tokens[:, 0], "3", "0")


def test_names_sort_as_people_count() -> None:
    assert sorted(["layer_10", "layer_2", "embed"], key=natural) == ["embed", "layer_2", "layer_10"]


def test_the_command(tmp_path: Path) -> None:
    _register()
    source, labels = as_array(tmp_path), tmp_path / "y.npy"
    np.save(labels, Y)
    words = ["layers", str(source), "--labels", str(labels), "--seed", "1", "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    assert "best of 6 layers on validation rows: layer" in ended.output
    written = json.loads((tmp_path / "out" / "layers.json").read_text())
    assert written["best"] in {"layer 2", "layer 3"}
    assert len((tmp_path / "out" / "layers.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("features", "code"),
    [
        (np.zeros((5, 3)), "layers-shape"),
        ({"a": np.zeros((4, 3))}, "labels-length"),
        ({"a": X[:, 0], "b": X[:9, 0]}, "layers-shape"),
    ],
)
def test_what_is_refused(features: Any, code: str) -> None:
    labels = Y if isinstance(features, dict) and "b" in features else np.arange(5) % 2
    with pytest.raises(InputError) as caught:
        fit_layers(features, labels, reg=[0.1])
    assert caught.value.code == code
