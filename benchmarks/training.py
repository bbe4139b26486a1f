"""Speed, memory and result of a training, against the plain loop: python benchmarks/training.py

One core (two for two processes), double precision. In every round plain loop and package run one after the other on the
same systems from the same weights, so that a machine that is busy for a while slows both; ratios are medians over
rounds. Results go to benchmarks/results/training.json, and the table into docs/training.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import training_memory
import training_processes
import training_profile
import training_quality
import training_speed as speed
from speed import processor
from training_tables import PLACE, tables

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "training.json"
PAGE = HERE.parent / "docs" / "training.md"
Numbers = dict[str, Any]


def one(quick: bool) -> Numbers:
    """One orbit: iterations and accepted steps a second."""
    speed.from_fresh_weights(-1, 1, 1, 1)  # compiles
    fresh = [speed.from_fresh_weights(seed, 1, *((2, 2) if quick else (20, 20))) for seed in range(1 if quick else 7)]
    most = (20, 200) if quick else (300, 20_000)
    trained = [speed.from_trained_weights(seed, 1, *most) for seed in range(1 if quick else 5)]
    # Nearly every step of trained weights passes at once: they have no iterations to count.
    return {
        "fresh": _summary(fresh, "iterations", "steps"),
        "trained": _summary(trained, "steps"),
        "difference": speed.same_steps(5 if quick else 40),
    }


def many(quick: bool, n_orbits: int = 64) -> Numbers:
    """A batch: orbit-steps a second; the plain loop never has more than 64 orbits."""
    speed.from_fresh_weights(-1, 1, 1, 1)  # compiles
    steps, rounds = ((2, 2), 1) if quick else ((10, 20), 3)
    fresh = [speed.from_fresh_weights(seed, n_orbits, *steps) for seed in range(rounds)]
    running = [speed.in_training(seed, n_orbits, 2 * steps[0], steps[1]) for seed in range(rounds)]
    trained = [speed.from_trained_weights(seed, n_orbits, steps[0], 10 * steps[1]) for seed in range(rounds)]
    regimes = {"fresh": fresh, "running": running, "trained": trained}
    return {name: _summary(found, "steps") for name, found in regimes.items()}


def thousand(quick: bool) -> Numbers:
    """1,024 orbits against the plain loop on 64."""
    return many(quick, 1024)


def replay(quick: bool) -> Numbers:
    """Part 2 on 512 samples."""
    return speed.replay(*((64, 1, 5) if quick else (512, 5, 200)))


def processes(quick: bool) -> Numbers:
    """Two processes over one."""
    found = {}
    for orbits, epochs in ((1024, 3 if quick else 20), (8, 3 if quick else 100)):
        rounds = []
        for _ in range(1 if quick else 3):
            rounds.append([training_processes.steps_a_second(count, orbits, epochs) for count in (1, 2)])
        ratio = statistics.median(two / alone for alone, two in rounds)
        found[str(orbits)] = [statistics.median(a for a, _ in rounds), statistics.median(b for _, b in rounds), ratio]
    return found


def memory(quick: bool) -> Numbers:
    """Of both loops."""
    return {path: training_memory.grown(path, 100, 300 if quick else 10_000) for path in ("compiled", "torch")}


def quality(quick: bool) -> Numbers:
    """Five minutes of training."""
    return training_quality.trained_and_judged(*((5.0, 32, 20) if quick else (300.0,)))


def profile(quick: bool) -> Numbers:
    """Parts of an iteration."""
    repeats = 50 if quick else 2000
    return {"plain": training_profile.plain_shares(repeats), "compiled": training_profile.compiled_shares(repeats * 5)}


def _summary(rounds: list[Numbers], *ratios: str) -> Numbers:
    found = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    for what in ratios:
        found[f"ratio of {what}"] = speed.ratio_of(rounds, f"{what} a second")
    return found


PARTS: dict[str, Callable[[bool], Numbers]] = {
    part.__name__: part for part in (one, many, thousand, replay, processes, memory, quality, profile)
}


def main() -> None:
    """Measure what was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts to measure, with commas between")
    parser.add_argument("--quick", action="store_true", help="seconds in place of minutes, for a try: written nowhere")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the table of what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: Numbers = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if arguments.quick:
        found = {}
    found |= {"machine": processor(), "date": datetime.date.today().isoformat()}
    for name in () if arguments.render else arguments.only.split(","):
        found[name] = PARTS[name](arguments.quick)
        print(name, json.dumps(found[name]), flush=True)
        if not arguments.quick:
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = tables(found)
    print(text)
    if not arguments.quick:
        before = PAGE.read_text(encoding="utf-8").partition(PLACE)[0]
        PAGE.write_text(f"{before}{PLACE}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
