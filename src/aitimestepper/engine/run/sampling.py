"""The local position error of a step that was sampled, entered into the books of a calibrated run."""

from __future__ import annotations

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import LAG, Books, n_bodies
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.run.local_error import halved, is_democratic, richardson
from aitimestepper.engine.run.plan import Control, Plan
from aitimestepper.engine.run.state import Run

_WHOLE_PHASE = 2.0
"""Dynamical times over which local errors are averaged (as the constants of `governor`: chosen)."""


@compiled
def sample(before: Floats, omega: float, run: Run, plan: Plan, stride: float) -> None:
    """Enter the local position error of the step that was just made.

    Args:
        before: (ROWS x N,), the state that the step started from; becomes that after two halves of the step.
        omega: auxiliary Omega there.
        run: as it is after the step.
        plan: how it was made, and what is allowed.
        stride: steps that this one stands for.
    """
    books, control, method = run.books[0], plan.control, plan.method
    step = 1.0 / books.last_rate
    rate, phase = halved(before, omega, run.system, step, books.last_dt, method, plan.law)
    books.force_evaluations += 2.0 * method.stages.shape[0]
    rate *= richardson(control.order) / (POSITION_SHARE * control.tolerance)
    phase *= stride
    if books.democratic == 0.0 and is_democratic(run.system, plan.law):
        books.democratic = 1.0
    n = n_bodies(run.system)
    for k in range(LAG * n, (LAG + 1) * n):
        run.system[k] += stride * richardson(control.order) * before[k]
    enter(books, control, rate, phase)


@compiled
def enter(books: Books, control: Control, rate: float, phase: float) -> None:
    """Enter a local position error for each dynamical time, over what is allowed, and the times that it stands for."""
    books.sampled_position_error += rate * phase
    books.sampled_phase += phase
    books.review_phase += phase
    rate = books.sampled_position_error / max(books.sampled_phase, _WHOLE_PHASE)
    books.review_position_error = max(books.review_position_error, rate)
    books.max_position_error = max(books.max_position_error, rate * control.tolerance)
    if books.sampled_phase >= _WHOLE_PHASE:
        books.sampled_position_error = books.sampled_phase = 0.0
