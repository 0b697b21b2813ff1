"""Kernels are no further from float64 than the portable products; the door gives them where they run and pay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from straightedge.errors import InputError, StraightedgeWarning
from straightedge.kernels import PortableProducts, door, gram_applied, products_for
from straightedge.kernels.splitting import KINDS, TOP, column_scale, split_weight
from straightedge.losses import LOSSES
from straightedge.preprocess import AffineMap
from straightedge.rows import Rows
from straightedge.workers import BlockPool
from support.kernel_cases import CASES, TOLERANCE, Case, fits, kernels, measured, measured_adjoint, problem

PROGRAMS = Path(__file__).parent / "support"
OF_TRITON = "ignore:Conversion of an array with ndim:DeprecationWarning"
"""What Triton 3.5's interpreter does with NumPy 1.26 and warns of; no other warning passes."""
EVERY_PRODUCT = [f"{dtype}:{columns}" for dtype in KINDS for columns in (10, 160, 1000)]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="no triton")


def program(name: str, *words: str, **environment: str) -> dict:
    """Run a program of `support` and return the JSON that it prints."""
    plain = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", OF_TRITON, str(PROGRAMS / name), *words],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def interpreted() -> dict:
    """Every case, in Triton's interpreter."""
    return program("kernel_cases.py", TRITON_INTERPRET="1", OMP_NUM_THREADS="1")


def assert_as_exact(errors: dict[str, list[float]]) -> None:
    for name, (fused, portable) in errors.items():
        assert fused <= portable + TOLERANCE, name


@needs_triton
@pytest.mark.parametrize("name", [*CASES, "adjoint"])
def test_as_close_to_float64_as_the_portable_products(interpreted: dict, name: str) -> None:
    errors = interpreted["cases"][name]
    assert_as_exact(errors)
    same_bits = all(fused == portable for fused, portable in errors.values())
    assert not same_bits or name.startswith("one row"), "was it the kernels?"


@needs_triton
def test_a_fit_by_the_kernels_has_the_same_optimum(interpreted: dict) -> None:
    for fused, portable in zip(*interpreted["fits"].values(), strict=True):
        assert fused == pytest.approx(portable, rel=1e-3)
    assert max(interpreted["fits"]["fused"][2:]) <= 1e-3


@needs_triton
def test_features_of_unlike_scales_keep_the_portable_products(interpreted: dict) -> None:
    assert interpreted["spread"] == [True, False]


@needs_triton
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(("uint8:16", "losses:16"), id="pixels"),
        pytest.param((*EVERY_PRODUCT, "losses:1024"), id="all", marks=pytest.mark.slow),
    ],
)
@pytest.mark.long
def test_kernels_compile_for_hopper_and_use_its_matrix_units(wanted: tuple[str, ...], tmp_path: Path) -> None:
    built = program("kernel_builds.py", "90", *wanted, TRITON_CACHE_DIR=str(tmp_path))
    for name, kernels_ in built.items():
        for kernel in kernels_:
            assert kernel["shared_memory"] <= 227 * 1024
            assert (kernel["wgmma"] > 0) == (not name.startswith("losses"))


@needs_triton
@pytest.mark.slow
def test_kernels_fit_the_smallest_devices(tmp_path: Path) -> None:
    built = program("kernel_builds.py", "86", *EVERY_PRODUCT, TRITON_CACHE_DIR=str(tmp_path))
    assert all(kernel["shared_memory"] <= 99 * 1024 for pair in built.values() for kernel in pair)


# ---------------------------------------------------------------- compiled loops

WIDE_ROWS = {
    "more features than a chunk": Case(n=9, n_features=7001, dtype="uint8", n_classes=3, size=0.01),
    "float64": Case(dtype="float64", n=45, n_classes=3),
    "one column": Case(n=8, n_features=4, n_classes=1, dtype="float32"),
}
COMPILED_CASES = CASES | WIDE_ROWS


@pytest.mark.parametrize("name", COMPILED_CASES)
def test_compiled_loops_are_as_close_to_float64_as_torch(name: str) -> None:
    assert_as_exact(measured(COMPILED_CASES[name], choice="compiled"))


