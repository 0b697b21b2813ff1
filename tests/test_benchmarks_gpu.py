"""The GPU's benchmark runs without a GPU, and its floors and data are what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks" / "gpu.py").is_file():
    pytest.skip("no peer: benchmarks are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks.gpu_data import SCALES, features, images  # noqa: E402
from benchmarks.gpu_parts import REG, TOL, floor, mapped, objective_of, torch_idiom  # noqa: E402

SMALL = SCALES["small"]


def run(out: Path, only: str, **environment: str) -> tuple[dict, str]:
    words = ["--device", "cpu", "--scale", "small", "--only", only, "--out", str(out)]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("STRAIGHTEDGE_CIFAR")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        cwd=ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text(encoding="utf-8")), out.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_part_runs_on_the_cpu(tmp_path: Path) -> None:
    results, page = run(tmp_path / "gpu.json", "pass,images,features", OMP_NUM_THREADS="1")
    assert results["device"] == "cpu" and results["commit"] and results["versions"]["torch"]
    entries = results["entries"]
    for key in ("images softmax", "images path", "features softmax", "features path", "features svm"):
        assert max(entries[key]["gap"]) <= TOL, key
        assert set(entries[key]["status"]) == {"certified"}
        assert f"| {key} |" in page
    assert len(entries["features path"]["gap"]) == SMALL.path
    for key in (name for name in entries if name.startswith("pass ")):
        assert entries[key]["seconds"] > 0 and not entries[key]["fused"]
    assert entries["images scikit-learn array API"]["status"] in {"reached", "cap"}


@pytest.mark.skipif(find_spec("triton") is None, reason="no triton")
@pytest.mark.slow
def test_tiles_are_timed_in_the_interpreter(tmp_path: Path) -> None:
    results, _ = run(tmp_path / "tune.json", "tune", TRITON_INTERPRET="1", STRAIGHTEDGE_KERNELS="fused")
    assert len(results["entries"]) == 4
    for entry in results["entries"].values():
        best = entry["seconds, long, columns, step, warps, stages"]
        assert len(best["scores"]) == len(best["gradient"]) == 2 and "failed" not in best


def test_the_idiom_is_the_gradient_of_the_same_objective() -> None:
    table = images(SMALL, "cpu")
    W = 1e-2 * torch.randn(table.n_classes, table.X.shape[1] + 1, generator=torch.Generator().manual_seed(0))
    found = objective_of(table, "softmax", [REG]).evaluate(W.double()[None]).gradient[0]
    torch.testing.assert_close(torch_idiom(table, W)().t().double(), found, rtol=1e-4, atol=1e-6)
    assert mapped(table)[:, -1].eq(1).all()


def test_features_have_their_spectrum_and_can_be_learned() -> None:
    table = features(SMALL, "cpu")
    X = table.X.float()
    assert table.X.dtype == torch.float16
    assert set(table.y.tolist()) == set(range(table.n_classes))
    assert float(X.var()) == pytest.approx(1.0, rel=0.15)
    values = torch.linalg.svdvals(X)
    assert float(values[0] / values[-1]) == pytest.approx(X.shape[1] ** 0.5, rel=0.3)
    scores = X @ torch.linalg.lstsq(X, torch.nn.functional.one_hot(table.y).float()).solution
    assert float((scores.argmax(dim=1) == table.y).float().mean()) > 3 / table.n_classes


def test_the_floor_is_the_larger_of_bytes_and_products() -> None:
    table = features(SMALL, "cpu")
    read = table.X.numel() * 2 / 1e9
    flop = 4 * table.X.numel() * table.n_classes
    slow = {"bytes": 1e9, "float16": 1e30}
    assert floor(table, 1, slow) == {"floor_seconds": read, "split_floor_seconds": read}
    quick = {"bytes": 1e30, "float16": 1e9}
    assert floor(table, 3, quick)["floor_seconds"] == pytest.approx(3 * flop / 1e9)
    assert floor(table, 3, quick)["split_floor_seconds"] == pytest.approx(6 * flop / 1e9)
