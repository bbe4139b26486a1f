"""`compare`: step criteria and integrators on the same systems, each tuned to the same number of force evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aitimestepper.comparison.methods import DEFAULTS, ComparedMethod, parse_method
from aitimestepper.comparison.rebound_runs import check_rival
from aitimestepper.comparison.result import Comparison
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.outputs import check_output
from aitimestepper.simulation.request import bodies_of, check_end, check_field, duration_of
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile

if TYPE_CHECKING:
    from aitimestepper.comparison.own_runs import Arena

_COMMON = ("G", "softening", "external_field_mass", "external_field_position", "seed")
"""Keys that every run of a comparison has."""

_LEAST_BUDGET = 100


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
    from aitimestepper.comparison.contest import compare_on
    from aitimestepper.comparison.own_runs import Arena

    budgets, methods = _budgets(config), tuple(map(parse_method, _distinct("methods", config.methods or DEFAULTS)))
    if config.output is not None:
        check_output(config.output, config.overwrite)
    base = Config(**{key: value for key, value in config.explicit().items() if key in _COMMON})
    tally = _Tally(progress)
    weights: dict[str | None, ModelFile] = {}
    arenas = [
        (spec, Arena(base, system, duration, tally.show, weights))
        for spec, system, duration in _systems(config, base, systems)
    ]
    for _, arena in arenas:
        for method in methods:
            _check(method, arena)
    tally.total = len(arenas) * (1 + len(methods) * len(budgets))
    return Comparison(tuple(compare_on(spec, arena, methods, budgets, tally.done) for spec, arena in arenas))


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


def _check(method: ComparedMethod, arena: Arena) -> None:
    """Refuse a method that does not fit a system, in words that name the method."""
    if method.rebound:
        check_rival(method, arena.config)
        return
    try:
        arena.check(method)
    except InputError as error:
        raise InputError(f"method {method.text!r}: {error}") from None


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
) -> list[tuple[str, InitialConditions, float]]:
    """Name, bodies and duration of each system."""
    if config.steps is not None:
        raise InputError("a comparison ends at one time for all methods: set duration or periods, not steps")
    named = config.systems or (() if config.ic is None else (config.ic,))
    if (config.ic is not None and config.systems) or (named and given is not None):
        raise InputError("the systems are given twice: set one of ic and systems")
    if given is not None:
        return [(f"system {k}", *_bodies(config, base, system)) for k, system in enumerate(given)]
    return [(spec, *_bodies(config, base, spec)) for spec in _distinct("ic or systems", named)]


def _bodies(config: Config, base: Config, source: str | InitialConditions) -> tuple[InitialConditions, float]:
    """Bodies and duration; what no method could use is refused here."""
    check_end(config)
    if isinstance(source, str):
        system = bodies_of(base.replace(ic=source))
    else:
        system = bodies_of(base, source)
    check_field(base, system)
    return system, duration_of(config, system)
