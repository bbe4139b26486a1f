"""The reference loop: one system, one step after the other, through `ParticleTorch`.

It is plain rather than fast: the compiled engine is judged by it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import final

import numpy as np
import torch
from torch import nn

from aitimestepper.constants import ENERGY_ERROR_ORDER, SLOWEST_TURN
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.recordings.parts import Frames
from aitimestepper.systems.conserved import angular_momentum


class Stepper(ABC):
    """What chooses the steps."""

    @abstractmethod
    def wanted(self, state: ParticleTorch) -> float:
        """The step wanted from a state; infinite if nothing bounds it."""

    def accepted(self, start: ParticleTorch) -> None:  # noqa: B027 - most steppers remember nothing
        """Take note of the state that an accepted step started from."""


@final
class FixedStep(Stepper):
    """The same step everywhere."""

    def __init__(self, dt: float) -> None:
        self._dt = dt

    def wanted(self, state: ParticleTorch) -> float:
        """dt."""
        return self._dt


@final
class FreeFallStep(Stepper):
    """eta times the shortest pair time, min sqrt(r^3 / G (m_i + m_j)) over the pairs."""

    def __init__(self, eta: float) -> None:
        self._eta = eta

    def wanted(self, state: ParticleTorch) -> float:
        """Infinite where no pair attracts."""
        return self._eta * float(state.shortest_pair_time())


@final
class LearnedStep(Stepper):
    """The step that a trained network predicts from the state and those before it."""

    def __init__(self, model: nn.Module, adapter: ModelAdapter, tolerance: float | None = None) -> None:
        """Start with an empty history.

        Args:
            model: the network.
            adapter: builds its features.
            tolerance: relative energy error wanted of one step; None takes the steps as trained. The network was
                trained to stay below `energy_threshold`, so its steps are scaled by the cube root of the ratio.
        """
        history = adapter.history(None)
        self._model, self._adapter = model, adapter
        self._history = None if history is None else history.holding([])
        ratio = 1.0 if tolerance is None else tolerance / adapter.config.energy_threshold
        self._scale = ratio ** (1 / ENERGY_ERROR_ORDER)

    def wanted(self, state: ParticleTorch) -> float:
        """The network's step, scaled to the tolerance."""
        return self._scale * float(self._adapter.predict_dt(self._model, state, self._history))

    def accepted(self, start: ParticleTorch) -> None:
        """The history holds states strictly before the current one."""
        self._adapter.update_history(start, self._history)


def reference_steps(
    particle: ParticleTorch, stepper: Stepper, n_steps: int, *, G: float | None = None, reversible: bool = False
) -> Frames:
    """Integrate one system with the leapfrog for a number of steps.

    Args:
        particle: the initial state; it is left as it is.
        stepper: chooses each step.
        n_steps: how many.
        G: gravitational constant; None for the particle's own.
        reversible: whether one over the step follows the reversible recursion of the compiled engine.

    Returns:
        The initial state and that after each step.
    """
    state = particle.clone_detached()
    state.G = state.G if G is None else G
    states, steps, rate = [state], [0.0], 0.0
    with torch.no_grad():
        for _ in range(n_steps):
            wanted = 1.0 / stepper.wanted(state)
            rate = max(2.0 * wanted - rate, SLOWEST_TURN * wanted) if reversible and rate > 0.0 else wanted
            after = copy.copy(state)  # a step replaces the tensors of a state and changes none of them
            after.update_dt(1.0 / rate)
            after.evolve()
            stepper.accepted(state)
            state = after
            states.append(state)
            steps.append(1.0 / rate)
    return _frames(states, steps)


def _frames(states: list[ParticleTorch], steps: list[float]) -> Frames:
    position, velocity = (
        torch.stack([getattr(state, name) for state in states]).cpu().double().numpy()
        for name in ("position", "velocity")
    )
    energy = np.array([float(state.total_energy()) for state in states])
    return Frames(
        time=np.array([float(state.current_time) for state in states]),
        dt=np.array(steps),
        position=position,
        velocity=velocity,
        energy=energy,
        angular_momentum=angular_momentum(states[0].mass.cpu().double().numpy(), position, velocity),
        dt_min=np.array(steps),
        dt_max=np.array(steps),
        error_max=np.abs(energy - energy[0]) / (abs(energy[0]) or 1.0),
    )
