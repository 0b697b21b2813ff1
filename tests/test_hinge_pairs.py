"""Products over the few margins that move: as those over whole rows, to rounding, and used only where they pay."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from straightedge.design import Design, RowWeights
from straightedge.losses.hinge import CrammerSingerLoss, HingeLoss, OneVsRestHingeLoss
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers.base import Limits, Loop, minimize
from straightedge.solvers.hinge.blocks import active_margins
from straightedge.solvers.hinge.blocks.active_margins import ActiveMargins, adjoint_of_change
from straightedge.solvers.hinge.blocks.hessian import Hessian
from straightedge.solvers.hinge.blocks.preconditioner import Metric
from straightedge.solvers.hinge.blocks.solver import HingeALM
from straightedge.solvers.hinge.gathered.solver import SemismoothNewton
from straightedge.solvers.hinge.half_pass import adjoint, row_weights
from support.kernel_cases import kernels

LOSSES = [HingeLoss, CrammerSingerLoss, OneVsRestHingeLoss]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(active_margins, "DIFFERENCE_PAIRS", 0)  # there are more differences than pairs here
    with kernels("compiled"):
        yield


def objective(loss: type[HingeLoss], dtype: str = "uint8", n: int = 203, bias: str = "penalized") -> Objective:
    generator = torch.Generator().manual_seed(7)
    y = torch.arange(n) * 7 % 5
    centres = 25 * torch.randn(5, 19, generator=generator) + 128
    X = torch.empty(n, 19)
    order = torch.randperm(n, generator=generator)
    X[order] = centres[y] + 30 * torch.randn(n, 19, generator=generator)
    X = X.clamp(0, 255).to(getattr(torch, dtype))
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    return Objective(
        Rows(X, order=order), y, 5, loss(), [0.02], affine=fit_affine(Rows(X), "standardize"),
        weights=weights, bias=bias, dtype=torch.float64, workers=2,
    )  # fmt: skip


def few(whole: Objective, seed: int, share: float = 0.08) -> Tensor:
    """Dual variables (N, 1, C) in B, few of them between their bounds."""
    generator = torch.Generator().manual_seed(seed)
    b = torch.where(torch.rand(len(whole.y), 1, 5, generator=generator) < share, 0.3, 0.0).double()
    assert isinstance(whole.loss, HingeLoss)
    return whole.loss.project(b, whole.y)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(  # each kind of values compiles for seconds
    "dtype",
    [
        pytest.param("uint8", marks=pytest.mark.slow),
        pytest.param("float32", marks=pytest.mark.long),
        pytest.param("float64", marks=pytest.mark.slow),
    ],
)
def test_products_with_the_hessian_are_those_over_whole_rows(loss: type[HingeLoss], dtype: str) -> None:
    whole = objective(loss, dtype)
    direction = torch.randn(5, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def product(part: Objective) -> tuple[Tensor, bool]:
        hessian = Hessian.at(part, Metric(part), few(whole, 2), 0.1, row_weights(part), complete=True)
        return hessian.times(direction.to(part.dtype), direction), hessian.pairs is not None

    with kernels("portable"):
        exact, by_pairs = product(whole)
        assert not by_pairs
    found, by_pairs = product(whole)
    assert by_pairs
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-12)
    found, by_pairs = product(whole.in_dtype(torch.float32))
    assert by_pairs
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("loss", LOSSES)
def test_ranks_by_pairs_and_by_rows_add_up_alike(loss: type[HingeLoss], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank decides for itself: what is summed over them has the same layout, and the same witness."""
    whole, seen = objective(loss), []
    direction, summed = torch.ones(5, 20, dtype=torch.float64), Design.all_summed

    def spied(
        part: Design, own_sums: Callable[[], Tensor], W: Tensor, weights: RowWeights
    ) -> tuple[Tensor, Tensor]:
        seen.append((own_sums().shape, W.clone()))
        return summed(part, own_sums, W, weights)

    metric = Metric(whole)
    for choice in ("portable", "compiled"):
        with kernels(choice):
            hessian = Hessian.at(whole, metric, few(whole, 2), 0.1, row_weights(whole), complete=True)
            assert (hessian.pairs is None) == (choice == "portable")
            with monkeypatch.context() as patch:
                patch.setattr(Design, "all_summed", spied)
                hessian.times(direction, direction)
    (rows, first), (pairs, second) = seen
    assert rows == pairs
    assert torch.equal(first, second)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_change_of_v_is_the_difference_of_two_sums(loss: type[HingeLoss]) -> None:
    whole = objective(loss)
    before, weights = few(whole, 3, 0.4), row_weights(whole)
    after = torch.where(few(whole, 4) > 0, whole.loss.project(before + few(whole, 5, 0.9), whole.y), before)
    assert 0 < int((before != after).sum()) < 0.1 * after.numel()
    sums = [adjoint(whole, whole.loss.to_scores(b.clone(), whole.y), weights) for b in (before, after)]
    change = adjoint_of_change(whole, before, after, weights)
    assert change is not None
    torch.testing.assert_close(change, sums[1] - sums[0], rtol=1e-10, atol=1e-12)
    everything = whole.loss.project(torch.full_like(before, 0.11), whole.y)
    assert adjoint_of_change(whole, before, everything, weights) is None  # the sum itself costs no more


