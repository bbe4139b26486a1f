"""Part 1 of the training, all compiled: orbits that advance at their own pace while the network learns from the rest.

An orbit whose step passes the gate goes on to its next state at once; the network is trained on those whose step was
refused, until theirs pass too. For one orbit this is the loop of `training.part_one`, attempt by attempt.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.constants import DT_FLOOR
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.summary import Sight, fill_features
from aitimestepper.engine.layout import EARLIER, ROWS, X
from aitimestepper.engine.networks import fourier
from aitimestepper.engine.physics.gravity import Law, fastest_free_fall
from aitimestepper.engine.training.gate import (
    ENERGY,
    ERROR,
    FREE_FALL,
    HEAD_SLOPE,
    LOSS,
    PASSED,
    SLOPE,
    STATE,
    STEP,
    VERDICT,
    Gate,
    judge,
)
from aitimestepper.engine.training.perceptron import (
    Adam,
    Perceptron,
    backward,
    count_units,
    forward,
    gradient_size,
    step_down,
)

DONE, WORKING, LIMIT, NO_GRADIENT, BAD_GRADIENT = range(5)
"""What a call of `collect` ends with: enough steps; budget spent; a state took too many iterations; a refused step had
no gradient; a gradient was not finite. In the last three the weights are those before."""

ITERATIONS, LOSS_SUM, LOSS_MAX, LOSS_LAST, ERROR_SUM, ERROR_MAX, ERROR_LAST, STEP_LAST = range(8)
"""What has been spent so far on the state of an orbit: retrain iterations; sum, largest and last of the losses; sum,
largest and last of the energy errors of the refused steps, and the last of these steps."""
SPENT = 8

DT, TIME, ORBIT, ACCEPTED_ERROR = SPENT, SPENT + 1, SPENT + 2, SPENT + 3
"""An accepted step: what was spent on it, then the step, the time reached, its orbit and its energy error."""
RECORD = SPENT + 4


class Orbits(NamedTuple):
    """B orbits, each somewhere on its way.

    Attributes:
        systems: (B, ROWS x N), see `layout`; the rows EARLIER hold the state before.
        energy, free_fall, dt, time: (B,) of each state; dt is the step that led to it.
        past: (B, K, width) features of the states before, oldest first.
        inputs: (B, units) what the network sees of each state.
        spent: (B, SPENT) on each state so far.
        active: (B,) orbits that advance; the others rest.
    """

    systems: Floats
    energy: Floats
    free_fall: Floats
    dt: Floats
    time: Floats
    past: Floats
    inputs: Floats
    spent: Floats
    active: NDArray[np.bool_]


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


class Accepted(NamedTuple):
    """Accepted steps in the order of acceptance.

    Attributes:
        states: (most, STATE x N) masses, positions, velocities and accelerations after each step.
        records: (most, RECORD).
        rounds: (most,) the round of this call in which each was accepted.
    """

    states: Floats
    records: Floats
    rounds: NDArray[np.int64]


class Scene(NamedTuple):
    """What does not change: the law of motion, the gate, what the network sees, and its Fourier frequencies.

    Attributes:
        law, gate, sight: see there.
        frequencies: (features x frequencies,), flat.
    """

    law: Law
    gate: Gate
    sight: Sight
    frequencies: Floats


@compiled
def look(orbits: Orbits, b: int, row: Floats, scene: Scene) -> None:
    """What the network sees of orbit b, into its inputs; the features of the state alone are left in `row`."""
    fill_features(row, orbits.systems[b], orbits.free_fall[b], orbits.dt[b], scene.law, scene.sight)
    inputs, width, rows = orbits.inputs[b], row.shape[0], orbits.past.shape[1]
    for k in range(rows):
        inputs[k * width : (k + 1) * width] = orbits.past[b, k]
    n_features = (rows + 1) * width
    inputs[rows * width : n_features] = row
    fourier(inputs, scene.frequencies, n_features, scene.frequencies.shape[0] // n_features)


@compiled
def open_orbits(orbits: Orbits, window: Floats, steps: Floats, scene: Scene) -> None:
    """Fill the past and the inputs of orbits whose states are known.

    Args:
        orbits: `systems`, `energy`, `dt` and `time` set.
        window: (K, B, ROWS x N) the states before, oldest first, each with the one before it in its rows EARLIER.
        steps: (K, B) the steps that led to them.
        scene: what does not change.
    """
    row = np.empty(orbits.past.shape[2])
    skipped = window.shape[0] - orbits.past.shape[1]  # DELTA_MAG sees intervals, of which there is one less
    for b in range(orbits.systems.shape[0]):
        orbits.free_fall[b] = fastest_free_fall(orbits.systems[b], scene.law)
        for k in range(orbits.past.shape[1]):
            system = window[k + skipped, b]
            free_fall = fastest_free_fall(system, scene.law)
            fill_features(orbits.past[b, k], system, free_fall, steps[k + skipped, b], scene.law, scene.sight)
        look(orbits, b, row, scene)


@compiled
def attempt_round(
    orbits: Orbits, network: Perceptron, scene: Scene, task: Task, accepted: Accepted, n_accepted: int, number: int
) -> tuple[int, int]:
    """One attempt for every active orbit; gradients of the refused ones are summed.

    Returns:
        How many steps have been accepted in all, and how many were refused in this round; the latter is negative if one
        of these has no iterations left.
    """
    units = count_units(network.widths)
    values, slopes, deltas = np.empty(units), np.empty(units), np.empty(units)
    trial, verdict, row = np.empty(orbits.systems.shape[1]), np.empty(VERDICT), np.empty(orbits.past.shape[2])
    n_inputs, n_outputs = network.widths[0], network.widths[network.widths.shape[0] - 1]
    first = units - n_outputs
    refused, spent = 0, False
    network.gradient[:] = 0.0
    for b in range(orbits.systems.shape[0]):
        if not orbits.active[b]:
            continue
        values[:n_inputs] = orbits.inputs[b]
        forward(network, values, slopes)
        scale = 1.0 / math.sqrt(orbits.free_fall[b]) if task.physical else 1.0
        dt = (values[first] + DT_FLOOR) * scale
        foreseen = values[first + min(1, n_outputs - 1)]
        judge(
            trial, verdict, orbits.systems[b], orbits.energy[b], orbits.free_fall[b], dt, foreseen, scene.law,
            scene.gate, False,
        )  # fmt: skip
        if verdict[PASSED] > 0.0:
            _accept(orbits, b, trial, verdict, row, scene)
            _note(orbits, b, verdict, accepted, n_accepted)
            accepted.rounds[n_accepted] = number
            n_accepted += 1
            orbits.active[b] = not task.once
            continue
        refused += 1
        spent = spent or orbits.spent[b, ITERATIONS] >= task.limit
        _charge(orbits.spent[b], verdict)
        deltas[first:] = 0.0
        deltas[first] = verdict[SLOPE] * scale
        if n_outputs > 1:
            deltas[first + 1] = verdict[HEAD_SLOPE]
        backward(network, values, slopes, deltas)
    return n_accepted, -refused if spent else refused


@inlined
def _charge(spent: Floats, verdict: Floats) -> None:
    """A refused step, and the iteration that follows it, to the account of its state."""
    loss, error = verdict[LOSS], min(verdict[ERROR], 1.0)
    spent[ITERATIONS] += 1.0
    spent[LOSS_SUM] += loss
    spent[LOSS_LAST] = loss
    spent[LOSS_MAX] = max(spent[LOSS_MAX], loss)
    spent[ERROR_SUM] += error
    spent[ERROR_MAX] = max(spent[ERROR_MAX], error)
    spent[ERROR_LAST], spent[STEP_LAST] = error, verdict[STEP]


@inlined
def _accept(orbits: Orbits, b: int, trial: Floats, verdict: Floats, row: Floats, scene: Scene) -> None:
    """The state that the step led to takes the place of the one that it started from, which joins the past."""
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
    orbits.energy[b], orbits.free_fall[b] = verdict[ENERGY], verdict[FREE_FALL]
    orbits.dt[b] = verdict[STEP]
    orbits.time[b] += verdict[STEP]
    look(orbits, b, row, scene)


@inlined
def _note(orbits: Orbits, b: int, verdict: Floats, accepted: Accepted, number: int) -> None:
    accepted.states[number] = orbits.systems[b, : accepted.states.shape[1]]
    record = accepted.records[number]
    record[:SPENT] = orbits.spent[b]
    record[DT], record[TIME], record[ORBIT], record[ACCEPTED_ERROR] = verdict[STEP], orbits.time[b], b, verdict[ERROR]
    orbits.spent[b] = 0.0


@compiled
def collect(
    orbits: Orbits, network: Perceptron, adam: Adam, scene: Scene, task: Task, accepted: Accepted, budget: int
) -> tuple[int, int]:
    """Attempt, accept and learn, round after round.

    Args:
        orbits, network: advanced in place.
        adam, scene, task: see there.
        accepted: room for `quota` + B steps, filled from its beginning on.
        budget: rounds of this call.

    Returns:
        A status and the number of steps accepted in this call.
    """
    n_accepted = 0
    for number in range(budget):
        n_accepted, refused = attempt_round(orbits, network, scene, task, accepted, n_accepted, number)
        status = learn(network, adam, refused)
        if status != WORKING:
            return status, n_accepted
        if n_accepted >= task.quota:
            return DONE, n_accepted
    return WORKING, n_accepted


@compiled
def attempt_until_refused(
    orbits: Orbits, network: Perceptron, scene: Scene, task: Task, accepted: Accepted, most: int
) -> tuple[int, int]:
    """Rounds without anything to learn from: up to the first in which a step is refused, or to the `most`-th.

    For processes that train together and have nothing to tell each other before. Arguments and result otherwise as for
    `attempt_round`.
    """
    n_accepted = refused = 0
    for number in range(most):
        n_accepted, refused = attempt_round(orbits, network, scene, task, accepted, n_accepted, number)
        if refused != 0 or n_accepted >= task.quota:
            break
    return n_accepted, refused


@compiled
def learn(network: Perceptron, adam: Adam, refused: int) -> int:
    """One step of the optimiser down the mean gradient of the refused steps, if there are any; a status."""
    if refused < 0:
        return LIMIT
    if refused == 0:
        return WORKING
    size = gradient_size(network)
    if not size < math.inf:
        return BAD_GRADIENT
    if size == 0.0:
        return NO_GRADIENT
    step_down(network, adam, float(refused))
    return WORKING
