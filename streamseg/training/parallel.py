"""Training in several single-threaded processes that share gradients once an iteration.

On a shared machine this is much faster than one process with several threads: those wait for each other
after every operation, and each wait lasts as long as another program's time slice.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

__all__ = ["mean_over_ranks", "run_ranks", "share_gradients"]


def run_ranks(processes: int, work: Callable[[int], None]) -> None:
    """Call `work(rank)`, which must be picklable, in new processes; a failure in one ends all of them."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        start_processes(  # type: ignore[no-untyped-call]
            _rank, args=(processes, meeting, work), nprocs=processes, start_method="spawn"
        )


def _rank(rank: int, processes: int, meeting: str, work: Callable[[int], None]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    try:
        work(rank)
    finally:
        dist.destroy_process_group()


def mean_over_ranks(values: Tensor) -> Tensor:
    """`values` averaged over all ranks, in place; itself when there is one."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values


def share_gradients(model: nn.Module, elapsed_s: float) -> float:
    """Average all gradients, and the clock, over the ranks: a single exchange. Returns the common clock."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([elapsed_s])])
    *means, clock = torch.split(mean_over_ranks(flat), [*(g.numel() for g in gradients), 1])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view(gradient.shape))
    return float(clock)
