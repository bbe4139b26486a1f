"""Twin of `training.steps.gate`: one step, whether the gate lets it through, its loss and the slope of that.

The derivative is taken forward, with respect to the one number that is chosen: a step and its slope cost one
evaluation of the force and one pass over the pairs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.constants import (
    ENERGY_ERROR_ORDER,
    ENERGY_FLOOR,
    NEAR_LIMIT,
    ROUNDING,
    SMALLEST_ERROR,
    STEEPEST,
)
from aitimestepper.engine.compilation import compiled, compiled_sums, inlined
from aitimestepper.engine.layout import AX, GX, ROWS, SAVED, VX, VY, VZ, X_LOW, X, Y, Z
from aitimestepper.engine.physics.integrators import leapfrog_step
from aitimestepper.engine.physics.law import Law

ENERGY, FREE_FALL, STEP, ERROR, LOSS, SLOPE, HEAD_SLOPE, PASSED = range(8)
"""A verdict: energy and squared free-fall rate of the state reached; the step; its relative energy error, infinite
where it is not finite; the loss, and its derivatives by the step and by the predicted error; 1 if the gate lets it
through."""
VERDICT = 8

STATE = X_LOW
"""Rows of a system that a step of the training starts from: masses, positions, velocities, accelerations. Their low
parts are zero there: a state is what the network sees of it, and what a checkpoint keeps."""

_DX, _DA = GX, SAVED
"""Where the derivatives of positions and accelerations stand: rows that nothing else needs meanwhile."""

_ONE_STAGE = np.ones(1)


class Gate(NamedTuple):
    """What a step is held to.

    Attributes:
        threshold: relative energy error that a step must stay below.
        lower, upper: edges of the band that the error is driven to.
        step_fraction: longest step over the shortest pair time.
        head_weight: weight of the loss of the predicted error.
    """

    threshold: float
    lower: float
    upper: float
    step_fraction: float
    head_weight: float


@inlined
def _away_from_zero(energy: float) -> float:
    return energy - ENERGY_FLOOR if energy < 0.0 else energy + ENERGY_FLOOR


@inlined
def _relative_change(energy: float, after: float) -> float:
    """As `physics.conserved.relative_energy_error`, with its sign."""
    return (after - energy) / _away_from_zero(energy)


@inlined
def passes(error: float, gate: Gate) -> bool:
    """The gate: whether a relative energy error is below what is allowed."""
    return error < gate.threshold


@inlined
def _begin(trial: Floats, state: Floats) -> None:
    n = trial.shape[0] // ROWS
    trial[: STATE * n] = state[: STATE * n]
    trial[STATE * n : GX * n] = 0.0


@compiled
def judge(
    trial: Floats, verdict: Floats, state: Floats, energy: float, free_fall: float, dt: float, foreseen: float,
    law: Law, gate: Gate, always: bool,
) -> None:  # fmt: skip
    """Take one step and judge it; the loss of a step that passes is worked out only if `always`.

    A step longer than its limit is not taken but replaced by the limit, as there.

    Args:
        trial: (ROWS x N,), filled with the state reached.
        verdict: (VERDICT,), filled.
        state: (STATE x N,) or longer, where the step begins, with its acceleration.
        energy, free_fall: of that state: its energy and the square of its fastest free-fall rate.
        dt: the step.
        foreseen: the energy error that the network predicts.
        law: what moves the bodies.
        gate: what the step is held to.
        always: whether the loss of a step that passes is wanted too.
    """
    _begin(trial, state)
    limit = gate.step_fraction / math.sqrt(free_fall)
    too_long = not dt <= limit
    step = limit if too_long else dt
    potential, verdict[FREE_FALL] = leapfrog_step(trial, step, _ONE_STAGE, law)
    after = potential + _kinetic(trial)
    change = _relative_change(energy, after)
    finite = abs(after) < math.inf
    error = abs(change) if finite else math.inf
    passed = not too_long and passes(error, gate) and dt > 0.0
    verdict[ENERGY], verdict[STEP], verdict[ERROR], verdict[PASSED] = after, dt, error, 1.0 if passed else 0.0
    verdict[LOSS] = verdict[SLOPE] = verdict[HEAD_SLOPE] = 0.0
    if passed and not always:
        return
    if not finite:
        verdict[LOSS] = max(-math.log(gate.upper), 0.0) ** 2  # what an error of 1 costs; there is nothing to follow
    elif too_long:
        distance = math.log(dt / limit)
        verdict[LOSS], verdict[SLOPE] = distance * distance, 2.0 * distance / dt
    elif not (error < gate.lower and dt >= NEAR_LIMIT * limit):
        _band(verdict, error, dt, foreseen, gate)
        if error > ROUNDING and verdict[SLOPE] != 0.0:
            slope = _energy_slope(trial, state, step, law) / _away_from_zero(energy)
            verdict[SLOPE] *= slope if change > 0.0 else -slope
    bound = 2.0 * STEEPEST * math.sqrt(verdict[LOSS]) / dt
    verdict[SLOPE] = min(max(verdict[SLOPE], -bound), bound)


@inlined
def _band(verdict: Floats, error: float, dt: float, foreseen: float, gate: Gate) -> None:
    """Loss of the error, its slope by the error (by the step where the error is rounding), and the head's."""
    resolved = error > ROUNDING
    log_error = math.log(max(error if resolved else ROUNDING, SMALLEST_ERROR))
    low, high = math.log(gate.lower), math.log(gate.upper)
    distance = 0.0
    if log_error < low:
        distance = log_error - low
    elif log_error > high:
        distance = log_error - high
    # Down in the rounding the error itself has no slope; its power law in the step has.
    by_log = 1.0 / error if resolved else ENERGY_ERROR_ORDER / dt
    verdict[LOSS], verdict[SLOPE] = distance * distance, 2.0 * distance * by_log
    if gate.head_weight > 0.0:
        # As for the true error, what is below rounding counts as rounding.
        off = math.log(max(foreseen, ROUNDING)) - math.log(min(max(error, ROUNDING), 1.0))
        verdict[LOSS] += gate.head_weight * off * off
        if foreseen > ROUNDING:
            verdict[HEAD_SLOPE] = 2.0 * gate.head_weight * off / foreseen


