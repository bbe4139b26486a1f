"""Data-parallel training: what the processes that `torchrun` has started tell each other.

Each has systems of its own and the same weights: gradients are summed, and whatever decides how a loop goes on is known
to all. In a single process everything here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn

T = TypeVar("T")

_SUMMED = frozenset({"total_steps", "warmup_discarded", "trajectory_length"})


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the other processes of `torchrun`, if there are any: by NCCL on GPUs, else by Gloo."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def _wire() -> torch.device:
    """Where numbers have to lie to be sent."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def total(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the arrays of all processes."""
    if count() == 1:
        return numbers
    sent = torch.from_numpy(numbers).to(_wire(), copy=True)
    dist.all_reduce(sent)
    return sent.cpu().numpy()


def everywhere(condition: bool) -> bool:
    """Whether it holds in all processes."""
    return bool(total(np.array([float(not condition)]))[0] == 0.0)


def least(number: int) -> int:
    """The least of the numbers of all processes."""
    return number if count() == 1 else min(gathered(number))


def sum_gradients(model: nn.Module) -> None:
    """Give every parameter the sum of its gradients in all processes; one without a gradient counts as zero."""
    if count() == 1:
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
    dist.all_reduce(flat)
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.reshape(parameter.shape)


def gathered(thing: T) -> list[T]:
    """What each process has, in their order."""
    things: list[Any] = [thing] * count()
    if count() > 1:
        dist.all_gather_object(things, thing)
    return things


def by_first(action: Callable[[], T]) -> T:
    """Let the first process do something: all get what comes of it, or the error."""
    if count() == 1:
        return action()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = action()
        except Exception as error:  # noqa: BLE001 - raised below, in every process
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


@torch.no_grad()
def share_weights(model: nn.Module) -> None:
    """Give every process the weights of the first."""
    if count() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def seed_of(seed: int) -> int | list[int]:
    """The seed of what is drawn in this process: the first has the one given, the others have their own."""
    return seed if rank() == 0 else [seed, rank()]


def combined(numbers: dict[str, float]) -> dict[str, float]:
    """The metrics of all processes as one: counts summed, extremes kept, the rest averaged."""
    parts = gathered(numbers)
    if len(parts) == 1:
        return numbers

    def together(key: str) -> float:
        values = [part[key] for part in parts]
        if key.startswith("max_"):
            return max(values)
        if key.startswith("min_"):
            return min(values)
        return sum(values) if key in _SUMMED else sum(values) / len(values)

    return {key: together(key) for key in numbers}