def test_compiled_loops_in_float64_are_those_of_torch_to_rounding() -> None:
    objective, W = problem(replace(CASES["folds"], n=301))
    objective = objective.in_dtype(torch.float64)
    with kernels("portable"):
        expected = objective.evaluate(W)
    with kernels("compiled"):
        found = objective.evaluate(W)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.objective, expected.objective, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("size", "columns", "workers"), [(1024, 10, 1), (1025, 1, 2), (1031, 7, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_factor_is_applied_by_compiled_loops_as_by_torch(
    size: int, columns: int, workers: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(size)
    R = torch.randn(size, size, generator=generator, dtype=dtype).tril()
    G = torch.randn(size, columns, generator=generator, dtype=dtype).t()  # as it lies it is no block of rows
    truth = G.to(torch.float64) @ R.to(torch.float64).t() @ R.to(torch.float64)
    error = {}
    for choice in ("compiled", "portable"):
        with kernels(choice):
            found = gram_applied(R, G, BlockPool(workers))
        assert found.dtype == dtype
        error[choice] = float((found - truth).abs().max() / truth.abs().max())
    roundings = size**0.5 * torch.finfo(dtype).eps
    assert error["compiled"] <= error["portable"] + roundings


def test_wide_or_small_products_with_a_factor_stay_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(R: torch.Tensor, G: torch.Tensor, pool: BlockPool) -> torch.Tensor:
        raise AssertionError

    monkeypatch.setattr("straightedge.kernels.compiled.compiled_gram", refuse)
    for size, columns in ((1024, 160), (100, 10)):
        R, G = torch.eye(size), torch.randn(columns, size)
        torch.testing.assert_close(gram_applied(R, G, BlockPool(1)), G)
    with pytest.raises(AssertionError):
        gram_applied(torch.eye(1024), torch.randn(10, 1024), BlockPool(1))


def test_the_hinges_product_and_a_fit_by_compiled_loops() -> None:
    assert_as_exact(measured_adjoint(choice="compiled"))
    found = fits(faster="compiled")
    assert found["compiled"] == pytest.approx(found["portable"], rel=1e-3)
    assert max(found["compiled"][2:]) <= 1e-3


def test_compiled_loops_are_chosen_where_a_pass_is_long_and_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(door.SWITCH, raising=False)
    cifar = Rows(torch.zeros(1, 1, dtype=torch.uint8).expand(50_000, 3072))
    chosen = {n: products_for(cifar, 4, torch.float32, AffineMap.identity(3072), n_columns=n) for n in (10, 160)}
    assert [type(products).__name__ for products in chosen.values()] == ["CompiledProducts", "PortableProducts"]
    half = Rows(torch.zeros(1, 1, dtype=torch.float16).expand(50_000, 3072))
    products = products_for(half, 4, torch.float32, AffineMap.identity(3072), n_columns=10)
    assert isinstance(products, PortableProducts)


# ---------------------------------------------------------------- splitting


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 21), ("bfloat16", 23)])
def test_parts_hold_the_bits_that_the_table_promises(dtype: str, bits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4000, generator=generator) * torch.tensor([1e-30, 1e-5, 1.0, 1e4, 1e20, 0.0])[:, None]
    parts, unscale = split_weight(weight, KINDS[dtype])
    found = parts.double().sum(dim=0) * unscale.double()[:, None]
    floor = 2.0**-40 * weight.abs().amax(dim=1, keepdim=True).double()
    assert bool(((found - weight).abs() <= 2.0**-bits * weight.abs().double() + floor).all())


def test_column_scale_is_a_power_of_two_that_fills_float16() -> None:
    largest = torch.tensor([1e-38, 3e-5, 1.0, 2.0**14, 65504.0, 3e30, 0.0])
    scale, unscale = column_scale(largest, KINDS["float16"])
    assert torch.equal(scale * unscale, torch.ones_like(scale))
    assert torch.equal(torch.frexp(scale).mantissa, torch.full_like(scale, 0.5))
    scaled = (largest * scale)[1:-1]
    assert bool(((scaled >= 2.0 ** (TOP - 1)) & (scaled < 2.0**TOP)).all())
    assert float(scale[-1]) == 1.0


# ---------------------------------------------------------------- the door

ROWS, IDENTITY = Rows(torch.zeros(4, 3, dtype=torch.uint8)), AffineMap.identity(3)


