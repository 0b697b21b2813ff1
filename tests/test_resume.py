"""A run that is stopped by anything, at any moment, is whole, or resumes to the same bits, or leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from straightedge import atomic
from straightedge.errors import InputError, MachineError
from straightedge.losses import LOSSES
from straightedge.objective import Objective
from straightedge.rows import Rows
from straightedge.runs import RunFolder
from straightedge.solvers import choose_solver
from straightedge.solvers.base import TraceRow
from straightedge.solvers.loop import Limits, minimize
from straightedge.workers import STOP_REQUESTED
from straightedge.workflow import FitOptions, run_fit
from straightedge.workflow.stages import Stopped
from support.failing_disk import FailingDisk
from support.kill_runs import answer, write_data

KINDS = "softmax,svm,path,sgd"
KILLER = Path(__file__).parent / "support" / "kill_runs.py"


def stopped_runs(folder: Path, kinds: str, tries: int, number: int, seed: int = 1) -> dict[str, Any]:
    """Stop forks of a fit at random moments in a process of its own; return how often which case was met."""
    command = [sys.executable, str(KILLER), str(folder), kinds, str(tries), str(seed), str(int(number))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3000, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)) | {"said": done.stderr}


@pytest.fixture
def options(tmp_path: Path) -> FitOptions:
    """A small fit that leaves a checkpoint at every step."""
    write_data(tmp_path / "data.npz")
    return FitOptions(
        str(tmp_path / "data.npz"),
        str(tmp_path / "run"),
        reg=1e-4,
        tol=1e-7,
        checkpoint_every=0.0,
        progress=False,
        solver="lbfgs",  # many steps: Newton's method is done before anyone can press a key
    )


def interrupted(options: FitOptions, steps: int = 4) -> None:
    """Fit, and press Ctrl-C after some steps, as the command's handler takes it."""
    left = [steps]

    def stop(row: TraceRow) -> None:
        left[0] -= 1
        if left[0] == 0:
            STOP_REQUESTED.set()

    try:
        with pytest.raises(Stopped):
            run_fit(options, callbacks=(stop,))
    finally:
        STOP_REQUESTED.clear()


