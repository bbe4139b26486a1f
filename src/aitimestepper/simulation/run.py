"""`simulate`: from a configuration to a recording, and `resume`: from a recording on.

Everything that a user may have got wrong is found before the first step, and before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aitimestepper.arrays import Floats
from aitimestepper.config.keywords import configured, takes_keys_of, with_system
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation, check_hdf5_name, check_output
from aitimestepper.recordings.archive import check_archive
from aitimestepper.recordings.parts import RunInfo, Summary
from aitimestepper.recordings.reading import StoredRun, read_run
from aitimestepper.recordings.recording import Recording
from aitimestepper.simulation.callback import Callback
from aitimestepper.simulation.checks import ENDS
from aitimestepper.simulation.progress import Progress, shown
from aitimestepper.simulation.request import Request, bodies_of, request_of, settings_of
from aitimestepper.simulation.times import GIVEN
from aitimestepper.systems.archives import is_archive
from aitimestepper.systems.initial import InitialConditions, units_of
from aitimestepper.systems.quantities import is_quantity
from aitimestepper.systems.units import Units

_QUANTITIES = (
    dict.fromkeys(("duration", "dt", "dt_min", "dt_max", "times"), "time")
    | dict.fromkeys(("softening", "stop_distance", "stop_approach", "J2_radius"), "length")
    | {"light_speed": "speed"}
)
"""Settings that may be quantities, and what they are."""

_NAMING = ("ic", "G", "softening", "seed")
"""Settings that bodies with a name are made by."""

RESUMABLE = ENDS
"""Settings that may be given anew to a run that goes on."""


@takes_keys_of("simulate", "ic", "json")
def simulate(
    system: InitialConditions | str | PathLike[str] | None = None,
    config: Config | None = None,
    *,
    times: ArrayLike | None = None,
    progress: Progress | bool | None = None,
    callback: Callback | None = None,
    **keys: Any,
) -> Recording:
    """Simulate one system: `simulate("pythagorean", duration=70, tolerance=1e-9)`.

    Args:
        system: the bodies; or the name of a system with its options, or a file, as `ic` of a configuration.
        config: settings that several runs share.
        times: (T,) at which states are kept, exactly, in place of those in a file; rising from the start of the run,
            or falling. Without a length the run ends with the last one.
        progress: called several times a second with the part of the run that is done, 0 to 1. By default a bar is shown
            in a terminal or a notebook; none with False.
        callback: called with each state that is kept after the first, a `State`: those of `samples` or `times`, for
            instance, in their order and not always at once. Where it returns True the run ends with that state.
        keys: settings, over those of `config`; times and lengths may be quantities of astropy where the bodies have
            units. `tolerance`, or `timestep` with its own parameter, and exactly one of
            `duration`, `periods` and `steps` are needed, the latter unless there are times. The recording is written to
            `output`, if given, while the run goes on, and read from there at the end.

    Raises:
        InputError: the request cannot be carried out; nothing has been written.
        SimulationError: the run could not go on; carries what was reached, which is also in `output`.
        Interrupted: Ctrl-C; carries what was reached, which is also in `output`.
    """
    from aitimestepper.simulation.carrying_out import begin

    bare = bare_keys(system, config, {**keys, "times": times})
    times = bare.pop("times")
    bodies, config = of_one(system, configured(config, bare))
    request = requested(config, bodies, times)
    with shown(progress, "simulating") as show:
        return begin(request, show, keeps=True, callback=callback).recording()


def bare_keys(
    system: InitialConditions | str | PathLike[str] | None, config: Config | None, keys: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings with quantities of astropy made numbers in the units of the bodies.

    Raises:
        InputError: there are no bodies, or they have no units, or a quantity is of another dimension.
    """
    quantities = {name: value for name, value in keys.items() if is_quantity(value)}
    if not quantities:
        return dict(keys)
    naming = {name: keys[name] for name in _NAMING if name in keys and name not in quantities}
    bodies, naming_config = of_one(system, configured(config, naming))
    units = units_of(bodies_of(naming_config, bodies))
    if units is None:
        raise InputError(f"{', '.join(quantities)} has a unit, but the system has no units of its own")
    for name in quantities:
        if name not in _QUANTITIES:
            raise InputError(f"{name} is a bare number, and has a unit")
    return {**keys, **{name: units.number(name, q, _QUANTITIES[name]) for name, q in quantities.items()}}


def of_one(
    system: InitialConditions | str | PathLike[str] | None, config: Config
) -> tuple[InitialConditions | None, Config]:
    """The bodies that were passed, None where they are named, and the configuration, with their name.

    Raises:
        InputError: they are neither bodies nor a name, or are named twice.
    """
    if system is None or isinstance(system, InitialConditions):
        return system, config
    if not isinstance(system, str | PathLike):
        raise InputError(
            f"a system is InitialConditions, the name of one, or a file, and no {type(system).__name__}"
            + (": write config=" if isinstance(system, Config) else "")
        )
    return None, with_system(config, system)


