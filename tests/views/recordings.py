"""Recordings of motions that are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aitimestepper import Recording
from aitimestepper.recordings.parts import Frames, RunInfo, Summary
from aitimestepper.systems.conserved import angular_momentum

SUMMARY: dict[str, Any] = {
    "steps": 9,
    "force_evaluations": 10,
    "rejected_steps": 0,
    "time": 1.0,
    "energy_initial": -1.0,
    "energy_final": -1.0,
    "energy_error_max": 2e-7,
    "energy_error_final": 1e-8,
    "momentum_residual": 0.0,
    "angular_momentum_residual": 0.0,
    "wall_seconds": 0.1,
    "outcome": "finished",
}


def recorded(
    time: np.ndarray, where: Callable[[np.ndarray], np.ndarray], speed: Callable[[np.ndarray], np.ndarray], **about: Any
) -> Recording:
    """Bodies at `where(time)` (S, N, D) with velocities `speed(time)`; `about` is for the info and the summary."""
    position, velocity = where(time), speed(time)
    mass = about.pop("mass", np.ones(position.shape[1]))
    summary = Summary(**SUMMARY | {key: about.pop(key) for key in list(about) if key in Summary.__dataclass_fields__})
    energy = -1.0 + 1e-9 * np.arange(len(time))
    dt = np.diff(time, prepend=time[0])
    spin, errors = angular_momentum(mass, position, velocity), np.abs(energy - energy[0])
    frames = Frames(time, dt, position, velocity, energy, spin, dt_min=dt, dt_max=dt, error_max=errors)
    return Recording.of(RunInfo(mass, **about), frames, summary)


def circling(time: np.ndarray, n_dims: int = 2, n_bodies: int = 2, **about: Any) -> Recording:
    """Bodies evenly on the unit circle, which turn by one radian in the unit of time."""
    phases = 2 * np.pi * np.arange(n_bodies) / n_bodies

    def on_circle(times: np.ndarray, quarter: float) -> np.ndarray:
        angle = times[:, None] + phases + quarter
        vectors = np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=-1)
        return vectors[..., :n_dims]

    return recorded(time, lambda t: on_circle(t, 0.0), lambda t: on_circle(t, 0.5 * np.pi), **about)


def drifting(time: np.ndarray, **about: Any) -> Recording:
    """One body that goes from (-1, 0) to (1, 0) with one speed, and one at rest far above it."""

    def where(times: np.ndarray) -> np.ndarray:
        s = (times - times[0]) / (times[-1] - times[0])
        moving = np.stack([2 * s - 1, 0 * s], axis=-1)
        return np.stack([moving, np.tile([0.0, 1.0], (len(times), 1))], axis=1)

    def speed(times: np.ndarray) -> np.ndarray:
        velocity = np.zeros((len(times), 2, 2))
        velocity[:, 0, 0] = 2.0 / (times[-1] - times[0])
        return velocity

    return recorded(time, where, speed, **about)
