"""What `energy_threshold` does by itself: steps of trained networks over the largest that pass, on their own orbits.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/threshold.py [--seeds N] [--set KEY=VALUE ...]

Each network is trained on one orbit with the defaults, the threshold apart, and drives two periods of it without a
guard.
The largest step that passes is where the energy error of a growing step first crosses the threshold, or the limit of
`max_step_fraction`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

from aitimestepper import Config, Recording, simulate, train
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.batches import stack_particles
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.training.session.systems import particle_of
from aitimestepper.training.steps.single_step import FRACTION_DECADES, SingleSteps

ECCENTRICITIES = (0.6, 0.9)
THRESHOLDS = (1e-5, 2e-4, 3e-3)
GRID = 2000


def fractions(recording: Recording, config: Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every step but the last: its length over the largest that passes, and its relative energy error."""
    states = [
        particle_of(InitialConditions(recording.mass, x, v), config, None)
        for x, v in zip(recording.position[:-2], recording.velocity[:-2], strict=True)
    ]
    learned = SingleSteps(config, ModelAdapter(config))
    start = learned.start(stack_particles(states))
    assert start.known.compiled is not None
    limit = config.max_step_fraction * start.state.shortest_pair_time(config.G)
    grid = torch.logspace(-FRACTION_DECADES, 0.0, GRID, dtype=torch.float64)
    dt = torch.from_numpy(recording.dt[1:-1].copy())
    energy = torch.from_numpy(recording.energy[:-1].copy())
    return dt / start.known.compiled.largest_steps(limit, grid), ((energy[1:] - energy[:-1]) / energy[:-1]).abs()


def judged(e: float, threshold: float, seed: int, keys: dict[str, Any], run_dir: str) -> dict[str, Any]:
    """One training and two periods."""
    began = time.process_time()
    config = Config(
        ic=f"kepler:e={e}", energy_threshold=threshold, seed=seed, save_name="run", runs_dir=run_dir, overwrite=True,
        tensorboard=False, **keys,
    )  # fmt: skip
    outcome = train(config=config)
    seconds = time.process_time() - began
    records = [json.loads(line) for line in (outcome.run_dir / "metrics.jsonl").read_text().splitlines()]
    run = Config(
        ic=f"kepler:e={e}", periods=2, timestep="learned", model=str(outcome.run_dir), every=1, guard="off",
        reversible=False,
    )  # fmt: skip
    ratio, error = fractions(simulate(config=run), config)
    return {
        "e": e, "threshold": threshold, "seed": seed, "cpu_seconds": round(seconds, 1), "steps": len(ratio),
        "mean": float(ratio.mean()), "low": float(ratio.quantile(0.05)), "high": float(ratio.quantile(0.95)),
        "above": int((error > threshold).sum()), "largest_error": float(error.max()) / threshold,
        "part2_iterations": int(sum(record["part2_iterations"] for record in records)),
        "accepted": int(sum(record["total_steps"] for record in records)),
    }  # fmt: skip


def main() -> None:
    """Print a row for each training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--e", nargs="*", type=float, default=ECCENTRICITIES)
    parser.add_argument("--thresholds", nargs="*", type=float, default=THRESHOLDS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keys = {name: json.loads(text) for name, text in (word.split("=", 1) for word in asked.set)}
    rows = []
    print("   e  threshold  seed   CPU s  steps  dt over largest (5 %, 95 %)   above  largest error  Part 2")
    for e, threshold, seed in product(asked.e, asked.thresholds, range(asked.seeds)):
        with tempfile.TemporaryDirectory() as place:
            row = judged(e, threshold, seed, keys, place)
        rows.append(row)
        print(
            f"{e:4.2f}  {threshold:9.0e}  {seed:4d}  {row['cpu_seconds']:6.1f}  {row['steps']:5d}  "
            f"{row['mean']:15.3f} ({row['low']:.2f}, {row['high']:.2f})  {row['above']:6d}  "
            f"{row['largest_error']:13.2f}  {row['part2_iterations']:6d}",
            flush=True,
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps({"command": asked.set, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