@compiled_sums
def _kinetic(system: Floats) -> float:
    n = system.shape[0] // ROWS
    total = 0.0
    for i in range(n):
        u, v, w = system[VX * n + i], system[VY * n + i], system[VZ * n + i]
        total += system[i] * (u * u + v * v + w * w)
    return 0.5 * total


@compiled_sums
def _energy_slope(trial: Floats, state: Floats, dt: float, law: Law) -> float:
    """dE/d(dt) of the state that a kick-drift-kick step leads to.

    x1 = x0 + dt v0 + dt^2 a0 / 2 and v1 = v0 + dt (a0 + a(x1)) / 2, so that dx1 = v0 + dt a0 and
    dv1 = (a0 + a1 + dt a'(x1) dx1) / 2; dE = sum m (v1 . dv1 - a1 . dx1).
    """
    n = trial.shape[0] // ROWS
    for k in range(3 * n):
        trial[_DX * n + k] = state[VX * n + k] + dt * state[AX * n + k]
        trial[_DA * n + k] = 0.0
    _acceleration_slope(trial, law)
    total = 0.0
    for k in range(3 * n):
        pull = trial[AX * n + k]
        turn = 0.5 * (state[AX * n + k] + pull + dt * trial[_DA * n + k])
        total += trial[k % n] * (trial[VX * n + k] * turn - pull * trial[_DX * n + k])
    return total


