"""`simulate_ensemble`: many systems side by side, each with its own steps, on all cores or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aitimestepper.config.schema import Config
from aitimestepper.cores import available_cores
from aitimestepper.ensembles.cluster import integrate_on_cluster
from aitimestepper.ensembles.request import EnsembleRequest, Member, Progress, never_begun
from aitimestepper.ensembles.result import NO_SEED, EnsembleResult, MemberResult
from aitimestepper.errors import InputError
from aitimestepper.outputs import check_hdf5_name, check_output
from aitimestepper.simulation.request import request_of, settings_of, with_softening
from aitimestepper.systems.catalogue import DRAWING, seeded
from aitimestepper.systems.initial import InitialConditions

_ONE_RUN_ONLY = ("every", "samples", "times", "step_history")
_LARGEST_SEED = 2**63 - 1


def simulate_ensemble(
    config: Config,
    systems: Sequence[InitialConditions] | None = None,
    progress: Progress | None = None,
) -> EnsembleResult:
    """Simulate many systems as one configuration says; each has its own steps and its own end.

    The result of a member is bit for bit that of `simulate`, whatever the number of threads or machines and whatever
    else is simulated beside it. A member that cannot be simulated does not disturb the others; its `outcome` says why.

    Args:
        config: as for `simulate`; `count` systems are drawn from `ic` with the seeds seed, seed + 1, ... (a seed in
            `ic` itself goes over `seed`). They are integrated by `threads` threads, or by the Dask workers of
            `scheduler`. The result is written to `output`, if given.
        systems: the bodies, of any number and dimension, in place of `ic` and `count`.
        progress: called ten times a second or more often with the part that is done, 0 to 1.

    Raises:
        InputError: the request cannot be carried out, or all members were refused before their first step.
        KeyboardInterrupt: Ctrl-C; what was done is in `output`.
    """
    request, members = _request(config, systems)
    show = progress or (lambda fraction: None)
    began = time.perf_counter()
    done: dict[int, MemberResult] = {}
    try:
        show(0.0)
        if config.scheduler is not None:
            integrate_on_cluster(config.scheduler, request, members, done, show)
        else:
            from aitimestepper.ensembles.threads import integrate_in_threads

            integrate_in_threads(config.threads or available_cores(), request, members, done, show)
    except KeyboardInterrupt:
        if config.output is not None and done:
            _result(request.settings.config, members, done, began).save(config.output, config.overwrite)
        raise
    _check_some_began(done)
    result = _result(request.settings.config, members, done, began)
    if config.output is not None:
        result.save(config.output, config.overwrite)
    show(1.0)
    return result


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
        settings = settings._replace(config=with_softening(settings.config, systems[0]))
        return EnsembleRequest(settings, None), [Member(index, NO_SEED, system) for index, system in enumerate(systems)]
    spec, first = _drawn(config)
    request = EnsembleRequest(settings, spec)
    members = [Member(index, NO_SEED if first is None else first + index, None) for index in range(config.count)]
    settings = request_of(settings, request.system_of(members[0])).settings
    return request._replace(settings=settings), members


def _check_settings(config: Config) -> None:
    if config.output is not None:
        check_output(config.output, config.overwrite)
        check_hdf5_name(config.output)
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


def _result(config: Config, members: Sequence[Member], done: dict[int, MemberResult], began: float) -> EnsembleResult:
    missing = (member for member in members if member.index not in done)
    results = [*done.values(), *(never_begun(member, "interrupted before its first step") for member in missing)]
    return EnsembleResult.of(
        results,
        G=config.G,
        softening=config.softening,
        wall_seconds=time.perf_counter() - began,
        settings=config.explicit(),
    )


def _check_some_began(done: dict[int, MemberResult]) -> None:
    if all(result.summary is None for result in done.values()):
        raise InputError(done[min(done)].outcome)
