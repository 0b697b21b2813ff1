"""One pass, whatever X is and however it is cut: the same value, gradient and lower bound as plain loops."""

import math
import time

import numpy as np
import pytest
import torch

from straightedge.design import DenseDesign
from straightedge.errors import InputError
from straightedge.losses import LOSSES
from straightedge.moments import KINDS, fit_affine
from straightedge.objective import Objective
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from support.linear_problems import LOOPS, Problem, random_problem

ALL = pytest.mark.parametrize("name", LOSSES)
N, D, C = 83, 7, 4


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(N, D)), torch.as_tensor(rng.integers(C, size=N))


def weights_of(K=1, seed=0, size=0.01):
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(K, C, D + 1, generator=generator, dtype=torch.float64)


def objective(X, y, name="softmax", reg=(0.1,), **settings):
    settings = {"dtype": torch.float64, **settings}
    return Objective(Rows(X), y, C, LOSSES[name], reg, **settings)


def same(one, other, tolerance=1e-12):
    for part in ("objective", "gradient", "dual", "V"):
        torch.testing.assert_close(getattr(one, part), getattr(other, part), rtol=tolerance, atol=tolerance)


@ALL
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradient_are_those_of_loops(name, bias, weighted):
    problem = random_problem(8, name, dtype="float64", bias=bias, weighted=weighted)
    W = np.random.default_rng(1).normal(size=(problem.n_classes, problem.rows.shape[1]))
    found = problem.objective().evaluate(torch.as_tensor(W)[None])
    assert math.isclose(float(found.objective[0]), problem.value(W), rel_tol=1e-12)
    for index in [(0, 0), (1, -1), (-1, -1)]:
        step = np.zeros_like(W)
        step[index] = 1e-6
        quotient = (problem.value(W + step) - problem.value(W - step)) / 2e-6
        assert math.isclose(float(found.gradient[0][index]), quotient, rel_tol=1e-5, abs_tol=1e-6)


def strided(X):
    return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]


def read_only(X):
    X = X.astype(np.float32)
    X.setflags(write=False)
    return X


