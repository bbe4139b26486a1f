"""Bodies from a REBOUND archive, read by a process of its own.

REBOUND's reader can bring down the process that it runs in over an archive with a flipped bit. So this module, started
as a program, reads the archive and prints what is in it as JSON, and its numbers behind that; `read_archive` and
`read_snapshots` start it and listen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aitimestepper.errors import InitialConditionsError, InputError
from aitimestepper.inputs import ARCHIVE, check_size

if TYPE_CHECKING:
    from aitimestepper.arrays import Floats
    from aitimestepper.systems.rebound_bodies import SimulationBodies

SUFFIXES = (".bin", ".rebound", ".archive")
"""Of files that hold a REBOUND archive."""

FIRST_BYTES = b"REBOUND Binary File"
"""Of every archive, whatever its name."""

_LAST, _ALL = "last", "all"

_COLLISIONS = ("none", "direct", "tree", "line", "linetree")
"""States can be shown whatever REBOUND did in between."""

SECONDS = 60
"""How long the other process may take before the archive counts as damaged; chosen, not measured."""


def read_archive(path: Path) -> SimulationBodies:
    """The bodies of the last whole snapshot of a REBOUND archive; numbers keep every bit.

    Raises:
        InitialConditionsError: rebound is not installed; the file is damaged or no archive; its physics is more than
            that of point masses which attract each other.
    """
    from aitimestepper.systems.rebound_bodies import SimulationBodies

    return SimulationBodies.of(_answer(path, _LAST)[0])


class Snapshots(NamedTuple):
    """All snapshots of an archive, of the same bodies.

    Attributes:
        mass: (N,), zero for test particles, whose masses no other body feels.
        names: one for each body, or none.
        G, softening: of the first snapshot.
        units: as `Units.text` has them; empty where REBOUND was told none, or none that is known here.
        integrator: REBOUND's name of it.
        steps, wall_seconds: at the last snapshot, as REBOUND counts them.
        time: (S,).
        position, velocity: (S, N, 3).
    """

    mass: Floats
    names: tuple[str, ...]
    G: float
    softening: float
    units: str
    integrator: str
    steps: int
    wall_seconds: float
    time: Floats
    position: Floats
    velocity: Floats


def read_snapshots(path: Path) -> Snapshots:
    """All snapshots of a REBOUND archive; numbers keep every bit.

    Raises:
        InitialConditionsError: as for `read_archive`; the bodies of two snapshots are not the same.
    """
    import numpy as np

    known, rest = _answer(path, _ALL)
    n, numbers = len(known["mass"]), np.frombuffer(rest)
    rows = numbers.reshape(-1, 1 + 6 * n)
    states = rows[:, 1:].reshape(-1, 2, n, 3)
    known |= {"mass": np.array(known["mass"]), "names": tuple(known["names"])}
    return Snapshots(**known, time=rows[:, 0], position=states[:, 0], velocity=states[:, 1])


def _answer(path: Path, part: str) -> tuple[dict[str, Any], bytes]:
    """What the other process says of an archive, and the numbers that follow.

    Raises:
        InitialConditionsError: as for `read_archive`.
    """
    from aitimestepper.systems.rebound_bodies import rebound_installed

    if not rebound_installed():
        raise InitialConditionsError(
            "a REBOUND archive needs the package rebound: pip install 'aitimestepper[rebound]'"
        )
    check_size(path, ARCHIVE)
    with path.open("rb"):  # a file that cannot be read is reported as every other one
        pass
    try:
        command = [sys.executable, "-m", __name__, str(path), part]
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        words, _, rest = done.stdout.partition(b"\n")
        answer = json.loads(words)
    except (subprocess.TimeoutExpired, ValueError):
        raise InitialConditionsError("it is damaged: REBOUND fails over it") from None
    if "error" in answer:
        raise InitialConditionsError(f"it is not a readable REBOUND archive ({answer['error']})")
    if "refused" in answer:
        raise InitialConditionsError(answer["refused"])
    return answer, rest


def _said_of(content: bytes, part: str) -> tuple[dict[str, Any], list[Floats]]:
    """The bodies as a dictionary, or one with the key `error`, or `refused`; and rows of numbers."""
    import rebound

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            archive = rebound.Simulationarchive(content)
            # Unlike archive[k], this reads the bodies of one whose integrator is not known here.
            chosen = range(len(archive)) if part == _ALL else (-1,)
            simulations = (rebound.Simulation(archive, k) for k in chosen)
            return (_all_snapshots if part == _ALL else _last_snapshot)(simulations, len(archive), complaints)
        except (RuntimeError, ValueError) as error:
            kind = "refused" if isinstance(error, InputError) else "error"
            return {kind: str(error)}, []


def _last_snapshot(
    simulations: Iterator[Any], count: int, complaints: list[Any]
) -> tuple[dict[str, Any], list[Floats]]:
    from aitimestepper.systems.rebound_bodies import bodies_in

    bodies = bodies_in(next(simulations))
    about = f"REBOUND archive, snapshot {count} of {count}"
    remarks = (about, *bodies.remarks, *(str(complaint.message) for complaint in complaints))
    return bodies._replace(remarks=remarks)._asdict(), []


def _all_snapshots(
    simulations: Iterator[Any], count: int, complaints: list[Any]
) -> tuple[dict[str, Any], list[Floats]]:
    """What all snapshots have in common, and a row of each: time, positions, velocities.

    Raises:
        InputError: they are not of the same bodies, or of more than point masses.
    """
    import numpy as np

    from aitimestepper.systems.rebound_bodies import bodies_in, units_named_in

    rows: list[Floats] = []
    last = next(simulations)
    first = bodies_in(last, _COLLISIONS)
    rows.append(_row_of(first))
    for k, last in enumerate(simulations, start=1):
        bodies = bodies_in(last, _COLLISIONS)
        if len(bodies.mass) != len(first.mass):
            raise InputError(
                f"snapshot {k + 1} of {count} has {len(bodies.mass)} bodies and the first has {len(first.mass)}: "
                "a figure follows the same bodies through all snapshots"
            )
        if not np.array_equal(bodies.mass, first.mass):
            raise InputError(f"masses change up to snapshot {k + 1} of {count}: a figure has one mass for each body")
        rows.append(_row_of(bodies))
    units = units_named_in(last)
    return {
        **{name: getattr(first, name) for name in ("mass", "names", "G", "softening")},
        "units": "" if units is None else units.text,
        "integrator": str(last.integrator),
        "steps": int(last.steps_done),
        "wall_seconds": float(last.walltime),
    }, rows


def _row_of(bodies: SimulationBodies) -> Floats:
    import numpy as np

    return np.concatenate([[bodies.time], bodies.position.ravel(), bodies.velocity.ravel()])


def is_archive(path: Path | str) -> bool:
    """Whether a file of this name holds a REBOUND archive."""
    return Path(path).suffix.lower() in SUFFIXES


if __name__ == "__main__":
    said, numbers = _said_of(Path(sys.argv[1]).read_bytes(), sys.argv[2])
    sys.stdout.buffer.write(json.dumps(said, default=lambda array: array.tolist()).encode() + b"\n")
    for row in numbers:
        sys.stdout.buffer.write(row.tobytes())
