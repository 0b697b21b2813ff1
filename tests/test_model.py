"""LinearModel: scores of any layout, the affine map folded and unfolded, a round trip in a new process."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge.errors import InputError, StraightedgeWarning
from straightedge.model import LinearModel, load
from straightedge.preprocess import AffineMap

SHAPE = (3, 4, 5)
D, C = 60, 4


def make_model(**fields: object) -> LinearModel:
    generator = torch.Generator().manual_seed(3)
    W = torch.randn(D + 1, C, generator=generator, dtype=torch.float64)
    scale = torch.rand(D, generator=generator, dtype=torch.float64) + 0.01
    scale[7] = 0
    W[7] = 0
    affine = AffineMap(100 * torch.rand(D, generator=generator, dtype=torch.float64), scale, "standard")
    settings = {"input_shape": SHAPE, "input_dtype": "uint8", "reg": 1e-3, "gap": 1e-6, "versions": {"torch": "2"}}
    return LinearModel.from_fit(W, affine, ("cat", "dög", "<b>", "d,e"), **(settings | fields))


def images(n: int = 23, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def truth(model: LinearModel, X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), -1).astype(np.float64) @ model.weight.double().numpy() + model.bias.double().numpy()


def test_rows_are_scored_by_numpy_as_torch_scores_them() -> None:
    model, X = make_model(), images()
    flat = torch.from_numpy(X.reshape(len(X), -1)).float()
    by_torch = torch.addmm(model.bias, flat, model.weight).numpy()
    np.testing.assert_allclose(model.scores(X), by_torch, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(model.scores(X), model.scores(torch.from_numpy(X)))


def test_tensors_lie_over_the_arrays_of_a_model_and_make_an_equal_one() -> None:
    model = make_model(temperature=2.0)
    assert model.weight.data_ptr() == model.arrays.weight.ctypes.data
    again = replace(model, bias=model.bias + 1)
    np.testing.assert_array_equal(again.arrays.bias, model.arrays.bias + 1)
    np.testing.assert_array_equal(again.arrays.weight, model.arrays.weight)
    np.testing.assert_array_equal(again.affine.shift, model.arrays.affine.shift)
    assert (again.temperature, again.affine.kind, again.classes) == (2.0, "standard", model.classes)


def test_scores_equal_the_affine_map_followed_by_w() -> None:
    model, X = make_model(), images()
    mapped = model.affine.apply(torch.from_numpy(X)) @ model.W
    np.testing.assert_allclose(model.scores(X), mapped.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(model.scores(X), truth(model, X), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda X: X.reshape(len(X), -1), id="flattened"),
        pytest.param(lambda X: X.astype(np.float32), id="float32"),
        pytest.param(lambda X: X.astype(np.float64), id="float64"),
        pytest.param(lambda X: X.astype(np.float16), id="float16"),
        pytest.param(lambda X: X.astype(">f4"), id="big-endian"),
        pytest.param(lambda X: X.astype(">i2"), id="big-endian-integers"),
        pytest.param(lambda X: X.astype(np.int64), id="int64"),
        pytest.param(np.asfortranarray, id="Fortran order"),
        pytest.param(lambda X: np.repeat(X, 2, axis=0)[::2], id="strided"),
        pytest.param(lambda X: X[::-1][::-1], id="twice reversed"),
        pytest.param(
            lambda X: np.ascontiguousarray(X.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), id="NHWC memory"
        ),
        pytest.param(torch.from_numpy, id="torch uint8"),
        pytest.param(lambda X: torch.from_numpy(X).double(), id="torch float64"),
        pytest.param(lambda X: X.tolist(), id="nested lists"),
    ],
)
def test_scores_do_not_depend_on_type_and_layout(change) -> None:
    model, X = make_model(), images()
    np.testing.assert_array_equal(model.scores(change(X)), model.scores(X))


def test_read_only_memory_map_and_row_source_give_the_same_scores(tmp_path: Path) -> None:
    model, X = make_model(), images().astype(np.float32)
    np.save(tmp_path / "x.npy", X)

    class Rows:
        shape, dtype = X.shape, X.dtype

        def read(self, start: int, stop: int) -> np.ndarray:
            return X[start:stop]

    np.testing.assert_array_equal(model.scores(np.load(tmp_path / "x.npy", mmap_mode="r")), model.scores(X))
    np.testing.assert_array_equal(model.scores(Rows()), model.scores(X))


def test_many_blocks_give_each_row_its_own_scores() -> None:
    weight = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0))
    model = LinearModel(weight=weight, bias=torch.zeros(3), classes=("a", "b", "c"))
    X = np.random.default_rng(0).normal(size=(3001, 3000)).astype(np.float32)  # three blocks, one of them short
    np.testing.assert_allclose(
        model.scores(X), X.astype(np.float64) @ weight.double().numpy(), rtol=1e-4, atol=2e-3
    )
    np.testing.assert_array_equal(model.scores(X), model.scores(X))
    assert model.scores(X[:0]).shape == (0, 3)


def _rows_with(row: int, column: int, value: float) -> np.ndarray:
    X = np.ones((2000, D))
    X[row, column] = value
    return X


@pytest.mark.parametrize(
    ("X", "code", "says"),
    [
        pytest.param(_rows_with(1700, 13, np.nan), "predict-nan", "row 1700, column 13", id="NaN at predict"),
        pytest.param(_rows_with(3, 0, -np.inf), "predict-nan", "row 3, column 0", id="±Inf in X"),
        pytest.param(_rows_with(5, 59, 1e150), "predict-nan", "row 5, column 59", id="values of 1e150"),
        pytest.param(np.full((2, D), 3e38), "predict-nan", "scores overflow", id="scores overflow"),
        pytest.param(np.ones((2, D + 1)), "predict-width", "(60,)", id="wrong width"),
        pytest.param(np.ones((2, 4, 5, 3)), "predict-width", "transpose", id="channels last"),
        pytest.param(np.ones(D), "predict-shape", "X[None]", id="1-D X"),
        pytest.param(np.ones((2, D), dtype=complex), "predict-type", "complex", id="complex X"),
        pytest.param(np.full((2, D), None), "predict-type", "object", id="object X"),
        pytest.param(torch.ones(2, D, dtype=torch.complex64), "predict-type", "complex", id="complex tensor"),
        pytest.param(np.full((2, D), "a"), "predict-type", "<U1", id="text X"),
    ],
)
def test_rows_that_cannot_be_scored(X, code: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        make_model(input_shape=SHAPE, input_dtype="float32").scores(X)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_train_0_to_255_and_test_0_to_1_warns() -> None:
    X = images()
    with pytest.warns(StraightedgeWarning, match="ranges-differ"):
        make_model().scores(X / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_model().scores(X.astype(np.float32))
        make_model(input_dtype="float32").scores(X / 255)


def test_w_undoes_the_folding() -> None:
    model = make_model()
    weight, bias = model.affine.fold(model.W)
    np.testing.assert_allclose(weight, model.weight, rtol=1e-6)
    np.testing.assert_allclose(bias, model.bias, rtol=1e-5)
    assert not model.W[7].any()


def test_probabilities_are_the_softmax_of_scores_over_temperature() -> None:
    model, X = make_model(), images()
    for temperature in (None, 0.5, 30.0):
        S = torch.from_numpy(model.scores(X)).double() / (temperature or 1)
        got = model.with_temperature(temperature).predict_proba(X)
        np.testing.assert_allclose(got, torch.softmax(S, 1).numpy(), atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.scores(X).argmax(1))


def test_probabilities_are_finite_for_scores_of_1e308() -> None:
    got = make_model().probabilities(np.array([[1e308, -1e308, 0, 0], [1e4, -1e4, 1e4, 0]]))
    np.testing.assert_allclose(got, [[1, 0, 0, 0], [0.5, 0, 0.5, 0]], atol=1e-12)


def test_an_uncalibrated_svm_has_no_probabilities() -> None:
    model, X = make_model(loss="svm"), images()
    with pytest.raises(InputError) as caught:
        model.predict_proba(X)
    assert caught.value.code == "not-calibrated"
    assert model.with_temperature(2.0).predict_proba(X).shape == (23, C)


def test_everything_comes_back_from_the_file(tmp_path: Path) -> None:
    state = {"filters": torch.randn(3, 2, dtype=torch.float16), "empty": torch.zeros(0, 4)}
    features = {"name": "patches", "n": 2}
    model = make_model(
        features=features, extractor_state=state, temperature=1.7, objective=0.3, status="converged", loss="svm"
    )
    model.save(tmp_path / "m.safetensors")
    back = load(tmp_path / "m.safetensors")
    for name in ("classes", "loss", "reg", "objective", "gap", "status", "bias_mode", "input_shape", "input_dtype"):
        assert getattr(back, name) == getattr(model, name), name
    assert (back.features, back.temperature, back.versions) == (features, 1.7, {"torch": "2"})
    assert np.isnan(back.dual)
    assert torch.equal(back.weight, model.weight)
    assert torch.equal(back.affine.shift, model.affine.shift)
    assert back.affine.kind == "standard"
    assert set(back.extractor_state) == {"filters", "empty"}
    assert torch.equal(back.extractor_state["filters"], state["filters"])
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_safetensors_library_reads_the_file_and_finds_tensors_aligned(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    make_model(extractor_state={"odd": torch.ones(3, dtype=torch.uint8)}).save(tmp_path / "m.safetensors")
    tensors = load_file(tmp_path / "m.safetensors")
    assert torch.equal(tensors["weight"], make_model().weight)
    assert tensors["affine.shift"].dtype == torch.float64


@pytest.mark.long
def test_a_new_process_gives_the_same_scores(tmp_path: Path) -> None:
    model, X = make_model(), images(50)
    model.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, numpy; from straightedge import load; folder = sys.argv[1];"
        "numpy.save(folder + '/s.npy', load(folder).scores(numpy.load(folder + '/x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), model.scores(X))


def test_a_model_whose_parts_do_not_fit_is_refused() -> None:
    weight, bias = torch.ones(6, 2), torch.zeros(2)
    for fields, code in [
        ({"bias": torch.zeros(3)}, "model-shape"),
        ({"classes": ("a",)}, "model-shape"),
        ({"input_shape": (5,)}, "model-shape"),
        ({"affine": AffineMap.identity(5)}, "model-shape"),
        ({"bias": torch.tensor([0.0, float("nan")])}, "model-nan"),
        ({"temperature": 0.0}, "model-nan"),
    ]:
        with pytest.raises(InputError) as caught:
            LinearModel(**({"weight": weight, "bias": bias, "classes": ("a", "b")} | fields))
        assert caught.value.code == code, fields


@pytest.mark.gpu
def test_cuda_tensors_give_the_same_scores() -> None:
    model, X = make_model(), images()
    found = model.scores(torch.from_numpy(X).cuda())
    np.testing.assert_allclose(found, model.scores(X), rtol=1e-5, atol=1e-3)
