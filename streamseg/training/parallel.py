"""Training in several processes through torch's DistributedDataParallel, one for each GPU or CPU core.

`torchrun` starts them, or `run_ranks` does: on a shared machine several single-threaded processes are much
faster than one with several threads. Those wait for each other after every operation, and each wait
lasts as long as another program's time slice.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

from streamseg.errors import ConfigError

__all__ = ["Place", "joined", "mean_over_ranks", "rank_of_environment", "run_ranks"]

PATIENCE = timedelta(hours=2)
"""How long ranks wait for the first one, which measures and saves."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one of the processes computes."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def bfloat16(self) -> bool:
        """Whether the device multiplies in bfloat16 by itself; where it does not, float32 is faster."""
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        # Older versions of torch do not say.
        known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))

    @property
    def orphaned(self) -> bool:
        """Whether the process that `run_ranks` was called in has been killed."""
        parent = multiprocessing.parent_process()
        return parent is not None and not parent.is_alive()

    @property
    def workers(self) -> int:
        """Processes that make batches: one feeds a CPU; a GPU takes what the machine has, up to four."""
        cores = max(1, (os.cpu_count() or 1) // self.ranks)
        return min(4, cores) if self.device.type == "cuda" else 1


def rank_of_environment() -> int:
    """This process's rank where `torchrun` started it; else 0."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: str = "auto") -> Iterator[Place]:
    """This process's place for the block; among others where `torchrun` started it.

    `device`: `cpu`, `cuda`, or `auto`: `cuda` where torch sees a GPU. Raises ConfigError.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    place = Place(_device(device), rank_of_environment(), ranks)
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)
    if ranks == 1:
        yield place
        return
    dist.init_process_group("nccl" if place.device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _device(wanted: str) -> torch.device:
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {wanted!r}: expected auto, cpu or cuda")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("device cuda: torch sees no GPU; use cpu")
    if there and wanted != "cpu":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def run_ranks(processes: int, work: Callable[[Place], None]) -> None:
    """Call `work(place)`, which must be picklable, in new single-threaded processes on the CPU; a failure in
    one ends all of them."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        start_processes(  # type: ignore[no-untyped-call]
            _rank, args=(processes, meeting, work), nprocs=processes, start_method="spawn"
        )


def _rank(rank: int, processes: int, meeting: str, work: Callable[[Place], None]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes, timeout=PATIENCE)
    try:
        work(Place(torch.device("cpu"), rank, processes))
    finally:
        dist.destroy_process_group()


def mean_over_ranks(value: float, place: Place) -> float:
    """`value` averaged over all ranks; itself when there is one."""
    if place.ranks == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=place.device)
    dist.all_reduce(shared)
    return float(shared) / place.ranks
