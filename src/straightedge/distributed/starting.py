"""Which rank is this: read from the environment that torchrun (or Slurm's, or one's own script) sets."""

import atexit
import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch

from straightedge.distributed.base import Communicator, local
from straightedge.distributed.ranks import TorchCommunicator
from straightedge.errors import InputError, MachineError

TIMEOUT = 1800.0  # seconds a rank waits for the others: the slowest of them may be reading from disk
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_started: dict[str, TorchCommunicator] = {}


@dataclass(frozen=True)
class Place:
    """Where this process stands among the ranks.

    Attributes:
        rank, size: Among all.
        local_rank, local_size: On this host.
        address, port: Of the store that ranks meet at.
        attempt: How often torchrun has restarted the ranks.
        agent_store: Whether torchrun's agent holds the store (it outlives the ranks).
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    attempt: int
    agent_store: bool


def current(device: str | None = None) -> Communicator:
    """Return the communicator of this process: of one, or of the ranks that torchrun started.

    Args:
        device: Where products run; on "cuda" sums go through nccl where every rank of the host has a GPU.

    Raises:
        InputError: ``ranks-invalid`` for an environment that makes no sense.
        MachineError: ``ranks-missing`` when the others do not come.
    """
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        if "group" not in _started:
            _started["group"] = TorchCommunicator(local_rank=int(os.environ.get("LOCAL_RANK", "0")))
        return _started["group"]
    place = read_place()
    if place is None:
        return local()
    _started["group"] = _start(place, device)
    return _started["group"]


def restarts() -> int:
    """Return how often torchrun has started these ranks again after losing one."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") or 0)


def own_device(device: str | None) -> str | None:
    """Return this rank's device: of several GPUs on a host each rank takes its own."""
    if device != "cuda" or read_place() is None:
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % max(1, torch.cuda.device_count())}"


def read_place() -> Place | None:
    """Return this process's place, or None where it is alone.

    Raises:
        InputError: ``ranks-invalid``.
    """
    if int(_number("WORLD_SIZE", "1")) == 1:
        return None
    missing = [name for name in NEEDED if name not in os.environ]
    if missing:
        what = f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and {', '.join(missing)} not set"
        mend = "start ranks with torchrun, which sets them, or unset WORLD_SIZE"
        raise InputError("ranks-invalid", what, mend=mend)
    rank, size = _number("RANK", "0"), _number("WORLD_SIZE", "1")
    if not 0 <= rank < size:
        raise InputError("ranks-invalid", f"RANK is {rank} and WORLD_SIZE {size}", mend="0 ≤ RANK < WORLD_SIZE")
    return Place(
        rank,
        size,
        _number("LOCAL_RANK", "0"),
        _number("LOCAL_WORLD_SIZE", str(size)),
        os.environ["MASTER_ADDR"],
        _number("MASTER_PORT", "0"),
        restarts(),
        os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    try:
        return int(text)
    except ValueError as error:
        raise InputError("ranks-invalid", f"{name} is {text!r}", mend="give an integer") from error


def _start(place: Place, device: str | None) -> TorchCommunicator:
    dist: Any = import_module("torch.distributed")
    wait = timedelta(seconds=float(os.environ.get("STRAIGHTEDGE_RANK_TIMEOUT", TIMEOUT)))
    holds = place.rank == 0 and not place.agent_store
    try:
        store = dist.TCPStore(
            place.address, place.port, place.size, is_master=holds, timeout=wait, wait_for_workers=False
        )
        launch = store.compare_set("straightedge/launch", "", uuid.uuid4().hex).decode()
        store = dist.PrefixStore(f"straightedge/{place.attempt}", store)
        backend = _backend(place, device)
        dist.init_process_group(
            backend, store=dist.PrefixStore("group", store), rank=place.rank, world_size=place.size, timeout=wait
        )
        communicator = TorchCommunicator(dist.PrefixStore("words", store), place.local_rank, holds, launch)
        communicator.barrier()
    except (RuntimeError, ValueError, OSError) as error:
        what = f"the {place.size} ranks did not come together: {str(error).strip().splitlines()[0]}"
        mend = "see that every rank was started and that the hosts reach each other (GLOO_SOCKET_IFNAME)"
        where = f"rank {place.rank}, store at {place.address}:{place.port}"
        raise MachineError("ranks-missing", what, where, mend) from error
    atexit.register(communicator.close)
    return communicator


def _backend(place: Place, device: str | None) -> str:
    """Return nccl where each rank has a GPU of its own, else gloo; that there is none is said later, by all."""
    count = torch.cuda.device_count()
    if device is None or not device.startswith("cuda") or not count:
        return "gloo"
    torch.cuda.set_device(place.local_rank % count)
    return "cpu:gloo,cuda:nccl" if place.local_size <= count else "cpu:gloo,cuda:gloo"
