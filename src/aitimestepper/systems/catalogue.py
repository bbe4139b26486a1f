"""`--ic SPEC`: how a specification is read, and what the command line says about the systems that have a name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.errors import InitialConditionsError
from aitimestepper.names import nearest
from aitimestepper.outputs import spelled
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.initial import InitialConditions, agreed_gravity, agreed_softening, check_apart
from aitimestepper.systems.orbits import osculating_period
from aitimestepper.systems.sources import CHOICE, RADIUS, SOURCES, Option

DRAWING = tuple(name for name, source in SOURCES.items() if any(option.name == "seed" for option in source.options))
"""The named systems that are drawn."""


def seeded(spec: str, seed: int) -> tuple[str, int | None]:
    """A specification without its seed, and the seed: its own, or else `seed`; None if it draws nothing.

    Raises:
        InitialConditionsError: an unknown option, or a value out of range.
    """
    name, colon, text = spec.partition(":")
    if name not in DRAWING:
        return spec, None
    values = _parse_options(name, (*SOURCES[name].options, RADIUS), text) if colon else {}
    rest = ",".join(part for part in text.split(",") if part.partition("=")[0].strip() != "seed")
    return f"{name}:{rest}".removesuffix(":"), values.get("seed", seed)


def initial_conditions(
    spec: str, *, G: float = 1.0, softening: float | None = None, seed: int = 0
) -> InitialConditions:
    """Build or read what `--ic` names: `NAME`, `NAME:KEY=VALUE,...`, a file, or `RUN_DIR:system=K` of a training.

    A named system is scaled to `G` (velocities by sqrt(G)); a file is in the user's units already. Two bodies that
    are bound always have a period.

    Args:
        spec: the specification.
        G: gravitational constant of the run.
        softening: Plummer softening of the run; None for that of the file, or 0. With 0 no two bodies may be at one
            point.
        seed: of the systems that are drawn, unless `spec` gives one itself.

    Raises:
        InitialConditionsError: an unknown name or option, a value out of range, a file that cannot be used.
    """
    name, colon, text = spec.partition(":")
    if name in SOURCES:
        values = {option.name: option.default for option in SOURCES[name].options}
        if "seed" in values:
            values["seed"] = seed
        if colon:
            values |= _parse_options(name, (*SOURCES[name].options, RADIUS), text)
        system = SOURCES[name].build(values).with_gravity(G)
        if "radius" in values:
            system = replace(system, radius=np.array(values["radius"]))
    elif _looks_like_path(spec):
        path, options = _path_and_options(spec)
        system = read_initial_conditions(path, G=G, softening=softening, number=options.get("system"))
    else:
        raise InitialConditionsError(
            f"unknown initial conditions {name!r}{nearest(name, SOURCES)} (known: {', '.join(SOURCES)}, or a file)"
        )
    return prepared(system, G=G, softening=softening)


def prepared(system: InitialConditions, *, G: float = 1.0, softening: float | None = None) -> InitialConditions:
    """Bodies with the softening of a run, and with a period if they are two and bound; arguments as before.

    Raises:
        InitialConditionsError: the softening is not theirs, or two are at one point.
    """
    system = replace(system, softening=agreed_softening(system, softening))
    check_apart(system, system.softening)
    return _with_period(system, agreed_gravity(system, None) or G)


def describe_systems() -> str:
    """The named systems with their options, one line each, for the help of the command line."""
    return "\n".join(_lines_of_help())


def _lines_of_help() -> Iterable[str]:
    for name, source in SOURCES.items():
        yield f"{name:<21}{source.help}"
        for option in source.options:
            default = "" if option.default is None else f"={spelled(option.default)}"
            yield f"  {option.name + default:<19}{option.help}; {option.rule}"
    yield f"{'all of them':<21}one more option"
    yield f"  {RADIUS.name:<19}{RADIUS.help}, instead of its own or of 0; {RADIUS.rule}"


def _with_period(system: InitialConditions, G: float) -> InitialConditions:
    if system.n_bodies != 2 or system.period > 0:
        return system
    return replace(system, period=osculating_period(system.mass, system.position, system.velocity, G))


def _looks_like_path(spec: str) -> bool:
    """Only the part before a colon may give a suffix: the last point of `keplr:e=0.6` does not."""
    exists = os.path.exists(spec) or os.path.exists(spec.rpartition(":")[0])
    return exists or os.sep in spec or bool(Path(spec.partition(":")[0]).suffix)


def _path_and_options(spec: str) -> tuple[str, dict[str, Any]]:
    """A path, which may have colons in it, and the options behind it."""
    path, _, text = spec.rpartition(":")
    if os.path.exists(spec) or not os.path.exists(path):
        return spec, {}
    return path, _parse_options(path, (CHOICE,), text)


def _parse_options(name: str, options: Iterable[Option], text: str) -> dict[str, Any]:
    known = {option.name: option for option in options}
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if not key or not value:
            raise InitialConditionsError(f"{name}: options are written KEY=VALUE,KEY=VALUE, got {part!r} in {text!r}")
        if key not in known:
            raise InitialConditionsError(
                f"{name}: unknown option {key!r}{nearest(key, known)} (known: {', '.join(known)})"
            )
        if key in values:
            raise InitialConditionsError(f"{name}: option {key} is given twice")
        values[key] = _value(name, known[key], value)
    return values


def _value(name: str, option: Option, text: str) -> Any:
    try:
        value = option.kind(text)
    except ValueError:
        value = None
    if value is None or not option.allows(value):
        raise InitialConditionsError(f"{name}: {option.name} = {text} is not allowed: it must be {option.rule}")
    return value
