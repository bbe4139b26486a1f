"""Measure whether runs keep what `tolerance` promises, on classes of systems on which the promise was seen to break.

    python benchmarks/promise/promise.py --jobs 2                             # everything
    python benchmarks/promise/promise.py --classes moons,deep                 # some; the others keep their numbers
    python benchmarks/promise/promise.py --classes scattering --count 40      # the first of the 200 systems
    python benchmarks/promise/promise.py --all                                # clusters of 1,024 bodies too
    python benchmarks/promise/promise.py --render                             # the tables of the numbers there are

Energies and orbits are computed here, never taken from a verdict. Needs rebound. Writes
benchmarks/results/promise.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from measuring import PLANS, measured
from tables import tables

from aitimestepper import Config, simulate
from aitimestepper.outputs import finite

RESULTS = Path(__file__).parents[1] / "results" / "promise.json"
SEED = 20260
"""Of all draws, together with the class and the number of the system; no training draws from such seeds."""

Entry = dict[str, Any]


def main() -> None:
    """Measure, write and print."""
    asked = _asked()
    if asked.render and not asked.output.exists():
        sys.exit(f"there are no numbers yet: {asked.output}")
    results = json.loads(asked.output.read_text()) if asked.output.exists() else {"classes": {}}
    if not asked.render:
        asked.output.parent.mkdir(exist_ok=True, parents=True)
        _warm_up()
        with ProcessPoolExecutor(asked.jobs) as pool:
            for name in asked.classes:
                began = time.perf_counter()
                found = results["classes"] | {name: _class(pool, name, asked)}
                results["classes"] = {each: found[each] for each in PLANS if each in found}
                asked.output.write_text(json.dumps(finite(results), indent=1) + "\n")
                print(f"{name}: {len(found[name]['runs'])} runs, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(tables(results))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = ",".join(PLANS)
    parser.add_argument("--classes", default=tuple(PLANS), type=_classes, help=f"of {names}; default: all")
    parser.add_argument("--count", type=int, metavar="N", help="systems of each class; default: as each class has it")
    parser.add_argument("--tolerances", type=_tolerances, metavar="X,...", help="default: as each class has them")
    parser.add_argument("--jobs", default=os.cpu_count() or 1, type=int, help="processes; default: one for each core")
    parser.add_argument("--seed", default=SEED, type=int, help=f"of all draws; default: {SEED}")
    parser.add_argument("--all", action="store_true", help="clusters of 1,024 bodies too")
    parser.add_argument("--output", default=RESULTS, type=Path, metavar="F.json", help=f"default: {RESULTS.name}")
    parser.add_argument("--render", action="store_true", help="only the tables, from the numbers that are there")
    return parser.parse_args()


def _classes(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(PLANS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such class: {', '.join(sorted(unknown))}")
    return names


def _tolerances(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split(","))


def _class(pool: ProcessPoolExecutor, name: str, asked: argparse.Namespace) -> Entry:
    """All runs of one class, in the order of its systems."""
    plan = PLANS[name]
    count, tolerances = asked.count or plan.systems, asked.tolerances or plan.tolerances
    if asked.all and name == "clusters" and not asked.count:
        count = count // 3 * 4
    running = {
        pool.submit(measured, name, asked.seed, number, tolerances, asked.all): number for number in range(count)
    }
    found = {running[done]: done.result() for done in as_completed(running)}
    runs = [entry for number in range(count) for entry in found[number]]
    return {"seed": asked.seed, "count": count, "tolerances": list(tolerances), "runs": runs}


def _warm_up() -> None:
    """Compile once, before any processor time is counted and any process is made."""
    for keys in ({}, {"integrator": "leapfrog"}):
        simulate(config=Config(ic="kepler:e=0.5", duration=1.0, tolerance=1e-4, **keys))


if __name__ == "__main__":
    main()