FORMS = {
    "float64": lambda X: X.astype(np.float64),
    "float16": lambda X: X.astype(np.float16),
    "uint8": lambda X: X.astype(np.uint8),
    "Fortran order": lambda X: np.asfortranarray(X, dtype=np.float32),
    "strided": lambda X: strided(X.astype(np.float32)),
    "negative strides": lambda X: X.astype(np.float32)[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda X: X.astype(">f4"),
    "read-only": read_only,
    "torch": lambda X: torch.tensor(X.astype(np.uint8)),
}


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [pytest.param(make, id=form) for form, make in FORMS.items()])
def test_every_form_of_the_same_numbers_has_the_same_objective(name, dtype, make):
    X, y = data()
    affine = fit_affine(Rows(X.astype(np.float32)), "standardize")
    expected = objective(X.astype(np.float64), y, name, affine=affine).evaluate(weights_of(size=1))
    found = objective(make(X), y, name, affine=affine, dtype=dtype).evaluate(weights_of(size=1))
    torch.testing.assert_close(found.objective, expected.objective, rtol=1e-6, atol=0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", ">f8"])
def test_a_memory_map_has_the_same_objective(tmp_path, dtype):
    X, y = data()
    np.save(tmp_path / "X.npy", X.astype(dtype))
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")
    W = weights_of()
    torch.testing.assert_close(
        objective(on_disk, y).evaluate(W).objective,
        objective(X.astype(np.float64), y).evaluate(W).objective,
        rtol=1e-12,
        atol=0,
    )


def test_float16_whose_sums_overflow():
    X = np.full((400, 3), 60000, dtype=np.float16)
    X[::2, 0] = 0
    y = torch.arange(400) % 2
    for kind in ("none", "center", "standardize"):
        half, single = (fit_affine(Rows(X.astype(t)), kind) for t in (np.float16, np.float32))
        torch.testing.assert_close(half.shift, single.shift)
        one = Objective(Rows(X), y, 2, LOSSES["softmax"], [0.1], affine=half).evaluate(torch.full((1, 2, 4), 1e-6))
        other = Objective(Rows(X.astype(np.float64)), y, 2, LOSSES["softmax"], [0.1], affine=single)
        torch.testing.assert_close(one.objective, other.evaluate(torch.full((1, 2, 4), 1e-6)).objective)
        assert bool(one.gradient.isfinite().all())


@ALL
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_many_configurations_at_once_are_those_one_at_a_time(name, bias):
    X, y = data()
    reg = [10.0**-k for k in range(5)]
    W = weights_of(5)
    together = objective(X, y, name, reg, bias=bias).evaluate(W)
    for k in range(5):
        alone = objective(X, y, name, reg[k : k + 1], bias=bias).evaluate(W[k : k + 1])
        selected = objective(X, y, name, reg, bias=bias).select(torch.tensor([k])).evaluate(W[k : k + 1])
        same(selected, alone)
        for part in ("objective", "gradient", "dual", "gap"):
            torch.testing.assert_close(getattr(together, part)[k], getattr(alone, part)[0], rtol=1e-11, atol=1e-11)


@ALL
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("in_order", [True, False])
def test_folds_are_row_weights(name, bias, in_order):
    X, y = data()
    fold = torch.arange(N) * 3 // N if in_order else torch.arange(N) % 3
    table = (fold[None, :] != torch.arange(3)[:, None]).double()
    which = torch.tensor([0, 1, 2, 1])
    W = weights_of(4)
    whole = objective(X, y, name, [0.1, 0.1, 0.2, 0.3], weights=table, fold=which, bias=bias, block_rows=16)
    found = whole.evaluate(W)
    scores = torch.full((N, 4, C), torch.nan, dtype=torch.float64)
    whole.evaluate(W, scores=scores)
    for k, f in enumerate(which.tolist()):
        subset = objective(X[fold != f], y[fold != f], name, [float(whole.reg[k])], bias=bias).evaluate(
            W[k : k + 1]
        )
        for part in ("objective", "gradient", "dual"):
            torch.testing.assert_close(getattr(found, part)[k], getattr(subset, part)[0], rtol=1e-10, atol=1e-10)
        seen = scores[fold != f, k]
        torch.testing.assert_close(seen, whole.scores(W)[fold != f, k], rtol=1e-12, atol=1e-12)


def test_rows_that_no_fold_trains_on():
    X, y = data()
    table = torch.ones(2, N, dtype=torch.float64)
    table[0, :60] = 0
    table[1, 40:] = 0
    table[:, 40:60] = 0
    found = objective(X, y, "softmax", [0.1, 0.1], weights=table, fold=torch.arange(2), block_rows=8).evaluate(
        weights_of(2)
    )
    for k, part in enumerate([slice(60, None), slice(0, 40)]):
        alone = objective(X[part], y[part]).evaluate(weights_of(2)[k : k + 1])
        torch.testing.assert_close(found.gradient[k], alone.gradient[0], rtol=1e-11, atol=1e-11)


@ALL
@pytest.mark.parametrize("bias", ["penalized", "free"])
def test_a_weight_of_two_is_a_row_twice(name, bias):
    X, y = data()
    weights = 1.0 + (torch.arange(N) % 5 == 0).double()
    twice = np.concatenate([X, X[::5]])
    repeated = objective(twice, torch.cat([y, y[::5]]), name, bias=bias).evaluate(weights_of())
    same(objective(X, y, name, bias=bias, weights=weights).evaluate(weights_of()), repeated, 1e-11)
    same(objective(X, y, name, bias=bias, weights=weights * 1e-200).evaluate(weights_of()), repeated, 1e-11)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("auto", "channel", "pixels")])