@compiled_sums
def _acceleration_slope(system: Floats, law: Law) -> None:
    """How the acceleration changes where the bodies are moved along their rows _DX, added to the rows _DA."""
    n = system.shape[0] // ROWS
    for i in range(1, n):
        x, y, z, m = system[X * n + i], system[Y * n + i], system[Z * n + i], system[i]
        u, v, w = system[_DX * n + i], system[(_DX + 1) * n + i], system[(_DX + 2) * n + i]
        for j in range(i):
            if m + system[j] == 0.0:
                continue
            dx, dy, dz = system[X * n + j] - x, system[Y * n + j] - y, system[Z * n + j] - z
            du = system[_DX * n + j] - u
            dv = system[(_DX + 1) * n + j] - v
            dw = system[(_DX + 2) * n + j] - w
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            inverse = 1.0 / squared
            cubed = law.G * inverse * math.sqrt(inverse)
            along = 3.0 * (dx * du + dy * dv + dz * dw) * inverse
            a, b, c = (du - along * dx) * cubed, (dv - along * dy) * cubed, (dw - along * dz) * cubed
            system[_DA * n + i] += system[j] * a
            system[(_DA + 1) * n + i] += system[j] * b
            system[(_DA + 2) * n + i] += system[j] * c
            system[_DA * n + j] -= m * a
            system[(_DA + 1) * n + j] -= m * b
            system[(_DA + 2) * n + j] -= m * c
    if law.tide_mass > 0.0:
        _tide_slope(system, law)


@compiled
def _tide_slope(system: Floats, law: Law) -> None:
    n = system.shape[0] // ROWS
    scale = law.G * law.tide_mass
    for i in range(n):
        dx, dy, dz = (
            law.tide_x - system[X * n + i], law.tide_y - system[Y * n + i], law.tide_z - system[Z * n + i],
        )  # fmt: skip
        du, dv, dw = system[_DX * n + i], system[(_DX + 1) * n + i], system[(_DX + 2) * n + i]
        inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
        cubed = scale * inverse * math.sqrt(inverse)
        along = 3.0 * (dx * du + dy * dv + dz * dw) * inverse
        system[_DA * n + i] += (along * dx - du) * cubed
        system[(_DA + 1) * n + i] += (along * dy - dv) * cubed
        system[(_DA + 2) * n + i] += (along * dz - dw) * cubed


@compiled
def judge_all(
    verdicts: Floats, reached: Floats, states: Floats, energy: Floats, free_fall: Floats, dt: Floats,
    foreseen: Floats, law: Law, gate: Gate,
) -> None:  # fmt: skip
    """One step from each of S states, with the loss of each.

    Args:
        verdicts: (S, VERDICT), filled.
        reached: (S, STATE x N), filled with the states that the steps lead to.
        states: (S, STATE x N).
        energy, free_fall, dt, foreseen: (S,), as for `judge`.
        law: what moves the bodies.
        gate: what the steps are held to.
    """
    size = states.shape[1]
    trial = np.empty(size // STATE * ROWS)
    for s in range(states.shape[0]):
        judge(trial, verdicts[s], states[s], energy[s], free_fall[s], dt[s], foreseen[s], law, gate, True)
        reached[s] = trial[:size]


@compiled
def largest_steps(
    largest: Floats, states: Floats, energy: Floats, limits: Floats, grid: Floats, law: Law, gate: Gate
) -> None:
    """The largest of the steps `limits` (S,) x `grid` (ascending) before the energy error first reaches the threshold.

    The least of the grid stands where none passes.
    """
    n = states.shape[1] // STATE
    trial = np.empty(ROWS * n)
    for s in range(states.shape[0]):
        largest[s] = limits[s] * grid[0]
        for part in grid:
            _begin(trial, states[s])
            potential, _ = leapfrog_step(trial, limits[s] * part, _ONE_STAGE, law)
            if not passes(abs(_relative_change(energy[s], potential + _kinetic(trial))), gate):
                break
            largest[s] = limits[s] * part
