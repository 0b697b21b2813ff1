"""The communicator of torch.distributed: gloo between CPUs, nccl between GPUs.

Only collectives on plain tensors are used. torch's object collectives go through pickle, which runs whatever a
peer sends; here objects travel as JSON text.

Numerics:
    gloo and nccl reduce each piece of a tensor in one order and hand the result around, so every rank holds
    the same bits. Which order depends on the number of ranks alone.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from straightedge.distributed.base import Communicator, Traffic
from straightedge.distributed.failures import SHARED, described, is_shared, rebuilt
from straightedge.errors import MachineError, StraightedgeError

FAILURE = "failure"  # key under which a rank that ends leaves its error
FAREWELL = 3.0  # seconds that the rank with the store waits for the others to have read it


class TorchCommunicator(Communicator):
    """Sums over the ranks of torch's default process group, which must be up.

    Args:
        store: Where ranks leave a last word for each other; None leaves none.
        local_rank: Index of this process on its host.
        holds_store: Whether the store lives in this process.
        launch: See `Communicator`.

    Raises:
        MachineError: Every method: ``rank-lost`` when another rank is gone, ``ranks-timeout`` when it does not
            answer, or the very error that ended it.
    """

    def __init__(self, store: Any = None, local_rank: int = 0, holds_store: bool = False, launch: str = "") -> None:
        import torch.distributed as dist

        self._dist = dist
        self.rank, self.size, self.local_rank = dist.get_rank(), dist.get_world_size(), local_rank
        self.traffic, self.launch = Traffic(), launch
        self._store, self._holds_store = store, holds_store

    def all_reduce(self, value: Tensor) -> Tensor:
        """See `Communicator.all_reduce`."""
        out = value.detach().clone(memory_format=torch.contiguous_format)
        self._call(lambda: self._dist.all_reduce(out), out)
        return out

    def all_reduce_max(self, value: Tensor) -> Tensor:
        """See `Communicator.all_reduce_max`."""
        out = value.detach().clone(memory_format=torch.contiguous_format)
        self._call(lambda: self._dist.all_reduce(out, op=self._dist.ReduceOp.MAX), out)
        return out

    def gather_rows(self, value: Tensor) -> Tensor:
        """See `Communicator.gather_rows`."""
        counts = torch.zeros(self.size, dtype=torch.int64)
        counts[self.rank] = len(value)
        counts = self.all_reduce(counts)
        padded = value.new_zeros((int(counts.max()), *value.shape[1:]))
        padded[: len(value)] = value
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        self._call(lambda: self._dist.all_gather(parts, padded), padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts.tolist(), strict=True)])

    def broadcast_object(self, value: Any, source: int = 0) -> Any:
        """See `Communicator.broadcast_object`."""
        text = json.dumps(value).encode() if self.rank == source else b""
        length = self._broadcast(torch.tensor([len(text)], dtype=torch.int64), source)
        data = torch.empty(int(length), dtype=torch.uint8)
        if self.rank == source:
            data = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        return json.loads(self._broadcast(data, source).numpy().tobytes())

    def broadcast_tensors(self, value: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """See `Communicator.broadcast_tensors`."""
        own = value or {}
        facts = [[name, str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in own.items()]
        out = {}
        for name, dtype, shape in self.broadcast_object(facts):
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            if self.rank == 0:
                tensor = own[name].detach().cpu().contiguous()
            out[name] = self._broadcast(tensor, 0)
        return out

    def barrier(self) -> None:
        """See `Communicator.barrier`."""
        self.all_reduce(torch.zeros(1))

    def fail(self, error: BaseException) -> None:
        """See `Communicator.fail`."""
        if self._store is not None and not is_shared(error):
            facts = json.dumps(described(error, self.rank))
            with suppress(Exception):  # the store may be what is gone
                self._store.compare_set(FAILURE, "", facts)
                self._store.set(f"{FAILURE}/{self.rank}", facts)
        self.close()
        if self.rank != 0 and not is_shared(error) and self._is_of_the_first(error):
            error.add_note(SHARED)
        if self._holds_store and not is_shared(error):
            self._wait_for_readers()

    def close(self) -> None:
        """Let go of the other ranks."""
        with suppress(Exception):
            if self._dist.is_initialized():
                self._dist.destroy_process_group()

    # ---------------------------------------------------------------- helpers

    def _broadcast(self, value: Tensor, source: int) -> Tensor:
        if value.numel():
            self._call(lambda: self._dist.broadcast(value, source), value)
        return value

    def _call(self, work: Callable[[], Any], value: Tensor) -> None:
        began = time.perf_counter()
        try:
            work()
            if value.device.type == "cuda":  # else the wait would show up in whatever reads the sum
                torch.cuda.current_stream(value.device).synchronize()
        except (RuntimeError, ValueError) as error:
            raise self._lost(error) from error
        finally:
            self.traffic.calls += 1
            self.traffic.n_bytes += value.numel() * value.element_size()
            self.traffic.seconds += time.perf_counter() - began

    def _lost(self, error: Exception) -> StraightedgeError:
        """Return why a collective failed: what the rank that ended said, or what can be seen from here."""
        told = self._last_words()
        if told is not None:
            return rebuilt(told)
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "timed out" in text.lower() or "timeout" in text.lower():
            what = "another rank did not answer"
            mend = "see whether it still runs; STRAIGHTEDGE_RANK_TIMEOUT gives the seconds to wait"
            return MachineError("ranks-timeout", what, f"rank {self.rank} of {self.size}: {text}", mend)
        mend = "go on from the last checkpoint with --resume; torchrun --max-restarts does so by itself"
        return MachineError("rank-lost", "another rank is gone", f"rank {self.rank} of {self.size}: {text}", mend)

    def _last_words(self) -> dict[str, Any] | None:
        if self._store is None:
            return None
        try:
            if not self._store.check([FAILURE]):
                return None
            facts: dict[str, Any] = json.loads(self._store.get(FAILURE))
            self._store.add("read", 1)
            return facts
        except Exception:  # the store's host is what is gone
            return None

    def _is_of_the_first(self, error: BaseException) -> bool:
        """Whether rank 0 ends with the same error (each meets a wrong argument by itself)."""
        try:
            self._store.wait([f"{FAILURE}/0"], timedelta(seconds=1))
            first = json.loads(self._store.get(f"{FAILURE}/0"))
            self._store.add("read", 1)
            own = described(error, self.rank)
            return bool(first["code"] == own["code"] and first["what"] == own["what"])
        except Exception:  # no store, or rank 0 is well
            return False

    def _wait_for_readers(self) -> None:
        deadline = time.monotonic() + FAREWELL
        with suppress(Exception):
            self._store.set_timeout(timedelta(seconds=FAREWELL))
            while self._store.add("read", 0) < self.size - 1 and time.monotonic() < deadline:
                time.sleep(0.05)