def test_the_affine_map_folded_is_the_map_applied(kind):
    X, y = data()
    X[:, 2] = 9  # a constant feature
    X = X.astype(np.uint8)
    affine = fit_affine(Rows(X), kind)
    folded = objective(X, y, affine=affine).evaluate(weights_of())
    applied = objective(affine.apply(torch.as_tensor(X))[:, :-1], y).evaluate(weights_of())
    same(folded, applied, 1e-9)


@pytest.mark.parametrize("kind", ["channel", "pixels"])
def test_the_maps_of_images(kind):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(20, 3, 2, 2)).astype(np.uint8)
    affine = fit_affine(Rows(images), kind, (3, 2, 2))
    scale = 255 if kind == "pixels" else 1
    mean = images.mean(axis=(0, 2, 3), keepdims=True)
    expected = ((images - mean) / scale).reshape(20, -1)
    np.testing.assert_allclose(affine.apply(torch.as_tensor(images))[:, :-1].numpy(), expected, atol=1e-5)
    with pytest.raises(InputError) as caught:
        fit_affine(Rows(images), kind)
    assert caught.value.code == "preprocess-needs-images"


def test_standardised_features_have_mean_0_and_spread_1_though_their_mean_is_large():
    rng = np.random.default_rng(0)
    X = 1e6 + rng.normal(size=(3000, 3))
    mapped = fit_affine(Rows(X), "standardize").apply(torch.as_tensor(X))[:, :-1]
    assert float(mapped.mean(dim=0).abs().max()) < 1e-7
    assert float((mapped.std(dim=0, correction=0) - 1).abs().max()) < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_worker_or_many_same_to_rounding_and_to_the_bit_for_the_same_number(dtype):
    X, y = data()
    runs = {
        workers: [objective(X, y, workers=workers, block_rows=8, dtype=dtype).evaluate(weights_of()) for _ in "abc"]
        for workers in (1, 2, 7)
    }
    for first, *others in runs.values():
        for other in others:
            assert torch.equal(first.gradient, other.gradient) and torch.equal(first.objective, other.objective)
        same(first, runs[1][0], 1e-12 if dtype == torch.float64 else 2e-5)


@ALL
def test_free_bias_certificate_of_a_float32_pass_is_proven_in_float64(name):
    problem = random_problem(3, name, dtype="float64", bias="free", weighted=False)
    W = torch.randn(1, problem.n_classes, problem.rows.shape[1], dtype=torch.float64)
    exact = problem.objective()
    rough = exact.in_dtype(torch.float32)
    rough.evaluate(W)  # what it keeps of the data must not be float32's
    same(rough.in_dtype(torch.float64).evaluate(W), problem.objective().evaluate(W), 1e-14)


class Repeated:
    """N rows that are one block over and over: more rows than any memory holds."""

    dtype = np.dtype("uint8")

    def __init__(self, block, times):
        self.block, self.shape = block, (len(block) * times, block.shape[1])

    def read(self, start, stop):
        return self.block[np.arange(start, stop) % len(self.block)]


@pytest.mark.slow
def test_more_than_two_to_the_31_entries_through_a_row_source():
    block = np.random.default_rng(0).integers(0, 256, size=(50, 70_000)).astype(np.uint8)
    y = torch.arange(50) % 3
    times = 2**31 // block.size + 2
    W = 1e-6 * torch.randn(1, 3, 70_001, generator=torch.Generator().manual_seed(0))
    many = Objective(Rows(Repeated(block, times)), y.repeat(times), 3, LOSSES["softmax"], [0.1]).evaluate(W)
    once = Objective(Rows(block), y, 3, LOSSES["softmax"], [0.1]).evaluate(W)
    torch.testing.assert_close(many.objective, once.objective, rtol=1e-6, atol=0)
    torch.testing.assert_close(many.gradient, once.gradient, rtol=1e-4, atol=1e-4)


