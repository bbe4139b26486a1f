"""What a simulation does where the user has not said how: the calibrated stepper, asked for a tolerance."""

from __future__ import annotations

from aitimestepper.checkpoint import model_path, read_model
from aitimestepper.config import Config
from aitimestepper.errors import InputError
from aitimestepper.names import TIMESTEPS

TOLERANCES = (1e-12, 0.1)
"""That calibrated steps can be asked to keep."""

_ORDERS = ((5e-3, 2), (5e-5, 4), (5e-7, 6))
"""The order for tolerances from the first number on; below all of them it is 8."""


def completed(config: Config) -> Config:
    """The configuration with `timestep`, `integrator` and `order` set.

    Raises:
        CheckpointError: the model file that is named cannot be used.
        InputError: nothing says how to choose steps.
    """
    if None not in (config.timestep, config.integrator, config.order):
        return config
    if config.timestep is None:
        _check_meant(config)
    timestep = config.timestep or "learned"
    calibrated = is_calibrated(config.replace(timestep=timestep))
    changes: dict[str, object] = {"timestep": timestep}
    if config.integrator is None:
        changes["integrator"] = "ttl" if calibrated else "leapfrog"
    if config.order is None and not calibrated:
        changes["order"] = 2
    elif config.order is None and config.tolerance is not None:
        changes["order"] = order_for(config.tolerance)
    return config.replace(**changes)


def _check_meant(config: Config) -> None:
    """Refuse settings without a timestep that do not ask for a tolerance."""
    choices = ", ".join(TIMESTEPS)
    for key in ("dt", "h", "eta"):
        if getattr(config, key) is not None:
            raise InputError(f"{key} is set, but no timestep that takes it: one of {choices}")
    if config.tolerance is None:
        raise InputError(
            "a simulation needs a tolerance, the relative energy error that it may have; or a timestep with its own "
            f"parameter: one of {choices}"
        )


def is_calibrated(config: Config) -> bool:
    """Whether steps are chosen by a calibrated stepper: the one that comes with the package, or another."""
    if config.timestep != "learned":
        return False
    if config.model is None:
        return True
    # A model that is not there yet is one that is about to be trained; one that is missing is found to be so later.
    return model_path(config.model).is_file() and read_model(config.model).config.output_scale == "calibrated"


def order_for(tolerance: float) -> int:
    """The order that reaches a tolerance with the fewest force evaluations, about: the same for 2 and for 64 bodies."""
    return next((order for least, order in _ORDERS if tolerance >= least), 8)
