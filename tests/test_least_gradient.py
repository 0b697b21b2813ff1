"""L-BFGS of one configuration: where its proof is taken, what it starts from, and when its metric is a diagonal."""

import numpy as np
import pytest
import torch

from straightedge import SoftmaxClassifier
from straightedge.kernels import PortableProducts
from straightedge.losses import get_loss
from straightedge.newton import descent
from straightedge.newton.blocks import RowBlocks
from straightedge.newton.rules import SECOND_ORDER
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.solvers import least_gradient, whitening
from straightedge.solvers.least_gradient import LeastGradient
from straightedge.solvers.whitening import Whitening


def drawn(N: int, D: int, C: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, D)).astype(np.float32)
    scores = X @ rng.normal(size=(D, C)) * (2 / np.sqrt(D)) + rng.gumbel(size=(N, C))
    return X, scores.argmax(axis=1)


def objective_of(X: np.ndarray, y: np.ndarray, reg: float) -> Objective:
    return Objective(Rows(X), torch.as_tensor(y), int(y.max()) + 1, get_loss("softmax"), [reg], workers=1)


@pytest.mark.parametrize("n_points", [4, 30])
def test_of_a_quadratic_the_combination_has_the_least_gradient(n_points: int) -> None:
    """Also where more points were seen than are kept."""
    rng = np.random.default_rng(0)
    H = torch.from_numpy(np.diag(rng.uniform(1, 3, 40)))
    last = LeastGradient.none(torch.zeros(4, 10, dtype=torch.float64), 1e-3, np.inf)
    points = torch.from_numpy(rng.normal(size=(n_points, 40)))
    for point in points:
        last.add(point.view(4, 10), (H @ point).view(4, 10))
    kept = points[-least_gradient.MOST_POINTS :] @ H
    expected = np.linalg.lstsq((kept[1:] - kept[0]).T.numpy(), -kept[0].numpy(), rcond=None)[1]
    square, shares = last.found()
    assert float(shares.sum()) == pytest.approx(1, rel=1e-9)
    assert square == pytest.approx(float(expected[0]), rel=1e-3)
    found = last.combination(value=1.0, curvature=square / 1e-3)
    assert found is not None
    assert float((H @ found).square().sum()) == pytest.approx(square, rel=1e-3)
    assert last.combination(value=1.0, curvature=square / 1e-3) is None  # once is enough


def test_a_fit_is_proven_sooner_by_a_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = drawn(1500, 30, 12)

    def fitted() -> SoftmaxClassifier:
        return SoftmaxClassifier(reg=1e-6, tol=1e-4, solver="lbfgs").fit(X, y)

    sooner = fitted()
    monkeypatch.setattr(LeastGradient, "combination", lambda self, value, curvature: None)
    later = fitted()
    assert sooner.status_ == later.status_ == "certified"
    assert sooner.n_passes_ < later.n_passes_
    assert sooner.objective_ == pytest.approx(later.objective_, rel=1e-4)
    whole = objective_of(X, y, 1e-6).in_dtype(torch.float64).evaluate(torch.from_numpy(sooner.W_.T.copy())[None])
    assert float(whole.objective) == pytest.approx(sooner.objective_, rel=1e-12)
    assert float(whole.gap / whole.objective) <= 1e-4


def test_the_step_that_is_foreseen_to_be_the_last_is_the_proof() -> None:
    X, y = drawn(1500, 30, 12)
    model = SoftmaxClassifier(reg=1e-1, tol=1e-2, solver="lbfgs").fit(X, y)
    assert model.status_ == "certified"
    assert model.n_passes_ == len(model.trace_)  # no pass comes after the last step


def test_of_rows_fewer_than_features_a_combination_saves_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = drawn(500, 1250, 10)
    rows, asked = RowBlocks(X, y, 10, SECOND_ORDER["softmax"]), (1e-2, 1e-4)
    sooner = descent.minimise(rows, *asked, rough=False)
    monkeypatch.setattr(descent, "NEAR", 0.0)
    later = descent.minimise(rows, *asked, rough=False)
    assert sooner is not None and later is not None
    assert max(sooner.gap, later.gap) <= 1e-4 and sooner.n_passes == later.n_passes - 1
    whole = objective_of(X, y, 1e-2).in_dtype(torch.float64).evaluate(torch.from_numpy(sooner.W)[None])
    assert float(whole.objective) == pytest.approx(sooner.objective, rel=1e-12)
    assert float(whole.gap / whole.objective) == pytest.approx(sooner.gap, rel=1e-6)


def test_scores_at_nothing_need_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = drawn(300, 5, 3)
    objective = objective_of(X, y, 1e-2)
    expected = objective.evaluate(torch.zeros(1, 3, 6))
    monkeypatch.setattr(torch, "addmm", None)
    found = objective.evaluate(torch.zeros(1, 3, 6))
    assert float(found.objective) == float(expected.objective) == pytest.approx(np.log(3), rel=1e-7)
    one_hot = np.eye(3)[y]
    rows = np.hstack([X, np.ones((300, 1))])
    np.testing.assert_allclose(found.gradient[0], (1 / 3 - one_hot).T @ rows / 300, atol=1e-7)
    products = PortableProducts(Rows(X), 300, torch.float32)
    products.use(torch.zeros(3, 5), torch.ones(3))
    products.load(0, 300)
    with pytest.raises(TypeError):  # an offset alone is a score
        products.scores()


def test_the_metric_is_a_diagonal_where_reg_outweighs_the_second_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = drawn(600, 40, 4)
    kinds = [
        next(iter(Whitening(objective_of(X, y, reg), 0.25, 600)._factors.values())).factor.ndim
        for reg in (1.0, 1e-3)
    ]
    assert kinds == [1, 2]
    X[:, 0] += 10  # one direction that its diagonal does not tell of
    X[:, 1:] += X[:, :1]
    assert next(iter(Whitening(objective_of(X, y, 1.0), 0.25, 600)._factors.values())).factor.ndim == 2
    monkeypatch.setattr(whitening, "ROUND", np.inf)
    assert next(iter(Whitening(objective_of(X, y, 1.0), 0.25, 600)._factors.values())).factor.ndim == 1


def test_products_whose_roundings_leave_no_sense_give_no_combination() -> None:
    """A fit of 20,000 x 768 x 100 once looked at such a combination pass after pass, and took no step."""
    last = LeastGradient.none(torch.zeros(4, 10), 1e-4, np.inf)
    for k in range(3):
        last.add(torch.full((4, 10), float(k)), torch.full((4, 10), 1.0 / (k + 1)))
    last.products = torch.tensor([[1, 0.15, 0], [0.15, 0.01, 0], [0, 0, 1]], dtype=torch.float64)
    assert last.found()[0] == np.inf
    assert last.combination(1.0, 1e-6) is None and last.worth > 0