def test_more_than_two_to_the_31_entries_in_one_tensor():
    X = torch.zeros(1, 1, dtype=torch.uint8).expand(2**21, 1100)  # stride 0: 2.3e9 entries, one byte
    rows = Rows(X)
    assert rows.n_samples * rows.n_features > 2**31
    buffer = torch.empty(4, 1100)
    assert rows.block(2**21 - 4, 2**21, buffer).shape == (4, 1100)
    wide = torch.zeros(1, 2**16, dtype=torch.uint8).repeat(2, 1).as_strided((2**16, 2**16), (0, 1))
    wide[0, 5] = 9  # the same byte in all 65,536 rows: 4.3e9 entries
    assert float(Rows(wide).block(2**16 - 1, 2**16, torch.empty(1, 2**16))[0, 5]) == 9


def test_out_of_memory_is_met_with_smaller_blocks():
    X, y = data()

    class Tight(Rows):
        sizes = ()

        def block(self, start, stop, buffer):
            self.sizes += (stop - start,)
            if stop - start > 8:
                raise MemoryError
            return super().block(start, stop, buffer)

    rows = Tight(X.astype(np.uint8))
    found = Objective(rows, y, C, LOSSES["svm"], [0.1], dtype=torch.float64, block_rows=64, workers=1)
    same(found.evaluate(weights_of()), objective(X, y, "svm").evaluate(weights_of()), 1e-12)
    assert rows.sizes[:4] == (64, 32, 16, 8)


def test_ctrl_c_in_a_block_ends_the_pass_within_a_block():
    X, y = data()

    class Pressed(Rows):
        calls = 0

        def block(self, start, stop, buffer):
            Pressed.calls += 1
            if start == 16:
                raise KeyboardInterrupt
            time.sleep(0.02)
            return super().block(start, stop, buffer)

    whole = Objective(Pressed(X.astype(np.uint8)), y, C, LOSSES["svm"], [0.1], block_rows=1, workers=2)
    with pytest.raises(KeyboardInterrupt):
        whole.evaluate(weights_of())
    assert Pressed.calls < 60


def test_a_shared_start_of_the_dual_bound_at_zero():
    X, y = data()
    for name in LOSSES:
        found = objective(X, y, name, [0.5]).evaluate(torch.zeros(1, C, D + 1))
        assert float(found.objective[0]) == pytest.approx(
            np.mean([LOOPS[name]([0.0] * C, int(label)) for label in y]), rel=1e-12
        )
        assert 0 <= float(found.dual[0]) <= float(found.objective[0])


def test_reg_zero_proves_nothing():
    X, y = data()
    found = objective(X, y, reg=[0.0]).evaluate(weights_of())
    assert float(found.dual[0]) == -math.inf and float(found.gap[0]) == math.inf


def test_an_unknown_bias_is_refused():
    X, y = data()
    with pytest.raises(InputError, match="penalized"):
        objective(X, y, bias="maybe")


def test_an_identity_map_is_told():
    assert AffineMap.identity(3).is_identity
    assert not AffineMap(torch.zeros(3), torch.tensor([1.0, 0.0, 1.0])).is_identity


def test_problem_oracle_agrees_with_itself():
    problem = Problem("svm", np.zeros((2, 1)), np.array([0, 1]), 2, 0.5)
    assert problem.value(np.zeros((2, 2))) == 1.0


@pytest.mark.parametrize("shared_sums", [0, 2**23])
def test_the_second_moment_is_the_same_by_rows_by_columns_and_for_any_number_of_workers(monkeypatch, shared_sums):
    monkeypatch.setattr("straightedge.design.base.SHARED_SUMS", shared_sums)
    X = np.random.default_rng(0).integers(0, 256, size=(3_000, 700), dtype=np.uint8)
    affine = fit_affine(Rows(X), "standardize")
    found = [
        DenseDesign(Rows(X), affine, dtype=torch.float32, workers=workers).second_moment(3_000)
        for workers in (1, 3)
    ]
    assert torch.equal(*found)
    mapped = np.c_[(X - affine.shift.numpy()) * affine.scale.numpy(), np.ones(len(X))]
    np.testing.assert_allclose(found[0].numpy(), mapped.T @ mapped / len(X), atol=2e-4)
