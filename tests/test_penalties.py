"""Every registered penalty keeps its contract; a ridge with weights is a plain ridge on scaled features."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize

from straightedge.errors import InputError
from straightedge.fitting import FitSettings, build_objective
from straightedge.losses import LOSSES
from straightedge.penalties import PENALTIES, Penalty, PenaltyTerm, Ridge, WeightedRidge
from straightedge.rows import Rows
from straightedge.solvers import SOLVERS
from straightedge.solvers.base import Limits, minimize

D, C, K = 5, 3, 2
WEIGHTS = (0.1, 3.0, 1.0, 0.5, 20.0)
MAKERS = {"ridge": Ridge, "weighted_ridge": lambda bias: WeightedRidge(WEIGHTS, bias)}
ALL = pytest.mark.parametrize("name", PENALTIES)
BIASES = pytest.mark.parametrize("bias", ["penalized", "free"])


def term(name: str, bias: str) -> PenaltyTerm:
    return PenaltyTerm(MAKERS[name](bias), torch.tensor([0.3, 2.0], dtype=torch.float64))


def matrix(seed: int = 0) -> torch.Tensor:
    return torch.randn(K, C, D + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loop_value(name: str, bias: str, W: torch.Tensor, reg: float) -> float:
    weights = [*(WEIGHTS if name == "weighted_ridge" else [1.0] * D), 1.0 if bias == "penalized" else 0.0]
    return reg * sum(weights[d] * float(W[c, d]) ** 2 for c in range(C) for d in range(D + 1))


@ALL
@BIASES
def test_value_gradient_and_curvature_are_those_of_loops(name: str, bias: str) -> None:
    own, W, step = term(name, bias), matrix(), 1e-4
    value, gradient, diagonal = own.value(W), own.gradient(W), own.hessian_diagonal(W).expand_as(W)
    for k, reg in enumerate(own.reg.tolist()):
        assert float(value[k]) == pytest.approx(loop_value(name, bias, W[k], reg), rel=1e-13)
        for d in range(D + 1):
            moved = torch.zeros_like(W[k])
            moved[1, d] = step
            up, down = (loop_value(name, bias, W[k] + sign * moved, reg) for sign in (1, -1))
            assert float(gradient[k, 1, d]) == pytest.approx((up - down) / (2 * step), rel=1e-7, abs=1e-9)
            second = (up - 2 * float(value[k]) + down) / step**2
            assert float(diagonal[k, 1, d]) == pytest.approx(second, rel=1e-5, abs=1e-5)
    assert float(own.curvature[1]) == pytest.approx(float(diagonal[1, :, :-1].max()))


@ALL
@BIASES
def test_conjugate_and_minimiser_are_those_of_a_search(name: str, bias: str) -> None:
    own, V = term(name, bias), term(name, bias).without_bias(matrix(1))
    W = own.minimiser(V)
    inner = (V * W).sum(dim=(1, 2)) + own.value(W)
    torch.testing.assert_close(own.conjugate(V), -inner, rtol=1e-12, atol=0)
    for seed in range(20):
        other = W + 0.1 * matrix(seed)
        assert bool(((V * other).sum(dim=(1, 2)) + own.value(other) >= inner - 1e-12).all())


@ALL
@BIASES
def test_the_best_multiple_of_a_dual_point_is_the_best_by_a_search_too(name: str, bias: str) -> None:
    own, V = term(name, bias), term(name, bias).without_bias(matrix(3))
    along = own.reg[:, None, None]
    for size in (0.01, 0.5, 50.0, -1.0):
        conjugate = size * torch.ones(K, dtype=torch.float64)
        found = own.best_bound(V, conjugate)
        searched = Penalty.best_bound(own.penalty, V, conjugate, along)
        torch.testing.assert_close(found, searched, rtol=1e-8, atol=1e-12)


def test_without_strength_no_dual_point_proves_anything() -> None:
    none = PenaltyTerm(Ridge(), torch.zeros(K, dtype=torch.float64))
    assert none.best_bound(matrix(), torch.ones(K, dtype=torch.float64)).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_are_no_numbers_above_0_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="above 0") as caught:
        WeightedRidge(weights)
    assert caught.value.code == "penalty-weights-invalid"


def test_as_many_weights_as_features() -> None:
    with pytest.raises(InputError, match="5 features and X has 2"):
        fitted_objective("softmax", np.zeros((4, 2)), np.array([0, 1, 0, 1]), WeightedRidge(WEIGHTS))


def fitted_objective(loss: str, X: np.ndarray, y: np.ndarray, penalty: Penalty, reg: float = 0.02):
    settings = FitSettings(loss=loss, workers=1, penalty=penalty)
    return build_objective(Rows(X), torch.as_tensor(y), int(y.max()) + 1, [reg], settings)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "sgd"])
@BIASES
@pytest.mark.long
def test_a_weighted_ridge_is_a_plain_one_on_scaled_features(loss: str, solver: str, bias: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % C
    X = rng.normal(size=(60, D)) + rng.normal(size=(C, D))[y]
    weighted = fitted_objective(loss, X, y, WeightedRidge(WEIGHTS, bias))
    plain = fitted_objective(loss, X / np.sqrt(WEIGHTS), y, Ridge(bias))
    kind = SOLVERS[solver]
    if kind.supports(plain) is not None or kind.supports(weighted) is not None:
        assert kind.supports(weighted) is not None
        assert solver not in ("lbfgs", "hinge_alm", "semismooth_newton") or kind.supports(plain) is not None
        return
    one, other = (minimize(part, kind(), Limits(1e-7, 5000)) for part in (weighted, plain))
    assert float(one.gap[0]) <= 1e-7 >= float(other.gap[0])
    assert float(one.objective[0]) == pytest.approx(float(other.objective[0]), rel=2e-7)


def test_a_weighted_ridge_is_what_scipy_finds() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(40) % C
    X = rng.normal(size=(40, D)) + rng.normal(size=(C, D))[y]
    part = fitted_objective("softmax", X, y, WeightedRidge(WEIGHTS))
    found = minimize(part, SOLVERS["lbfgs"](), Limits(1e-10))
    rows = np.hstack([X, np.ones((40, 1))])
    weights = np.array([*WEIGHTS, 1.0])

    def function(flat: np.ndarray) -> float:
        W = flat.reshape(C, -1)
        S = rows @ W.T
        losses = np.log(np.exp(S).sum(axis=1)) - S[np.arange(40), y]
        return float(losses.mean() + 0.02 * (weights * W**2).sum())

    answer = scipy_minimize(function, np.zeros(C * (D + 1)), method="L-BFGS-B", options={"maxfun": 20000})
    assert float(found.dual[0]) <= answer.fun
    assert answer.fun == pytest.approx(float(found.objective[0]), rel=1e-6)
