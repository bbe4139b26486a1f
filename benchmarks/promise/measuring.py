"""The runs of one drawn system: plain numbers, ready for JSON. Verdicts are noted, and never taken for the truth."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from drawn import Drawn, draw
from truth import Judge, circle, energy_errors, ias15, over_nearest, semi_major_axis

from aitimestepper import Config, Recording, SimulationError, simulate
from aitimestepper.systems.initial import InitialConditions

Entry = dict[str, Any]


class Plan(NamedTuple):
    """What a class is run with unless told, and the seconds of processor time after which a run does not end.

    The limits are ten times and more what such a run should take, so that it hardly matters how fast the machine is.
    """

    systems: int
    tolerances: tuple[float, ...]
    patience: float


PLANS = {
    "moons": Plan(180, (1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10), 20.0),
    "scattering": Plan(200, (1e-6, 1e-8, 1e-9, 1e-10, 1e-12), 5.0),
    "planets": Plan(12, (1e-3, 1e-9), 10.0),
    "rings": Plan(10, (1e-6,), 100.0),
    "clusters": Plan(9, (1e-6,), 300.0),
    "deep": Plan(6, (1e-9, 1e-11, 1e-12), 10.0),
    "regular": Plan(60, (1e-3, 1e-5, 1e-7, 1e-9), 20.0),
}


def measured(name: str, seed: int, number: int, tolerances: tuple[float, ...], large: bool = False) -> list[Entry]:
    """One entry for each tolerance: of system `number` of a class."""
    drawn, judge = _drawn(name, seed, number, large)
    return [_entry(name, drawn, judge, tolerance) | {"number": number} for tolerance in tolerances]


def _drawn(name: str, seed: int, number: int, large: bool) -> tuple[Drawn, Judge | None]:
    """A system and where it ends; a moon that does not stay bound in truth is drawn again."""
    if name not in ("moons", "planets", "regular"):
        return draw(name, seed, number, large=large), None
    attempt = 0
    while True:
        drawn = draw(name, seed, number, attempt)
        judge = ias15(drawn.system, drawn.duration)
        if name != "moons" or _axis_of_moon(drawn.system, judge.position, judge.velocity) > 0:
            return drawn, judge
        attempt += 1


def _axis_of_moon(system: InitialConditions, position: Any, velocity: Any) -> float:
    return semi_major_axis(float(system.mass[1]), position[2] - position[1], velocity[2] - velocity[1])


def _entry(name: str, drawn: Drawn, judge: Judge | None, tolerance: float) -> Entry:
    about: Entry = {"kind": drawn.kind, "duration": drawn.duration, "tolerance": tolerance}
    if drawn.n_light:
        about["n_light"] = drawn.n_light
    if name == "moons":
        about["leapfrog"] = _evaluations(drawn, tolerance, PLANS[name].patience, integrator="leapfrog")
    if name == "planets" and judge is not None:
        about["ias15"] = judge.evaluations
    try:
        recording = _run(drawn, tolerance, PLANS[name].patience)
    except (SimulationError, TimeoutError) as error:
        return about | {"failure": str(error)}
    return about | _numbers(recording) | _errors_of_positions(name, drawn, judge, recording)


def _run(drawn: Drawn, tolerance: float, patience: float, **keys: Any) -> Recording:
    """A run as a user makes it.

    Raises:
        SimulationError: it could not go on.
        TimeoutError: it took longer than its patience.
    """
    began = time.process_time()

    def watch(fraction: float) -> None:
        if time.process_time() - began > patience:
            raise TimeoutError(f"given up after {patience:g} s of processor time, {100.0 * fraction:.2g} % done")

    return simulate(
        config=Config(duration=drawn.duration, tolerance=tolerance, **keys), progress=watch, system=drawn.system
    )


def _evaluations(drawn: Drawn, tolerance: float, patience: float, **keys: Any) -> int | None:
    """Of a run, None if it does not end."""
    try:
        return int(_run(drawn, tolerance, patience, **keys).summary.force_evaluations)
    except (SimulationError, TimeoutError):
        return None


def _numbers(recording: Recording) -> Entry:
    """What every run has: energies by its states, and by its own account of the steps between them."""
    summary = recording.summary
    errors = energy_errors(recording.mass, recording.position, recording.velocity, recording.energy_scale)
    return {
        "evaluations": summary.force_evaluations,
        "steps": summary.steps,
        "energy": max(errors.largest, summary.energy_error_max),
        "energy_last": max(errors.last, summary.energy_error_final),
        "energy_states": errors.raw,
        "energy_verdict": summary.energy_verdict,
        "position_verdict": summary.position_verdict,
        "position_error_run": summary.position_error_run,
        "seconds": summary.wall_seconds,
    }


def _errors_of_positions(name: str, drawn: Drawn, judge: Judge | None, recording: Recording) -> Entry:
    """What a class knows of its orbits; lengths over the semi-major axis or the radius."""
    x, v = recording.position[-1], recording.velocity[-1]
    if name == "moons" and judge is not None:
        right, found = (_axis_of_moon(drawn.system, *state) for state in (judge[:2], (x, v)))
        apart = (x[2] - x[1]) - (judge.position[2] - judge.position[1])
        return {"axis_error": abs(found / right - 1.0), "position": float(np.linalg.norm(apart)) / drawn.axis}
    if name == "regular" and judge is not None:
        return {"position": over_nearest(recording.mass, x, judge.position)}
    if name == "deep":
        start = drawn.system.position
        apart = (x[1] - x[0]) - (start[1] - start[0])
        return {"position": float(np.linalg.norm(apart)) / drawn.axis}
    if drawn.kind == "ring":
        ends = circle(drawn.system, drawn.duration)[1:]
        off = np.linalg.norm(x[1:] - x[0] - ends, axis=1) / np.linalg.norm(ends, axis=1)
        return {"position": float(off.max())}
    return {}
