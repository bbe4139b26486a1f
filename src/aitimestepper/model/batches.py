"""Several systems as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.bodies import Bodies


def concatenate_particles(batches: Sequence[ParticleTorch]) -> ParticleTorch:
    """One batch of several, which share (N, D), softening, G and external field; accelerations come along."""
    joined = _joined(torch.cat, batches)
    joined.keep_acceleration(torch.cat([b.get_acceleration() for b in batches]))
    return joined


def stack_particles(particles: Sequence[ParticleTorch]) -> ParticleTorch:
    """A batch of single systems with equal numbers of bodies and dimensions, the same softening and field.

    Raises:
        InputError: there is none, or they differ in what a batch shares.
    """
    if not particles:
        raise InputError("stack_particles needs at least one system")
    first = particles[0]
    for other in particles[1:]:
        if other.position.shape != first.position.shape or other.law() != first.law():
            raise InputError("systems of a batch must share shape (N, D), softening, G and external field")
    stacked = _joined(torch.stack, particles)
    if all(p.has_acceleration for p in particles):
        stacked.keep_acceleration(torch.stack([p.get_acceleration() for p in particles]))
    return stacked


def _joined(join: Callable[[list[Tensor]], Tensor], particles: Sequence[ParticleTorch]) -> ParticleTorch:
    """Several states as one, under the law of the first."""

    def of(name: str) -> Tensor:
        return join([getattr(particle, name) for particle in particles])

    bodies = Bodies(of("mass"), of("position"), of("velocity"))
    return particles[0].like(bodies, of("dt"), of("current_time"), of("period"))
