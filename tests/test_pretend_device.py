"""No step mixes tensors of the host and of a device: whole fits on a pretended one, without a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier, SoftmaxClassifier, SVMClassifier
from straightedge.design import RowWeights
from straightedge.fitting import FitSettings, build_objective, solve
from straightedge.kernels.splitting import KINDS, column_scale, split_weight
from straightedge.losses import LOSSES
from straightedge.moments import fit_affine
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.selection import LinearClassifierCV
from straightedge.workflow import records
from straightedge.workflow.options import FitOptions
from straightedge.workflow.run import run_fit
from support.pretend_device import NAME, DeviceTensor, MixedDevicesError, pretend_device

N, D, C, TOL = 60, 9, 3, 1e-2


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    X = torch.randint(0, 256, (N, D), generator=generator, dtype=torch.uint8)
    return X, (X.float() @ torch.randn(D, C, generator=generator)).argmax(dim=1)


def objective(X: torch.Tensor, y: torch.Tensor, loss: str, bias: str, dtype: torch.dtype) -> Objective:
    rows = Rows(X)
    settings = FitSettings(loss=loss, bias=bias, tol=TOL)
    affine = fit_affine(rows, "standardize")
    fold = torch.arange(N) * 2 // N
    weights = (fold != torch.arange(2)[:, None]).double()
    built = build_objective(rows, y, C, [0.3, 0.1], settings, affine=affine, weights=weights, fold=torch.arange(2))
    return built.in_dtype(dtype)


# ---------------------------------------------------------------- the device itself


MISTAKES = {
    "sum of both": lambda here, there: here + there,
    "out on the other": lambda here, there: torch.mul(here, 2.0, out=there),
    "product": torch.outer,
    "condition": lambda here, there: torch.where(there > 0, here, 0.0),
    "joined": lambda here, there: torch.cat([here, there]),
    "index on the device": lambda here, there: there[(10 * here).long()],
    "values from the host": lambda here, there: here.index_put_((torch.arange(4),), there),
    "numpy": lambda here, there: np.asarray(here),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_pretended_device_finds_a_mistake(name: str) -> None:
    with pretend_device(), pytest.raises((MixedDevicesError, TypeError)):
        MISTAKES[name](torch.zeros(4, device=NAME), torch.ones(4))


def test_the_pretended_device_computes_and_counts() -> None:
    with pretend_device() as counted:
        here = torch.tensor([1.0, 2.0, 3.0], device=NAME)
        assert isinstance(here, DeviceTensor) and here.device.type == NAME
        here[torch.tensor([0])] += 2  # an index on the host is allowed
        before = counted["waits"]
        assert float((here * torch.tensor(2.0)).sum()) == 16.0
        assert counted["waits"] == before + 1
        assert not isinstance(here.cpu(), DeviceTensor)
    assert torch.equal(here.host, torch.tensor([3.0, 2.0, 3.0]))


# ---------------------------------------------------------------- fits


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", ["penalized", pytest.param("free", marks=pytest.mark.long)])
def test_solvers_stay_on_the_device(loss: str, bias: str) -> None:
    X, y = data()
    settings = FitSettings(loss=loss, bias=bias, tol=TOL)
    expected = solve(objective(X, y, loss, bias, torch.float64), settings)
    with pretend_device():
        found = solve(objective(X.to(NAME), y.to(NAME), loss, bias, torch.float32), settings)
    assert not isinstance(found.W, DeviceTensor)
    assert [status.value for status in found.status] == ["certified"] * 2
    torch.testing.assert_close(found.objective, expected.objective, rtol=TOL, atol=0)


def test_a_pass_waits_for_the_device_a_few_times() -> None:
    X, y = data()
    with pretend_device() as counted:
        part = objective(X.to(NAME), y.to(NAME), "softmax", "penalized", torch.float32)
        part.row_weights = RowWeights(None, part.fold, 1 / N)
        W = torch.zeros(part.shape, dtype=torch.float64, device=NAME)
        part.evaluate(W)
        counted.clear()
        part.evaluate(W)
    assert counted["waits"] <= 6  # its sums, and four numbers of a configuration
    assert counted["operators"] <= 110


@pytest.mark.parametrize("kind", [SoftmaxClassifier, SVMClassifier])
@pytest.mark.parametrize("tensors", [True, False])
def test_estimators_take_and_give_tensors_of_the_device(kind: type[LinearClassifier], tensors: bool) -> None:
    X, y = data()
    plain = kind(reg=0.1, tol=TOL, preprocess="standardize").fit(X, y)
    with pretend_device():
        own_X, own_y = (X.to(NAME), y.to(NAME)) if tensors else (X.numpy(), y.numpy())
        model = kind(reg=0.1, tol=TOL, preprocess="standardize", device=None if tensors else NAME).fit(own_X, own_y)
        classes, scores = model.predict(own_X), model.decision_function(own_X)
        assert isinstance(classes, DeviceTensor) == isinstance(scores, DeviceTensor) == tensors
        assert model.score(own_X, own_y) == pytest.approx(plain.score(X, y), abs=0.05)
        assert model.objective_ == pytest.approx(plain.objective_, rel=TOL)


def test_cross_validation_on_the_device() -> None:
    X, y = data()
    with pretend_device():
        model = LinearClassifierCV(regs=[0.1, 1.0], cv=2, tol=TOL, preprocess="standardize").fit(
            X.to(NAME), y.to(NAME)
        )
    assert model.reg_ in {0.1, 1.0}


@pytest.mark.parametrize("asked", [{"path": True, "regs": [0.1, 1.0]}, {"reg": 0.1, "loss": "svm"}, {
    "reg": 0.1, "solver": "sgd", "epochs": 2, "learning_rate": 0.01}], ids=["path", "svm", "sgd"])  # fmt: skip
def test_a_whole_run_on_the_device(asked, tmp_path, monkeypatch) -> None:
    X, y = data()
    np.savez(tmp_path / "data.npz", X=X.numpy(), y=y.numpy())
    monkeypatch.setattr(records, "_refuse_device", lambda device: None)
    options = FitOptions(
        source=str(tmp_path / "data.npz"), out=str(tmp_path / "run"), device=NAME, tol=TOL, progress=False, **asked
    )
    with pretend_device() as counted:
        result = run_fit(options)
    assert counted["operators"] > 100
    assert result["status"] == ("epochs" if "solver" in asked else "certified")


# ---------------------------------------------------------------- the fused kernels' own steps


@pytest.mark.parametrize("dtype", KINDS)
def test_operands_are_split_without_waiting(dtype: str) -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    expected = split_weight(weight, KINDS[dtype])
    with pretend_device() as counted:
        parts, unscale = split_weight(weight.to(NAME), KINDS[dtype])
        waits = counted["waits"]
        column_scale(parts[0].float().abs().amax(dim=1), KINDS[dtype])
        assert counted["waits"] == waits == 1  # the copy that brought W
    assert torch.equal(parts.host, expected[0]) and torch.equal(unscale.host, expected[1])
