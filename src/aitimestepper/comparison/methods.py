"""Methods of a comparison, from the short strings that a user types: `ttl6:fixed`, `leapfrog:free-fall/plain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from aitimestepper.config.own_criteria import registered_criteria
from aitimestepper.errors import InputError
from aitimestepper.names import INTEGRATORS, REBOUND_CRITERIA, REBOUND_METHODS, TIMESTEPS, Integrator, Omega, nearest
from aitimestepper.weights.calibrated import TOLERANCES

GRAMMAR = (
    "INTEGRATOR[ORDER]:STEP[/OPTION]..., such as leapfrog:free-fall, ttl6:fixed/log-h, ttl4:learned, "
    "leapfrog:learned=PATH or rebound:ias15"
)
ORDERS = (2, 4, 6, 8)

_OWN = tuple(name for name in get_args(Integrator) if name != "auto")
_WITHOUT_ORDER = ("gbs", "wh")

DEFAULTS = ("leapfrog:fixed", "leapfrog:free-fall", "leapfrog:fly-by", "ttl:fixed", "ttl4:fixed", "ttl6:fixed")
"""What is compared if nothing is said."""


@dataclass(frozen=True)
class Parameter:
    """What is turned until a run costs what it may cost.

    Attributes:
        name: as the configuration or REBOUND calls it.
        power: force evaluations grow about as parameter^power; < 0.
        low, high: the range in which it is looked for.
    """

    name: str
    power: float = -1.0
    low: float = 1e-12
    high: float = 1e12


@dataclass(frozen=True)
class ComparedMethod:
    """One method of a comparison.

    Attributes:
        text: as the user typed it.
        parameter: what is tuned.
        keys: the rest of it, as keys of the configuration; empty for REBOUND.
        rebound: name of REBOUND's integrator; empty for this program's own.
        criterion: how REBOUND's IAS15 chooses its steps.
    """

    text: str
    parameter: Parameter
    keys: Mapping[str, Any] = field(default_factory=dict)
    rebound: str = ""
    criterion: str = ""


_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"reversible": False},
    "reversible": {"reversible": True},
    **{omega: {"omega": omega} for omega in get_args(Omega)},
    "unit": {"omega_weight": "unit"},
    "mass-sum": {"omega_weight": "mass-sum"},
}
"""What may follow a slash, and the keys that it stands for; beside them q=NUMBER."""


def parse_method(text: str) -> ComparedMethod:
    """The method that a string names; whether it fits a system, the simulation itself says.

    Raises:
        InputError: no such integrator, step or option; names the nearest one.
    """
    program, colon, rest = text.partition(":")
    if not colon or not rest:
        raise InputError(f"method {text!r} should be {GRAMMAR}{nearest(text, _known())}")
    if program == "rebound":
        return _of_rebound(text, rest)
    integrator = program.rstrip("0123456789")
    order = program[len(integrator) :] or "2"
    if integrator not in _OWN or order not in map(str, ORDERS):
        raise _unknown(text)
    step, options = _without_options(text, rest)
    step, equals, model = step.partition("=")
    if step not in (*TIMESTEPS, *registered_criteria()):
        raise _unknown(text)
    if bool(equals) != bool(model) or (model and step != "learned"):
        raise InputError(f"method {text!r}: learned=PATH names weights, and only learned has any")
    if (integrator == "gbs") != (step == "estimate"):
        raise InputError(f"method {text!r}: gbs chooses its steps itself, and nothing else does: gbs:estimate")
    if integrator in _WITHOUT_ORDER and program != integrator:
        raise InputError(f"method {text!r}: {integrator} takes no order")
    keys = {"integrator": integrator, "order": int(order), "timestep": step, **options}
    if integrator in _WITHOUT_ORDER:
        del keys["order"]
    if model:
        keys["model"] = model
    return ComparedMethod(text, _parameter(integrator, step, int(order), own_weights=bool(model)), keys)


def _parameter(integrator: str, step: str, order: int, *, own_weights: bool) -> Parameter:
    if step == "estimate":
        return Parameter("tolerance", power=-1.0 / 12.0, low=TOLERANCES[0], high=TOLERANCES[1])
    if step == "learned" and not own_weights:
        return Parameter("tolerance", power=-1.0 / order, low=TOLERANCES[0], high=TOLERANCES[1])
    if step == "fixed":
        return Parameter(INTEGRATORS[integrator].fixed_step)
    if step == "learned":
        return Parameter("tolerance", power=-1.0 / 3.0, low=1e-30, high=1e30)
    return Parameter("eta", low=1e-9, high=1e3)


def _of_rebound(text: str, rest: str) -> ComparedMethod:
    name, slash, criterion = rest.partition("/")
    if name not in REBOUND_METHODS or (slash and (name != "ias15" or criterion not in REBOUND_CRITERIA)):
        raise _unknown(text)
    if name == "leapfrog":
        return ComparedMethod(text, Parameter("dt"), rebound=name)
    # Below the range, rounding decides the steps; above it, the loops inside a step no longer converge.
    return ComparedMethod(text, Parameter("epsilon", -1.0 / 7.0, 1e-15, 1e-2), rebound=name, criterion=criterion)


def _without_options(text: str, rest: str) -> tuple[str, dict[str, Any]]:
    """What stands before the options, which are taken from the end: the path of a model may have slashes too."""
    options: dict[str, Any] = {}
    while "/" in rest:
        before, _, word = rest.rpartition("/")
        keys = _option(text, word)
        if keys is None and rest.startswith("learned="):
            break
        if keys is None:
            raise InputError(
                f"method {text!r}: unknown option {word!r}{nearest(word, _OPTIONS)} (known: {', '.join(_OPTIONS)}, q=X)"
            )
        options |= keys
        rest = before
    return rest, options


def _option(text: str, word: str) -> dict[str, Any] | None:
    if not word.startswith("q="):
        return _OPTIONS.get(word)
    try:
        return {"omega_q": float(word[2:])}
    except ValueError:
        raise InputError(f"method {text!r}: q = {word[2:]!r} should be a number") from None


def _unknown(text: str) -> InputError:
    return InputError(f"unknown method {text!r}{nearest(text, _known())} (a method is {GRAMMAR})")


def _known() -> tuple[str, ...]:
    """All methods without options, for a hint."""
    return tuple(_without_any_option())


def _without_any_option() -> Iterator[str]:
    yield from ("gbs:estimate", "wh:fixed")
    for integrator in ("leapfrog", "ttl"):
        for order in ("", *map(str, ORDERS)):
            for step in (*(step for step in TIMESTEPS if step != "estimate"), *registered_criteria()):
                yield f"{integrator}{order}:{step}"
    for name in REBOUND_METHODS:
        yield f"rebound:{name}"
    for criterion in REBOUND_CRITERIA:
        yield f"rebound:ias15/{criterion}"
