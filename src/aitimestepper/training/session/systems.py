"""From a configuration to the torch objects that training and simulation share: bodies, external field, device."""

from __future__ import annotations

import os

import numpy as np
import torch

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.tides import PointMassTidalField
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.clusters import random_system
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import sample_orbits
from aitimestepper.training.steps import ranks


def particle_of(
    system: InitialConditions,
    config: Config,
    field: PointMassTidalField | None,
    device: torch.device | str | None = None,
) -> ParticleTorch:
    """Initial conditions as a `ParticleTorch` under the law that the configuration describes."""
    return ParticleTorch(
        system.mass,
        system.position,
        system.velocity,
        softening=config.softening,
        current_time=system.time,
        period=system.period,
        external_field=field,
        G=config.G,
        dtype=getattr(torch, config.dtype),
        device=device,
    )


def external_field(config: Config) -> PointMassTidalField | None:
    """The tide that the configuration asks for, or None."""
    if config.external_field_mass is None:
        return None
    return PointMassTidalField(config.external_field_mass, config.external_field_position, G=config.G)


def torch_device(config: Config) -> torch.device:
    """The device that the configuration asks for; auto takes CUDA where it is, else the CPU.

    Of the processes that `torchrun` starts on one machine, each takes a GPU of its own with auto.

    Raises:
        InputError: it is not there.
    """
    if config.device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    device = torch.device(config.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device = {config.device} asks for CUDA, and torch sees none here; use device = cpu")
    if device.type == "mps" and (not torch.backends.mps.is_available() or config.dtype == "float64"):
        raise InputError("device = mps needs an Apple GPU and dtype = float32; use device = cpu")
    return device


def drawn_systems(config: Config) -> list[InitialConditions]:
    """The system that `ic` names, or drawn ones: orbits of two bodies, random systems of more."""
    if config.ic is not None:
        system = initial_conditions(config.ic, G=config.G, softening=config.given("softening"), seed=config.seed)
        if system.is_free:
            raise InputError("a training needs two bodies that attract each other")
        return [system]
    rng = np.random.default_rng(ranks.seed_of(config.seed))
    if config.num_particles == 2:
        return sample_orbits(
            rng,
            count=config.num_orbits,
            e_range=(config.e_min, config.e_max),
            a_range=(config.a_min, config.a_max),
            dim=config.dim,
            G=config.G,
        )
    return [
        random_system(rng, n_bodies=config.num_particles, dim=config.dim, G=config.G) for _ in range(config.num_orbits)
    ]