def test_the_cpu_has_portable_products_and_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(door.SWITCH, raising=False)
    assert isinstance(products_for(ROWS, 4, torch.float32, IDENTITY, n_columns=5), PortableProducts)
    assert not door.switched_on(torch.device("cpu"))


def test_an_unknown_choice_is_named() -> None:
    with kernels("quick"), pytest.raises(InputError, match="quick") as caught:
        products_for(ROWS, 4, torch.float32, IDENTITY, n_columns=5)
    assert caught.value.code == "kernels-unknown"


@pytest.mark.parametrize("dtype", ["float64", "int32", "int8", "bool"])
def test_rows_without_a_kernel_stay_portable(dtype: str) -> None:
    rows = Rows(torch.zeros(4, 3, dtype=getattr(torch, dtype)))
    with kernels("fused"):
        assert isinstance(products_for(rows, 4, torch.float32, IDENTITY, n_columns=5), PortableProducts)
        assert isinstance(products_for(ROWS, 4, torch.float64, IDENTITY, n_columns=5), PortableProducts)


def test_cuda_without_a_working_triton_falls_back_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="no triton")
    monkeypatch.delenv(door.SWITCH, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("straightedge.kernels.fused.trial", lambda device: 1 / 0)
    door._runs_on.cache_clear()
    with pytest.warns(StraightedgeWarning, match="kernels-unavailable"):
        assert not door.switched_on(torch.device("cuda", 0))
    assert not door.switched_on(torch.device("cuda", 0))  # said once
    door._runs_on.cache_clear()
    monkeypatch.setattr("straightedge.kernels.fused.trial", lambda device: 1e-2)
    with pytest.warns(StraightedgeWarning, match="wrong here"):
        assert not door.switched_on(torch.device("cuda", 0))
    door._runs_on.cache_clear()
    monkeypatch.setattr("straightedge.kernels.fused.trial", lambda device: 1e-7)
    assert door.switched_on(torch.device("cuda", 0))
    door._runs_on.cache_clear()


def test_blocks_on_a_device_are_large_and_bounded() -> None:
    with kernels("portable"):
        assert door.default_block_rows(ROWS, 10, torch.float32, IDENTITY) == door.DEVICE_BLOCK_ROWS
    with kernels("fused"):
        assert door.default_block_rows(ROWS, 10, torch.float32, IDENTITY) == door.MOST_ROWS
        wide = door.default_block_rows(ROWS, 16_000, torch.float32, IDENTITY)
        assert wide * 16_000 <= door.LARGEST_SCORES
        assert door.default_block_rows(ROWS, 10**7, torch.float32, IDENTITY) == 1024


# ---------------------------------------------------------------- on a device

BIG = {
    "pixels": Case(dtype="uint8", n=20_000, n_features=3072, n_classes=10, size=0.03),
    "pixels, a path": Case(dtype="uint8", n=20_000, n_features=3072, n_classes=10, n_configs=16, size=0.03),
    "features": Case(dtype="float16", n=30_000, n_features=2048, n_classes=1000, size=0.03),
    "features in bfloat16": Case(dtype="bfloat16", n=30_000, n_features=768, n_classes=100, size=0.03),
    "float32": Case(dtype="float32", n=30_000, n_features=500, n_classes=100, size=0.03),
}


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_odd_passes_on_a_device(name: str) -> None:
    assert_as_exact(measured(CASES[name], "cuda"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", BIG)
@pytest.mark.parametrize("loss", LOSSES)
def test_large_passes_on_a_device(name: str, loss: str) -> None:
    assert_as_exact(measured(replace(BIG[name], loss=loss), "cuda"))


@pytest.mark.gpu
def test_the_same_pass_has_the_same_bits_on_a_device() -> None:
    objective, W = problem(BIG["pixels, a path"], "cuda")
    assert door.fused_apply(objective.rows, objective.dtype, objective.affine)
    one, other = objective.evaluate(W), objective.evaluate(W)
    assert torch.equal(one.gradient, other.gradient) and torch.equal(one.objective, other.objective)


@pytest.mark.gpu
def test_fits_and_the_hinges_product_on_a_device() -> None:
    assert_as_exact(measured_adjoint("cuda"))
    found = fits("cuda")
    assert found["fused"] == pytest.approx(found["portable"], rel=1e-3)
