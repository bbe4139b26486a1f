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
INTEGRATOR, STEP_FUNCTION, INTEGRATOR_STATE = 77, 79, 86
"""Within the simulation: the configuration of its integrator, and in that the function that makes a step."""
SIMULATION_WORDS = 102
STATUS, EXACT_FINISH_TIME = 54, 55
"""In words of 4 bytes."""

PARTICLE_X, PARTICLE_VX, PARTICLE_MASS = 0, 3, 9
PARTICLE_WORDS = 14

LAST_STEP, GENERIC_ERROR = -2, 1
"""Of the status: the step that is to end at the time asked for; what ends an integration with an error."""

_SIMULATION = {
    "t": T, "G": GRAVITY, "softening": SOFTENING, "dt": DT, "dt_last_done": DT_LAST_DONE, "steps_done": STEPS_DONE,
    "N": N, "_particles": PARTICLES, "N_var_config": N_VAR_CONFIG, "N_active": N_ACTIVE, "integrator": INTEGRATOR,
    "extras": EXTRAS,
}  # fmt: skip
_FLAGS = {"_status": STATUS, "exact_finish_time": EXACT_FINISH_TIME}
_PARTICLE = {
    **{name: PARTICLE_X + k for k, name in enumerate(("x", "y", "z"))},
    **{name: PARTICLE_VX + k for k, name in enumerate(("vx", "vy", "vz"))},
    "m": PARTICLE_MASS,
}
_CALLBACKS = (
    *("documentation", "step", "synchronize", "create", "free", "did_add_particle", "will_remove_particle"),
    "field_descriptor_list",
)


def check_layout(rebound: Any) -> None:
    """Compare with the structures of the module.

    Raises:
        InputError: something lies elsewhere; names what.
    """
    configuration = _type_of(rebound.Simulation, "integrator")
    callbacks = _type_of(configuration, "callbacks")
    wrong = [
        *_wrong(rebound.Simulation, _SIMULATION, SIMULATION_WORDS),
        *(name for name, word in _FLAGS.items() if _offset(rebound.Simulation, name) != 4 * word),
        *_wrong(configuration, {"callbacks": 1, "state": INTEGRATOR_STATE - INTEGRATOR}, 10),
        *_wrong(callbacks, {name: word for word, name in enumerate(_CALLBACKS)}, len(_CALLBACKS)),
        *_wrong(rebound.Particle, _PARTICLE, PARTICLE_WORDS),
    ]
    if wrong:
        raise InputError(
            f"rebound {rebound.__version__} keeps {', '.join(sorted(wrong))} elsewhere than 5.2.2, for which the "
            "compiled bridges were written: pip install 'rebound==5.2.2'"
        )


def _type_of(structure: Any, name: str) -> Any:
    return dict(structure._fields_)[name]


def _offset(structure: Any, name: str) -> int:
    return int(getattr(structure, name).offset) if hasattr(structure, name) else -1


def _wrong(structure: Any, words: dict[str, int], size: int) -> list[str]:
    found = [name for name, word in words.items() if _offset(structure, name) != 8 * word]
    return found if ctypes.sizeof(structure) == 8 * size else [*found, f"the end of {structure.__name__}"]
