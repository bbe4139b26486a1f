"""REBOUND's integrators as rivals: every force evaluation counted, every step looked at.

REBOUND is optional and under another licence (GPL), so it is imported inside functions only.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.tuning import Outcome, Trial
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import REBOUND_CRITERIA
from aitimestepper.systems.conserved import angular_momentum
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.rebound_bodies import rebound_installed

_CODES = {"prs23": 2, "aarseth": 3, "global": 1}
"""REBOUND's adaptive_mode."""

_PAIRS_AT_ONCE = 2**20
"""Pairs of bodies of which the energies are computed together."""

_STEPS_BETWEEN_LOOKS = 256
_STANDSTILL = 1e-8
"""Where IAS15 covers no more than this part of the run between two looks, its steps have collapsed."""

_EPSILON = 1e-5
_OVERDRAFT = 12
"""A trial may cost this many budgets: the least that IAS15 can do with may be several."""

_FIRST_STEP = 1e-2
"""Of IAS15, over the shortest free-fall time; it chooses all others itself."""


def check_rival(method: ComparedMethod, config: Config) -> None:
    """Refuse a method of REBOUND that cannot be run here.

    Raises:
        InputError: REBOUND is not installed, or the run has an external field.
    """
    if not rebound_installed():
        raise InputError(f"method {method.text!r} needs the package rebound: pip install 'aitimestepper[rebound]'")
    if config.external_field_mass is not None:
        raise InputError(f"method {method.text!r} knows no external field: leave the method or the field out")


class Rival:
    """One run of REBOUND with a wrapper round its force.

    The steps are made one by one, not by `Simulation.integrate`, which would take Ctrl-C away from Python for good.
    """

    def __init__(self, method: ComparedMethod, config: Config, system: InitialConditions, duration: float) -> None:
        self._method, self._config, self._system = method, config, system
        self._duration = duration
        self._end = system.time + duration
        self.evaluations = 0
        self._whole_steps = 0

    def guess(self, budget: int) -> float:
        """A value from which to look for the budget."""
        return self._duration / max(budget - 1, 1) if self._method.rebound == "leapfrog" else _EPSILON

    def run(self, value: float, budget: int, show: Callable[[], None]) -> Trial:
        """One run, cut off where it costs several budgets; its time is that of a second run without the wrapper."""
        simulation = self._simulation(value)
        self.evaluations = self._whole_steps = steps = 0
        simulation.additional_forces = self._count
        watch = _Watch(self._system.mass, self._config)
        watch.add(_state(simulation))
        looked = simulation.t
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # loops of IAS15 that do not converge: the errors show it
            while self._step(simulation):
                steps += 1
                state = _state(simulation)
                if not math.isfinite(simulation.t) or not np.isfinite(state).all():
                    return Trial(value, self.evaluations, None, "a step leads to a state that is not finite")
                watch.add(state)
                if self.evaluations > _OVERDRAFT * budget:
                    return Trial(value, self._cost_of_all(simulation), None)
                if steps % _STEPS_BETWEEN_LOOKS == 0:
                    show()
                    if simulation.t - looked < _STANDSTILL * self._duration:
                        return Trial(value, self.evaluations / _STANDSTILL, None)
                    looked = simulation.t
        return Trial(value, self.evaluations, self._outcome(watch, steps, value))

    def _count(self, simulation: Any) -> None:
        self.evaluations += 1

    def _cost_of_all(self, simulation: Any) -> float:
        passed = (simulation.t - self._system.time) / self._duration
        return float(self.evaluations / max(passed, 1e-6))

    def _simulation(self, value: float) -> Any:
        import rebound

        system, config = self._system, self._config
        simulation = rebound.Simulation()
        simulation.G, simulation.softening, simulation.t = config.G, config.softening, system.time
        simulation.integrator = self._method.rebound
        if self._method.rebound == "ias15":
            simulation.integrator.epsilon = value
            simulation.integrator.adaptive_mode = _CODES[self._method.criterion or REBOUND_CRITERIA[0]]
            simulation.dt = _FIRST_STEP * _shortest_free_fall(system, config)
        else:
            simulation.dt = self._duration / max(round(self._duration / value), 1)
        for mass, position, velocity in zip(system.mass, *_spatial(system), strict=True):
            x, y, z = map(float, position)
            vx, vy, vz = map(float, velocity)
            simulation.add(m=float(mass), x=x, y=y, z=z, vx=vx, vy=vy, vz=vz)
        return simulation

    def _step(self, simulation: Any) -> bool:
        """One more step, shortened where it would go beyond the end; False at the end."""
        left = self._end - simulation.t
        if not left > 1e-15 * max(abs(self._end), self._duration):
            return False
        # A last step that is longer by rounding is better than one of almost nothing.
        if simulation.dt * (1.0 + 1e-9) > left:
            simulation.dt = left
        else:
            self._whole_steps += 1
        simulation.steps(1)
        return True

    def _outcome(self, watch: _Watch, steps: int, value: float) -> Outcome:
        errors = watch.errors()
        return Outcome(
            steps=steps,
            force_evaluations=self.evaluations,
            rejected_steps=0 if self._method.rebound == "leapfrog" else None,
            energy_error_max=errors[0],
            energy_error_final=errors[1],
            angular_momentum_error=errors[2],
            position=watch.last[0, :, : self._system.n_dims].copy(),
            wall_seconds=self._timed(value),
        )

    def _timed(self, value: float) -> float:
        """Seconds of the same steps without wrapper and looks."""
        simulation = self._simulation(value)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            simulation.steps(self._whole_steps)
            while self._step(simulation):
                pass
        return time.perf_counter() - began


