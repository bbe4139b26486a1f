"""REBOUND's own leapfrog with steps that are chosen here, against the same leapfrog with the best it has: a fixed step.

    python examples/rebound_drive.py

Both make the same number of steps, and so of force evaluations. Only the two lines that are marked are new to a script.
"""

from __future__ import annotations

import math

import rebound

from aitimestepper.bridges.rebound import drive  # (1)

TOLERANCE = 1e-4
PERIODS = 50


def comet() -> rebound.Simulation:
    """A star, a comet with e = 0.9, and a planet far out."""
    sim = rebound.Simulation()
    sim.add(m=1.0)
    sim.add(m=1e-3, a=1.0, e=0.9)
    sim.add(m=1e-3, a=5.0, e=0.1, f=2.0)
    sim.move_to_com()
    sim.integrator = "leapfrog"
    return sim


class LargestError:
    """The largest relative energy error after any step."""

    def __init__(self, sim: rebound.Simulation) -> None:
        self.start, self.value = sim.energy(), 0.0

    def __call__(self, pointer) -> None:
        """What REBOUND calls after each step."""
        self.value = max(self.value, abs(pointer.contents.energy() / self.start - 1.0))


def main() -> None:
    """Run both and print."""
    end = PERIODS * 2.0 * math.pi

    sim = comet()
    learned = LargestError(sim)
    drive(sim, TOLERANCE, heartbeat=learned)  # (2)
    sim.integrate(end)

    fixed_sim = comet()
    fixed = LargestError(fixed_sim)
    fixed_sim.heartbeat = fixed
    fixed_sim.dt = end / sim.steps_done
    fixed_sim.integrate(end)

    print(f"{PERIODS} periods of a comet with e = 0.9, {sim.steps_done} steps of REBOUND's leapfrog each")
    print(f"energy error asked      {TOLERANCE:.1e}")
    print(f"achieved, driven        {learned.value:.1e}")
    print(f"achieved, fixed step    {fixed.value:.1e}   ({fixed.value / learned.value:.3g} times larger)")


if __name__ == "__main__":
    main()
