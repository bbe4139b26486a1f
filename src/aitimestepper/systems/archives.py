"""Bodies from a REBOUND archive, read by a process of its own.

REBOUND's reader can bring down the process that it runs in over an archive with a flipped bit. So this module, started
as a program, reads the archive and prints what is in it as JSON; the function `read_archive` starts it and listens.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from aitimestepper.errors import InitialConditionsError

SUFFIXES = (".bin", ".rebound", ".archive")
"""Of files that hold a REBOUND archive."""

SECONDS = 60
"""How long the other process may take before the archive counts as damaged; chosen, not measured."""


class Snapshot(NamedTuple):
    """The last whole snapshot of an archive; numbers keep every bit."""

    mass: list[float]
    position: list[list[float]]
    velocity: list[list[float]]
    time: float
    G: float
    softening: float
    names: list[str]
    """one for each body, or none"""
    snapshots: int
    """how many the archive holds"""
    complaints: list[str]
    """what REBOUND warned of"""


def read_archive(path: Path) -> Snapshot:
    """The last whole snapshot of a REBOUND archive.

    Raises:
        InitialConditionsError: rebound is not installed, or the file is damaged or no archive.
    """
    from aitimestepper.systems.rebound_bodies import rebound_installed

    if not rebound_installed():
        raise InitialConditionsError(
            "a REBOUND archive needs the package rebound: pip install 'aitimestepper[rebound]'"
        )
    with path.open("rb"):  # a file that cannot be read is reported as every other one
        pass
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path)], capture_output=True, timeout=SECONDS, check=False
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise InitialConditionsError("it is damaged: REBOUND fails over it") from None
    if "error" in answer:
        raise InitialConditionsError(f"it is not a readable REBOUND archive ({answer['error']})")
    return Snapshot(**answer)


def _last_snapshot(content: bytes) -> dict[str, Any]:
    """Snapshot as a dictionary, or one with the key `error`."""
    import rebound

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            archive = rebound.Simulationarchive(content)
            # Unlike archive[-1], this reads the bodies of one whose integrator is not known here.
            simulation = rebound.Simulation(archive, -1)
            if not simulation.is_synchronized:
                simulation.synchronize()
        except (RuntimeError, ValueError) as error:
            return {"error": str(error)}
    bodies = list(simulation.particles)
    names = [body.name for body in bodies if body.name]
    return Snapshot(
        mass=[body.m for body in bodies],
        position=[body.xyz for body in bodies],
        velocity=[body.vxyz for body in bodies],
        time=simulation.t,
        G=simulation.G,
        softening=simulation.softening,
        names=names if len(names) == len(bodies) else [],
        snapshots=len(archive),
        complaints=[str(complaint.message) for complaint in complaints],
    )._asdict()


def is_archive(path: Path | str) -> bool:
    """Whether a file of this name holds a REBOUND archive."""
    return Path(path).suffix.lower() in SUFFIXES


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_last_snapshot(Path(sys.argv[1]).read_bytes())))
