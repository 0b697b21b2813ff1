"""The run folder: what is written is read back, names are taken in one step, locks and checkpoints."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from straightedge.errors import InputError
from straightedge.model import LinearModel, load
from straightedge.runs import FolderLock, RunFolder, fingerprint
from straightedge.runs.tables import write_blocks, write_table

CONFIG = {"loss": "softmax", "reg": 0.1, "dataset": {"name": "digits"}}


def make_model(value: float = 1.0) -> LinearModel:
    return LinearModel(weight=torch.full((3, 2), value), bias=torch.full((2,), value), classes=("a", "b"))


def write_run(path: Path, value: float = 1.0, *, overwrite: bool = False) -> None:
    with RunFolder.create(path, CONFIG | {"value": value}, overwrite=overwrite) as run:
        run.write_trace([{"iteration": 0, "objective": value, "gap": float("nan"), "solver": "lbfgs"}])
        run.write_predictions([(['a "b", c.png'], ["a"], ["b"], np.array([value]), [None], [None])])
        run.save_path([(value, torch.full((3, 2), value), torch.zeros(2))])
        run.write_bytes("report.html", b"<p>")
        run.save_model(make_model(value))
        run.write_json("metrics.json", {"value": value, "gap": float("nan")})


def neighbours(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name != path.name)


def test_a_run_is_read_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    write_run(path, 2.5)
    run = RunFolder.open(path)
    assert run.config["value"] == 2.5
    assert run.metrics == {"value": 2.5, "gap": None}
    assert run.read_trace()[0]["objective"] == "2.5"
    assert run.read_trace()[0]["gap"] == ""
    assert run.read_predictions()[0] == {
        "name": 'a "b", c.png', "label": "a", "predicted": "b", "score": "2.5", "probability": "", "split": "",
    }  # fmt: skip
    regs, weight, bias = run.load_path()
    assert (regs[0], weight[0].shape, bias[0].tolist()) == (2.5, (3, 2), [0, 0])
    assert torch.equal(run.load_model().bias, load(path / "model.safetensors").bias)
    assert run.read_bytes("report.html") == b"<p>"
    assert neighbours(path) == []
    run.write_bytes("templates.png", b"added later")
    assert run.has("templates.png")


def test_blocks_of_columns_are_written_as_rows_are(tmp_path: Path) -> None:
    names = ["=1+1", 'a "b"', "two\nlines", "-1", "plain", "plain", "\u202eright", ""]
    scores = np.array([0.1, math.nan, 1e300, -0.0, 1 / 3, np.float32(0.1), 5e-324, math.inf])
    ranks: list[int | None] = [1, None, 3, 1, 2, 2, None, 0]
    columns = ("name", "score", "rank")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(names, scores.tolist(), ranks, strict=True)]
    write_table(tmp_path / "rows.csv", columns, rows)
    write_blocks(
        tmp_path / "blocks.csv", columns, [(names[:3], scores[:3], ranks[:3]), (names[3:], scores[3:], ranks[3:])]
    )
    assert (tmp_path / "blocks.csv").read_bytes() == (tmp_path / "rows.csv").read_bytes()


def test_nothing_has_the_name_before_the_run_is_whole(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", CONFIG) as run:
        run.save_model(make_model())
        assert not (tmp_path / "run").exists()
        run.write_json("metrics.json", {})
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_failed_run_leaves_nothing_and_the_former_run_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_run(path, 1.0)
    with pytest.raises(ZeroDivisionError), RunFolder.create(path, CONFIG, overwrite=True) as run:
        run.write_json("metrics.json", {"value": 2.0})
        raise ZeroDivisionError
    assert RunFolder.open(path).metrics["value"] == 1.0
    assert neighbours(path) == []


def test_overwrite_replaces_everything(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_run(path, 1.0)
    (path / "suspects.csv").write_text("of the former run")
    write_run(path, 2.0, overwrite=True)
    assert RunFolder.open(path).metrics["value"] == 2.0
    assert not (path / "suspects.csv").exists()
    assert neighbours(path) == []


def test_overwrite_where_folders_cannot_swap_names(tmp_path: Path, monkeypatch) -> None:
    from straightedge import atomic

    monkeypatch.setattr(atomic.Disk, "exchange", lambda self, first, second: False)
    path = tmp_path / "run"
    for value in (1.0, 2.0, 3.0):
        write_run(path, value, overwrite=True)
    assert RunFolder.open(path).metrics["value"] == 3.0
    assert neighbours(path) == []


def _with_run(path: Path) -> None:
    write_run(path)


def _with_foreign_file(path: Path) -> None:
    write_run(path)
    (path / "notes.txt").write_text("mine")


def _with_photos(path: Path) -> None:
    path.mkdir()
    (path / "photo.png").write_bytes(b"")


def _with_file(path: Path) -> None:
    path.write_text("a file")


@pytest.mark.parametrize(
    ("before", "overwrite", "code"),
    [
        pytest.param(_with_run, False, "run-exists", id="a run is there"),
        pytest.param(_with_foreign_file, True, "run-foreign", id="a user's file in the run"),
        pytest.param(_with_photos, True, "run-foreign", id="a folder of photos, overwrite"),
        pytest.param(_with_photos, False, "run-foreign", id="a folder of photos"),
        pytest.param(_with_file, True, "output-path", id="a file has the name"),
    ],
)
def test_what_is_never_written_over(tmp_path: Path, before, overwrite: bool, code: str) -> None:
    path = tmp_path / "run"
    before(path)
    with pytest.raises(InputError) as caught:
        RunFolder.create(path, CONFIG, overwrite=overwrite)
    assert caught.value.code == code
    assert neighbours(path) == []


def test_open_says_what_is_missing(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "metrics.json").write_text("[")
    (tmp_path / "empty").mkdir()
    for path, code in [(tmp_path / "nowhere", "run-missing"), (tmp_path / "empty", "run-missing")]:
        with pytest.raises(InputError) as caught:
            RunFolder.open(path)
        assert caught.value.code == code
    (tmp_path / "run" / "trace.csv").unlink()
    run = RunFolder.open(tmp_path / "run")
    for read, code in [
        (lambda: run.metrics, "run-damaged"),
        (run.read_trace, "run-file-missing"),
        (lambda: run.read_bytes("assets.npz"), "run-file-missing"),
    ]:
        with pytest.raises(InputError) as caught:
            read()
        assert caught.value.code == code


def test_two_runs_with_the_same_output_folder(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", CONFIG) as run:
        with pytest.raises(InputError) as caught:
            RunFolder.create(tmp_path / "link" / ".." / "run", CONFIG, overwrite=True)
        assert caught.value.code == "run-locked"
        assert str(os.getpid()) in str(caught.value)
        run.write_json("metrics.json", {})
    write_run(tmp_path / "run", overwrite=True)


LOCK_AND_WAIT = """
import sys, time
from pathlib import Path
from straightedge.runs.lock import FolderLock
FolderLock(Path(sys.argv[1]), Path("run")).acquire()
print("locked", flush=True)
time.sleep(60)
"""


def test_a_lock_of_another_process_is_respected_and_taken_over_when_it_dies(tmp_path: Path) -> None:
    path = tmp_path / ".run.lock"
    process = subprocess.Popen([sys.executable, "-c", LOCK_AND_WAIT, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(InputError) as caught:
            RunFolder.create(tmp_path / "run", CONFIG)
        assert caught.value.code == "run-locked"
        assert f"process {process.pid} on" in str(caught.value)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert path.exists()  # left by the dead process
    write_run(tmp_path / "run")
    assert not path.exists()


def test_where_there_are_no_record_locks_the_recorded_owner_decides(tmp_path: Path, monkeypatch) -> None:
    from straightedge.runs import lock as module

    monkeypatch.setattr(module, "_fcntl", None)
    path = tmp_path / ".run.lock"
    owner = module._this_process()
    for change, free in [
        ({}, False),
        ({"pid": 2**22 + 1}, True),  # above the largest pid there is
        ({"birth": "1"}, True),  # the pid was given to another process since
        ({"host": "elsewhere", "pid": 2**22 + 1}, False),
    ]:
        path.write_text(json.dumps(owner | change))
        lock = FolderLock(path, tmp_path / "run")
        if free:
            lock.acquire()
            lock.release()
        else:
            with pytest.raises(InputError, match="run-locked"):
                lock.acquire()


PRINTS = {"data": "d" * 64, "classes": ["a", "b"], "config": {"reg": 0.1, "loss": "svm"}, "code": "0.1.0"}


def interrupt(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder.create(path, CONFIG, fingerprints=PRINTS) as run:
        run.save_checkpoint({"W": torch.zeros(2)}, {"iteration": 1})
        run.save_checkpoint({"W": torch.arange(3.0), "n": torch.tensor(7)}, {"iteration": 2, "rng": [1, 2]})
        raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    interrupt(path)
    with pytest.raises(InputError, match="run-unfinished"):
        RunFolder.open(path)
    with pytest.raises(InputError, match="run-interrupted"):
        RunFolder.create(path, CONFIG)
    with RunFolder.resume(path, PRINTS) as run:
        assert run.config == CONFIG
        found = run.load_checkpoint()
        assert found is not None
        tensors, meta = found
        assert tensors["W"].tolist() == [0, 1, 2]
        assert (int(tensors["n"]), meta) == (7, {"iteration": 2, "rng": [1, 2]})
        run.write_json("metrics.json", {})
    assert not (path / "checkpoint.safetensors").exists()
    assert neighbours(path) == []
    with pytest.raises(InputError, match="nothing-to-resume"):
        RunFolder.resume(path)


def test_looking_at_an_interrupted_run_costs_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / ".run.partial")  # as a kill before the first checkpoint leaves it
    (tmp_path / ".run.partial" / ".straightedge-run").unlink()
    for _ in range(2):
        with RunFolder.resume(tmp_path / "run") as run:
            assert run.config["value"] == 1.0
            assert run.load_checkpoint({}) is None
            run.abandon()
    with pytest.raises(ZeroDivisionError), RunFolder.resume(tmp_path / "run") as run:
        raise ZeroDivisionError
    write_run(tmp_path / "run")  # without a checkpoint nothing is lost by starting again
    assert neighbours(tmp_path / "run") == []


def test_a_whole_run_that_waits_for_its_name_is_never_lost(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 3.0)
    (tmp_path / "run").rename(tmp_path / ".run.partial")  # killed just before it took its name
    _with_photos(tmp_path / "run")  # and then someone put other files there
    with pytest.raises(InputError, match="run-foreign"):
        RunFolder.create(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "photo.png").unlink()
    with pytest.raises(InputError, match="run-exists"):
        RunFolder.create(tmp_path / "run", CONFIG)
    assert RunFolder.open(tmp_path / "run").metrics["value"] == 3.0


def test_overwrite_forgets_an_interrupted_run(tmp_path: Path) -> None:
    interrupt(tmp_path / "run")
    write_run(tmp_path / "run", overwrite=True)
    assert neighbours(tmp_path / "run") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"data": "e" * 64}, "data: dddddddddddddddd…, now eeeeeeeeeeeeeeee…", id="other data"),
        pytest.param({"config": {"reg": 1.0, "loss": "svm"}}, "config.reg: 0.1, now 1.0", id="other reg"),
        pytest.param({"classes": ["b", "a"]}, 'classes: ["a", "b"], now ["b", "a"]', id="other classes"),
        pytest.param({"code": "0.2.0"}, "code: 0.1.0, now 0.2.0", id="other code"),
    ],
)
def test_resume_with_something_else_is_refused(tmp_path: Path, change, says: str) -> None:
    interrupt(tmp_path / "run")
    for _ in range(2):  # a refusal does not use the checkpoint up
        with pytest.raises(InputError) as caught, RunFolder.resume(tmp_path / "run") as run:
            run.load_checkpoint(PRINTS | change)
        assert caught.value.code == "resume-differs"
        assert says in str(caught.value)
    with RunFolder.resume(tmp_path / "run", PRINTS) as run:
        assert run.load_checkpoint() is not None
        run.write_json("metrics.json", {})


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    interrupt(tmp_path / "run")
    path = tmp_path / ".run.partial" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="model-damaged"), RunFolder.resume(tmp_path / "run", PRINTS) as run:
        run.load_checkpoint()


def test_equal_values_have_equal_fingerprints() -> None:
    assert fingerprint({"a": 1, "b": (1.5, None)}) == fingerprint({"b": [1.5, None], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
