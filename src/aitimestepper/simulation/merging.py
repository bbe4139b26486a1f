"""Two bodies become one: the state behind a collision, what it has taken, and a run that goes on with one body less."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import LOW, MASS, ROWS, VX, Books, X, flat_system
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run, blank_run, start
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.simulation.blocks import COLLIDED, Stop
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.simulation.stopping import stop_in, stops_of
from aitimestepper.systems.mergers import joint_radius

_CARRIED = (
    *("start_time", "last_dt", "steps", "force_evaluations", "rejected_steps", "samples", "first_energy"),
    *("max_energy_error", "max_energy_error_time", "max_momentum_error_squared", "max_angular_momentum_error_squared"),
    *("max_position_error", "longest_length", "states_asked", "states_outside_training", "tolerance_promised"),
    *("step_error_promised", "max_step_error", "steps_above", "frame_dt_min", "frame_dt_max", "frame_energy_error"),
    *("mergers", "merger_energy"),
)
"""Of the books of a run, what a merger leaves as it is."""


class Merging(NamedTuple):
    """What a run whose bodies merge must know beside its state.

    Attributes:
        mass, radius: (N,), of all bodies of the recording.
        mergers: so far.
        together: how the run goes on with several bodies.
        alone: how with a single one that is left; None where no step is known for it, or it has no time to go to.
    """

    mass: Floats
    radius: Floats
    mergers: Mergers
    together: Plan
    alone: Plan | None

    @property
    def bodies(self) -> Remaining:
        """What is left."""
        return Remaining.after(self.mass, self.radius, self.mergers)

    @property
    def is_single(self) -> bool:
        """Whether one body is left."""
        return len(self.mass) - len(self.mergers.time) == 1

    @property
    def plan(self) -> Plan:
        """How the run goes on."""
        return self.alone if self.is_single and self.alone is not None else self.together

    def blank_run(self) -> Run:
        """A run of what is left, which has not begun."""
        mass = self.bodies.mass
        nothing = np.zeros((len(mass), 3))
        return blank_run(flat_system(mass, nothing, nothing), self.plan)


def gone_on(run: Run, pair: tuple[int, ...], merging: Merging, goal: Goal) -> tuple[Run, Merging]:
    """The run behind a collision, and all that has happened by then: the new body may touch others at once.

    Mass, momentum and centre of mass are kept, and the volume; of two bodies the heavier one goes on, of two alike the
    first. Errors of energy and momenta count anew from there, as those of a run that begins there.

    Args:
        run: at the time of contact.
        pair: the two bodies, numbers in the run.
        merging: what was before.
        goal: of the run.
    """
    stop: Stop | None = Stop(COLLIDED, pair)
    while stop is not None and stop.cause == COLLIDED:
        run, merging = _merged(run, stop.bodies, merging)
        stop = stop_in(run, merging.plan, stops_of(goal, merging.bodies))
    return run, merging


def _merged(run: Run, pair: tuple[int, ...], merging: Merging) -> tuple[Run, Merging]:
    """The run with one body in place of two."""
    bodies, rows, old = merging.bodies, run.system.reshape(ROWS, -1), run.books[0]
    first, second = sorted(pair, key=lambda body: (-rows[MASS, body], body))
    merger = Mergers.of(
        time=old.time,
        survivor=bodies.kept[first],
        other=bodies.kept[second],
        survivor_mass=rows[MASS, first],
        other_mass=rows[MASS, second],
        radius=joint_radius(float(bodies.radii[first]), float(bodies.radii[second])),
        speed=np.linalg.norm(rows[VX : VX + 3, first] - rows[VX : VX + 3, second]),
        energy_before=old.kinetic_energy + old.potential_energy,
        energy_after=0.0,
        energy_scale=0.0,
    )
    merging = merging._replace(mergers=Mergers.joined([merging.mergers, merger]))
    new = blank_run(_joined(rows, first, second, _shares(rows, first, second, bodies.radii)), merging.plan)
    new.books[0].time = old.time
    start(new, merging.plan)
    _carry_over(new.books[0], old)
    merging.mergers.energy_after[-1] = new.books[0].initial_energy
    merging.mergers.energy_scale[-1] = new.books[0].energy_scale
    return new, merging


def _shares(rows: Floats, first: int, second: int, radii: Floats) -> tuple[float, float]:
    """Parts of two bodies in the one that they become: of the mass, or where there is none of the volume."""
    mine, other = rows[MASS, first], rows[MASS, second]
    if mine == 0.0:
        mine, other = radii[first] ** 3, radii[second] ** 3
    return float(mine / (mine + other)), float(other / (mine + other))


def _joined(rows: Floats, first: int, second: int, shares: tuple[float, float]) -> Floats:
    """The flat system with one body in place of two; only masses, positions and velocities are set."""
    new = np.zeros_like(rows)
    new[MASS] = rows[MASS]
    new[MASS, first] = rows[MASS, first] + rows[MASS, second]
    for row in range(X, VX + 3):
        new[row], new[row + LOW] = rows[row], rows[row + LOW]
        both = rows[row].astype(np.longdouble) + rows[row + LOW]
        centre = shares[0] * both[first] + shares[1] * both[second]
        new[row, first] = float(centre)
        new[row + LOW, first] = float(centre - new[row, first])
    return np.ascontiguousarray(np.delete(new, second, axis=1)).reshape(-1)


def _carry_over(new: Books, old: Books) -> None:
    """Enter what the run has been so far into the books of what goes on."""
    evaluations = float(new.force_evaluations)
    for name in _CARRIED:
        new[name] = old[name]
    new.energy_scale = energy_scale(float(new.kinetic_energy), float(new.initial_energy))
    for name in ("max_energy_error", "frame_energy_error"):  # which are absolute, and relative to another scale now
        new[name] *= new.energy_scale / old.energy_scale
    new.momentum_scale = max(float(new.momentum_scale), float(old.momentum_scale))
    new.angular_momentum_scale = max(float(new.angular_momentum_scale), float(old.angular_momentum_scale))
    new.force_evaluations += evaluations
    new.began_at_step = new.anchor_step = old.steps
    new.democratic = 1.0  # what position errors add up to is not followed through a collision: it is left out
    new.mergers += 1.0
    new.merger_energy += old.kinetic_energy + old.potential_energy - new.initial_energy
