"""What the REBOUND bridge costs and keeps, as one JSON object on standard output.

    python benchmarks/rebound_bridge.py > benchmarks/results/rebound.json      # half a minute
    python benchmarks/rebound_bridge.py 20 1                                   # another number of systems, of rounds

Overhead: time of a driven step over that of a step of REBOUND's leapfrog of order 2 with a fixed step, for the compiled
heartbeat and for a Python function as stepper; time of the integrator "aits" over that of `simulate` for the same run.
Rounds alternate, and the medians of all rounds are compared.

Promise: systems of every kind that the weights know, drawn with a seed of their own, for five periods of the tightest
pair; the largest relative energy error after any step over the one asked for.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import rebound

from aitimestepper import Config, simulate
from aitimestepper.bridges.rebound import drive, from_simulation, register, to_simulation
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.mixture import mixed_system

SYSTEMS, ROUNDS, SEED = 400, 5, 20261125
BODIES = (2, 3, 10)
STEPS, PYTHON_STEPS = 100_000, 5_000
ASKED = ((2, 1e-3), (4, 1e-5), (6, 1e-6), (8, 1e-8))
"""Order of the leapfrog that is driven, and the tolerance of both bridges: each system has one of them."""
MOST_BODIES = 16
SECONDS_OF_A_RUN = 2.0
"""A run that takes longer is given up, and counted as such."""
_PIECES = 50


def planets(n: int) -> rebound.Simulation:
    """A star and n - 1 planets."""
    sim = rebound.Simulation()
    sim.add(m=1.0)
    for k in range(n - 1):
        sim.add(m=1e-4, a=1.5**k, e=0.1, f=float(k))
    sim.move_to_com()
    sim.integrator = "leapfrog"
    sim.dt = 1e-2
    return sim


def ns_per_step(sim: rebound.Simulation, steps: int) -> float:
    """Wall time of a step."""
    sim.steps(steps // 10)
    began = time.perf_counter()
    sim.steps(steps)
    return 1e9 * (time.perf_counter() - began) / steps


def driven(n: int, stepper: Any) -> rebound.Simulation:
    """Planets with a stepper."""
    sim = planets(n)
    drive(sim, stepper)
    return sim


def stepping_from_python(n: int, steps: int) -> float:
    """Wall time of a step where a script sets each dt itself, by the means that REBOUND has."""
    sim = planets(n)
    began = time.perf_counter()
    for _ in range(steps):
        sim.dt = 1e-2
        sim.steps(1)
    return 1e9 * (time.perf_counter() - began) / steps


def runs_of(n: int) -> dict[str, Callable[[], None]]:
    """The same run by the integrator and by `simulate`; a thousand periods of the innermost planet."""
    system, settings = from_simulation(planets(n))
    end = 2000.0 * math.pi

    def aits() -> None:
        sim = to_simulation(system)
        register(sim, 1e-6)
        sim.integrate(end)

    return {
        "aits": aits,
        "simulate": lambda: simulate(config=Config(**settings, tolerance=1e-6, duration=end, samples=1), system=system),
    }


def overhead(n: int, rounds: int) -> dict[str, float]:
    """Medians of alternating rounds."""
    found: dict[str, list[float]] = {}
    runs = runs_of(n)
    for run in runs.values():
        run()
    for _ in range(rounds):
        times = {
            "leapfrog": ns_per_step(planets(n), STEPS),
            "driven": ns_per_step(driven(n, 1e-3), STEPS),
            "python function": ns_per_step(driven(n, lambda sim: 0.01), PYTHON_STEPS),
            "dt set by a script": stepping_from_python(n, PYTHON_STEPS),
        }
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name] = 1e9 * (time.perf_counter() - began)
        for name, value in times.items():
            found.setdefault(name, []).append(value)
    median = {name: statistics.median(values) for name, values in found.items()}
    return {
        "leapfrog_ns_per_step": median["leapfrog"],
        **{
            f"{name.replace(' ', '_')}_over_leapfrog": median[name] / median["leapfrog"]
            for name in ("driven", "python function", "dt set by a script")
        },
        "aits_over_simulate": median["aits"] / median["simulate"],
        "simulate_seconds": 1e-9 * median["simulate"],
    }


def drawn(count: int) -> list[InitialConditions]:
    """Systems of 2 to MOST_BODIES bodies."""
    rng, systems = np.random.default_rng(SEED), []
    while len(systems) < count:
        system = mixed_system(rng)
        if system.n_bodies <= MOST_BODIES:
            systems.append(system)
    return systems


def duration(system: InitialConditions) -> float:
    """Five times 2 pi of the shortest sqrt(r^3 / M) of a pair."""
    i, j = np.triu_indices(system.n_bodies, 1)
    mass = system.mass[i] + system.mass[j]
    distance = np.linalg.norm(system.position[i] - system.position[j], axis=1)
    return float(10.0 * math.pi * np.sqrt(distance[mass > 0] ** 3 / mass[mass > 0]).min())


def achieved(sim: rebound.Simulation, end: float, error: Callable[[], float]) -> float | str:
    """The largest energy error, or how the run ended early."""
    began = time.perf_counter()
    for piece in range(1, _PIECES + 1):
        try:
            sim.integrate(end * piece / _PIECES)
        except RuntimeError:
            return "stopped"
        if time.perf_counter() - began > SECONDS_OF_A_RUN:
            return "given up"
    return error()


def promise(systems: list[InitialConditions]) -> dict[str, Any]:
    """Achieved over asked for both bridges."""
    found: dict[str, dict[str, list[Any]]] = {"drive": {}, "aits": {}}
    for number, system in enumerate(systems):
        order, asked = ASKED[number % len(ASKED)]
        end = duration(system)
        sim = to_simulation(system)
        sim.integrator = "leapfrog"
        sim.integrator.order = order
        driver = drive(sim, asked)
        results = {"drive": achieved(sim, end, lambda driver=driver: driver.energy_error)}
        sim = to_simulation(system)
        register(sim, asked)
        results["aits"] = achieved(sim, end, lambda sim=sim: sim.integrator.energy_error)
        for name, result in results.items():
            ratio = result if isinstance(result, str) else result / asked
            found[name].setdefault(f"{asked:g}", []).append(ratio)
    return {
        name: {"all": digest([ratio for ratios in by.values() for ratio in ratios])}
        | {asked: digest(ratios) for asked, ratios in by.items()}
        for name, by in found.items()
    }


def digest(ratios: list[Any]) -> dict[str, Any]:
    """Of achieved over asked."""
    numbers = sorted(ratio for ratio in ratios if not isinstance(ratio, str))
    return {
        "runs": len(ratios),
        "kept": sum(number <= 1.0 for number in numbers),
        "exceeded": sum(number > 1.0 for number in numbers),
        "stopped_with_an_error": ratios.count("stopped"),
        "given_up": ratios.count("given up"),
        "median": statistics.median(numbers),
        "worst": numbers[-1],
    }


def main() -> None:
    """Measure and print."""
    systems = int(sys.argv[1]) if len(sys.argv) > 1 else SYSTEMS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    began = time.perf_counter()
    report = {
        "machine": platform.node(),
        "processor": platform.processor() or platform.machine(),
        "rebound": rebound.__version__,
        "rounds": rounds,
        "seed": SEED,
        "seconds_of_a_run": SECONDS_OF_A_RUN,
        "overhead": {str(n): overhead(n, rounds) for n in BODIES},
        "achieved_over_asked": promise(drawn(systems)),
    }
    report["seconds"] = time.perf_counter() - began
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
