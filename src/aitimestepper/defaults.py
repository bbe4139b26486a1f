"""What a simulation does where the user has not said how: the calibrated stepper, asked for a tolerance."""

from __future__ import annotations

from aitimestepper.checkpoint import model_path, read_model
from aitimestepper.config import Config

MANY_BODIES = 200
"""From here on encounters are never resolved to the last digit, and low orders pay."""

_ORDERS = ((1e-3, 2), (1e-5, 4), (1e-8, 6))
"""The order for tolerances from the first number on; below all of them it is 8."""


def completed(config: Config, n_bodies: int | None = None) -> Config:
    """The configuration with `timestep`, `integrator` and, where N is known, `order` set.

    Raises:
        CheckpointError: the model file that is named cannot be used.
    """
    if config.timestep is None and any(getattr(config, key) is not None for key in ("dt", "h", "eta")):
        return config
    timestep = config.timestep or "learned"
    calibrated = is_calibrated(config.replace(timestep=timestep))
    changes: dict[str, object] = {"timestep": timestep}
    if config.integrator is None:
        changes["integrator"] = "ttl" if calibrated else "leapfrog"
    if config.order is None and not calibrated:
        changes["order"] = 2
    elif config.order is None and n_bodies is not None and config.tolerance is not None:
        changes["order"] = order_for(config.tolerance, n_bodies)
    return config.replace(**changes)


def is_calibrated(config: Config) -> bool:
    """Whether steps are chosen by a calibrated stepper: the one that comes with the package, or another."""
    if config.timestep != "learned":
        return False
    if config.model is None:
        return True
    # A model that is not there yet is one that is about to be trained; one that is missing is found to be so later.
    return model_path(config.model).is_file() and read_model(config.model).config.output_scale == "calibrated"


def order_for(tolerance: float, n_bodies: int) -> int:
    """The order that reaches a tolerance with the fewest force evaluations, about."""
    for least, order in _ORDERS:
        if tolerance >= least or (n_bodies >= MANY_BODIES and order < 6 and tolerance >= 1e-2 * least):
            return order
    return 8
