"""Runs of REBOUND's integrators for a comparison: every force evaluation counted, every step looked at.

REBOUND is optional and under another licence (GPL), so it is imported inside functions only.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.runs import LEAST_FRACTION, Case, Outcome, Runs, Trial
from aitimestepper.config.schema import Config
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.errors import InputError
from aitimestepper.names import REBOUND_CRITERIA
from aitimestepper.systems.conserved import angular_momentum, angular_momentum_scale, energies
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.rebound_bodies import add_bodies, rebound_installed, set_state, state_of

_CODES = {"prs23": 2, "aarseth": 3, "global": 1}
"""REBOUND's adaptive_mode."""

_FALLBACK = "aarseth"
"""Criterion of IAS15 for the orbits on which the default one collapses (bodies in a line)."""

_PAIRS_AT_ONCE = 2**20
"""Pairs of bodies of which the energies are computed together."""

_STEPS_BETWEEN_LOOKS = 256
_STANDSTILL = 1e-8
"""Where IAS15 covers no more than this part of the run between two looks, its steps have collapsed."""

_EPSILON = 1e-5
"""Where the search for IAS15's epsilon begins, inside its range; the search goes on from its cost."""
_MOST_BUDGETS = 12
"""A run is cut off when it has cost this many budgets: the least that IAS15 can do with may be several."""

_FIRST_STEP = 1e-2
"""Of IAS15, over the shortest free-fall time; it chooses all others itself."""


class ReboundRuns:
    """Runs of one method, made by REBOUND with a wrapper round its force.

    The steps are made one by one, not by `Simulation.integrate`, which would take Ctrl-C away from Python for good.
    """

    def __init__(self, method: ComparedMethod, case: Case) -> None:
        self.method, self._case = method, case
        self.evaluations = 0
        self._whole_steps = 0

    def check(self) -> None:
        """As `Runs.check`."""
        text = self.method.text
        if not rebound_installed():
            raise InputError(f"method {text!r} needs the package rebound: pip install 'aitimestepper[rebound]'")
        if self._case.config.external_field_mass is not None:
            raise InputError(f"method {text!r} knows no external field: leave the method or the field out")

    def guess(self, budget: int) -> float:
        """As `Runs.guess`."""
        return self._case.duration / max(budget - 1, 1) if self.method.rebound == "leapfrog" else _EPSILON

    def run(self, value: float, budget: int) -> Trial:
        """As `Runs.run`; its time is that of a second run without the wrapper."""
        case, simulation = self._case, self._simulation(value)
        self.evaluations = self._whole_steps = steps = 0
        simulation.additional_forces = self._count
        errors = _Errors(case.system.mass, case.config)
        errors.add(_state(simulation))
        looked = simulation.t
        case.show()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # loops of IAS15 that do not converge: the errors show it
            while self._step(simulation):
                steps += 1
                state = _state(simulation)
                if not math.isfinite(simulation.t) or not np.isfinite(state).all():
                    return Trial(value, self.evaluations, None, "a step leads to a state that is not finite")
                errors.add(state)
                if self.evaluations > _MOST_BUDGETS * budget:
                    passed = (simulation.t - case.system.time) / case.duration
                    return Trial(value, float(self.evaluations / max(passed, LEAST_FRACTION)), None)
                if steps % _STEPS_BETWEEN_LOOKS == 0:
                    case.show()
                    if simulation.t - looked < _STANDSTILL * case.duration:
                        return Trial(value, self.evaluations / _STANDSTILL, None)
                    looked = simulation.t
        return Trial(value, self.evaluations, self._outcome(errors, steps, value))

    def alternative(self) -> tuple[Runs, str] | None:
        """IAS15 with its older criterion."""
        if self.method.rebound != "ias15" or self.method.criterion:
            return None
        note = f"with IAS15's criterion {_FALLBACK}: its default {REBOUND_CRITERIA[0]} did not meet the budget"
        return ReboundRuns(replace(self.method, criterion=_FALLBACK), self._case), note

    def _count(self, simulation: Any) -> None:
        self.evaluations += 1

    def _simulation(self, value: float) -> Any:
        import rebound

        system, config = self._case.system, self._case.config
        simulation = rebound.Simulation()
        simulation.G, simulation.softening, simulation.t = config.G, config.softening, system.time
        simulation.integrator = self.method.rebound
        if self.method.rebound == "ias15":
            simulation.integrator.epsilon = value
            simulation.integrator.adaptive_mode = _CODES[self.method.criterion or REBOUND_CRITERIA[0]]
            simulation.dt = _FIRST_STEP * _shortest_free_fall(system, config)
        else:
            simulation.dt = self._case.duration / max(round(self._case.duration / value), 1)
        add_bodies(simulation, system.mass, ())
        set_state(simulation, system.position, system.velocity)
        return simulation

    def _step(self, simulation: Any) -> bool:
        """One more step, shortened where it would go beyond the end; False at the end."""
        end = self._case.end_time
        left = end - simulation.t
        if not left > 1e-15 * max(abs(end), self._case.duration):
            return False
        # A last step that is longer by rounding is better than one of almost nothing.
        if simulation.dt * (1.0 + 1e-9) > left:
            simulation.dt = left
        else:
            self._whole_steps += 1
        simulation.steps(1)
        return True

    def _outcome(self, errors: _Errors, steps: int, value: float) -> Outcome:
        energy_max, energy_final, spin = errors.largest()
        return Outcome(
            steps=steps,
            force_evaluations=self.evaluations,
            rejected_steps=0 if self.method.rebound == "leapfrog" else None,
            energy_error_max=energy_max,
            energy_error_final=energy_final,
            angular_momentum_error=spin,
            position=errors.last[0, :, : self._case.system.n_dims].copy(),
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


class _Errors:
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

    def largest(self) -> tuple[float, float, float]:
        """Of energy, largest and last, and of angular momentum."""
        self._take()
        error, drift, scale = map(float, self._largest)
        return error, self._final, drift / scale if scale > 0 else 0.0

    def _take(self) -> None:
        if not self._block:
            return
        states, self._block = np.array(self._block).swapaxes(0, 1), []
        energy, kinetic = energies(self._mass, *states, G=self._config.G, softening=self._config.softening)
        spin = angular_momentum(self._mass, *states)
        if self._first is None:
            self._first = float(energy[0]), energy_scale(float(kinetic[0]), float(energy[0])), spin[0]
        energy_0, scale, spin_0 = self._first
        errors = np.abs(energy - energy_0) / scale
        drift = np.linalg.norm(spin - spin_0, axis=-1)
        self._largest = np.maximum(
            self._largest, [errors.max(), drift.max(), angular_momentum_scale(self._mass, *states).max()]
        )
        self._final = float(errors[-1])


def _shortest_free_fall(system: InitialConditions, config: Config) -> float:
    """min sqrt(r^3 / G (m_i + m_j)) over the pairs; 1 for a single body."""
    first, second = np.triu_indices(system.n_bodies, 1)
    both = config.G * (system.mass[first] + system.mass[second])
    squared = ((system.position[first] - system.position[second]) ** 2).sum(-1) + config.softening**2
    return float(np.sqrt(squared[both > 0] ** 1.5 / both[both > 0]).min(initial=1e30)) if (both > 0).any() else 1.0


def _state(simulation: Any) -> Floats:
    """(2, N, 3): positions and velocities."""
    return np.array(state_of(simulation)[1:])
