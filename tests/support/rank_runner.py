"""Starts ranks as torchrun would, each a process of its own, and gathers what they leave."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

WORK = Path(__file__).with_name("rank_work.py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(size, port, address="127.0.0.1", **more):
    own = {
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
        "STRAIGHTEDGE_RANK_TIMEOUT": 60,
        **more,
    }
    return os.environ | {name: str(value) for name, value in own.items()}


def start(name, size, folder, ranks=None, prefix=(), port=None, **more):
    """Start ranks of a piece of `rank_work`, all or some of them; ``prefix`` goes before the command."""
    ranks = range(size) if ranks is None else ranks
    command = [*prefix, sys.executable, str(WORK), name, str(folder), *map(str, ranks)]
    return subprocess.Popen(command, env=environment(size, port or free_port(), **more))


def finish(process, size, folder, timeout=120):
    """Wait for the ranks; return what each left as JSON, with its exit status and last words."""
    try:
        process.wait(timeout)
    finally:
        process.kill()
    out = []
    for rank in range(size):
        left, status, stderr = (Path(folder) / f"{rank}.{kind}" for kind in ("json", "status", "err"))
        facts = json.loads(left.read_text()) if left.exists() else {}
        words = stderr.read_text() if stderr.exists() else ""
        out.append({"status": int(status.read_text()) if status.exists() else None, "stderr": words, **facts})
    return out


def run(name, size, folder, **more):
    return finish(start(name, size, folder, **more), size, folder)
