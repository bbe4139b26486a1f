"""`compare`: step criteria and integrators on the same systems, each tuned to the same number of force evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from aitimestepper.comparison.methods import DEFAULTS, parse_method
from aitimestepper.comparison.result import Comparison
from aitimestepper.comparison.runs import Case
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.outputs import check_output
from aitimestepper.simulation.request import bodies_of, check_end, check_field, duration_of, with_softening
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, read_model

_COMMON = ("G", "softening", "external_field_mass", "external_field_position", "seed")
"""Keys that every run of a comparison has."""

_LEAST_BUDGET = 100
"""With fewer, one step of order 8 (17 evaluations) is a sixth of the budget, which then cannot be met."""


def compare(
    config: Config,
    progress: Callable[[float], None] | None = None,
    *,
    systems: Sequence[InitialConditions] | None = None,
) -> Comparison:
    """Compare `methods` on one or more systems at equal force evaluations.

    Every method has one parameter (a step, eta, a tolerance), which is tuned on every system until the run costs each
    of the budgets in `evaluations` within a few percent. All errors are those of the tuned runs.

    Args:
        config: `ic` or `systems`, `duration` or `periods`; perhaps `methods` and `evaluations`.
        progress: called several times a second with the part that is done, 0 to 1.
        systems: the bodies, in place of `ic` and `systems`.

    Raises:
        InputError: the request cannot be carried out; nothing has been run.
    """
    from aitimestepper.comparison.carrying_out import compare_on, runs_of

    budgets, methods = _budgets(config), tuple(map(parse_method, _distinct("methods", config.methods or DEFAULTS)))
    if config.output is not None:
        check_output(config.output, config.overwrite)
    base = Config(**{key: value for key, value in config.explicit().items() if key in _COMMON})
    tally, weights = _Tally(progress), cache(read_model)
    cases = [_case(one, tally.show, weights) for one in _systems(config, base, systems)]
    runs = [[runs_of(method, case) for method in methods] for case in cases]
    for one in (run for of_case in runs for run in of_case):
        one.check()
    tally.total = len(cases) * (1 + len(methods) * len(budgets))
    return Comparison(
        tuple(compare_on(case, of_case, budgets, tally.done) for case, of_case in zip(cases, runs, strict=True))
    )


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

    def __init__(self, progress: Callable[[float], None] | None) -> None:
        self._progress = progress or (lambda fraction: None)
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
    if (config.ic is not None and config.systems) or (specs and given is not None):
        raise InputError("the systems are given twice: set one of ic and systems")
    if given is None:
        bodies = {spec: bodies_of(base.replace(ic=spec)) for spec in _distinct("ic or systems", specs)}
    else:
        bodies = {f"system {k}": bodies_of(base, system) for k, system in enumerate(given)}
    for system in bodies.values():
        check_field(base, system)
    return [
        (name, with_softening(base, system), system, duration_of(config, system)) for name, system in bodies.items()
    ]
