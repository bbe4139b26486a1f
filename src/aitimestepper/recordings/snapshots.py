"""REBOUND archives as recordings: a frame for each snapshot, to be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.errors import InitialConditionsError, InputError
from aitimestepper.recordings.parts import Frames, RunInfo, Summary
from aitimestepper.recordings.recording import Recording
from aitimestepper.systems.archives import Snapshots, read_snapshots
from aitimestepper.systems.conserved import angular_momentum, angular_momentum_scale, energies
from aitimestepper.systems.initial import InitialConditions

OUTCOME = "states of a REBOUND archive; errors are those of the states alone, and steps and cost are not known"


def recording_of_archive(path: Path) -> Recording:
    """The snapshots of a REBOUND archive as a recording, in the frame of the centre of mass.

    Steps are not known: they are NaN. Energies are those of point masses.

    Raises:
        InputError: it cannot be read, is of more than point masses, or not of the same bodies throughout.
    """
    try:
        found = read_snapshots(path)
        first = InitialConditions(found.mass, found.position[0], found.velocity[0], softening=found.softening)
    except (OSError, InitialConditionsError) as error:
        raise InputError(f"cannot show {path}: {error}") from None
    frames, momentum = _frames(found, first)
    energy, kinetic = energies(found.mass, frames.position, frames.velocity, G=found.G, softening=found.softening)
    scale = float(energy_scale(kinetic[0], energy[0]))
    errors = np.abs(energy - energy[0]) / scale
    spin, worst = frames.angular_momentum, int(errors.argmax())
    levers = angular_momentum_scale(found.mass, frames.position, frames.velocity).max() or 1.0
    info = RunInfo(
        mass=found.mass,
        names=found.names,
        G=found.G,
        softening=found.softening,
        energy_scale=scale,
        note=f"from the REBOUND archive {path.name}",
        units=found.units,
        settings={"ic": path.name, "integrator": f"{found.integrator} of REBOUND"},
    )
    summary = Summary(
        steps=found.steps,
        force_evaluations=0,
        rejected_steps=0,
        time=float(found.time[-1]),
        energy_initial=float(energy[0]),
        energy_final=float(energy[-1]),
        energy_error_max=float(errors[worst]),
        energy_error_final=float(errors[-1]),
        momentum_residual=momentum,
        angular_momentum_residual=float(np.abs(spin - spin[0]).reshape(len(spin), -1).max() / levers),
        wall_seconds=found.wall_seconds,
        outcome=OUTCOME,
        energy_error_max_time=float(found.time[worst]),
    )
    return Recording.of(info, frames._replace(energy=energy, error_max=errors), summary)


def _frames(found: Snapshots, first: InitialConditions) -> tuple[Frames, float]:
    """The states about the centre of mass of the first one, in the plane if all are; and how far momentum strays."""
    time, mass = found.time, found.mass
    place, velocity = found.position[0, 0] - first.position[0], found.velocity[0, 0] - first.velocity[0]
    positions = found.position - place - velocity * (time - time[0])[:, None, None]
    velocities = found.velocity - velocity
    if not positions[..., 2].any() and not velocities[..., 2].any():
        positions, velocities = positions[..., :2], velocities[..., :2]
    unknown: Floats = np.full(len(time), np.nan)
    unknown[0] = 0.0
    total = np.einsum("n,snd->sd", mass, velocities)
    sizes = (np.linalg.norm(velocities, axis=-1) @ mass).max() or 1.0
    frames = Frames(
        time=time,
        dt=unknown,
        position=positions,
        velocity=velocities,
        energy=np.zeros(len(time)),
        angular_momentum=angular_momentum(mass, positions, velocities),
        dt_min=unknown,
        dt_max=unknown,
        error_max=np.zeros(len(time)),
    )
    return frames, float(np.linalg.norm(total - total[0], axis=-1).max() / sizes)
