"""States that solvers declare: packed to named tensors and back, with what has an entry for each row marked."""

from dataclasses import dataclass, field, fields, is_dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from straightedge.losses import get_loss
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS, choose_solver
from straightedge.solvers.base import Limits, Loop
from straightedge.solvers.state import OF_ROWS, ROWS, pack, unpack

N, D, C = 24, 4, 3


@dataclass
class Far:
    W: Tensor
    count: int


@dataclass
class Near:
    share: float
    b: Tensor = field(metadata=OF_ROWS)


@dataclass
class Whole:
    stage: Near | Far
    seen: list[tuple[float, float]]
    parts: list[Near]
    words: np.ndarray
    is_done: bool
    nothing: Tensor | None


def whole() -> Whole:
    parts = [Near(0.1, torch.arange(3.0)), Near(-0.0, torch.ones(2, 1))]
    words = np.array([2**62 + 1, -3], dtype=np.int64)
    return Whole(Far(torch.eye(2), 7), [(1.0, 2.0), (float("inf"), 1 / 3)], parts, words, True, None)


def test_a_state_is_made_again_of_its_tensors_by_the_types_it_declares() -> None:
    before = whole()
    after = unpack(Whole, pack(before, "solver"), "solver")
    assert isinstance(after.stage, Far) and torch.equal(after.stage.W, torch.eye(2)) and after.stage.count == 7
    assert after.seen == before.seen and after.is_done is True and after.nothing is None
    assert [part.share for part in after.parts] == [0.1, -0.0]
    assert all(torch.equal(a.b, b.b) for a, b in zip(after.parts, before.parts, strict=True))
    assert after.words.dtype == np.int64 and (after.words == before.words).all()


def test_only_what_has_an_entry_for_each_row_is_named_so() -> None:
    names = {name for name in pack(whole(), "now") if name.startswith(ROWS)}
    assert names == {f"{ROWS}now.parts.0.b", f"{ROWS}now.parts.1.b"}


def test_packed_tensors_stay_as_they_are_unless_they_are_saved_at_once() -> None:
    state = Near(1.0, torch.zeros(3))
    kept, seen = pack(state, "a"), pack(state, "a", copy=False)
    state.b += 1
    assert float(kept[f"{ROWS}a.b"].sum()) == 0 and float(seen[f"{ROWS}a.b"].sum()) == 3


def objective(loss: str) -> Objective:
    X = torch.randn(N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Objective(Rows(X), torch.arange(N) % C, C, get_loss(loss), [0.1, 0.01])


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "sparse_dual_ascent"])
def test_every_solver_declares_its_state_and_marks_its_rows(name: str) -> None:
    kind = SOLVERS[name]
    losses = ("softmax", "svm", "one_vs_rest")
    part = next(part for part in map(objective, losses) if kind.supports(part) is None)
    loop = Loop(part, kind(), Limits(1e-9))
    loop.start(None)
    for _ in range(2):
        if loop.active.numel():
            loop.step()
    packed = pack(loop.solver.state(), "solver")
    assert is_dataclass(kind.State) and {f.name for f in fields(kind.State)} >= {
        name.removeprefix(ROWS).split(".")[1] for name in packed
    }
    for place, value in packed.items():
        assert not place.startswith(ROWS) or len(value) in (0, N), place
        if value.ndim == 3 and value.shape[:2] == (N, 1):  # dual variables and margins
            assert place.startswith(ROWS), place


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_auto_takes_the_solver_of_least_counted_work(loss: str) -> None:
    part = objective(loss)
    fitting = [name for name, kind in SOLVERS.items() if kind.supports(part) is None]
    cost = {name: SOLVERS[name].cost(part) for name in fitting}
    assert all(value > 0 for value in cost.values()) and cost["sgd"] == float("inf")
    assert choose_solver("auto", part).name == min(cost, key=cost.__getitem__)
    assert cost == {name: SOLVERS[name].cost(objective(loss)) for name in fitting}


def test_cost_grows_with_the_problem() -> None:
    small, large = objective("softmax"), objective("softmax").select(torch.tensor([0]))
    for name in ("newton", "lbfgs"):
        assert SOLVERS[name].cost(small) > SOLVERS[name].cost(large)
