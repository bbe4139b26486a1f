"""A simulation as it was asked for: everything that a user may have got wrong is found before the first step.

`Settings` are a configuration that has been completed and checked, with its weights; all members of an ensemble share
them. A `Request` adds bodies and an end. Both are made once, and everything that runs starts from them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy.typing import ArrayLike

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import INTEGRATORS, TIMESTEPS
from aitimestepper.simulation.fitting import check_field, fitted_to
from aitimestepper.simulation.times import checked_times, read_times
from aitimestepper.simulation.wh_checks import check_wh_keys, check_wh_system
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions, agreed_softening, check_apart
from aitimestepper.weights.calibrated import TOLERANCES, check_tolerance, order_for
from aitimestepper.weights.file import ModelFile, model_path, read_model

ENDS = ("duration", "periods", "steps")
"""Settings that say where a run ends: exactly one of them is needed."""

_CLASSICAL = ("eta", "tolerance")


class Settings(NamedTuple):
    """How to simulate, whatever the bodies are.

    Attributes:
        config: with `timestep`, `integrator` and `order` set; checked.
        model: the weights of learned steps, None of others.
    """

    config: Config
    model: ModelFile | None = None

    @property
    def calibrated(self) -> bool:
        """Whether a calibrated stepper chooses the steps."""
        return self.model is not None and self.model.calibrated

    @property
    def promised_step_error(self) -> float | None:
        """What each step's relative energy error is to stay below with weights of one's own; None of other steps."""
        if self.model is None or self.calibrated:
            return None
        return self.config.tolerance or self.model.config.energy_threshold


class Request(NamedTuple):
    """A run that can begin.

    Attributes:
        settings: how.
        system: the bodies.
        end_time: infinite if the run ends after a number of steps.
        times: (T,) at which states are kept, none where they are kept in another way.
    """

    settings: Settings
    system: InitialConditions
    end_time: float
    times: Floats | None = None

    @property
    def direction(self) -> float:
        """Of time: 1, or -1 where the run goes back."""
        return -1.0 if self.end_time < self.system.time else 1.0


def settings_of(config: Config, model: ModelFile | None = None) -> Settings:
    """Complete and check a configuration.

    Args:
        config: as the user wrote it.
        model: weights of learned steps that have been read already; None to read those that `config` names.

    Raises:
        CheckpointError: the model file that is named cannot be used.
        InputError: nothing says how to choose steps; a setting is missing or would do nothing.
    """
    config = _with_timestep(config)
    if config.timestep == "learned" and model is None:
        if not model_path(config.model).is_file():
            checked(config, calibrated=False)  # what is wrong whatever the weights are is said first
        model = read_model(config.model)
    config = checked(config, calibrated=model is not None and model.calibrated)
    if config.reversible and model is not None and model.config.history_len > 0:
        raise InputError(
            f"reversible steps must follow from the state alone, and {config.model} looks back at "
            f"{model.config.history_len} earlier ones: leave reversible out"
        )
    return Settings(config, model)


def checked(config: Config, *, calibrated: bool) -> Config:
    """The configuration with `timestep`, `integrator` and `order` set, and free of what would do nothing.

    Args:
        config: as the user wrote it.
        calibrated: whether its model holds calibrated weights, or will once it is trained.

    Raises:
        InputError: nothing says how to choose steps; a setting is missing or would do nothing.
    """
    config = _completed(_with_timestep(config), calibrated)
    _check_settings(config, calibrated)
    return config


def request_of(settings: Settings, system: InitialConditions, times: ArrayLike | None = None) -> Request:
    """A run of these bodies, with the softening and the G that belong to them unless others are set.

    Args:
        settings: how.
        system: the bodies.
        times: (T,) at which states are kept, in place of those in the file `config.times`.

    Raises:
        InputError: the settings do not fit the bodies.
    """
    settings = settings._replace(config=fitted_to(settings.config, system))
    check_field(settings.config, system)
    check_wh_system(settings.config, system)
    if times is None and settings.config.times is not None:
        times = read_times(settings.config.times)
    kept = None if times is None else checked_times(times, system.time)
    return Request(settings, system, _end_time(settings.config, system, kept), kept)


def bodies_of(config: Config, system: InitialConditions | None = None) -> InitialConditions:
    """The bodies that were passed, or those that `ic` names.

    Raises:
        InputError: there are none, or both.
        InitialConditionsError: they cannot be had.
    """
    if system is None and config.ic is None:
        raise InputError("a simulation needs initial conditions: set ic")
    if system is not None and config.ic is not None:
        raise InputError(f"bodies were passed, so ic = {config.ic!r} would do nothing: leave it out")
    if system is None:
        assert config.ic is not None
        return initial_conditions(config.ic, G=config.G, softening=config.given("softening"), seed=config.seed)
    check_apart(system, agreed_softening(system, config.given("softening")))
    return system


def _with_timestep(config: Config) -> Config:
    """What chooses the steps where the user has not said it: the calibrated stepper, asked for a tolerance."""
    if config.timestep is not None:
        return config
    choices = ", ".join(TIMESTEPS)
    for key in ("dt", "h", "eta"):
        if getattr(config, key) is not None:
            raise InputError(f"{key} is set, but no timestep that takes it: one of {choices}")
    if config.tolerance is None:
        raise InputError(
            "a simulation needs a tolerance, the relative energy error that it may have; or a timestep with its own "
            f"parameter: one of {choices}"
        )
    return config.replace(timestep="learned")


def _completed(config: Config, calibrated: bool) -> Config:
    changes: dict[str, object] = {}
    if config.integrator is None:
        changes["integrator"] = "ttl" if calibrated else "leapfrog"
    if config.order is None and not calibrated:
        changes["order"] = 2
    elif config.order is None and config.tolerance is not None:
        changes["order"] = order_for(config.tolerance)
    return config.replace(**changes) if changes else config


def _check_settings(config: Config, calibrated: bool) -> None:
    needed, optional = _taken(config, calibrated)
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
    if config.guard == "off" and (calibrated or config.timestep != "learned"):
        raise InputError(
            "guard = off lifts the guard of weights of your own, and without them there is none: leave it out"
        )
    _check_omega(config, calibrated)
    check_wh_keys(config)
    _check_confirm(config, calibrated)
    check_end(config)
    if config.steps is not None and config.samples is not None:
        raise InputError("samples are taken at equal intervals of a time that is known: set duration or periods")
    if config.steps is not None and config.times is not None:
        raise InputError("a run with times of its own ends at a time: set duration or periods, or none of both")


def check_end(config: Config) -> None:
    """Refuse a configuration that does not say once where a run ends; times of one's own say it too.

    Raises:
        InputError: says so.
    """
    ends = [name for name in ENDS if getattr(config, name) is not None]
    if len(ends) != 1 and (ends or config.times is None):
        raise InputError(f"a simulation needs exactly one of {', '.join(ENDS)}, got {' and '.join(ends) or 'none'}")


def _check_omega(config: Config, calibrated: bool) -> None:
    unused = {"omega", "omega_q", "omega_weight"} & config.model_fields_set
    if unused and not INTEGRATORS[str(config.integrator)].transforms_time:
        raise InputError(f"{', '.join(sorted(unused))} does nothing with integrator = {config.integrator}")
    if not calibrated:
        return
    if unused:
        raise InputError(f"{', '.join(sorted(unused))} cannot be set: calibrated steps were learned with the default")
    if config.tolerance is not None:
        check_tolerance(config.tolerance)


def _check_confirm(config: Config, calibrated: bool) -> None:
    if config.confirm and not (calibrated and config.tolerance_kind == "run"):
        raise InputError("confirm needs a tolerance of the whole run: calibrated steps with tolerance_kind = run")
    if config.confirm and config.tolerance == TOLERANCES[0]:
        raise InputError(f"confirm needs a tolerance above {TOLERANCES[0]:g}: no second run could have a smaller one")


def _taken(config: Config, calibrated: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings of a way to choose steps: exactly one of the first is needed, the others may be set."""
    kind = INTEGRATORS[str(config.integrator)]
    if config.timestep == "fixed":
        return (kind.fixed_step,), ()
    if calibrated:
        reversible = () if kind.transforms_time else ("reversible",)
        return ("tolerance",), ("model", "tolerance_kind", "dt_min", "dt_max", *reversible)
    if config.timestep == "learned":
        return ("model",), ("tolerance", "dt_min", "dt_max", "reversible")
    return _CLASSICAL, ("dt_min", "dt_max", "reversible")


def _end_time(config: Config, system: InitialConditions, times: Floats | None) -> float:
    if config.steps is not None:
        return math.inf
    if config.duration is None and config.periods is None:
        assert times is not None
        return float(times[-1])
    return system.time + duration_of(config, system)


def duration_of(config: Config, system: InitialConditions) -> float:
    """The time that a run is to cover, from `duration` or `periods`; below 0 where it goes back.

    Raises:
        InputError: the system has no period, or the time is none that can be added to its own.
    """
    duration = config.duration
    if config.periods is not None:
        if system.period == 0:
            raise InputError(
                f"periods = {config.periods:g} needs a system with an orbital period, and this one has none: "
                "set duration or steps instead"
            )
        duration = config.periods * system.period
    assert duration is not None
    if system.time + duration == system.time or not math.isfinite(system.time + duration):
        raise InputError(f"a duration of {duration:g} cannot be told from 0 at the start time {system.time:g}")
    return duration
