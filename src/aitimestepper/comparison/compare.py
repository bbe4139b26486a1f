"""`compare`: step criteria and integrators on the same systems, each tuned to the same number of force evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from aitimestepper.comparison.methods import DEFAULTS, parse_method
from aitimestepper.comparison.result import Comparison
from aitimestepper.comparison.runs import Case
from aitimestepper.config.keywords import configured, takes_keys_of
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.outputs import check_output
from aitimestepper.simulation.checks import check_end
from aitimestepper.simulation.fitting import check_field, fitted_to
from aitimestepper.simulation.progress import Progress, shown
from aitimestepper.simulation.request import bodies_of, duration_of
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, read_model

_COMMON = ("G", "softening", "external_field_mass", "external_field_position", "seed")
"""Keys that every run of a comparison has."""

_LEAST_BUDGET = 100
"""With fewer, one step of order 8 (17 evaluations) is a sixth of the budget, which then cannot be met."""


@takes_keys_of("compare", "ic", "json", "figure")
def compare(
    systems: InitialConditions | str | Sequence[InitialConditions | str] | None = None,
    config: Config | None = None,
    *,
    progress: Progress | bool | None = None,
    **keys: Any,
) -> Comparison:
    """Compare methods at equal force evaluations: `compare("pythagorean", duration=10, methods=["ttl6:fixed"])`.

    Every method has one parameter (a step, eta, a tolerance), which is tuned on every system until the run costs each
    of the budgets in `evaluations` within a few percent. All errors are those of the tuned runs.

    Args:
        systems: the bodies, names of systems, or files; one or more, all of them bodies or none.
        config: settings that several comparisons share.
        progress: as for `simulate`.
        keys: settings, over those of `config`: `duration` or `periods`; perhaps `methods` and `evaluations`.

    Raises:
        InputError: the request cannot be carried out; nothing has been run.
    """
    from aitimestepper.comparison.carrying_out import compare_on, runs_of

    given, config = _asked(systems, configured(config, keys))
    budgets, methods = _budgets(config), tuple(map(parse_method, _distinct("methods", config.methods or DEFAULTS)))
    if config.output is not None:
        check_output(config.output, config.overwrite)
    base = Config(**{key: value for key, value in config.explicit().items() if key in _COMMON})
    with shown(progress, "comparing") as show:
        tally, weights = _Tally(show), cache(read_model)
        cases = [_case(one, tally.show, weights) for one in _systems(config, base, given)]
        runs = [[runs_of(method, case) for method in methods] for case in cases]
        for one in (run for of_case in runs for run in of_case):
            one.check()
        tally.total = len(cases) * (1 + len(methods) * len(budgets))
        return Comparison(
            tuple(compare_on(case, of_case, budgets, tally.done) for case, of_case in zip(cases, runs, strict=True))
        )


def _asked(
    systems: InitialConditions | str | Sequence[InitialConditions | str] | None, config: Config
) -> tuple[list[InitialConditions] | None, Config]:
    """The bodies that were passed, None where they are named, and the configuration, with their names.

    Raises:
        InputError: some are bodies and others names, or they are named twice.
    """
    if systems is None:
        return None, config
    given = [systems] if isinstance(systems, InitialConditions | str) else list(systems)
    bodies = [system for system in given if isinstance(system, InitialConditions)]
    if len(bodies) == len(given):
        return bodies, config
    if bodies:
        raise InputError("the systems of a comparison are all bodies, or all names")
    if config.ic is not None or config.systems is not None:
        raise InputError("the systems are given twice: set one of ic and systems")
    return None, config.replace(systems=given)


def _case(
    one: tuple[str, Config, InitialConditions, float],
    show: Callable[[], None],
    weights: Callable[[str | None], ModelFile],
) -> Case:
    name, config, system, duration = one
    if duration > 0:
        return Case(name, config, system, duration, show, weights)
    return Case(name, config, system.turned, -duration, show, weights, direction=-1.0)


class _Tally:
    """Counts what is done, and shows it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._count = 0
        self.total = 1

    def show(self) -> None:
        self._progress(self._count / self.total)

    def done(self) -> None:
        self._count += 1
        self.show()


def _budgets(config: Config) -> tuple[int, ...]:
    if not config.evaluations or min(config.evaluations) < _LEAST_BUDGET:
        raise InputError(f"evaluations must be numbers >= {_LEAST_BUDGET}, got {list(config.evaluations)}")
    _distinct("evaluations", config.evaluations)
    return tuple(sorted(config.evaluations))


def _distinct(key: str, values: Sequence[Any]) -> Sequence[Any]:
    if not values:
        raise InputError(f"a comparison needs {key}")
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{key} has {value} twice")
    return values


def _systems(
    config: Config, base: Config, given: Sequence[InitialConditions] | None
) -> list[tuple[str, Config, InitialConditions, float]]:
    """Name, common keys, bodies and duration of each system."""
    if config.steps is not None:
        raise InputError("a comparison ends at one time for all methods: set duration or periods, not steps")
    check_end(config)
    specs = config.systems or (() if config.ic is None else (config.ic,))
    if specs and given is not None:
        raise InputError("the systems are given twice: set one of ic and systems")
    if given is None:
        bodies = {spec: bodies_of(base.replace(ic=spec)) for spec in _distinct("ic or systems", specs)}
    else:
        bodies = {f"system {k}": bodies_of(base, system) for k, system in enumerate(given)}
    for system in bodies.values():
        check_field(base, system)
    return [(name, fitted_to(base, system), system, duration_of(config, system)) for name, system in bodies.items()]
