"""A run in numbers, from its books."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import Books
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.recordings.parts import Counts, Summary


def counts_of(books: Books, wall_seconds: float) -> Counts:
    """Steps of a run and what they cost, from its books."""
    return Counts(int(books.steps), int(books.force_evaluations), int(books.rejected_steps), wall_seconds)


def summary_of(books: Books, wall_seconds: float, outcome: str, direction: float = 1.0) -> Summary:
    """A run in numbers, as far as it has come, from its books; `direction` is that of its time."""
    energy = float(books.kinetic_energy + books.potential_energy)
    scale = float(books.energy_scale)
    return Summary(
        **counts_of(books, wall_seconds)._asdict(),
        time=float(direction * books.time) + 0.0,  # no -0
        energy_initial=float(books.first_energy),
        energy_final=energy,
        energy_error_max=_ratio(float(books.max_energy_error), scale),
        energy_error_final=_ratio(abs(energy - float(books.initial_energy)), scale),
        momentum_residual=_ratio(math.sqrt(books.max_momentum_error_squared), float(books.momentum_scale)),
        angular_momentum_residual=_ratio(
            math.sqrt(books.max_angular_momentum_error_squared), float(books.angular_momentum_scale)
        ),
        outcome=_said(outcome, books),
        energy_error_max_time=float(direction * books.max_energy_error_time) + 0.0,
        mergers=int(books.mergers) or None,
        merger_energy=float(books.merger_energy) if books.mergers else None,
        **_promise(books, direction),
    )


def _said(outcome: str, books: Books) -> str:
    """The outcome, with the steps that exceeded what each was promised to stay below."""
    if books.steps_above == 0.0:
        return outcome
    return (
        f"{outcome}; {int(books.steps_above)} of {int(books.steps)} steps had an energy error above the "
        f"{books.step_error_promised:.3g} of one step, the largest {books.max_step_error:.3g}"
    )


def _promise(books: Books, direction: float) -> dict[str, Any]:
    """What a run with learned steps was asked for, and what its steps were measured to do."""
    # Bodies that move uniformly need no answer of the network.
    measured = books.states_asked > 0.0 or (books.tolerance_promised > 0.0 and books.steps > 0.0)
    found: dict[str, Any] = {}
    if books.states_asked > 0.0:
        found["outside_training"] = float(books.states_outside_training / books.states_asked)
    if books.step_error_promised > 0.0:
        found["step_error_asked"] = float(books.step_error_promised)
        found["step_error_max"], found["steps_above"] = float(books.max_step_error), int(books.steps_above)
    elif measured:
        found["position_error_max"] = POSITION_SHARE * float(books.max_position_error)
        by_estimate = books.macro_step != 0.0
        # A run that had to go back has met something: errors grew there, by more than the samples show. Steps by an
        # error estimate are all measured, and refused as a matter of course.
        if books.democratic == 0.0 and (by_estimate or books.rejected_steps == 0.0):
            found["position_error_run"] = float(books.run_position_error)
        if not by_estimate or books.longest_length > 0.0:
            found["longest_step"] = float(books.longest_length)
        # A run of `gbs` alone has asked no network; it begins anew behind a merger.
        if by_estimate and books.states_asked > 0.0:
            found["handed_over_at_step"] = int(books.macro_began_at_step)
            found["handed_over_at_time"] = float(direction * books.macro_began_at_time) + 0.0
    if measured and books.tolerance_promised > 0.0:
        asked = float(books.tolerance_promised)
        found |= {"energy_error_asked": asked, "position_error_asked": _share(asked)}
    return found


def _share(asked: float) -> float:
    """What is asked of positions, to fifteen digits: 10 x 1e-6 is meant to be 1e-05."""
    return float(f"{POSITION_SHARE * asked:.15g}")


def _ratio(part: float, whole: float) -> float:
    return float(ratios(np.array([part]), whole)[0])


def ratios(parts: Floats, whole: float) -> Floats:
    """`parts / whole`, where nothing moved 0; beyond all numbers the largest: files have no infinity."""
    most = sys.float_info.max
    if not whole > 0.0:
        return np.zeros_like(parts)
    with np.errstate(over="ignore"):
        return np.minimum(np.minimum(parts, most) / min(whole, most), most)
