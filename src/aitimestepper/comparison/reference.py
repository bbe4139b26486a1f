"""The run that positions are compared with: order 8 at a tenth of the finest step, looked at by REBOUND's IAS15."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.comparison.methods import ComparedMethod, parse_method
from aitimestepper.comparison.own_runs import Arena
from aitimestepper.comparison.rebound_runs import Rival
from aitimestepper.comparison.result import Reference
from aitimestepper.comparison.tuning import Outcome, tune
from aitimestepper.errors import InputError
from aitimestepper.systems.rebound_bodies import rebound_installed

REFERENCES = ("ttl8:fixed", "leapfrog8:free-fall")
"""The second where the first does not fit or does not come to its end."""

FINER = 10
CHECK_EPSILON = 1e-9
CHECK_EXCESS = 20
"""IAS15 may cost this many times the largest budget."""


class ReferenceRun(NamedTuple):
    """Where the bodies are at the end, and what is known of the run."""

    position: Floats
    about: Reference


def reference_run(arena: Arena, finest: int) -> ReferenceRun | None:
    """The reference of a system; None if no run for it comes to its end.

    Args:
        arena: the system.
        finest: the largest budget; the reference makes ten times as many steps as order 8 does with it.
    """
    for text in REFERENCES:
        method = parse_method(text)
        try:
            arena.check(method)
        except InputError:
            continue
        runs = _finer(arena, method, finest)
        if runs is not None:
            fine, coarse = runs
            apart, note = _checked(arena, fine, finest)
            about = Reference(
                f"{text} at 1/{FINER} of the finest step",
                fine.force_evaluations,
                fine.energy_error_max,
                distance(fine.position, coarse.position),
                apart,
                note,
            )
            return ReferenceRun(fine.position, about)
    return None


def distance(first: Floats, second: Floats) -> float:
    """Largest distance of a body from its place in another run."""
    return float(np.linalg.norm(first - second, axis=-1).max())


def _finer(arena: Arena, method: ComparedMethod, finest: int) -> tuple[Outcome, Outcome] | None:
    """The reference run, and one with steps twice as long."""

    tuned = tune(lambda value: arena.run(method, value, finest), method.parameter, finest, arena.guess(method, finest))
    value = (tuned.best or tuned.last).value
    fine, coarse = (arena.run(method, value * part / FINER, FINER * finest).outcome for part in (1, 2))
    return None if fine is None or coarse is None else (fine, coarse)


def _checked(arena: Arena, fine: Outcome, finest: int) -> tuple[float | None, str]:
    """How far IAS15 ends from the reference, and a remark."""
    if not rebound_installed():
        return None, "not checked against IAS15: rebound is not installed"
    if arena.config.external_field_mass is not None:
        return None, "not checked against IAS15: REBOUND has no external field"
    for criterion in ("prs23", "aarseth"):
        method = parse_method(f"rebound:ias15/{criterion}")
        rival = Rival(method, arena.config, arena.system, arena.duration)
        outcome = rival.run(CHECK_EPSILON, CHECK_EXCESS * finest, arena.show).outcome
        if outcome is not None:
            note = "" if criterion == "prs23" else "IAS15's default criterion did not come to the end; aarseth did"
            return distance(fine.position, outcome.position), note
    return None, f"not checked against IAS15: it did not come to the end with {CHECK_EXCESS} budgets"
