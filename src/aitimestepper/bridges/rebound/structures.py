"""REBOUND's structures as records, for compiled code that gets their addresses from C.

Where a field lies is taken from what the installed version says of itself, so compiled code that looks into them is
compiled anew for another version: by `compiled` and `callback` of this module.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import rebound
from numba import carray
from numpy.typing import NDArray

from aitimestepper.bridges.rebound.memory import pointer_to
from aitimestepper.engine import compilation
from aitimestepper.engine.compilation import inlined
from aitimestepper.errors import InputError

LAST_STEP, GENERIC_ERROR = -2, 1
"""Values of `status`: the step that is to end at the time asked for; what ends an integration with an error."""

_SIMULATION = {
    "t": "t", "G": "G", "softening": "softening", "dt": "dt", "dt_last_done": "dt_last_done",
    "steps_done": "steps_done", "N": "N", "N_active": "N_active", "particles": "_particles", "status": "_status",
    "exact_finish_time": "exact_finish_time", "extras": "extras", "integrator_step": "integrator.callbacks.step",
    "integrator_state": "integrator.state", "collision": "_collision", "exit_max_distance": "exit_max_distance",
    "exit_min_distance": "exit_min_distance", "archive": "_simulationarchive_filename",
    "archive_interval": "simulationarchive_auto_interval", "archive_next": "simulationarchive_next",
}  # fmt: skip
_PARTICLE = {name: name for name in ("x", "y", "z", "vx", "vy", "vz", "m", "r")}


def _found(structure: Any, path: str) -> tuple[np.dtype[Any], int] | None:
    """Kind and offset of a field, also of one within another; None if there is none, or one of another kind."""
    offset = 0
    for name in path.split("."):
        kinds = dict(getattr(structure, "_fields_", ()))
        if name not in kinds:
            return None
        offset, structure = offset + getattr(structure, name).offset, kinds[name]
    sizes = {ctypes.c_double: "f8", ctypes.c_int: "i4", ctypes.c_uint: "i4"}
    size = ctypes.sizeof(structure)
    kind = sizes.get(structure, "i8" if size == 8 else None)  # numbers of things, and addresses
    return None if kind is None else (np.dtype(kind), offset)


def record_of(structure: Any, fields: dict[str, str]) -> np.dtype[Any]:
    """A structure of the module as a record.

    Args:
        structure: the ctypes structure.
        fields: where each field of the record lies in it.

    Raises:
        InputError: it has no such field; names it.
    """
    found = {name: _found(structure, path) for name, path in fields.items()}
    missing = sorted(fields[name] for name, field in found.items() if field is None)
    if missing:
        raise InputError(
            f"rebound {rebound.__version__} has no {', '.join(missing)} of the kind that 5.2.2 has, for which the "
            "compiled bridges were written: pip install 'rebound==5.2.2'"
        )
    known = [field for field in found.values() if field is not None]
    record = {
        "names": list(found),
        "formats": [kind for kind, _ in known],
        "offsets": [offset for _, offset in known],
        "itemsize": ctypes.sizeof(structure),
    }
    return np.dtype((np.record, np.dtype(record)))  # type: ignore[call-overload]


SIMULATION, PARTICLE = record_of(rebound.Simulation, _SIMULATION), record_of(rebound.Particle, _PARTICLE)

_VERSION = f"rebound {rebound.__version__} {SIMULATION} {PARTICLE}"
compiled = compilation.compiler(_VERSION)


def callback(signature: Any) -> Any:
    """As `engine.compilation.callback`."""
    return compilation.callback(signature, _VERSION)


_simulation, _particle, _integer = pointer_to(SIMULATION), pointer_to(PARTICLE), pointer_to(np.int32)


@inlined
def simulation_at(address: int) -> Any:
    """The simulation, not a copy."""
    return carray(_simulation(address), (1,))[0]


@inlined
def particles_of(simulation: Any) -> NDArray[Any]:
    """The particles of a simulation, (N,), not a copy."""
    return carray(_particle(simulation.particles), (simulation.N,))


@inlined
def first_integer_at(address: int) -> int:
    """The integer of 32 bits at an address."""
    return carray(_integer(address), (1,))[0]
