"""`simulate_ensemble`: many systems side by side, each with its own steps, on all cores or on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aitimestepper.config.keywords import configured, takes_keys_of, with_system
from aitimestepper.config.schema import Config
from aitimestepper.ensembles.carrying_out import Keeper, carry_out
from aitimestepper.ensembles.file import check_resumable, read_ensemble
from aitimestepper.ensembles.members import NO_SEED
from aitimestepper.ensembles.request import EnsembleRequest, Member, origin_of
from aitimestepper.ensembles.result import EnsembleResult, result_of
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation, check_hdf5_name, check_output
from aitimestepper.recordings.parts import FINISHED
from aitimestepper.simulation.fitting import fitted_to
from aitimestepper.simulation.progress import Progress, shown
from aitimestepper.simulation.request import request_of, settings_of
from aitimestepper.systems.catalogue import DRAWING, seeded
from aitimestepper.systems.initial import InitialConditions

_ONE_RUN_ONLY = ("every", "samples", "times", "step_history", "confirm")
_LARGEST_SEED = 2**63 - 1

RESUMABLE = ("threads", "scheduler")
"""Settings that may be given anew to an ensemble that goes on."""


@takes_keys_of("ensemble", "ic", "json")
def simulate_ensemble(
    systems: Sequence[InitialConditions] | str | None = None,
    config: Config | None = None,
    *,
    progress: Progress | bool | None = None,
    **keys: Any,
) -> EnsembleResult:
    """Simulate many systems: `simulate_ensemble("random:n=3", count=100, duration=10, tolerance=1e-6)`.

    Each has its own steps and its own end.

    The result of a member is bit for bit that of `simulate`, whatever the number of threads or machines and whatever
    else is simulated beside it. A member that cannot be simulated does not disturb the others; its `outcome` says why.

    Args:
        systems: the bodies of each, of any number and dimension; or a name, as `ic` of a configuration, from which
            `count` systems are drawn with the seeds seed, seed + 1, ... (a seed in the name goes over `seed`).
        config: settings that several ensembles share.
        progress: as for `simulate`.
        keys: settings as for `simulate`, over those of `config`. The members are integrated by `threads` threads, or by
            the Dask workers of `scheduler`. The result is written to `output`, if given, as the members end.

    Raises:
        InputError: the request cannot be carried out, or all members were refused before their first step.
        KeyboardInterrupt: Ctrl-C; what was done is in `output`, from where `resume_ensemble` goes on.
    """
    config = configured(config, keys)
    if isinstance(systems, str):
        systems, config = None, with_system(config, systems)
    if config.output is not None:
        check_output(config.output, config.overwrite)
        check_hdf5_name(config.output)
    request, members = _request(config, systems)
    with ExitStack() as held:
        output = None if config.output is None else held.enter_context(Reservation(config.output, config.overwrite))
        show = held.enter_context(shown(progress, "simulating"))
        return carry_out(request, members, Keeper(output, request, members), show)


def resume_ensemble(
    path: Path | str,
    systems: Sequence[InitialConditions] | None = None,
    *,
    threads: int | None = None,
    scheduler: str | None = None,
    progress: Progress | bool | None = None,
) -> EnsembleResult:
    """Go on with an ensemble that was stopped or killed: members that have ended stay, the others are integrated.

    The file ends with the same bits as that of an ensemble that was never stopped, wall seconds apart.

    Args:
        path: its file.
        systems: the bodies, if they were passed then.
        threads, scheduler: other ones; one of them at most.
        progress: as for `simulate_ensemble`.

    Raises:
        InputError: the file is no ensemble, or cannot go on; another process is writing it; weights or bodies are
            others than those that it began with.
        KeyboardInterrupt: as for `simulate_ensemble`.
    """
    check_resumable(path, read_ensemble(path))  # what cannot go on is not touched
    with Reservation.of_existing(path) as output:
        stored = read_ensemble(path)
        if stored.outcome == FINISHED:
            return result_of(stored)
        wishes = {"threads": threads, "scheduler": scheduler}
        changes = {key: value for key, value in wishes.items() if value is not None}
        request, members = _request(_changed(stored.info.settings, changes), systems)
        if stored.info.origin != origin_of(request, members):
            raise InputError(f"the weights or the bodies are not those that {path} began with")
        with shown(progress, "simulating") as show:
            return carry_out(request, members, Keeper(output, request, members, stored), show)


def _changed(settings: Mapping[str, Any], wishes: Mapping[str, Any]) -> Config:
    """The settings of an ensemble, with other hands to carry it out."""
    if set(wishes) - set(RESUMABLE) or len(wishes) > 1:
        raise InputError(f"beside resume may stand one of {', '.join(RESUMABLE)}, got {', '.join(wishes)}")
    kept = {key: value for key, value in settings.items() if not wishes or key not in RESUMABLE}
    return Config(**kept | dict(wishes))


def _request(config: Config, systems: Sequence[InitialConditions] | None) -> tuple[EnsembleRequest, list[Member]]:
    """Everything that can be refused before anything is integrated, is refused here."""
    _check_settings(config)
    settings = settings_of(config)
    if systems is not None:
        if config.ic is not None:
            raise InputError(f"bodies were passed, so ic = {config.ic!r} would do nothing: leave it out")
        if "count" in config.model_fields_set and config.count != len(systems):
            raise InputError(f"count = {config.count} does not fit the {len(systems)} systems that were passed")
        if not systems:
            raise InputError("an ensemble needs at least one system, and none were passed")
        if len({system.softening for system in systems}) > 1:
            raise InputError("the systems were made with different softenings: simulate those of one at a time")
        if len({system.units for system in systems}) > 1:
            raise InputError("the systems have different units: convert them to the same")
        settings = settings._replace(config=fitted_to(settings.config, systems[0]))
        return EnsembleRequest(settings, None), [Member(index, NO_SEED, system) for index, system in enumerate(systems)]
    spec, first = _drawn(config)
    request = EnsembleRequest(settings, spec)
    members = [Member(index, NO_SEED if first is None else first + index, None) for index in range(config.count)]
    settings = request_of(settings, request.system_of(members[0])).settings
    return request._replace(settings=settings), members


def _check_settings(config: Config) -> None:
    for name in _ONE_RUN_ONLY:
        if getattr(config, name):
            raise InputError(f"{name} does nothing in an ensemble, which keeps no trajectories: leave it out")
    if config.scheduler is not None and config.threads is not None:
        raise InputError("threads does nothing beside scheduler, whose workers have threads of their own: leave it out")


def _drawn(config: Config) -> tuple[str, int | None]:
    """What the members are drawn from, and the seed of the first."""
    if config.ic is None:
        raise InputError("an ensemble needs initial conditions: set ic")
    spec, first = seeded(config.ic, config.seed)
    if first is None and config.count > 1:
        raise InputError(
            f"ic = {config.ic!r} draws nothing, so all {config.count} members would be the same: choose "
            f"{' or '.join(DRAWING)}, or set count = 1"
        )
    if first is not None and first + config.count - 1 > _LARGEST_SEED:
        raise InputError(f"the seeds from {first} on do not reach for {config.count} members: choose a smaller one")
    return spec, first
