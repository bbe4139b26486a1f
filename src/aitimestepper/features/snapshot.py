"""A state as the features see it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Snapshot(NamedTuple):
    """Bodies, their acceleration and the step that led to them, with any leading batch dimensions.

    Attributes:
        mass: (..., N).
        position: (..., N, D).
        velocity: (..., N, D).
        acceleration: (..., N, D).
        dt: (...), the step that ended in this state.
    """

    mass: Tensor
    position: Tensor
    velocity: Tensor
    acceleration: Tensor
    dt: Tensor

    def detached(self) -> Snapshot:
        """The same values, cut from the graph."""
        return Snapshot(*(tensor.detach() for tensor in self))

    def zeroed(self) -> Snapshot:
        """The state that stands for one not known: everything zero but the masses."""
        mass, *rest = self
        return Snapshot(mass.detach(), *(torch.zeros_like(tensor, requires_grad=False) for tensor in rest))

    def is_zero(self) -> Tensor:
        """(...): whether it stands for a state that is not known; see `zeroed`."""
        moved = self.position.flatten(-2).any(-1) | self.velocity.flatten(-2).any(-1)
        return ~moved & (self.dt == 0)

    def at(self, index: Tensor | int) -> Snapshot:
        """The systems of a batch at `index`: (S,) gives a batch of S, an int one system."""
        return Snapshot(*(tensor[index] for tensor in self))


def in_centre_of_mass_frame(state: Snapshot) -> tuple[Tensor, Tensor]:
    """Position and velocity (..., N, D) relative to the centre of mass."""
    weight = (state.mass / state.mass.sum(-1, keepdim=True))[..., None]
    return (
        state.position - (weight * state.position).sum(-2, keepdim=True),
        state.velocity - (weight * state.velocity).sum(-2, keepdim=True),
    )
