"""`simulate`: from a configuration to a recording, and `resume`: from a recording on.

Everything that a user may have got wrong is found before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from aitimestepper.config import Config
from aitimestepper.defaults import TOLERANCES, completed, is_calibrated
from aitimestepper.errors import InputError
from aitimestepper.recording import Recording
from aitimestepper.storage import check_output
from aitimestepper.systems.archives import is_archive
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions, check_apart

_ENDS = ("duration", "periods", "steps")
RESUMABLE = ("duration", "periods", "steps")
"""Settings that may be given anew to a run that goes on."""

_CLASSICAL = ("eta", "tolerance")


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
    from aitimestepper.running import Prepared, begin

    system, end_time = check_request(config, system)
    return begin(Prepared(config, system, end_time), progress)


def resume(
    path: Path | str, changes: Config | None = None, progress: Callable[[float], None] | None = None
) -> Recording:
    """Go on with a run that was stopped, killed, or is to go further; the recording grows where it is.

    A run that was stopped and resumed ends with the same bits as one that was not.

    Args:
        path: its HDF5 file.
        changes: another `duration`, `periods` or `steps`, counted from the start of the run; nothing else.
        progress: as for `simulate`.

    Raises:
        InputError: the file is no recording or cannot go on; the model file is missing or another one; the end asked
            for lies before the state reached.
        SimulationError: as for `simulate`.
    """
    from aitimestepper.recording_file import read_run
    from aitimestepper.running import Prepared, go_on

    stored = read_run(path)
    config = _changed(stored.recording, {} if changes is None else changes.explicit())
    system = initial_conditions_of(stored.recording)
    prepared = Prepared(config, system, _end_time(config, system), origin=stored.origin)
    return go_on(prepared, Path(path), stored, progress)


def _changed(recording: Recording, wishes: dict[str, object]) -> Config:
    """The settings of a run, with another end."""
    if set(wishes) - set(RESUMABLE) or len(wishes) > 1:
        raise InputError(f"beside resume may stand one of {', '.join(RESUMABLE)}, got {', '.join(wishes)}")
    settings = dict(recording.settings)
    if wishes:
        settings = {key: value for key, value in settings.items() if key not in _ENDS} | wishes
    return Config(**settings)


def initial_conditions_of(recording: Recording) -> InitialConditions:
    """The bodies that a run began with."""
    return InitialConditions(
        recording.mass,
        recording.position[0],
        recording.velocity[0],
        period=recording.period,
        time=float(recording.time[0]),
        names=recording.names,
        note=recording.note,
    )


def check_request(config: Config, system: InitialConditions | None = None) -> tuple[InitialConditions, float]:
    """The bodies and the time of the end, infinite if the run ends after a number of steps.

    Refuses whatever can be seen to be wrong before there is a model, so that a training can be spared.

    Raises:
        InputError: a setting is missing or would do nothing; bodies or output cannot be had.
    """
    config = completed(config)
    _check_settings(config)
    if config.output is not None:
        _check_output(config, config.output)
    system = _system(config, system)
    place = config.external_field_position
    if place is not None and len(place) != system.n_dims:
        raise InputError(f"external_field_position needs {system.n_dims} numbers for this system, got {len(place)}")
    return system, _end_time(config, system)


def _check_output(config: Config, path: str) -> None:
    check_output(path, config.overwrite)
    if not is_archive(path):
        return
    from aitimestepper.bridges.rebound.archive import check_archive

    check_archive(path)
    if config.step_history:
        raise InputError(f"step_history has no place in a REBOUND archive: write {path} as .h5, or leave it out")


def _check_settings(config: Config) -> None:
    needed, optional = _taken(config)
    given = [name for name in needed if getattr(config, name) is not None]
    what = " or ".join(needed)
    if not given:
        raise InputError(f"timestep = {config.timestep} needs {what}, which is not set")
    if len(given) > 1:
        raise InputError(f"timestep = {config.timestep} takes {what}, not both: leave one out")
    for name in ("dt", "h", "eta", "tolerance", "tolerance_kind", "model", "dt_min", "dt_max", "reversible"):
        given_here = name in config.model_fields_set and getattr(config, name) is not None
        if given_here and name not in (*needed, *optional):
            raise InputError(
                f"{name} = {getattr(config, name)} does nothing with timestep = {config.timestep} and integrator = "
                f"{config.integrator}, which take {', '.join((*needed, *optional))}: leave it out"
            )
    _check_omega(config)
    ends = [name for name in _ENDS if getattr(config, name) is not None]
    if len(ends) != 1:
        raise InputError(f"a simulation needs exactly one of {', '.join(_ENDS)}, got {' and '.join(ends) or 'none'}")


def _check_omega(config: Config) -> None:
    unused = {"omega", "omega_q", "omega_weight"} & config.model_fields_set
    if config.integrator != "ttl" and unused:
        raise InputError(f"{', '.join(sorted(unused))} does nothing with integrator = {config.integrator}")
    if not is_calibrated(config):
        return
    if unused:
        raise InputError(f"{', '.join(sorted(unused))} cannot be set: calibrated steps were learned with the default")
    low, high = TOLERANCES
    if config.tolerance is not None and not low <= config.tolerance <= high:
        raise InputError(
            f"tolerance = {config.tolerance:g} is not one that calibrated steps can keep: it should be between "
            f"{low:g} and {high:g} (below, rounding decides; for planets and less than 1e-12 take REBOUND's IAS15)"
        )


def _taken(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings of a way to choose steps: exactly one of the first is needed, the others may be set."""
    if config.timestep == "fixed":
        return ("h",) if config.integrator == "ttl" else ("dt",), ()
    if is_calibrated(config):
        reversible = () if config.integrator == "ttl" else ("reversible",)
        return ("tolerance",), ("model", "tolerance_kind", "dt_min", "dt_max", *reversible)
    if config.timestep == "learned":
        return ("model",), ("tolerance", "dt_min", "dt_max", "reversible")
    return _CLASSICAL, ("dt_min", "dt_max", "reversible")


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
