"""The whole command under torchrun: one run folder, a killed rank, two hosts with addresses of their own."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pytest

from straightedge.distributed import local
from straightedge.runs import RunFolder
from support import rank_runner, rank_work

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 5, 403)
    X = rng.normal(size=(403, 24)) * np.geomspace(1, 100, 24) + 1.5 * np.eye(5, 24)[y] * np.geomspace(1, 100, 24)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, X=X.astype(np.float32), y=y)
    return path


def launch(n, *words, restarts=2):
    """Start `straightedge fit` with these words on n ranks."""
    launcher = [
        *TORCHRUN,
        "--nproc-per-node",
        str(n),
        "--master-addr",
        "127.0.0.1",
        "--max-restarts",
        str(restarts),
    ]
    launcher += ["--master-port", str(rank_runner.free_port()), "--monitor-interval", "0.1"]
    command = [*launcher, "-m", "straightedge", "fit", *map(str, words), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def start(n, source, out, *more, restarts=2):
    return launch(n, source, "--out", out, "--no-suspects", *more, restarts=restarts)


def finish(process, status=0):
    try:
        out, words = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == status, words
    return out, words


def answer(out):
    """Return W and the whole path as bytes, and what passes it took, in order."""
    run = RunFolder.open(out)
    model = run.load_model()
    parts = [model.weight.numpy(), model.bias.numpy(), *run.load_path()[1:]]
    passes = [(row["reg"], row["iteration"], row["n_passes"]) for row in run.read_trace()]
    return b"".join(part.tobytes() for part in parts), passes


def children(process):
    """Return the ranks that a torchrun has started, in order."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    return sorted(int(pid) for pid in found.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_a_run_on_several_ranks_is_the_run_of_one(loss, source, tmp_path):
    command = [sys.executable, "-m", "straightedge", "fit", str(source), "--out", str(tmp_path / "one")]
    settings = ["--regs", "1e-1,1e-2", "--loss", loss, "--tol", "1e-7"]
    subprocess.run([*command, "--json", "--no-suspects", *settings], check=True, capture_output=True)
    out, _ = finish(start(2, source, tmp_path / "two", *settings))
    result = json.loads(out)  # one rank has spoken, in JSON alone
    one = RunFolder.open(tmp_path / "one").metrics
    assert result["status"] == "certified" and result["selection"] == one["selection"] | {
        "path_seconds": result["selection"]["path_seconds"]
    }
    assert result["objective"] == pytest.approx(one["objective"], rel=1e-6)
    assert result["validation"]["accuracy"] == pytest.approx(one["validation"]["accuracy"], abs=0.03)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "one").iterdir()
    }


@pytest.mark.slow
def test_a_mistake_is_told_once_and_ends_every_rank(source, tmp_path):
    _, words = finish(start(2, source, tmp_path / "run", "--loss", "no_such_loss", restarts=0), status=1)
    assert words.count("[loss-unknown]") == 1 and words.count("error: ") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "regs", "victim"),
    [("softmax", "1e-1,1e-3,1e-5", 0), ("softmax", "1e-1,1e-3,1e-5", 3), ("svm", "1e-1,1e-2", 2)],
)
def test_a_killed_rank_costs_nothing_that_was_saved(loss, regs, victim, source, tmp_path):
    settings = [
        "--loss",
        loss,
        "--regs",
        regs,
        "--tol",
        "1e-8" if loss == "softmax" else "1e-5",
        "--checkpoint-every",
        "1e-9",
    ]
    finish(start(4, source, tmp_path / "calm", *settings))
    process = start(4, source, tmp_path / "killed", *settings)
    waiting = time.monotonic() + 120
    while not list(tmp_path.glob(".killed*/checkpoint.safetensors")):
        assert time.monotonic() < waiting and process.poll() is None
        time.sleep(0.002)
    time.sleep(0.05)
    killed = datetime.now(UTC)
    os.kill(children(process)[victim], signal.SIGKILL)
    _, words = finish(process)
    assert "exitcode: -9" in words
    assert not (tmp_path / "killed" / "checkpoint.safetensors").exists()
    (W, passes), (same, once) = answer(tmp_path / "calm"), answer(tmp_path / "killed")
    assert same == W
    assert once == passes  # every pass of the undisturbed run, none of them twice
    created = datetime.fromisoformat(RunFolder.open(tmp_path / "killed").config["created"])
    assert created <= killed  # the run of the first ranks went on, it was not begun anew


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_twenty_runs_that_were_stopped_end_as_the_undisturbed_one(n, source, tmp_path):
    settings = ["--regs", "1e-1,1e-3,1e-5", "--tol", "1e-8", "--checkpoint-every", "1e-9"]
    finish(start(n, source, tmp_path / "calm", *settings))
    expected = answer(tmp_path / "calm")
    moments = random.Random(n)
    met = Counter()
    for attempt in range(20):
        out = tmp_path / f"run {attempt}"
        process = start(n, source, out, *settings)
        stood = stopped(process, out, moments.uniform(0, 0.6), every_process=attempt % 2 == 0)
        met[stood] += 1
        if stood != "ended":
            finish(launch(n, "--resume", out))
        assert answer(out) == expected, f"try {attempt}, {stood}"
        left = {path.name for path in tmp_path.iterdir() if "lock" not in path.name}
        assert left == {"calm", *(f"run {done}" for done in range(attempt + 1))}, left
    assert met["resumed"] >= 15, met


