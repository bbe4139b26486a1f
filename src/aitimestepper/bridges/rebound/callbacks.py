"""What compiled callbacks ask Python to do, now and then: to set up what they need, and to say why they cannot go on.

Each is known to compiled code as a symbol, so that the code can be kept on disk. None of them is ever freed: REBOUND
frees its simulations when the interpreter is half gone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import rebound
from llvmlite import binding
from numba import types

from aitimestepper.errors import AITimeStepperError, RunError
from aitimestepper.simulation.outcomes import FAILURES

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)

_actions: dict[str, Callable[[int, int], None]] = {}
"""The functions of Python behind the four symbols below: those modules that have them set them when they are loaded."""


def keep(thing: Any) -> None:
    """Let a Python object live as long as the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _symbol(name: str) -> Any:
    """A function of compiled code that does what `_actions` has for the name; 1 if it could, 0 if it could not."""

    def call(simulation: int, argument: int) -> int:
        # An exception cannot pass through C: it becomes a message of REBOUND, which raises it as RuntimeError.
        try:
            _actions[name](simulation, argument)
        except AITimeStepperError as error:
            _report(simulation, str(error))
            return 0
        except Exception as error:  # noqa: BLE001
            _report(simulation, f"{type(error).__name__}: {error}")
            return 0
        return 1

    function = _SIGNATURE(call)
    keep(function)
    symbol = f"aitimestepper_rebound_{name}"
    binding.add_symbol(symbol, ctypes.cast(function, ctypes.c_void_p).value)
    return types.ExternalFunction(symbol, types.int64(types.int64, types.int64))


def _fail(simulation: int, status: int) -> None:
    """Say why a run cannot go on."""
    time = rebound.Simulation.from_address(simulation).t
    raise RunError(f"the run stopped at t = {time:.9g}: {FAILURES[status]}")


def _report(simulation: int, text: str) -> None:
    """End the integration with a message."""
    # REBOUND cuts what is longer than its messages are, in the middle of a letter if it comes to that.
    message = text.encode("ascii", "replace")[: rebound.string_size_max - 2]
    rebound.clibrebound.reb_simulation_error(ctypes.c_void_p(simulation), ctypes.c_char_p(message))


def set_action(name: str, action: Callable[[int, int], None]) -> None:
    """What the function of that name does: it takes the address of a simulation, and a number."""
    _actions[name] = action


prepare_integrator = _symbol("prepare_integrator")
"""(simulation, address of the integrator's state)."""

prepare_heartbeat = _symbol("prepare_heartbeat")
"""(simulation, 0)."""

ask_function = _symbol("ask_function")
"""(simulation, 0)."""

fail = _symbol("fail")
"""(simulation, status of the engine)."""

set_action("fail", _fail)
