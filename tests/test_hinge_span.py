"""The search along a few directions: the compiled sums are those of whole arrays, and the minimiser is one."""

import pytest
import torch
from torch import Tensor

from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.hinge.blocks.subspace import SPAN, Span
from straightedge.solvers.hinge.half_pass import row_weights, scores
from support.kernel_cases import kernels

LOSSES = [HingeLoss, CrammerSingerLoss, OneVsRestHingeLoss]


def span(loss: type[HingeLoss], size: int, dtype: torch.dtype = torch.float64, bias: str = "penalized") -> Span:
    generator = torch.Generator().manual_seed(size)
    n, d, n_classes = 600, 7, 5
    X = torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.arange(n) * 7 % n_classes
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    weights[::9] = 0.0
    part = Objective(Rows(X), y, n_classes, loss(), [0.05], weights=weights, bias=bias, dtype=dtype)
    W, *steps = (torch.randn(n_classes, d + 1, generator=generator, dtype=dtype) / 3 for _ in range(size + 1))
    assert isinstance(part.loss, HingeLoss)
    changes = [(x, part.loss.margin_change(scores(part, x), y)) for x in steps]
    centre = part.loss.project(torch.rand(n, 1, n_classes, generator=generator, dtype=dtype), y)
    z = part.loss.margins(scores(part, W), y)
    return Span(part, row_weights(part), W, z, centre, 0.4, changes)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", range(1, SPAN + 1))
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_compiled_sums_are_those_of_whole_arrays(
    loss: type[HingeLoss], size: int, dtype: torch.dtype, rtol: float
) -> None:
    case = span(loss, size, dtype)
    tau = torch.linspace(-0.7, 1.1, size, dtype=torch.float64)
    with kernels("portable"):
        assert not case._loop_is_close_enough()
        expected = case.model()(tau)
    with kernels("compiled"):
        assert case._loop_is_close_enough() == (loss is not CrammerSingerLoss)
        found = case.model()(tau)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=rtol, atol=rtol * float(other.abs().max()))


@pytest.mark.parametrize("which", ["portable", "compiled"])
@pytest.mark.parametrize("bias", ["penalized", "free"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_minimiser_has_no_slope_and_no_point_nearby_is_better(
    loss: type[HingeLoss], bias: str, which: str
) -> None:
    case = span(loss, SPAN, bias=bias)

    def value(tau: Tensor) -> float:
        """f at the coordinates, from its definition: max over b in B of ⟨b, z⟩ − μ/2 ‖b − c‖², plus reg ‖W‖²."""
        part, own = case.objective, case.objective.loss
        assert isinstance(own, HingeLoss)
        z = case.z + sum(float(t) * d for t, (_, d) in zip(tau, case.changes, strict=True))
        W = case.W + sum(float(t) * x for t, (x, _) in zip(tau, case.changes, strict=True))
        b = own.project(case.centre + z / case.mu, part.y)
        inner = (b * z - case.mu / 2 * (b - case.centre) ** 2).sum(dim=(1, 2))
        return float(case.weights @ inner) + float(part.penalty.value(W[None])[0])

    zero = torch.zeros(SPAN, dtype=torch.float64)
    with kernels(which):
        best = case.minimiser()
        decrements = [
            float(slopes @ torch.linalg.solve(curvature, slopes))
            for slopes, curvature in (case.model()(zero), case.model()(best))
        ]
    assert decrements[1] <= 1e-3 * decrements[0]
    lowest = value(best)
    assert lowest < value(zero)
    for k in range(SPAN):
        for step in (-0.1, 0.1):
            moved = best.clone()
            moved[k] += step
            assert lowest < value(moved)