class _Watch:
    """The largest errors over all states of a run, taken in blocks."""

    def __init__(self, mass: Floats, config: Config) -> None:
        self._mass, self._config = mass, config
        self._block: list[Floats] = []
        self._rows = max(2, min(1024, _PAIRS_AT_ONCE // len(mass) ** 2))
        self._first: tuple[float, float, Floats] | None = None
        self._largest = np.zeros(3)
        self._final = 0.0
        self.last = np.empty(0)

    def add(self, state: Floats) -> None:
        """Take the next state (2, N, 3)."""
        self.last = state
        self._block.append(state)
        if len(self._block) >= self._rows:
            self._take()

    def errors(self) -> tuple[float, float, float]:
        """Of energy, largest and last, and of angular momentum."""
        self._take()
        error, drift, levers = map(float, self._largest)
        return error, self._final, drift / levers if levers > 0 else 0.0

    def _take(self) -> None:
        from aitimestepper.engine.physics.conserved import energy_scale

        if not self._block:
            return
        states, self._block = np.array(self._block), []
        energy, kinetic = _energies(self._mass, states, self._config)
        spin, levers = _spins(self._mass, states)
        if self._first is None:
            self._first = float(energy[0]), energy_scale(float(kinetic[0]), float(energy[0])), spin[0]
        energy_0, scale, spin_0 = self._first
        errors = np.abs(energy - energy_0) / scale
        drift = np.linalg.norm(spin - spin_0, axis=-1)
        self._largest = np.maximum(self._largest, [errors.max(), drift.max(), levers.max()])
        self._final = float(errors[-1])


def _shortest_free_fall(system: InitialConditions, config: Config) -> float:
    """min sqrt(r^3 / G (m_i + m_j)) over the pairs; 1 for a single body."""
    first, second = np.triu_indices(system.n_bodies, 1)
    both = config.G * (system.mass[first] + system.mass[second])
    squared = ((system.position[first] - system.position[second]) ** 2).sum(-1) + config.softening**2
    return float(np.sqrt(squared[both > 0] ** 1.5 / both[both > 0]).min(initial=1e30)) if (both > 0).any() else 1.0


def _spatial(system: InitialConditions) -> tuple[Floats, Floats]:
    rows = np.zeros((2, system.n_bodies, 3))
    rows[0, :, : system.n_dims], rows[1, :, : system.n_dims] = system.position, system.velocity
    return rows[0], rows[1]


def _state(simulation: Any) -> Floats:
    """(2, N, 3): positions and velocities."""
    state = np.zeros((2, simulation.N, 3))
    simulation.serialize_particle_data(xyz=state[0], vxvyvz=state[1])
    return state


def _energies(mass: Floats, states: Floats, config: Config) -> tuple[Floats, Floats]:
    """Total and kinetic energy of each state."""
    first, second = np.triu_indices(len(mass), 1)
    attract = mass[first] * mass[second] > 0
    first, second = first[attract], second[attract]
    squared = ((states[:, 0, first] - states[:, 0, second]) ** 2).sum(-1) + config.softening**2
    kinetic = 0.5 * (states[:, 1] ** 2).sum(-1) @ mass
    return kinetic - config.G * (mass[first] * mass[second] / np.sqrt(squared)).sum(-1), kinetic


def _spins(mass: Floats, states: Floats) -> tuple[Floats, Floats]:
    """Angular momentum and sum m |x| |v| of each state."""
    lengths = np.linalg.norm(states, axis=-1)
    return angular_momentum(mass, states[:, 0], states[:, 1]), lengths[:, 0] * lengths[:, 1] @ mass
