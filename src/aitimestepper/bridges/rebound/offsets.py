"""Where REBOUND keeps what compiled code looks at. In words of 8 bytes; those of 4 bytes are counted by themselves.

The numbers are constants, so that the compiled code can be kept on disk; `check_layout` compares them with what the
installed version says of itself.
"""

from __future__ import annotations

import ctypes
from typing import Any

from aitimestepper.errors import InputError

T, GRAVITY, SOFTENING, DT, DT_LAST_DONE, STEPS_DONE = 0, 1, 2, 5, 6, 7
N, PARTICLES, N_VAR_CONFIG, N_ACTIVE, EXTRAS = 9, 11, 16, 18, 101
SIMULATION_WORDS = 102
STATUS, EXACT_FINISH_TIME = 54, 55
"""In words of 4 bytes."""

PARTICLE_X, PARTICLE_VX, PARTICLE_MASS = 0, 3, 9
PARTICLE_WORDS = 14

LAST_STEP, GENERIC_ERROR = -2, 1
"""Of the status: the step that is to end at the time asked for; what ends an integration with an error."""

_SIMULATION = {
    ("t", T, 8), ("G", GRAVITY, 8), ("softening", SOFTENING, 8), ("dt", DT, 8), ("dt_last_done", DT_LAST_DONE, 8),
    ("steps_done", STEPS_DONE, 8), ("N", N, 8), ("_particles", PARTICLES, 8), ("N_var_config", N_VAR_CONFIG, 8),
    ("N_active", N_ACTIVE, 8), ("extras", EXTRAS, 8), ("_status", STATUS, 4),
    ("exact_finish_time", EXACT_FINISH_TIME, 4),
}  # fmt: skip
_PARTICLE = {
    *((name, PARTICLE_X + k, 8) for k, name in enumerate(("x", "y", "z"))),
    *((name, PARTICLE_VX + k, 8) for k, name in enumerate(("vx", "vy", "vz"))),
    ("m", PARTICLE_MASS, 8),
}
_CALLBACKS = ("documentation", "step", "synchronize", "create", "free", "did_add_particle", "will_remove_particle")


def check_layout(rebound: Any) -> None:
    """Compare with the structures of the module.

    Raises:
        InputError: something lies elsewhere; names what.
    """
    wrong = [*_wrong(rebound.Simulation, _SIMULATION, SIMULATION_WORDS)]
    wrong += _wrong(rebound.Particle, _PARTICLE, PARTICLE_WORDS)
    wrong += _wrong(_type_of(_type_of(rebound.Simulation, "integrator"), "callbacks"), {
        (name, k, 8) for k, name in enumerate((*_CALLBACKS, "field_descriptor_list"))
    }, 8)  # fmt: skip
    if wrong:
        raise InputError(
            f"rebound {rebound.__version__} keeps {', '.join(sorted(wrong))} elsewhere than 5.2.2, for which the "
            "compiled bridges were written: pip install 'rebound==5.2.2'"
        )


def _type_of(structure: Any, name: str) -> Any:
    return dict(structure._fields_)[name]


def _wrong(structure: Any, places: set[tuple[str, int, int]], words: int) -> list[str]:
    found = [
        name
        for name, word, size in places
        if not hasattr(structure, name)
        or (getattr(structure, name).offset, getattr(structure, name).size) != (word * size, size)
    ]
    if ctypes.sizeof(structure) != 8 * words:
        found.append(f"the end of {structure.__name__}")
    return found
