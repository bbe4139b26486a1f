"""Wisdom-Holman here and in REBOUND: CPU for a step, energy and position errors, in one process.

    python benchmarks/wisdom_holman.py

Both start from the same numbers and make the same steps; energies are those of 40 synchronised states, positions are
compared with IAS15 (epsilon 1e-10) over the distance to the star. CPU is that of the compiled loops with a synchronised
state at the end, the median of ratios of runs that alternate. REBOUND is not in safe mode.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import rebound

from aitimestepper import Config, simulate
from aitimestepper.engine.run.state import Limits
from aitimestepper.simulation.driver import _arrays, advance_run
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.run import requested
from aitimestepper.systems.catalogue import initial_conditions

CASES = (("plain", 20.0), ("corrected", 20.0), ("saba", 4.0), ("saba", 2.5))
"""Kind, and steps in the shortest period."""

PERIODS, STATES, ROUNDS, STEPS = 400, 40, 9, 20_000


def in_rebound(system, G, kind, dt):
    """A simulation of REBOUND with the same numbers."""
    simulation = rebound.Simulation()
    simulation.G, simulation.t = G, system.time
    for mass, x, v in zip(system.mass, system.position, system.velocity, strict=True):
        simulation.add(m=mass, x=x[0], y=x[1], z=x[2], vx=v[0], vy=v[1], vz=v[2])
    if kind == "ias15":
        simulation.integrator, simulation.integrator.epsilon = "ias15", 1e-10
        return simulation
    simulation.dt = dt
    simulation.integrator = "saba" if kind == "saba" else "whfast"
    if kind == "saba":
        simulation.integrator.type = "10_6_4"
    elif kind == "corrected":
        simulation.integrator.corrector = 17
    simulation.integrator.safe_mode = 0
    return simulation


def positions(simulation):
    """(N, 3)."""
    return np.array([[p.x, p.y, p.z] for p in simulation.particles])


def errors_of_rebound(system, kind, dt, n_steps):
    """Largest energy error of the states, and the final positions."""
    simulation = in_rebound(system, 1.0, kind, dt)
    first, largest = simulation.energy(), 0.0
    for _ in range(STATES):
        simulation.steps(n_steps // STATES)
        simulation.synchronize()
        largest = max(largest, abs(simulation.energy() / first - 1.0))
    return largest, positions(simulation)


def seconds(system, kind, dt):
    """CPU for the same steps here and in REBOUND, several times in turn."""
    config = Config(integrator="wh", timestep="fixed", dt=dt, steps=10**9, every=10**9, wh_kind=kind)
    run = planned(requested(config, system))
    here, arrays = run.new_run(), _arrays(len(system.mass), run.goal, run.plan)
    there = in_rebound(system, 1.0, kind, dt)
    found = []
    for k in range(ROUNDS + 1):
        began = time.process_time()
        advance_run(here, run.plan, run.own, Limits(np.inf, np.inf, STEPS), arrays)
        middle = time.process_time()
        there.steps(STEPS)
        there.synchronize()
        if k > 0:
            found.append((middle - began, time.process_time() - middle))
    return found


def main():
    """Print the rows of the table in docs/engine.md."""
    for name in ("solar-system", str(Path(__file__).with_name("outer-planets.csv"))):
        system = initial_conditions(name)
        star = np.linalg.norm(system.position - system.position[np.argmax(system.mass)], axis=1)
        shortest = 2.0 * np.pi * star[star > 0].min() ** 1.5 / np.sqrt(system.mass.max())
        shortest = system.period or shortest
        for kind, parts in CASES:
            dt = shortest / parts
            n_steps = int(PERIODS * parts) // STATES * STATES
            mine = simulate(
                system, integrator="wh", timestep="fixed", dt=dt, steps=n_steps, every=n_steps // STATES, wh_kind=kind
            )
            theirs, there = errors_of_rebound(system, kind, dt, n_steps)
            right = in_rebound(system, 1.0, "ias15", dt)
            right.integrate(float(mine.time[-1]))
            far = [
                np.max(np.linalg.norm(x - positions(right), axis=1)[star > 0] / star[star > 0])
                for x in (mine.position[-1], there)
            ]
            spent = seconds(system, kind, dt)
            ratio = statistics.median(a / b for a, b in spent)
            print(
                f"| {Path(name).stem} | {kind}, P/{parts:g} | {mine.summary.energy_error_max:.1e} | {theirs:.1e} | "
                f"{far[0]:.1e} | {far[1]:.1e} | {min(a for a, _ in spent) / STEPS * 1e6:.2f} | "
                f"{min(b for _, b in spent) / STEPS * 1e6:.2f} | {ratio:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
