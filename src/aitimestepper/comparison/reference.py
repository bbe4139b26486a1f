"""The run that positions are compared with: order 8 at a tenth of the finest step, looked at by REBOUND's IAS15."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.comparison.methods import parse_method
from aitimestepper.comparison.own_runs import OwnRuns
from aitimestepper.comparison.rebound_runs import ReboundRuns
from aitimestepper.comparison.result import Reference
from aitimestepper.comparison.runs import Case, Outcome, Runs
from aitimestepper.comparison.tuning import tuned
from aitimestepper.errors import InputError
from aitimestepper.systems.rebound_bodies import rebound_installed

REFERENCES = ("ttl8:fixed", "leapfrog8:free-fall")
"""The second where the first does not fit or does not come to its end."""

FINER = 10
"""Times the evaluations of order 8 at the largest budget: by the law step^8 an error of 1e-8 of that run's."""
CHECK_EPSILON = 1e-9
"""REBOUND's own default."""
CHECK_EXCESS = 20
"""The largest budget times this is what IAS15 is given; its least cost may be several budgets."""


class ReferenceRun(NamedTuple):
    """Positions (N, D) of the bodies at the end, and what is known of the run."""

    position: Floats
    about: Reference


def reference_run(case: Case, finest: int) -> ReferenceRun | None:
    """The reference of a system; None if no run for it comes to its end.

    Args:
        case: the system.
        finest: the largest budget; the reference makes ten times as many steps as order 8 does with it.
    """
    for text in REFERENCES:
        runs = OwnRuns(parse_method(text), case)
        try:
            runs.check()
        except InputError:
            continue
        pair = _finer(runs, finest)
        if pair is not None:
            fine, coarse = pair
            apart, note = _checked(case, fine, finest)
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
    """Largest distance between the positions (N, D) of a body at the end of two runs."""
    return float(np.linalg.norm(first - second, axis=-1).max())


def _finer(runs: Runs, finest: int) -> tuple[Outcome, Outcome] | None:
    """The reference run, and one with steps twice as long."""
    found = tuned(runs, finest)
    value = (found.best or found.last).value
    fine, coarse = (runs.run(value * part / FINER, FINER * finest).outcome for part in (1, 2))
    return None if fine is None or coarse is None else (fine, coarse)


def _checked(case: Case, fine: Outcome, finest: int) -> tuple[float | None, str]:
    """How far IAS15 ends from the reference, and a remark."""
    if not rebound_installed():
        return None, "not checked against IAS15: rebound is not installed"
    if case.config.external_field_mass is not None:
        return None, "not checked against IAS15: REBOUND has no external field"
    for criterion in ("prs23", "aarseth"):
        runs = ReboundRuns(parse_method(f"rebound:ias15/{criterion}"), case)
        outcome = runs.run(CHECK_EPSILON, CHECK_EXCESS * finest).outcome
        if outcome is not None:
            note = "" if criterion == "prs23" else "IAS15's default criterion did not come to the end; aarseth did"
            return distance(fine.position, outcome.position), note
    return None, f"not checked against IAS15: it did not come to the end with {CHECK_EXCESS} budgets"
