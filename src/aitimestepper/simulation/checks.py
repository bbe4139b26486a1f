"""What a run may not be asked for: settings that are missing, contradict each other or would do nothing."""

from __future__ import annotations

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import INTEGRATORS
from aitimestepper.simulation.wh_checks import check_wh_keys
from aitimestepper.weights.calibrated import TOLERANCES, check_tolerance

ENDS = ("duration", "periods", "steps")
"""Settings that say where a run ends: exactly one of them is needed."""

_CLASSICAL = ("eta", "tolerance")


def check_settings(config: Config, *, calibrated: bool) -> None:
    """Refuse a configuration that is missing a setting, or has one that would do nothing.

    Args:
        config: completed.
        calibrated: whether its model holds calibrated weights.

    Raises:
        InputError: says which.
    """
    _check_estimate(config)
    needed, optional = _taken(config, calibrated=calibrated)
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
    if config.guard is not None and config.timestep == "estimate":
        raise InputError("integrator = gbs undoes steps by its own error estimate: leave guard out")
    if config.guard == "off" and (calibrated or config.timestep != "learned"):
        raise InputError(
            "guard = off lifts the guard of weights of your own, and without them there is none: leave it out"
        )
    _check_omega(config, calibrated=calibrated)
    check_wh_keys(config)
    _check_confirm(config, calibrated=calibrated)
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


def _check_omega(config: Config, *, calibrated: bool) -> None:
    unused = {"omega", "omega_q", "omega_weight"} & config.model_fields_set
    if unused and not INTEGRATORS[str(config.integrator)].transforms_time:
        raise InputError(f"{', '.join(sorted(unused))} does nothing with integrator = {config.integrator}")
    if unused and calibrated:
        raise InputError(f"{', '.join(sorted(unused))} cannot be set: calibrated steps were learned with the default")
    if promises_run(config, calibrated=calibrated) and config.tolerance is not None:
        check_tolerance(config.tolerance)


def promises_run(config: Config, *, calibrated: bool) -> bool:
    """Whether the tolerance, if there is one, is that of the whole run."""
    return config.timestep == "estimate" or (calibrated and config.tolerance_kind == "run")


def _check_estimate(config: Config) -> None:
    """Refuse steps by an error estimate that the integrator does not have, or others where it has one."""
    if config.integrator == "auto" and (config.timestep != "learned" or config.tolerance_kind != "run"):
        raise InputError("integrator = auto needs calibrated steps and a tolerance of the whole run: leave it out")
    by_estimate, has_one = config.timestep == "estimate", config.integrator == "gbs"
    if by_estimate and not has_one:
        raise InputError(f"timestep = estimate needs integrator = gbs: {config.integrator} has no error estimate")
    if has_one and not by_estimate:
        raise InputError(
            f"integrator = gbs chooses its steps by its own error estimate: leave timestep = {config.timestep} out"
        )
    if has_one and config.order is not None:
        raise InputError(f"integrator = gbs chooses the order of each step: leave order = {config.order} out")


def _check_confirm(config: Config, *, calibrated: bool) -> None:
    if config.confirm and not promises_run(config, calibrated=calibrated):
        raise InputError(
            "confirm needs a tolerance of the whole run: calibrated steps with tolerance_kind = run, or those of "
            "integrator = gbs"
        )
    if config.confirm and config.collisions == "merge":
        raise InputError("confirm compares the bodies of two runs, which may merge at other times: leave one out")
    if config.confirm and config.tolerance == TOLERANCES[0]:
        raise InputError(f"confirm needs a tolerance above {TOLERANCES[0]:g}: no second run could have a smaller one")


def _taken(config: Config, *, calibrated: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Settings of a way to choose steps: exactly one of the first is needed, the others may be set."""
    kind = INTEGRATORS[str(config.integrator)]
    if config.timestep == "estimate":
        return ("tolerance",), ()
    if config.timestep == "fixed":
        return (kind.fixed_step,), ()
    if calibrated:
        reversible = () if kind.transforms_time else ("reversible",)
        return ("tolerance",), ("model", "tolerance_kind", "dt_min", "dt_max", *reversible)
    if config.timestep == "learned":
        return ("model",), ("tolerance", "dt_min", "dt_max", "reversible")
    return _CLASSICAL, ("dt_min", "dt_max", "reversible")
