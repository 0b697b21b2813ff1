"""Probes of layers: planted signal is found, controls are at chance, files of every form are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from typer.testing import CliRunner

from straightedge import fit_layers
from straightedge.cli.app import _register, app
from straightedge.data.layer_files import LayerFiles, labels_for, natural
from straightedge.errors import InputError
from straightedge.fitting import FitSettings
from straightedge.layers.probe import LayerFits, ProbeSettings

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


def test_the_direction_of_two_classes_is_the_difference_of_their_means() -> None:
    rows, y = X[Y < 2][:, 2:3], Y[Y < 2]
    found = fit_layers(rows, y, reg=[1e-2], seed=1)
    low, high = found.means[0]
    from straightedge.splits import hold_out

    rest, test = hold_out(y, 0.2, 1)
    train = rest[hold_out(y[rest], 0.15 / 0.8, 1)[0]]
    np.testing.assert_allclose(low, rows[train, 0][y[train] == 0].mean(axis=0), atol=1e-5)
    along = (rows[test, 0] - (low + high) / 2) @ (high - low)
    assert found.scores[0].difference_of_means == np.mean((along > 0) == (y[test] == 1)) > 0.7


def test_a_path_ends_where_smaller_values_are_surely_worse() -> None:
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(600, 2, 100)).astype(np.float32), np.arange(600) % 3
    noise[:, 1, :3] += 3 * np.eye(3, dtype=np.float32)[y]
    found = fit_layers(noise, y)
    whole = fit_layers(noise[:, 1:], y, reg=list(np.geomspace(100 * 10**-2.25, 100 * 10**-7.25, 16)))
    assert found.scores[0].n_values == found.scores[0].certified < 16 == whole.scores[0].n_values
    assert found.scores[1].accuracy == pytest.approx(whole.scores[0].accuracy, abs=0.03)


def test_controls_that_share_passes_are_those_of_separate_fits() -> None:
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(300, 8)).astype(np.float32), np.arange(300) % 3
    others = [rng.permutation(y), rng.permutation(y)]
    found = {
        solver: LayerFits(rows, y, 3, ProbeSettings(FitSettings(solver=solver))).controls(0.1, others, 1e-8)
        for solver in ("lbfgs", "newton")
    }
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_allclose(one.coef, other.coef, atol=1e-5)
        np.testing.assert_allclose(one.intercept, other.intercept, atol=1e-5)


def test_what_is_no_number_is_named_by_layer_row_and_column() -> None:
    broken = X.copy()
    broken[37, 4, 2] = np.nan
    with pytest.raises(InputError, match=r"layer 4, row 37, column 2") as caught:
        fit_layers(broken, Y, reg=[0.1])
    assert caught.value.code == "x-not-finite"


WHOLE = """
import gc, re, sys, threading, time
import numpy as np
from straightedge import fit_layers, fit_path
from straightedge.data.layer_files import LayerFiles

def held():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

layers, y = LayerFiles(sys.argv[1] + "/X.npy"), np.load(sys.argv[1] + "/y.npy")
random = np.random.default_rng(0)
for _ in range(2):
    fit_layers(random.normal(size=(400, 2, 300)).astype(np.float32), np.arange(400) % 10, solver="lbfgs")
gc.collect()
before, peak, done = held(), [0], threading.Event()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], held() - before)

if sys.argv[2] == "memory":
    watcher = threading.Thread(target=watch)
    watcher.start()
    some = {name: layers[name] for name in list(layers)[8:14]}
    fit_layers(some, y)
    done.set(), watcher.join()
    print(peak[0])
else:
    cpu, single = time.process_time, []
    def alone(name):
        rows, began = np.ascontiguousarray(layers[name]), cpu()
        fit_path(rows, y, preprocess="standardize")
        single.append(cpu() - began)
    began = cpu()
    found = fit_layers(layers, y, progress=lambda score: alone(score.name) if len(single) < 5 else None)
    whole = cpu() - began - sum(single)
    print(whole, 24 * np.median(single))
    print(found.best, *[score.accuracy for score in found.scores])
    print(*[score.control for score in found.scores])
"""


@pytest.fixture(scope="module")
def whole_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with (5,000, 24, 768) float32, ten classes, signal planted in layers 10 to 16."""
    folder, rng = tmp_path_factory.mktemp("network"), np.random.default_rng(0)
    y = rng.integers(0, 10, 5000)
    rows = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (5000, 24, 768))
    for layer in range(24):
        rows[:, layer] = rng.standard_normal((5000, 768), dtype=np.float32)
        if 10 <= layer <= 16:
            rows[np.arange(5000), layer, y] += 2.5
    rows.flush()
    np.save(folder / "y.npy", y)
    return folder


def run_whole(folder: Path, what: str) -> list[list[float]]:
    words = [sys.executable, "-c", WHOLE, str(folder), what]
    ended = subprocess.run(words, check=True, capture_output=True, text=True, timeout=600)
    return [[float(word) for word in line.split()] for line in ended.stdout.splitlines()]


@pytest.mark.slow
def test_a_whole_network_finds_the_planted_layers_in_less_than_a_path_a_layer(whole_network: Path) -> None:
    (took, paths), (best, *accuracy), control = run_whole(whole_network, "time")
    print(f"fit_layers {took:.1f} CPU s, 24 paths {paths:.1f}")
    planted, others = accuracy[10:17], accuracy[:10] + accuracy[17:]
    assert 10 <= best <= 16
    assert min(planted) > 0.3 > 0.16 > max(others)
    assert np.mean(control) == pytest.approx(0.1, abs=0.01)
    assert took < paths


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_whole_network_takes_less_than_two_layers_of_memory(whole_network: Path) -> None:
    ((peak,),) = run_whole(whole_network, "memory")
    print(f"peak {peak / 2**20:.1f} MiB, one layer {5000 * 768 * 4 / 2**20:.1f} MiB")
    assert peak < 2 * 5000 * 768 * 4


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
    save_file({f"h.{place}": np.ascontiguousarray(X[:, place]) for place in range(6)}, folder / "h.safetensors")
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


def test_labels_may_lie_beside_the_layers(tmp_path: Path) -> None:
    source = tmp_path / "layers.safetensors"
    save_file({**{f"layer{place}": X[:, place].copy() for place in range(6)}, "kinds": Y}, source)
    np.testing.assert_array_equal(labels_for(source, "kinds"), Y)
    assert list(LayerFiles(source)) == [f"layer{place}" for place in range(6)]
    np.save(tmp_path / "y.npy", Y)
    np.testing.assert_array_equal(labels_for(source, str(tmp_path / "y.npy")), Y)
    with pytest.raises(InputError, match="file-missing"):
        labels_for(source, "sorts")


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
