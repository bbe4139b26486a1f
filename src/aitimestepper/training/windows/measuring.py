"""Windows of many steps, measured by the compiled engine; systems of many sizes in one batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.cores import available_cores
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, Method
from aitimestepper.engine.physics.law import law_of
from aitimestepper.engine.physics.omega import PAIR_NORM
from aitimestepper.engine.training.windows import ABSENT, Window, describe_all, roll_out
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.bodies import Bodies
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.calibrated import HEADS

States = tuple[Floats, Floats, Floats]
"""Masses (S, N), positions and velocities (S, N, 3)."""

_CHUNK = 16
"""Samples that a thread takes at a time: chosen; results do not depend on it, and 64 still fill four threads."""


def padded(systems: list[InitialConditions], n_bodies: int | None = None) -> States:
    """Masses (S, N), positions and velocities (S, N, 3) of systems with N bodies at most; the rest is absent."""
    n = n_bodies or max(system.n_bodies for system in systems)
    shape = (len(systems), n, 3)
    mass, position, velocity = np.zeros(shape[:2]), np.zeros(shape), np.zeros(shape)
    position[..., 0] = 1e10 * ABSENT * np.arange(1, n + 1)
    for s, system in enumerate(systems):
        own, dim = system.n_bodies, system.n_dims
        mass[s, :own], position[s, :own] = system.mass, 0.0
        position[s, :own, :dim], velocity[s, :own, :dim] = system.position, system.velocity
    return mass, position, velocity


def batch_of(systems: list[InitialConditions], n_bodies: int, config: Config) -> ParticleTorch:
    """A batch of systems of different sizes, each filled up with absent bodies to `n_bodies`."""
    mass, position, velocity = map(torch.from_numpy, padded(systems, n_bodies))
    return ParticleTorch.from_tensors(mass, position, velocity, G=config.G)


def arrays_of(state: ParticleTorch) -> States:
    """The bodies of a batch as arrays, which share its memory."""
    bodies = state.bodies
    return tuple(np.ascontiguousarray(tensor.numpy()) for tensor in (bodies.mass, bodies.position, bodies.velocity))  # type: ignore[return-value]


def particle_of(arrays: States, like: ParticleTorch) -> ParticleTorch:
    """The batch of arrays, with steps and times as in `like`."""
    bodies = Bodies(*map(torch.from_numpy, arrays))
    return like.with_state(bodies, like.dt, like.current_time, like.period, torch.zeros_like(bodies.position))


def traits_of(states: States, heads: Floats, config: Config) -> Floats:
    """(S, TRAITS): the descriptions of a batch.

    Args:
        states: S of them.
        heads: (S,), index of integrator and order in `HEADS`; light pairs have weights with `ttl` only.
        config: softening and G.
    """
    traits = np.zeros((len(heads), TRAITS))
    light_pairs = np.array([integrator == "ttl" for integrator, _ in HEADS])[heads]
    describe_all(traits, *states, law_of(config.G, config.softening), light_pairs)
    return traits


def measure_windows(states: States, factor: Floats, heads: Floats, tolerance: Floats, config: Config) -> Floats:
    """Roll a window out from each state, in place.

    Args:
        states: become those at the ends.
        factor: (S,), of the step that each state sets by itself, for a tolerance of 1.
        heads: (S,), index of integrator and order in `HEADS`.
        tolerance: (S,).
        config: length of the windows, most steps, softening and G.

    Returns:
        (S,): the larger of energy and position error, over what is allowed; infinite where it is not finite.
    """
    ratios = np.full(len(heads), np.inf)
    window, law = Window(2.0 * np.pi * config.window, config.n_steps), law_of(config.G, config.softening)

    def work(job: tuple[int, Any]) -> None:
        head, rows = job
        integrator, order = HEADS[head]
        method = Method(TTL if integrator == "ttl" else LEAPFROG, STAGES[order], PAIR_NORM)
        own = tuple(array[rows] for array in states)
        errors = np.full((len(rows), 2), np.inf)
        roll_out(*own, factor[rows], tolerance[rows], method, law, window, errors)
        for array, part in zip(states, own, strict=True):
            array[rows] = part
        ratios[rows] = errors.max(1)

    jobs = [
        (head, rows[begin : begin + _CHUNK])
        for head in range(len(HEADS))
        for rows in [np.flatnonzero(heads == head)]
        for begin in range(0, len(rows), _CHUNK)
    ]
    # Each sample by itself: the result does not depend on the number of threads.
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(work, jobs))
    return ratios