def simulate_to_output(config: Config, progress: Progress) -> tuple[RunInfo, Summary]:
    """Simulate as `simulate` does, and keep no states in memory: what the command does."""
    from aitimestepper.simulation.carrying_out import begin

    run = begin(requested(config), progress, keeps=False)
    return run.info, run.summary


def resume(
    path: Path | str,
    *,
    duration: float | None = None,
    periods: float | None = None,
    steps: int | None = None,
    progress: Progress | bool | None = None,
    callback: Callback | None = None,
) -> Recording:
    """Go on with a run that was stopped, killed, or is to go further; the recording grows where it is.

    A run that was stopped and resumed ends with the same bits as one that was not.

    Args:
        path: its HDF5 file.
        duration, periods, steps: another end, counted from the start of the run; one of them at most.
        progress, callback: as for `simulate`.

    Raises:
        InputError: the file is no recording or cannot go on; another process is writing it; the model file is missing
            or another one; the end asked for lies before the state reached.
        SimulationError: as for `simulate`.
    """
    wishes = {"duration": duration, "periods": periods, "steps": steps}
    with shown(progress, "simulating") as show:
        resume_in_output(path, {key: value for key, value in wishes.items() if value is not None}, show, callback)
    return Recording.load(path)


def resume_in_output(
    path: Path | str, wishes: Mapping[str, Any], progress: Progress, callback: Callback | None = None
) -> tuple[RunInfo, Summary]:
    """Go on as `resume` does, and read no states into memory: what the command does.

    Arguments and errors as for `resume`, the end as settings.
    """
    from aitimestepper.simulation.carrying_out import go_on

    read_run(path)  # what cannot go on is not touched
    with Reservation.of_existing(path) as output:
        stored = read_run(path)
        config = _changed(stored, wishes)
        request = request_of(settings_of(config), initial_conditions_of(stored), stored.origin["times"])
        run = go_on(request, output, stored, progress, callback)
    return run.info, run.summary


def _changed(stored: StoredRun, wishes: Mapping[str, Any]) -> Config:
    """The settings of a run, with another end."""
    if set(wishes) - set(RESUMABLE) or len(wishes) > 1:
        raise InputError(f"beside resume may stand one of {', '.join(RESUMABLE)}, got {', '.join(wishes)}")
    settings = dict(stored.info.settings)
    if wishes:
        settings = {key: value for key, value in settings.items() if key not in ENDS} | dict(wishes)
    return Config(**settings)


def initial_conditions_of(stored: StoredRun | Recording) -> InitialConditions:
    """The bodies that a run began with."""
    info, frames = stored.info, stored.frames
    return InitialConditions(
        info.mass,
        frames.position[0],
        frames.velocity[0],
        period=info.period,
        time=float(frames.time[0]),
        names=info.names,
        note=info.note,
        softening=info.softening,
        units=Units.from_text(info.units),
        radius=info.radius,
    )


def requested(config: Config, system: InitialConditions | None = None, times: ArrayLike | None = None) -> Request:
    """A checked request: settings completed, output allowed, bodies, weights and times read.

    Raises:
        InputError: the request cannot be carried out.
    """
    if times is not None:
        if config.times is not None:
            raise InputError(f"times were passed, so times = {config.times!r} would do nothing: leave it out")
        config = config.replace(times=GIVEN)
    settings = settings_of(config)
    check_simulation_output(config)
    request = request_of(settings, bodies_of(config, system), times)
    if request.times is not None and not _are_met(request.times, request):
        raise InputError(f"times go on to {float(request.times[-1])!r}, but the run ends at {request.end_time!r}")
    return request


def _are_met(times: Floats, request: Request) -> bool:
    """Whether a run comes to its times, all on one side of its start, before it ends."""
    start, first, last, end = request.direction * np.array([request.system.time, times[0], times[-1], request.end_time])
    return bool(start < first and last <= end)


def check_simulation_output(config: Config) -> None:
    """Refuse an output that could not be written, or has no room for what is asked.

    Raises:
        InputError: says why.
    """
    if config.output is None:
        return
    check_output(config.output, config.overwrite)
    check_hdf5_name(config.output)
    if is_archive(config.output):
        check_archive(config.output)
        if config.collisions == "merge":
            raise InputError(
                f"a REBOUND archive of this package has all bodies in every state: write {config.output} as .h5"
            )
        if config.step_history:
            raise InputError(
                f"step_history has no place in a REBOUND archive: write {config.output} as .h5, or leave it out"
            )