def test_dense_products_stay_where_many_margins_move_or_loops_do_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = objective(HingeLoss)
    part, mask = whole.subset(torch.arange(100)), torch.zeros(100, 1, 5)
    mask[:30, 0, 1] = 1.0
    assert ActiveMargins.of(part, mask) is not None
    assert ActiveMargins.of(part, torch.ones_like(mask)) is None
    assert ActiveMargins.of(part.subset(torch.arange(0)), mask[:0]) is None
    monkeypatch.setattr(active_margins, "DIFFERENCE_PAIRS", 50)  # four differences for thirty pairs
    assert ActiveMargins.of(part, mask) is None
    with kernels("auto"):
        assert ActiveMargins.of(part, mask) is None


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", pytest.param("free", marks=pytest.mark.long)])
@pytest.mark.parametrize("tol", [1e-3, pytest.param(1e-5, marks=pytest.mark.long)])
def test_fits_by_pairs_come_to_the_same_optimum(loss: type[HingeLoss], bias: str, tol: float) -> None:
    whole = objective(loss, bias=bias)
    exact = minimize(whole, SemismoothNewton(), Limits(1e-8))
    found = minimize(whole, HingeALM(), Limits(tol))
    assert float(found.gap[0]) <= tol
    assert float(found.objective[0]) == pytest.approx(float(exact.objective[0]), rel=1.1 * tol)
    assert float(found.dual[0]) <= float(exact.objective[0])


@pytest.mark.long
def test_a_path_by_pairs_is_resumed_from_any_step_to_the_same_bits() -> None:
    whole = objective(HingeLoss)
    whole.penalty = whole.penalty.at(torch.tensor([0.1, 0.03, 0.01], dtype=torch.float64))
    whole.row_weights = replace(whole.row_weights, fold=torch.zeros(3, dtype=torch.int64))

    def run(resume: dict[str, Tensor] | None = None) -> tuple[Loop, list[dict[str, Tensor]]]:
        loop, states = Loop(whole, HingeALM(), Limits(1e-3)), []
        if resume is None:
            loop.start(None)
        else:
            loop.restore(resume)
        while loop.active.numel():
            states.append({name: value.clone() for name, value in loop.state().items()})
            loop.step()
        return loop, states

    loop, states = run()
    assert any("answers.1.z" in name for name in states[-1])
    for state in states[:: max(1, len(states) // 6)]:
        again, _ = run(state)
        assert torch.equal(again.best.W, loop.best.W)
        assert torch.equal(again.best.n_passes, loop.best.n_passes)
