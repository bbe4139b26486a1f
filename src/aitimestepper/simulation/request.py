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
from aitimestepper.names import TIMESTEPS
from aitimestepper.simulation.checks import check_settings
from aitimestepper.simulation.fitting import check_collisions, check_field, fitted_to
from aitimestepper.simulation.times import checked_times, read_times
from aitimestepper.simulation.wh_checks import check_wh_system
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions, agreed_softening, check_apart
from aitimestepper.weights.calibrated import order_for
from aitimestepper.weights.file import ModelFile, model_path, read_model


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
    check_settings(config, calibrated=calibrated)
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
    check_collisions(settings.config, system)
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
    if config.integrator == "gbs":
        return config.replace(timestep="estimate")
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


def _integrator_for(config: Config) -> str:
    """Of calibrated steps: one method and then the other, unless what is set is of one of them."""
    of_one = (config.order, config.dt_min, config.dt_max, config.guard)
    return "auto" if config.tolerance_kind == "run" and of_one == (None,) * len(of_one) else "ttl"


def _completed(config: Config, calibrated: bool) -> Config:
    changes: dict[str, object] = {}
    if config.timestep == "estimate":
        return config if config.integrator is not None else config.replace(integrator="gbs")
    if config.integrator is None:
        changes["integrator"] = _integrator_for(config) if calibrated else "leapfrog"
    if config.order is None and not calibrated:
        changes["order"] = 2
    elif config.order is None and config.tolerance is not None:
        changes["order"] = order_for(config.tolerance)
    return config.replace(**changes) if changes else config


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
