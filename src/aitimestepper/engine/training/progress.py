"""What Part 1 works on in compiled code: orbits on their way, and what has been spent on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.features.summary import Sight, fill_features
from aitimestepper.engine.networks import Network, fourier
from aitimestepper.engine.physics.gravity import fastest_free_fall
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.training.gate import Gate

ITERATIONS, LOSS_SUM, LOSS_MAX, LOSS_LAST, ERROR_SUM, ERROR_MAX, ERROR_LAST, STEP_LAST, ERROR_LEAST = range(9)
"""What has been spent so far on the state of an orbit: retrain iterations; sum, largest and last of the losses; sum,
largest and last of the energy errors of the refused steps, and the last of these steps; the least of the errors."""
SPENT = 9

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


class Setup(NamedTuple):
    """What does not change: the law of motion, the gate, and what the network sees.

    Attributes:
        law, gate, sight: see there.
    """

    law: Law
    gate: Gate
    sight: Sight


@compiled
def look(orbits: Orbits, b: int, row: Floats, network: Network, setup: Setup) -> None:
    """What the network sees of orbit b, into its inputs; the features of the state alone are left in `row`."""
    fill_features(row, orbits.systems[b], orbits.free_fall[b], orbits.dt[b], setup.law, setup.sight)
    inputs, width, rows = orbits.inputs[b], row.shape[0], orbits.past.shape[1]
    for k in range(rows):
        inputs[k * width : (k + 1) * width] = orbits.past[b, k]
    n_features = (rows + 1) * width
    inputs[rows * width : n_features] = row
    fourier(inputs, network.weights, n_features, network.widths[1])


@compiled
def open_orbits(orbits: Orbits, history: Floats, steps: Floats, network: Network, setup: Setup) -> None:
    """Fill the past and the inputs of orbits whose states are known.

    Args:
        orbits: `systems`, `energy`, `dt` and `time` set.
        history: (K, B, ROWS x N) the states before, oldest first, each with the one before it in its rows EARLIER.
        steps: (K, B) the steps that led to them.
        network: its Fourier frequencies are part of what it sees.
        setup: what does not change.
    """
    row = np.empty(orbits.past.shape[2])
    skipped = history.shape[0] - orbits.past.shape[1]  # DELTA_MAG sees intervals, of which there is one less
    for b in range(orbits.systems.shape[0]):
        orbits.free_fall[b] = fastest_free_fall(orbits.systems[b], setup.law)
        for k in range(orbits.past.shape[1]):
            system = history[k + skipped, b]
            free_fall = fastest_free_fall(system, setup.law)
            fill_features(orbits.past[b, k], system, free_fall, steps[k + skipped, b], setup.law, setup.sight)
        look(orbits, b, row, network, setup)