def stopped(process, out, after, every_process):
    """Stop a run some seconds after its first checkpoint; return whether it had ended before.

    Every process is killed at once, or the launcher alone is asked to end, as a scheduler does.
    """
    partial = out.with_name(f".{out.name}.partial")
    waiting = time.monotonic() + 120
    while not (partial / "checkpoint.safetensors").exists():
        assert time.monotonic() < waiting and process.poll() is None
        time.sleep(0.002)
    time.sleep(after)
    if every_process:
        for pid in [process.pid, *children(process)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    else:
        process.terminate()
    process.communicate(timeout=120)
    return "ended" if out.exists() else "resumed"


def _link_of_hosts():
    """Make two network namespaces with a wire between them; return their names, or None where that cannot be."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return None
    tag = uuid.uuid4().hex[:6]
    names, ends = [f"host-a-{tag}", f"host-b-{tag}"], [f"va{tag}", f"vb{tag}"]
    commands = [["netns", "add", name] for name in names]
    commands += [["link", "add", ends[0], "type", "veth", "peer", "name", ends[1]]]
    for name, end, address in zip(names, ends, ADDRESSES, strict=True):
        inside = ["-n", name]
        commands += [["link", "set", end, "netns", name], [*inside, "addr", "add", f"{address}/24", "dev", end]]
        commands += [[*inside, "link", "set", end, "up"], [*inside, "link", "set", "lo", "up"]]
    for command in commands:
        if subprocess.run(["ip", *command], capture_output=True, check=False).returncode != 0:
            _remove(names)
            return None
    return names, ends


def _remove(names):
    for name in names:  # the wire goes with its ends
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


ADDRESSES = ("10.203.71.1", "10.203.71.2")


@pytest.mark.slow
def test_two_hosts_with_their_own_addresses_are_as_one(tmp_path):
    hosts = _link_of_hosts()
    if hosts is None:
        pytest.skip("no network namespaces here (root and iproute2 make them)")
    names, ends = hosts
    try:
        port = rank_runner.free_port()
        processes = [
            rank_runner.start(
                "fits",
                4,
                tmp_path,
                ranks=[2 * host, 2 * host + 1],
                prefix=["ip", "netns", "exec", name],
                port=port,
                address=ADDRESSES[0],
                GLOO_SOCKET_IFNAME=end,
            )
            for host, (name, end) in enumerate(zip(names, ends, strict=True))
        ]
        processes[1].wait(150)
        ranks = rank_runner.finish(processes[0], 4, tmp_path)
    finally:
        _remove(names)
    assert [rank["status"] for rank in ranks] == [0] * 4, ranks[0]["stderr"] + ranks[2]["stderr"]
    alone = rank_work.fits(local())
    for case, one in alone.items():
        for rank in ranks:
            assert set(rank[case]["status"]) == {"certified"}
            assert rank[case]["bits"] == ranks[0][case]["bits"]
        assert ranks[3][case]["objective"] == pytest.approx(one["objective"], rel=1e-7)
        assert np.abs(np.subtract(ranks[3][case]["W"], one["W"])).max() < 1e-5
