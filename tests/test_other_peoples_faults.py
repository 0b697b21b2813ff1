"""Faults of data, modules and machines are named as what they are, with a mend that runs."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from straightedge import LinearClassifierCV, SoftmaxClassifier, fit_path, fitting
from straightedge.data.labels import encode_labels
from straightedge.data.npz import read_npy
from straightedge.errors import InputError, MachineError
from straightedge.features.user_module import UserModule
from straightedge.memory import free_memory
from straightedge.rows import Rows
from straightedge.workers import is_out_of_memory, out_of_memory

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = np.arange(60) % 3
DOORS = (
    lambda X, y: SoftmaxClassifier().fit(X, y),
    lambda X, y: fit_path(X, y, [1.0]),
    lambda X, y: LinearClassifierCV(regs=[1.0]).fit(X, y),
)
MODULE = """from torch import nn
def fn(x): return x.flatten(1)
class Boom(nn.Module):
    def __init__(s): super().__init__(); s.l = nn.Linear(10, 3)
    def forward(s, x): return s.l(x.flatten(1))
class Dict(nn.Module):
    def forward(s, x): return {"f": x.flatten(1)}
"""


@pytest.mark.parametrize("door", DOORS)
def test_sparse_tensors_and_multi_label_rows_are_refused_in_plain_words(door):
    with pytest.raises(InputError, match="to_dense") as caught:
        door(torch.from_numpy(X).to_sparse(), Y)
    assert caught.value.code == "x-sparse"
    several = np.tile([[1, 0, 1], [0, 0, 0]], (30, 1))
    for labels in (several, torch.from_numpy(several)):
        with pytest.raises(InputError, match="OneVsRestClassifier") as caught:
            door(X, labels)
        assert caught.value.code == "labels-multi-label"
    with pytest.raises(InputError, match="argmax"):
        door(X, np.eye(3)[Y])


def test_signs_are_classes_and_other_negative_labels_say_why_not():
    assert encode_labels([1, -1, 0, 1])[1] == ("-1", "0", "1")
    with pytest.raises(InputError, match="row without a label"):
        encode_labels([-1, 0, 1, 2])


@pytest.mark.parametrize(("name", "line"), [("fn", 2), ("Boom", 5), ("Dict", None)])
def test_a_mistake_in_the_users_module_is_the_users(tmp_path, monkeypatch, name, line):
    target = f"faulty_{name}:{name}"
    (tmp_path / f"faulty_{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRAIGHTEDGE_TRUST", target)
    with pytest.raises(InputError) as caught:
        UserModule(target).prepare(np.zeros((2, 3, 8, 8), np.uint8))
    assert caught.value.code == ("network-output" if line is None else "module-failed")
    assert target in caught.value.where
    if name == "Boom":
        assert f"faulty_{name}.py, line {line}" in caught.value.where


@pytest.mark.parametrize("kind", ["uint16", "uint32", "uint64", ">u2", ">i4", ">f8"])
def test_rows_of_other_number_types_are_read_by_block(kind):
    plain = RNG.integers(0, 1000, (60, 4))
    odd = plain.astype(kind)
    rows = Rows(odd)
    assert rows._source is odd  # no copy of the whole
    np.testing.assert_array_equal(rows.block(5, 9, torch.empty(4, 4, dtype=torch.float64)), plain[5:9])
    index = torch.tensor([3, 1])
    np.testing.assert_array_equal(rows.take(index, torch.empty(2, 4, dtype=torch.float64)), plain[[3, 1]])
    one = SoftmaxClassifier(1.0, tol=1e-8, preprocess="standardize").fit(odd, Y)
    other = SoftmaxClassifier(1.0, tol=1e-8, preprocess="standardize").fit(plain, Y)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-7)
    np.testing.assert_array_equal(one.predict(odd), other.predict(plain))


def test_memory_that_runs_out_is_the_machines_and_tells_the_size(monkeypatch):
    torchs = RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 1048576000 bytes. Error code 12 (Cannot allocate memory)"
    )
    assert is_out_of_memory(torchs) and "1,000 MiB" in str(out_of_memory(torchs))

    def full(*_, **__):
        raise torchs

    monkeypatch.setattr(fitting, "minimize", full)
    for door in DOORS[:2]:
        with pytest.raises(MachineError, match="1,000 MiB") as caught:
            door(torch.as_tensor(X), Y)  # small tables of NumPy have a door of their own
        assert caught.value.code == "out-of-memory" and "memory=" in caught.value.mend
        assert "3 classes" in caught.value.where


def test_the_mend_of_an_array_of_objects_runs(tmp_path):
    path = tmp_path / "y.npy"
    np.save(path, np.array(["cat", "dog"] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(InputError) as caught:
        read_npy(path)
    pasted = caught.value.mend.split(": ", 1)[1]
    subprocess.run([sys.executable, "-c", pasted], check=True)
    assert np.load(path).tolist() == ["cat", "dog"] * 5


def test_what_memory_cannot_hold_is_refused_with_its_size_before_the_work(monkeypatch):
    monkeypatch.setattr("straightedge.memory.free_memory", lambda: 200 * 2.0**20)
    X, y = np.random.default_rng(0).normal(size=(3000, 1000)).astype(np.float32), np.arange(3000) % 100
    rows = []
    with pytest.raises(MachineError, match="16 values of reg × 100 classes × 1001 weights") as caught:
        fit_path(X, y, solver="lbfgs", callbacks=[rows.append])
    assert caught.value.code == "out-of-memory" and "memory=" in caught.value.mend
    assert "305 MiB" in str(caught.value) and "200 MiB are free" in str(caught.value)
    assert not rows
    found = fit_path(X, y, [1.0, 10.0], solver="lbfgs", memory=2e7, tol=0.3)  # one value at a time fits
    assert len(found.reg) == 2
    y = np.arange(3000) % 1500  # Newton holds the scores of all rows
    with pytest.raises(MachineError, match=r"newton of 1 .* needs about \d+ MiB, and 200 MiB are free"):
        fit_path(X[:, :20], y, [1.0], solver="newton")


def test_the_free_memory_is_that_of_the_tightest_limit():
    resource = pytest.importorskip("resource")
    free = free_memory()
    assert 0 < free < float("inf")
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (2**40, before[1]))
        assert free_memory() <= 2**40
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
