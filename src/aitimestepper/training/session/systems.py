"""From a configuration to the torch objects that training and simulation share: bodies, external field, device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.tides import PointMassTidalField
from aitimestepper.systems.catalogue import prepared
from aitimestepper.systems.clusters import random_system
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import sample_orbits
from aitimestepper.systems.sets import check_alike, is_set, systems_named
from aitimestepper.training.steps import ranks

Systems = InitialConditions | str | os.PathLike[str] | Sequence[InitialConditions | str | os.PathLike[str]] | None
"""What a training can be given: bodies, a name, a file or a folder, or several of them."""


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


def is_own(config: Config) -> bool:
    """Whether a training is on systems that are named, rather than drawn."""
    return config.ic is not None or bool(config.systems)


def asked_systems(config: Config) -> list[InitialConditions]:
    """The systems that `ic` or `systems` names, or drawn ones: orbits of two bodies, random systems of more.

    Raises:
        InitialConditionsError: they cannot be had, or not be trained on together.
    """
    if not is_own(config):
        return drawn_systems(config, np.random.default_rng(ranks.seed_of(config.seed)), config.num_orbits)
    specs = config.systems or (config.ic or "",)
    found = systems_named(specs, G=config.G, softening=config.given("softening"), seed=config.seed)
    check_alike(found)
    return found


def passed_systems(systems: Systems, config: Config, run_dir: Path) -> tuple[list[InitialConditions] | None, Config]:
    """Bodies that were passed to `train`, None where they are named or drawn, and the configuration that says so.

    Of bodies that were passed it names the run directory, in which they are kept.

    Raises:
        InputError: some are bodies and others names, or they are named twice.
        InitialConditionsError: they cannot be trained on together.
    """
    if systems is None:
        return None, config
    if is_own(config):
        raise InputError("the systems are given twice: leave out ic and systems, or what was passed")
    given = [systems] if isinstance(systems, InitialConditions | str | os.PathLike) else list(systems)
    bodies = [system for system in given if isinstance(system, InitialConditions)]
    if bodies and len(bodies) == len(given):
        bodies = [prepared(system, G=config.G, softening=config.given("softening")) for system in bodies]
        check_alike(bodies)
        return bodies, config.replace(systems=(str(run_dir),))
    if bodies or not given:
        raise InputError("the systems of a training are one or more, all of them bodies, or all of them names")
    names = [os.fspath(system) for system in given if not isinstance(system, InitialConditions)]
    one = len(names) == 1 and not is_set(names[0])
    return None, config.replace(ic=names[0]) if one else config.replace(systems=tuple(names))


def drawn_systems(config: Config, rng: np.random.Generator, count: int) -> list[InitialConditions]:
    """Orbits of two bodies, or random systems of more, as a configuration describes them."""
    if config.num_particles == 2:
        return sample_orbits(
            rng,
            count=count,
            e_range=(config.e_min, config.e_max),
            a_range=(config.a_min, config.a_max),
            dim=config.dim,
            G=config.G,
        )
    return [random_system(rng, n_bodies=config.num_particles, dim=config.dim, G=config.G) for _ in range(count)]
