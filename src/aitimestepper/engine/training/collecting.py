"""Part 1 of the training, all compiled: orbits that advance at their own pace while the network learns from the rest.

An orbit whose step passes the gate goes on to its next state at once; the network is trained on those whose step was
refused, until theirs pass too. For one orbit this is the loop of `training.part_one`, attempt by attempt.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.constants import DT_FLOOR
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import EARLIER, ROWS, X
from aitimestepper.engine.networks import Network
from aitimestepper.engine.training import gate, progress
from aitimestepper.engine.training.gate import STATE, judge
from aitimestepper.engine.training.perceptron import (
    Adam,
    Perceptron,
    backward,
    count_units,
    forward,
    gradient_size,
    step_down,
)
from aitimestepper.engine.training.progress import Accepted, Orbits, Setup, look

DONE, WORKING, LIMIT, NO_GRADIENT, BAD_GRADIENT = range(5)
"""What a call of `collect` ends with: enough steps; budget spent; a state took too many iterations; a refused step had
no gradient; a gradient was not finite. In the last three the weights are those before."""


class Task(NamedTuple):
    """What is to be done.

    Attributes:
        quota: accepted steps after which the round is the last.
        once: whether an orbit rests as soon as its step has passed.
        limit: retrain iterations on one state after which the loop gives up; infinite for none.
        physical: whether the network's output counts shortest pair times.
    """

    quota: int
    once: bool
    limit: float
    physical: bool


@compiled
def attempt_round(
    orbits: Orbits, perceptron: Perceptron, setup: Setup, task: Task, accepted: Accepted, n_accepted: int, number: int
) -> tuple[int, int]:
    """One attempt for every active orbit; gradients of the refused ones are summed.

    Returns:
        How many steps have been accepted in all, and how many were refused in this round; the latter is negative if one
        of these has no iterations left.
    """
    units = count_units(perceptron)
    values, slopes, deltas = np.empty(units), np.empty(units), np.empty(units)
    trial, verdict, row = np.empty(orbits.systems.shape[1]), np.empty(gate.VERDICT), np.empty(orbits.past.shape[2])
    widths = perceptron.network.widths
    n_inputs, n_outputs = widths[2], widths[widths.shape[0] - 1]
    first = units - n_outputs
    refused, spent = 0, False
    perceptron.gradient[:] = 0.0
    for b in range(orbits.systems.shape[0]):
        if not orbits.active[b]:
            continue
        values[:n_inputs] = orbits.inputs[b]
        forward(perceptron, values, slopes)
        scale = 1.0 / math.sqrt(orbits.free_fall[b]) if task.physical else 1.0
        dt = (values[first] + DT_FLOOR) * scale
        foreseen = values[first + min(1, n_outputs - 1)]
        judge(
            trial, verdict, orbits.systems[b], orbits.energy[b], orbits.free_fall[b], dt, foreseen, setup.law,
            setup.gate, False,
        )  # fmt: skip
        if verdict[gate.PASSED] > 0.0:
            _accept(orbits, b, trial, verdict, row, perceptron.network, setup)
            _note(orbits, b, verdict, accepted, n_accepted)
            accepted.rounds[n_accepted] = number
            n_accepted += 1
            orbits.active[b] = not task.once
            continue
        refused += 1
        spent = spent or orbits.spent[b, progress.ITERATIONS] >= task.limit
        _charge(orbits.spent[b], verdict)
        deltas[first:] = 0.0
        deltas[first] = verdict[gate.SLOPE] * scale
        if n_outputs > 1:
            deltas[first + 1] = verdict[gate.HEAD_SLOPE]
        backward(perceptron, values, slopes, deltas)
    return n_accepted, -refused if spent else refused


@inlined
def _charge(spent: Floats, verdict: Floats) -> None:
    """A refused step, and the iteration that follows it, to the account of its state."""
    loss, error = verdict[gate.LOSS], min(verdict[gate.ERROR], 1.0)
    least = error if spent[progress.ITERATIONS] == 0.0 else min(spent[progress.ERROR_LEAST], error)
    spent[progress.ITERATIONS] += 1.0
    spent[progress.LOSS_SUM] += loss
    spent[progress.LOSS_LAST] = loss
    spent[progress.LOSS_MAX] = max(spent[progress.LOSS_MAX], loss)
    spent[progress.ERROR_SUM] += error
    spent[progress.ERROR_MAX] = max(spent[progress.ERROR_MAX], error)
    spent[progress.ERROR_LAST], spent[progress.STEP_LAST] = error, verdict[gate.STEP]
    spent[progress.ERROR_LEAST] = least


@inlined
def _accept(
    orbits: Orbits, b: int, trial: Floats, verdict: Floats, row: Floats, network: Network, setup: Setup
) -> None:
    """The state that the step led to replaces the one that it started from, which joins the past."""
    system, past = orbits.systems[b], orbits.past[b]
    n = system.shape[0] // ROWS
    if past.shape[0] > 0:
        # The features of the state alone are the last of what the network saw.
        width = past.shape[1]
        for k in range(past.shape[0] - 1):
            past[k] = past[k + 1]
        at = past.shape[0] * width
        past[past.shape[0] - 1] = orbits.inputs[b, at : at + width]
    system[EARLIER * n :] = system[X * n : STATE * n]
    system[: STATE * n] = trial[: STATE * n]
    orbits.energy[b], orbits.free_fall[b] = verdict[gate.ENERGY], verdict[gate.FREE_FALL]
    orbits.dt[b] = verdict[gate.STEP]
    orbits.time[b] += verdict[gate.STEP]
    look(orbits, b, row, network, setup)


@inlined
def _note(orbits: Orbits, b: int, verdict: Floats, accepted: Accepted, number: int) -> None:
    accepted.states[number] = orbits.systems[b, : accepted.states.shape[1]]
    record = accepted.records[number]
    record[: progress.SPENT] = orbits.spent[b]
    record[progress.DT], record[progress.TIME], record[progress.ORBIT], record[progress.ACCEPTED_ERROR] = (
        verdict[gate.STEP],
        orbits.time[b],
        b,
        verdict[gate.ERROR],
    )
    orbits.spent[b] = 0.0


@compiled
def collect(
    orbits: Orbits, perceptron: Perceptron, adam: Adam, setup: Setup, task: Task, accepted: Accepted, budget: int
) -> tuple[int, int]:
    """Attempt, accept and learn, round after round.

    Args:
        orbits, perceptron: advanced in place.
        adam, setup, task: see there.
        accepted: room for `quota` + B steps, filled from its beginning on.
        budget: rounds of this call.

    Returns:
        A status and the number of steps accepted in this call.
    """
    n_accepted = 0
    for number in range(budget):
        n_accepted, refused = attempt_round(orbits, perceptron, setup, task, accepted, n_accepted, number)
        status = learn(perceptron, adam, refused)
        if status != WORKING:
            return status, n_accepted
        if n_accepted >= task.quota:
            return DONE, n_accepted
    return WORKING, n_accepted


@compiled
def attempt_until_refused(
    orbits: Orbits, perceptron: Perceptron, setup: Setup, task: Task, accepted: Accepted, most: int
) -> tuple[int, int]:
    """Rounds without anything to learn from: up to the first in which a step is refused, or to the `most`-th.

    For processes that train together and have nothing to tell each other before. Arguments and result otherwise as for
    `attempt_round`.
    """
    n_accepted = refused = 0
    for number in range(most):
        n_accepted, refused = attempt_round(orbits, perceptron, setup, task, accepted, n_accepted, number)
        if refused != 0 or n_accepted >= task.quota:
            break
    return n_accepted, refused


@compiled
def learn(perceptron: Perceptron, adam: Adam, refused: int) -> int:
    """One step of the optimiser down the mean gradient of the refused steps, if there are any; a status."""
    if refused < 0:
        return LIMIT
    if refused == 0:
        return WORKING
    size = gradient_size(perceptron)
    if not size < math.inf:
        return BAD_GRADIENT
    if size == 0.0:
        return NO_GRADIENT
    step_down(perceptron, adam, float(refused))
    return WORKING
