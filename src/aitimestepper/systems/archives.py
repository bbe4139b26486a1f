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
from typing import TYPE_CHECKING, Any

from aitimestepper.errors import InitialConditionsError, InputError
from aitimestepper.inputs import ARCHIVE, check_size

if TYPE_CHECKING:
    from aitimestepper.systems.rebound_bodies import SimulationBodies

SUFFIXES = (".bin", ".rebound", ".archive")
"""Of files that hold a REBOUND archive."""

SECONDS = 60
"""How long the other process may take before the archive counts as damaged; chosen, not measured."""


def read_archive(path: Path) -> SimulationBodies:
    """The bodies of the last whole snapshot of a REBOUND archive; numbers keep every bit.

    Raises:
        InitialConditionsError: rebound is not installed; the file is damaged or no archive; its physics is more than
            that of point masses which attract each other.
    """
    from aitimestepper.systems.rebound_bodies import SimulationBodies, rebound_installed

    if not rebound_installed():
        raise InitialConditionsError(
            "a REBOUND archive needs the package rebound: pip install 'aitimestepper[rebound]'"
        )
    check_size(path, ARCHIVE)
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
    if "refused" in answer:
        raise InitialConditionsError(answer["refused"])
    return SimulationBodies.of(answer)


def _last_snapshot(content: bytes) -> dict[str, Any]:
    """The bodies as a dictionary, or one with the key `error`, or `refused`."""
    import rebound

    from aitimestepper.systems.rebound_bodies import bodies_in

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            archive = rebound.Simulationarchive(content)
            # Unlike archive[-1], this reads the bodies of one whose integrator is not known here.
            simulation = rebound.Simulation(archive, -1)
        except (RuntimeError, ValueError) as error:
            return {"error": str(error)}
        try:
            bodies = bodies_in(simulation)
        except InputError as error:
            return {"refused": str(error)}
    count = f"REBOUND archive, snapshot {len(archive)} of {len(archive)}"
    remarks = (count, *bodies.remarks, *(str(complaint.message) for complaint in complaints))
    return bodies._replace(remarks=remarks)._asdict()


def is_archive(path: Path | str) -> bool:
    """Whether a file of this name holds a REBOUND archive."""
    return Path(path).suffix.lower() in SUFFIXES


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_last_snapshot(Path(sys.argv[1]).read_bytes()), default=lambda array: array.tolist()))