# ------------------------------------------------------------------------ kills and Ctrl-C at random moments


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Sixteen kills and the two Ctrl-C, in one process."""
    return stopped_runs(tmp_path_factory.mktemp("stops"), KINDS, 4, signal.SIGKILL)


@pytest.mark.long
def test_kill_9_at_random_moments_ends_in_the_same_w(stops: dict[str, Any]) -> None:
    assert sum(stops[kind].get("resumed", 0) for kind in KINDS.split(",")) >= 4, stops


@pytest.mark.long
def test_ctrl_c_stops_within_a_second_and_leaves_a_checkpoint(stops: dict[str, Any]) -> None:
    press, _ = stops["presses"]
    assert press["status"] == 130
    assert press["resumable"]
    assert min(press["wall"], press["cpu"]) < 3.0, press
    assert "fit --resume" in stops["said"]
    assert "Traceback" not in stops["said"]


@pytest.mark.long
def test_a_second_ctrl_c_leaves_at_once(stops: dict[str, Any]) -> None:
    _, second = stops["presses"]
    assert second["status"] == 130
    assert min(second["wall"], second["cpu"]) < 3.0, second


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS.split(","), "search"])
def test_kill_9_five_hundred_times(tmp_path: Path, kind: str) -> None:
    assert stopped_runs(tmp_path, kind, 100, signal.SIGKILL, seed=2)[kind].get("resumed", 0) >= 30


@pytest.mark.slow
def test_ctrl_c_at_random_moments_ends_in_the_same_w(tmp_path: Path) -> None:
    found = stopped_runs(tmp_path, KINDS, 25, signal.SIGINT)
    assert sum(found[kind].get("resumed", 0) for kind in KINDS.split(",")) >= 20, found


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="softmax"),
        pytest.param({"loss": "svm", "max_passes": 30, "solver": "hinge_alm"}, id="svm"),
        pytest.param({"regs": [1e-3, 1e-2], "suspects": False}, id="path"),
        pytest.param({"regs": [1e-3, 1e-2], "folds": 3, "suspects": False}, id="folds"),
        pytest.param({"solver": "sgd", "epochs": 6, "suspects": False}, id="sgd"),
        pytest.param({"solver": "sgd", "search": True, "epochs": 4}, id="search"),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(options: FitOptions, change: dict[str, Any]) -> None:
    options = replace(options, **({"reg": None} if change.get("regs") or change.get("search") else {}) | change)
    whole = replace(options, out=options.run.out + "-whole")
    run_fit(whole)
    interrupted(options, 3)
    interrupted(replace(options, resume=True), 1)
    result = run_fit(replace(options, resume=True))
    metrics, former = RunFolder.open(options.run.out).metrics, RunFolder.open(whole.run.out).metrics
    if options.fit.loss == "svm":  # a step that was broken off in the middle is taken again from where it was
        assert max(metrics["dual"], former["dual"]) <= min(metrics["objective"], former["objective"])
        return
    assert answer(Path(options.run.out)) == answer(Path(whole.run.out))
    for key in ("objective", "dual", "gap", "status", "n_passes", "reg"):
        assert metrics[key] == former[key] == result[key], key
    trace, before = (RunFolder.open(run).read_trace() for run in (options.run.out, whole.run.out))
    assert [row["objective"] for row in trace] == [row["objective"] for row in before]


# ------------------------------------------------------------------------ resume with something else


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"reg": 0.5}, "config.reg", id="other reg"),
        pytest.param({"loss": "svm", "solver": "hinge_alm"}, "config.loss", id="other loss"),
        pytest.param({"seed": 3}, "config.seed", id="other seed"),
    ],
)
def test_resume_with_other_settings_is_refused(options: FitOptions, change: dict[str, Any], says: str) -> None:
    interrupted(options)
    with pytest.raises(InputError, match=says) as caught:
        run_fit(replace(options, resume=True, **change))
    assert caught.value.code == "resume-differs"
    assert run_fit(replace(options, resume=True))["status"] == "certified"  # the refusal cost nothing


def test_resume_with_other_data_is_refused(options: FitOptions) -> None:
    interrupted(options)
    with np.load(options.data.source) as held:
        X, y = held["X"].copy(), held["y"]
    X[17, 3] += 1e-3
    np.savez(options.data.source, X=X, y=y)
    with pytest.raises(InputError, match=r"data: [0-9a-f]{16}") as caught:
        run_fit(replace(options, resume=True))
    assert caught.value.code == "resume-differs"


def test_resume_with_other_classes_is_refused(options: FitOptions) -> None:
    interrupted(options)
    with np.load(options.data.source) as held:
        np.savez(options.data.source, X=held["X"], y=np.array(["ant", "bee", "cow"])[held["y"]])
    with pytest.raises(InputError, match="classes") as caught:
        run_fit(replace(options, resume=True))
    assert caught.value.code == "resume-differs"


# ------------------------------------------------------------------------ the machine's faults


def test_a_data_file_changed_during_a_run_is_refused(options: FitOptions, tmp_path: Path) -> None:
    """Rows of a mapped file change under the fit: no W of half the one and half the other is ever written."""
    generator = np.random.default_rng(0)
    rows, labels = tmp_path / "X.npy", tmp_path / "y.npy"
    np.save(rows, generator.standard_normal((200, 6)))
    np.save(labels, generator.integers(0, 3, 200))

    def overwrite(row: TraceRow) -> None:
        mapped = np.load(rows, mmap_mode="r+")
        mapped[17, 2] = 5.0
        mapped.flush()

    both = replace(options, source=f"{rows},{labels}")
    with pytest.raises(InputError) as caught:
        run_fit(both, callbacks=(overwrite,))
    assert caught.value.code == "data-changed"
    assert caught.value.where == str(rows)
    assert not Path(options.run.out).exists()
    assert run_fit(replace(both, overwrite=True))["status"] == "certified"


@pytest.mark.parametrize("what", ["changed", "new", "gone"])
def test_an_image_folder_changed_during_a_run_is_refused(tmp_path: Path, what: str) -> None:
    from PIL import Image

    for n in range(12):
        folder = tmp_path / "images" / f"class{n % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * n).save(folder / f"{n}.png")
    target = tmp_path / "images" / "class1" / ("99.png" if what == "new" else "3.png")

    def change(row: TraceRow) -> None:
        target.unlink(missing_ok=True)
        if what != "gone":
            Image.new("L", (4, 4), 255).save(target)

    options = FitOptions(str(tmp_path / "images"), str(tmp_path / "run"), reg=1e-3, progress=False, suspects=False)
    with pytest.raises(InputError) as caught:
        run_fit(options, callbacks=(change,))
    assert (caught.value.code, caught.value.where) == ("data-changed", str(target))
    assert not (tmp_path / "run").exists()


def full_at(options: FitOptions, monkeypatch: pytest.MonkeyPatch, fails_at: int, expected: bytes) -> bool:
    """Fit again on a disk that is full from one call on; return whether the run ended before that call."""
    whole_disk = atomic.disk
    monkeypatch.setattr(atomic, "disk", FailingDisk(fails_at, errno.ENOSPC, short=True, broken=True))
    try:
        run_fit(replace(options, overwrite=True, reg=0.3))
    except MachineError as error:
        assert error.code == "disk-full"
        assert error.where
    else:
        return True
    finally:
        monkeypatch.setattr(atomic, "disk", whole_disk)
    found = answer(Path(options.run.out))
    assert RunFolder.open(options.run.out).metrics["reg"] in (0.01, 0.3)
    assert (found == expected) == (RunFolder.open(options.run.out).metrics["reg"] == 0.01)
    return False


def disk_full_everywhere(options: FitOptions, monkeypatch: pytest.MonkeyPatch, step: int) -> int:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    options = replace(options, reg=0.01, tol=1e-3, suspects=False)
    run_fit(options)
    expected = answer(Path(options.run.out))
    tried = 0
    for fails_at in range(1, 1000, step):
        if full_at(options, monkeypatch, fails_at, expected):
            break
        tried += 1
        run_fit(replace(options, overwrite=True))
    return tried


def test_disk_full_all_along_a_fit_leaves_the_former_run(
    options: FitOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert disk_full_everywhere(options, monkeypatch, 11) >= 4


@pytest.mark.slow
def test_disk_full_at_every_write_of_a_fit_leaves_the_former_run(
    options: FitOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert disk_full_everywhere(options, monkeypatch, 1) >= 40


def test_two_runs_with_the_same_output_folder(options: FitOptions) -> None:
    def second(row: TraceRow) -> None:
        with pytest.raises(InputError) as caught:
            run_fit(replace(options, overwrite=True))
        codes.append(caught.value.code)
        assert str(os.getpid()) in str(caught.value)

    codes: list[str] = []
    assert run_fit(options, callbacks=(second,))["status"] == "certified"
    assert set(codes) == {"run-locked"}


def test_out_of_memory_halves_the_block(options: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run_fit(options)
    block, sizes = Rows.block, set()

    def small(self: Rows, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        sizes.add(stop - start)
        if stop - start > 64:
            raise MemoryError
        return block(self, start, stop, buffer)

    monkeypatch.setattr(Rows, "block", small)
    found = run_fit(replace(options, overwrite=True))
    assert found["status"] == "certified"
    assert found["objective"] == pytest.approx(expected["objective"], rel=1e-6)
    assert min(sizes) <= 64 < 256 < max(sizes)


def test_out_of_memory_for_good_is_one_clear_error(options: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def none(self: Rows, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        sizes.append(stop - start)
        raise MemoryError

    monkeypatch.setattr(Rows, "block", none)
    with pytest.raises(MachineError) as caught:
        run_fit(options)
    assert caught.value.code == "out-of-memory"
    assert len(set(sizes)) >= 6
    assert not Path(options.run.out).exists()


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_1_or_64_threads_certify_the_same(options: FitOptions, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    found = []
    for workers in (1, 64):
        monkeypatch.setattr("straightedge.design.passes.available_cores", lambda workers=workers: workers)
        out = f"{options.run.out}-{workers}"
        settings = {"loss": loss, "solver": "auto", "tol": 1e-4, "suspects": False, "max_passes": 300}
        found.append(run_fit(replace(options, out=out, **settings)))
    one, many = found
    assert one["status"] == many["status"]
    low, high = max(one["dual"], many["dual"]), min(one["objective"], many["objective"])
    assert low <= high * (1 + 1e-12)  # each certificate holds for the other's W as well
    assert one["objective"] == pytest.approx(many["objective"], rel=2e-4)


def test_a_stage_that_another_solver_takes_up_begins_at_the_best_w_of_the_first() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 9)), torch.as_tensor(rng.integers(3, size=200))
    objective = Objective(Rows(X), y, 3, LOSSES["softmax"], (1e-3,), dtype=torch.float64)
    states: list[dict[str, torch.Tensor]] = []
    begun = minimize(
        objective,
        choose_solver("lbfgs", objective),
        Limits(1e-3),
        checkpoint=lambda loop: states.append(loop.state()),
    )
    ended = minimize(objective, choose_solver("newton", objective), Limits(1e-10), resume=states[0])
    assert float(ended.gap[0]) <= 1e-10 < float(begun.gap[0])
    assert float(ended.n_passes[0]) > float(states[0]["loop.best.n_passes"][0])
