"""Measure the calibrated stepper on systems that no training has met, and print the table of all figures.

    python benchmarks/suite/suite.py                       # everything, from scratch
    python benchmarks/suite/suite.py --parts promise,wall  # some parts; the others keep their numbers in the file
    python benchmarks/suite/suite.py --quick               # a few systems; writes nothing
    python benchmarks/suite/suite.py --only kepler         # systems with this in their name; writes nothing
    python benchmarks/suite/suite.py --render              # the tables of the numbers that are there

Parts: promise (achieved over asked), classical, constant and ias15 (others at equal evaluations or equal error), drift
(10,000 periods) and wall (seconds a step). Needs rebound and astropy. Writes benchmarks/results/suite.json, and the
tables at the end of docs/calibrated-tables.md where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from held_out import Case, cases
from measures import PARTS, measured, wall
from table_text import tables

from aitimestepper.outputs import finite

RESULTS = Path(__file__).parents[1] / "results" / "suite.json"
PAGE = Path(__file__).parents[2] / "docs" / "calibrated-tables.md"
MARK = "<!-- what follows is written by benchmarks/suite/suite.py -->"
ALL_PARTS = (*PARTS, "wall")

Entry = dict[str, Any]


def main() -> None:
    """Measure, print and, unless only some systems were wanted, write."""
    asked = _asked()
    if asked.render:
        if not RESULTS.exists():
            sys.exit(f"there are no numbers yet: {RESULTS}")
        publish(tables(json.loads(RESULTS.read_text())))
        return
    wanted = [case for case in cases() if asked.only in case.name and (case.quick or not asked.quick)]
    if not wanted:
        sys.exit(f"no system has {asked.only!r} in its name: " + "; ".join(case.name for case in cases()))
    began, whole = time.perf_counter(), not (asked.only or asked.quick)
    earlier = json.loads(RESULTS.read_text()) if whole and RESULTS.exists() and asked.parts != ALL_PARTS else {}
    systems = {case.name: earlier.get("systems", {}).get(case.name, {}) for case in wanted}
    if set(asked.parts) & set(PARTS):
        for name, entry in _all_measured(wanted, asked.parts, asked.jobs):
            systems[name] = {key: part for key, part in systems[name].items() if key != "error"} | entry
            print(f"{time.perf_counter() - began:6.0f} s  {name} ({entry.get('seconds', '-')} s)", file=sys.stderr)
    results: Entry = {"about": _about(asked.parts), "systems": systems}
    # After all others: seconds mean something only while nothing else runs.
    if "wall" in asked.parts:
        results["wall"] = wall()
    elif "wall" in earlier:
        results["wall"] = earlier["wall"]
    results["about"]["seconds"] = round(time.perf_counter() - began)
    if whole:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(finite(results), indent=1) + "\n")
        publish(tables(results))
    else:
        print(tables(results))
    if any("error" in entry for entry in systems.values()):
        sys.exit("some systems could not be measured: see the end of the tables")


def publish(text: str) -> None:
    """Print the tables, and put them into the page if there is one."""
    print(text)
    if PAGE.exists():
        PAGE.write_text(f"{PAGE.read_text().partition(MARK)[0]}{MARK}\n\n{text}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few systems")
    parser.add_argument("--only", default="", metavar="NAME", help="systems with this in their name")
    parser.add_argument("--parts", default=ALL_PARTS, type=_parts, help=f"of {','.join(ALL_PARTS)}; default: all")
    parser.add_argument("--jobs", default=os.cpu_count() or 1, type=int, help="processes; default: one for each core")
    parser.add_argument("--render", action="store_true", help="only the tables, from the numbers that are there")
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    unknown = set(parts) - set(ALL_PARTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts


def _all_measured(wanted: list[Case], parts: tuple[str, ...], jobs: int) -> Iterator[tuple[str, Entry]]:
    """Name and numbers of each system as it is done; those of many bodies, which take longest, come first."""
    many = [case for case in wanted[::-1] if case.group == "many"]
    ordered = [*many, *(case for case in wanted if case.group != "many")]
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(measured_by_name, case.name, parts): case.name for case in ordered}
        for done in as_completed(running):
            error = done.exception()
            yield running[done], done.result() if error is None else {"error": repr(error)}


def measured_by_name(name: str, parts: tuple[str, ...]) -> Entry:
    """What a process does: a case itself cannot be sent to it."""
    return measured(next(case for case in cases() if case.name == name), parts)


def _about(parts: tuple[str, ...]) -> Entry:
    about = {"machine": platform.node(), "processor": platform.machine(), "python": platform.python_version()}
    return {**about, "parts": list(parts)}


if __name__ == "__main__":
    main()
