"""What ends a run before its end, where the configuration asks for that; the search itself is `engine.run.stops`."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.engine.layout import ROWS, VX
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run, Stops
from aitimestepper.engine.run.stops import COLLISION, EJECTION, NOTHING, event_in
from aitimestepper.errors import InputError
from aitimestepper.simulation.blocks import COLLIDED, Stop
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.outcomes import event_sentence
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.systems.initial import InitialConditions


def stops_of(goal: Goal, bodies: Remaining | None = None) -> Stops:
    """What the compiled loop is to look for; `bodies` where they may have become fewer."""
    radii = goal.radii if bodies is None else bodies.radii
    return Stops(goal.stop_distance, goal.stop_approach, radii, np.zeros(1))


def stop_in(run: Run, plan: Plan, stops: Stops) -> Stop | None:
    """What there is in a state that ends its run; None for nothing."""
    kind, first, second = event_in(run.system, plan.law, stops)
    if kind == NOTHING:
        return None
    if kind == EJECTION:
        return Stop("an ejection", (first,))
    if kind != COLLISION:
        return Stop("a close encounter", (first, second))
    velocity = run.system.reshape(ROWS, -1)[VX : VX + 3]
    return Stop(COLLIDED, (first, second), float(np.linalg.norm(velocity[:, first] - velocity[:, second])))


def check_start(run: Run, plan: Plan, goal: Goal, system: InitialConditions) -> None:
    """Refuse a run that would end where it begins, or in which nothing can be looked for.

    Raises:
        InputError: says why.
    """
    if goal.stop_distance == math.inf and goal.stop_approach == 0.0 and not len(goal.radii):
        return
    if system.is_free:
        raise InputError(
            "no two of these bodies attract each other, and they move in one step: leave stop_distance, stop_approach "
            "and collisions out"
        )
    stop = stop_in(run, plan, stops_of(goal))
    if stop is None:
        return
    if stop.cause == COLLIDED:
        names = [system.names[body] if system.names else f"{body} (counting from 0)" for body in stop.bodies]
        raise InputError(
            f"bodies {' and '.join(names)} overlap where the run begins: smaller radii, or other positions"
        )
    key = "stop_distance" if stop.cause == "an ejection" else "stop_approach"
    raise InputError(f"{key} would end the run where it begins: {event_sentence(run, stop, system.names)}")
