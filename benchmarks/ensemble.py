"""A thousand random three-body systems on one thread and on two, in turns, as one JSON object on standard output.

    python benchmarks/ensemble.py            # about half a minute
    python benchmarks/ensemble.py 3          # another number of rounds

Drawing the systems and collecting the results is part of the time.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from aitimestepper import Config, simulate_ensemble
from aitimestepper.cores import available_cores

SYSTEMS = 1000
ROUNDS = 5
THREADS = (1, 2)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    config = Config(ic="random:n=3", count=SYSTEMS, duration=15.0, timestep="free-fall", eta=0.01)
    simulate_ensemble(config=config.replace(count=2))  # compiles, or loads what was compiled before
    seconds: dict[int, list[float]] = {threads: [] for threads in THREADS}
    steps = 0
    for _ in range(rounds):
        for threads in THREADS:
            result = simulate_ensemble(config=config.replace(threads=threads))
            seconds[threads].append(result.wall_seconds)
            steps = int(result.steps.sum())
    one, two = (statistics.median(seconds[threads]) for threads in THREADS)
    report = {
        "machine": platform.node(),
        "processor": platform.processor() or platform.machine(),
        "cores": available_cores(),
        "systems": SYSTEMS,
        "bodies": 3,
        "steps": steps,
        "rounds": rounds,
        "seconds_1_thread": one,
        "seconds_2_threads": two,
        "ratio": one / two,
        "ratio_of_each_round": [a / b for a, b in zip(*seconds.values(), strict=True)],
        "ms_per_system_1_thread": 1e3 * one / SYSTEMS,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
