"""What each method costs on systems of several classes, and what the choice between them costs.

    python benchmarks/methods/methods.py                                    # all classes, about 6 minutes
    python benchmarks/methods/methods.py --classes scattering --count 8     # the first of one class

Systems are drawn as those of benchmarks/promise (seed 71: no method was tuned on them). Every method is asked for the
same energy error; cost is processor time of the run alone, the least of three, over that of IAS15 at its default in
REBOUND, and force evaluations over those of IAS15. Prints a table and writes benchmarks/results/methods.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "promise"))

from drawn import Drawn, draw
from truth import add_bodies, set_state

from aitimestepper import Config
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.planning import goal_of, planned
from aitimestepper.simulation.request import request_of, settings_of
from aitimestepper.simulation.summaries import summary_of

SEED = 71
CLASSES: dict[str, tuple[str, int, tuple[float, ...]]] = {
    "scattering": ("scattering", 40, (1e-5, 1e-7, 1e-9, 1e-11)),
    "planet scattering": ("planets", 12, (1e-3, 1e-5, 1e-7, 1e-9)),
    "pairs": ("regular", 10, (1e-3, 1e-5, 1e-7, 1e-9, 1e-11)),
    "planets": ("regular", 10, (1e-3, 1e-5, 1e-7, 1e-9, 1e-11)),
    "triples": ("regular", 10, (1e-3, 1e-5, 1e-7, 1e-9, 1e-11)),
    "moons": ("regular", 10, (1e-3, 1e-5, 1e-7, 1e-9)),
}
"""Class of benchmarks/promise, number of systems, tolerances."""

_KINDS = {"pairs": "pair", "planets": "planets", "triples": "triple", "moons": "moon"}
METHODS: dict[str, dict[str, Any]] = {"ttl": {"integrator": "ttl"}, "gbs": {"integrator": "gbs"}, "chosen": {}}
_REPEATS, _PATIENCE = 3, 20.0
_RESULTS = Path(__file__).parents[1] / "results" / "methods.json"


def systems(name: str, count: int | None) -> list[Drawn]:
    """The systems of a class."""
    builder, number, _ = CLASSES[name]
    wanted = min(count or number, number)
    if name not in _KINDS:
        return [draw(builder, SEED, k) for k in range(wanted)]
    found: list[Drawn] = []
    k = 0
    while len(found) < wanted:
        drawn = draw(builder, SEED, k)
        k += 1
        if drawn.kind == _KINDS[name]:
            found.append(drawn)
    return found


def own(drawn: Drawn, tolerance: float, keys: dict[str, Any]) -> dict[str, Any]:
    """A run of a method: processor time, evaluations, largest error over what was asked."""
    config = Config(duration=drawn.duration, tolerance=tolerance, **keys)
    seconds = math.inf
    for _ in range(_REPEATS):
        plan = planned(request_of(settings_of(config), drawn.system))
        goal = goal_of(plan.request)._replace(every=0, interval=math.inf, keeps=False)
        run = plan.new_run()
        began = time.process_time()
        for block in drive(run, plan.plan, plan.own, goal, drawn.system.n_dims):  # noqa: B007
            if time.process_time() - began > _PATIENCE:
                return {"failure": "given up"}
        spent = time.process_time() - began
        seconds = min(seconds, spent)
        if spent > 1.0:
            break
    summary = summary_of(block.reached.books[0], seconds, block.failure or "finished")
    return {
        "seconds": seconds,
        "evaluations": summary.force_evaluations,
        "error": summary.energy_error_max / tolerance,
        "rejected": summary.rejected_steps,
        "finished": block.failure is None,
    }


def ias15(drawn: Drawn) -> dict[str, float]:
    """IAS15 at its default: processor time, and force evaluations of a second run that counts them."""
    import rebound

    seconds, evaluations = math.inf, 0
    for attempt in range(_REPEATS + 1):
        simulation = rebound.Simulation()
        simulation.integrator = "ias15"
        add_bodies(simulation, drawn.system.mass, ())
        set_state(simulation, drawn.system.position, drawn.system.velocity)
        simulation.dt = 1e-4 * drawn.duration
        if attempt == _REPEATS:

            def count(_: Any) -> None:
                nonlocal evaluations
                evaluations += 1

            simulation.additional_forces = count
        began = time.process_time()
        simulation.integrate(drawn.duration)
        if attempt < _REPEATS:
            seconds = min(seconds, time.process_time() - began)
    return {"seconds": seconds, "evaluations": evaluations}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--count", type=int, help="systems of each class (default: all)")
    parser.add_argument("--output", type=Path, default=_RESULTS)
    arguments = parser.parse_args()
    entries: list[dict[str, Any]] = []
    own(draw("scattering", SEED, 0), 1e-3, {})  # compiles
    for name in arguments.classes:
        for number, drawn in enumerate(systems(name, arguments.count)):
            yardstick = ias15(drawn)
            for tolerance in CLASSES[name][2]:
                found = {method: own(drawn, tolerance, METHODS[method]) for method in arguments.methods}
                entries.append({"class": name, "number": number, "tolerance": tolerance, "ias15": yardstick, **found})
        _print(name, [entry for entry in entries if entry["class"] == name], arguments.methods)
    arguments.output.write_text(json.dumps(entries, indent=1) + "\n")


def _print(name: str, entries: list[dict[str, Any]], methods: list[str]) -> None:
    """Medians of ratios to IAS15 for each tolerance."""
    for tolerance in CLASSES[name][2]:
        rows = [entry for entry in entries if entry["tolerance"] == tolerance]
        words = [f"{name:18} {tolerance:6g}"]
        for method in methods:
            done = [row for row in rows if row[method].get("finished")]
            cpu = np.median([row[method]["seconds"] / row["ias15"]["seconds"] for row in done])
            counted = np.median([row[method]["evaluations"] / row["ias15"]["evaluations"] for row in done])
            kept = sum(row[method]["error"] <= 1.0 for row in done) / len(rows)
            words.append(f"{method}: CPU {cpu:.3f}, evaluations {counted:.2f}, kept {100 * kept:.0f} %")
        print(" | ".join(words), flush=True)


if __name__ == "__main__":
    main()
