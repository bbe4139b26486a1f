"""Speed of the compiled engine, as ratios within one run: python benchmarks/speed.py [--output results/speed.json]

One core. Every figure is the median over rounds, and in each round all contestants run one after the other, so that a
machine that is busy for a while slows all of them. REBOUND is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from aitimestepper import Config, load_stepper
from aitimestepper.engine.layout import N_BOOKS
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.rollout import advance
from aitimestepper.engine.run.state import Frames, Limits
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.request import bodies_of
from aitimestepper.simulation.run import requested
from aitimestepper.weights.file import ModelFile, write_model

SYSTEMS = {
    2: ("kepler:e=0.3", 200_000),
    3: ("figure-eight", 200_000),
    10: ("random:n=10,dim=3,seed=1", 40_000),
    100: ("plummer:n=100,seed=1", 800),
    1000: ("plummer:n=1000,seed=1", 8),
}
SOFTENING = 0.05
"""Of the systems from 10 bodies on: a close pair would decide how long the steps are, not how fast they run."""

FEATURES = ("basic", "delta_mag", "invariant")


def contestant(config: Config, steps: int) -> Callable[[], float]:
    """A function that integrates `steps` steps and returns the seconds for one."""
    prepared = planned(requested(config.replace(steps=steps)))
    system = prepared.request.system
    frames = Frames(
        np.empty((1, N_BOOKS)), np.empty((1, 6 * system.n_bodies)), np.empty((0, 3)), 0, math.inf, room_for_events(0)
    )

    def go() -> float:
        run = prepared.new_run()
        began = time.perf_counter()
        status = advance(run, prepared.plan, prepared.own, Limits(math.inf, math.inf, steps), frames)
        assert status[0] == 0, status
        return (time.perf_counter() - began) / steps

    return go


def rebound_leapfrog(config: Config, steps: int) -> Callable[[], float]:
    """REBOUND's leapfrog with a fixed step, without energies."""
    import rebound

    system = bodies_of(config)
    simulation = rebound.Simulation()
    simulation.integrator, simulation.softening, simulation.dt = "leapfrog", config.softening, 1e-5
    for mass, position, velocity in zip(system.mass, system.position, system.velocity, strict=True):
        vectors = [*position, *[0.0] * (3 - len(position)), *velocity, *[0.0] * (3 - len(velocity))]
        simulation.add(m=mass, **dict(zip(("x", "y", "z", "vx", "vy", "vz"), vectors, strict=True)))

    def go() -> float:
        began = time.perf_counter()
        simulation.steps(steps)
        return (time.perf_counter() - began) / steps

    return go


def reference_loop(ic: str, model: str, steps: int) -> Callable[[], float]:
    """The torch loop that the engine is judged by."""
    import torch

    from aitimestepper import ParticleTorch
    from aitimestepper.model.reference import LearnedStep, reference_steps
    from aitimestepper.systems.catalogue import initial_conditions

    torch.set_num_threads(1)
    system = initial_conditions(ic)
    particle = ParticleTorch(system.mass, system.position, system.velocity)
    network, adapter, _ = load_stepper(model)

    def go() -> float:
        began = time.perf_counter()
        reference_steps(particle, LearnedStep(network, adapter), steps)
        return (time.perf_counter() - began) / steps

    return go


def model_file(directory: Path, feature_type: str) -> str:
    """A 32-32 network with small random weights: what its steps are worth does not matter here."""
    history = 2 if feature_type == "delta_mag" else 0
    config = Config(
        feature_type=feature_type, history_len=history, hidden_dims=(32, 32), output_scale="physical", E_upper=1e-4
    )
    widths = [{"basic": 11, "delta_mag": 20, "invariant": 10}[feature_type], 32, 32, 2]
    rng = np.random.default_rng(1)
    weights: dict[str, Any] = {}
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        size = 1e-3 if layer == 2 else 1.0 / math.sqrt(n_in)
        weights[f"layers.{2 * layer}.weight"] = rng.uniform(-size, size, (n_out, n_in))
        weights[f"layers.{2 * layer}.bias"] = np.full(n_out, -4.0 if layer == 2 else 0.0)
    path = directory / f"{feature_type}.safetensors"
    write_model(path, ModelFile(weights, config, None, {}))
    return str(path)


def contestants(n: int, models: dict[str, str]) -> dict[str, Callable[[], float]]:
    """All that run on the system of n bodies."""
    ic, steps = SYSTEMS[n]
    common = {"ic": ic, "steps": steps, "softening": SOFTENING if n >= 10 else 0.0}
    plain = Config(**common, timestep="free-fall", eta=0.005)
    found = {
        "free-fall": contestant(plain, steps),
        "ttl": contestant(Config(**common, timestep="fixed", integrator="ttl", h=1e-3), steps),
    }
    for name, path in models.items():
        found[f"learned {name}"] = contestant(Config(**common, timestep="learned", model=path), steps)
    if n == 3:
        found["reference"] = reference_loop(ic, models["invariant"], 300)
    with contextlib.suppress(ImportError):
        found["rebound"] = rebound_leapfrog(plain, steps)
    return found


def start_up(rounds: int) -> dict[str, float]:
    """Seconds of a whole short simulation, caches warm, and of importing numba alone."""
    words = "simulate --ic figure-eight --steps 1000 --timestep free-fall --eta 0.02 --json"
    commands = {
        "simulate": [sys.executable, "-m", "aitimestepper", *words.split()],
        "import numba": [sys.executable, "-c", "import numba"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    """Measure everything and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    wishes = parser.parse_args()
    nanoseconds: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        models = {name: model_file(Path(directory), name) for name in FEATURES}
        for n in SYSTEMS:
            field = contestants(n, models)
            times: dict[str, list[float]] = {name: [] for name in field}
            for go in field.values():
                go()
            for _ in range(wishes.rounds):
                for name, go in field.items():
                    times[name].append(go())
            nanoseconds[str(n)] = {name: round(1e9 * statistics.median(t), 1) for name, t in times.items()}
            ratios[str(n)] = ratios_of(times)
    begin = start_up(5)
    result = {
        "machine": {"name": platform.node(), "processor": processor(), "python": platform.python_version()},
        "command": " ".join(["python", "benchmarks/speed.py", *sys.argv[1:]]),
        "nanoseconds_for_a_step": nanoseconds,
        "ratios": ratios,
        "start_up_seconds": begin,
        "start_up_over_import_numba": round(begin["simulate"] / begin["import numba"], 2),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if wishes.output is not None:
        wishes.output.write_text(text + "\n")


def ratios_of(times: dict[str, list[float]]) -> dict[str, float]:
    """Medians of the ratios within each round: speed over that of the other."""
    pairs = {name: ("free-fall", name) for name in times if name.startswith(("learned", "ttl"))}
    found = {f"{name} over free-fall": (other, name) for name, (other, name) in pairs.items()}
    if "rebound" in times:
        found["free-fall over rebound"] = ("rebound", "free-fall")
    if "reference" in times:
        found["learned invariant over reference"] = ("reference", "learned invariant")
    return {
        label: round(statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True)), 3)
        for label, (slow, fast) in found.items()
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
