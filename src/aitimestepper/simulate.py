"""`simulate`: from a configuration to a recording.

Everything that a user may have got wrong is found before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aitimestepper.config import Config
from aitimestepper.errors import InputError, SimulationError
from aitimestepper.names import TIMESTEPS, Timestep
from aitimestepper.recording import (
    FINISHED,
    UNFINISHED,
    ConservationTally,
    Counts,
    Frames,
    Recording,
    RunInfo,
    energy_scale,
)
from aitimestepper.storage import RecordingWriter, check_output
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions, check_apart

if TYPE_CHECKING:
    from aitimestepper.particle import ParticleTorch
    from aitimestepper.reference import Ended, Stepper

_TAKEN: dict[Timestep, tuple[str, ...]] = {"fixed": ("dt",), "free-fall": ("eta",), "learned": ("model", "tolerance")}
"""Settings that belong to a way of choosing steps: the first is needed, the others may be left out."""

_ENDS = ("duration", "periods", "steps")


def simulate(
    config: Config,
    progress: Callable[[float], None] | None = None,
    *,
    system: InitialConditions | None = None,
) -> Recording:
    """Simulate one system as the configuration says.

    Args:
        config: `timestep` with its own parameter and exactly one of `duration`, `periods` and `steps` are needed; the
            recording is written to `output`, if given, while the run goes on.
        progress: called several times a second with the part of the run that is done, 0 to 1.
        system: the bodies, in place of `config.ic`.

    Raises:
        InputError: the request cannot be carried out; nothing has been written.
        SimulationError: the run could not go on; carries what was reached, which is also in `output`.
    """
    system, end_time = check_request(config, system)
    particle = _particle(config, system)
    stepper = _stepper(config, particle)
    return _run(config, system, particle, stepper, end_time, progress)


def check_request(config: Config, system: InitialConditions | None = None) -> tuple[InitialConditions, float]:
    """The bodies and the time of the end, infinite if the run ends after a number of steps.

    Refuses whatever can be seen to be wrong before there is a model, so that a training can be spared.

    Raises:
        InputError: a setting is missing or would do nothing; bodies or output cannot be had.
    """
    _check_settings(config)
    if config.output is not None:
        check_output(config.output, config.overwrite)
    system = _system(config, system)
    place = config.external_field_position
    if place is not None and len(place) != system.n_dims:
        raise InputError(f"external_field_position needs {system.n_dims} numbers for this system, got {len(place)}")
    return system, _end_time(config, system)


def _check_settings(config: Config) -> None:
    if config.timestep is None:
        raise InputError(f"a simulation needs timestep: one of {', '.join(TIMESTEPS)}")
    taken = _TAKEN[config.timestep]
    if getattr(config, taken[0]) is None:
        raise InputError(f"timestep = {config.timestep} needs {taken[0]}, which is not set")
    for name in sorted({name for names in _TAKEN.values() for name in names} - set(taken)):
        if getattr(config, name) is not None:
            raise InputError(
                f"{name} = {getattr(config, name)} does nothing with timestep = {config.timestep}, which takes "
                f"{' and '.join(taken)}: leave it out"
            )
    given = [name for name in _ENDS if getattr(config, name) is not None]
    if len(given) != 1:
        raise InputError(f"a simulation needs exactly one of {', '.join(_ENDS)}, got {' and '.join(given) or 'none'}")


def _system(config: Config, system: InitialConditions | None) -> InitialConditions:
    if system is None and config.ic is None:
        raise InputError("a simulation needs initial conditions: set ic")
    if system is not None and config.ic is not None:
        raise InputError(f"bodies were passed, so ic = {config.ic!r} would do nothing: leave it out")
    if system is None:
        assert config.ic is not None
        return initial_conditions(config.ic, G=config.G, softening=config.softening, seed=config.seed)
    check_apart(system, config.softening)
    return system


def _end_time(config: Config, system: InitialConditions) -> float:
    if config.steps is not None:
        return math.inf
    duration = config.duration
    if config.periods is not None:
        if system.period == 0:
            raise InputError(
                f"periods = {config.periods:g} needs a system with an orbital period, and this one has none: "
                "set duration or steps instead"
            )
        duration = config.periods * system.period
    assert duration is not None
    if not system.time < system.time + duration < math.inf:
        raise InputError(f"a duration of {duration:g} cannot be told from 0 at the start time {system.time:g}")
    return system.time + duration


def _particle(config: Config, system: InitialConditions) -> ParticleTorch:
    from aitimestepper.setting import external_field, particle_of, torch_device

    # One system of few bodies is fastest on the CPU.
    device = "cpu" if config.device == "auto" else torch_device(config)
    return particle_of(system, config, external_field(config), device)


def _stepper(config: Config, particle: ParticleTorch) -> Stepper:
    from aitimestepper.reference import FixedStep, FreeFallStep, LearnedStep

    if config.timestep == "fixed":
        assert config.dt is not None
        return FixedStep(config.dt)
    if config.timestep == "free-fall":
        assert config.eta is not None
        return FreeFallStep(config.eta)
    from aitimestepper.checkpoint import load_stepper

    assert config.model is not None
    model, adapter, trained = load_stepper(config.model)
    # Pair times are those of the system at hand.
    adapter.config = trained.replace(G=config.G)
    return LearnedStep(model.to(particle.position), adapter, config.tolerance)


def _run(
    config: Config,
    system: InitialConditions,
    particle: ParticleTorch,
    stepper: Stepper,
    end_time: float,
    progress: Callable[[float], None] | None,
) -> Recording:
    from aitimestepper.reference import initial_frame, run_reference

    info = _info(config, system, particle)
    initial = initial_frame(particle, G=config.G)
    with _Recorder(info, initial, config.output, config.overwrite) as recorder:
        try:
            ended = run_reference(
                particle,
                stepper,
                recorder.add,
                G=config.G,
                end_time=end_time,
                steps=math.inf if config.steps is None else config.steps,
                progress=progress,
            )
        except KeyboardInterrupt:
            recorder.finish(recorder.counts, recorder.interruption())
            raise
        if ended.failure is None:
            return recorder.finish(ended.counts, FINISHED)
        recording = recorder.finish(ended.counts, recorder.stop_sentence(ended))
    raise SimulationError(recording)


def _info(config: Config, system: InitialConditions, particle: ParticleTorch) -> RunInfo:
    kinetic, total = float(particle.kinetic_energy()), float(particle.total_energy(config.G))
    if not math.isfinite(total):
        raise InputError(f"the initial energy is {total}: masses, places or velocities are too large or too close")
    return RunInfo(
        mass=system.mass,
        names=system.names,
        period=system.period,
        G=config.G,
        softening=config.softening,
        energy_scale=energy_scale(kinetic, total),
        note=system.note,
        settings=config.explicit(),
    )


class _Recorder:
    """Takes the frames of a run as they come: keeps them, follows the errors, writes the file."""

    def __init__(self, info: RunInfo, initial: Frames, output: str | None, overwrite: bool) -> None:
        self._info = info
        self._blocks = [initial]
        self._tally = ConservationTally(info, initial)
        self.counts = Counts(steps=0, force_evaluations=1, rejected_steps=0, wall_seconds=0.0)
        self._writer: RecordingWriter | None = None
        if output is not None:
            summary = self._tally.summary(self.counts, UNFINISHED)
            self._writer = RecordingWriter(Path(output), info, initial, summary, overwrite=overwrite)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, frames: Frames, counts: Counts) -> None:
        """Take the next frames."""
        self.counts = counts
        self._blocks.append(frames)
        self._tally.add(frames)
        if self._writer is not None:
            self._writer.append(frames, self._tally.summary(counts, UNFINISHED))

    def finish(self, counts: Counts, outcome: str) -> Recording:
        """Close the book on the run."""
        frames = Frames.joined(self._blocks)
        summary = self._tally.summary(counts, outcome)
        if self._writer is not None:
            self._writer.append(Frames(*(array[:0] for array in frames)), summary)
        return Recording.of(self._info, frames, summary)

    def interruption(self) -> str:
        """The outcome of a run that the user ended."""
        return f"interrupted at t = {self._blocks[-1].time[-1]:.9g} after {self.counts.steps} steps"

    def stop_sentence(self, ended: Ended) -> str:
        """What stopped the run, when, and which bodies were closest to each other."""
        last = self._blocks[-1]
        text = f"the run stopped at t = {last.time[-1]:.9g} after {ended.counts.steps} steps: {ended.failure}"
        if len(self._info.mass) < 2:
            return text
        first, second, distance = _closest_pair(last.position[-1])
        names = self._info.names or tuple(f"{body} (counting from 0)" for body in range(len(self._info.mass)))
        return f"{text}; closest were bodies {names[first]} and {names[second]}, {distance:.3g} apart"


def _closest_pair(position: np.ndarray[Any, Any]) -> tuple[int, int, float]:
    distance = np.linalg.norm(position[:, None] - position[None, :], axis=-1)
    distance[np.tril_indices(len(position))] = np.inf
    first, second = np.unravel_index(np.argmin(distance), distance.shape)
    return int(first), int(second), float(distance[first, second])
