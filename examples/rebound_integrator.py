"""The calibrated run as an integrator of REBOUND, against REBOUND's leapfrog of order 8 with as many force evaluations.

python examples/rebound_integrator.py
"""

from __future__ import annotations

import rebound

from aitimestepper.bridges.rebound import register  # (1)

TOLERANCE = 1e-8
STAGES = 17
"""Force evaluations of a step of the leapfrog of order 8."""


def three_bodies() -> rebound.Simulation:
    """Bodies of masses 3, 4 and 5 at rest at the corners of a triangle of sides 3, 4 and 5 (Burrau 1913)."""
    sim = rebound.Simulation()
    for mass, x, y in ((3.0, 1.0, 3.0), (4.0, -2.0, -1.0), (5.0, 1.0, -1.0)):
        sim.add(m=mass, x=x, y=y)
    return sim


def main() -> None:
    """Run both and print."""
    end = 60.0
    sim = three_bodies()
    start = sim.energy()
    register(sim, tolerance=TOLERANCE)  # (2)
    sim.integrate(end)
    forces = int(sim.integrator.force_evaluations)

    other = three_bodies()
    worst = 0.0

    def look(pointer) -> None:
        nonlocal worst
        worst = max(worst, abs(pointer.contents.energy() / start - 1.0))

    other.integrator = "leapfrog"
    other.integrator.order = 8
    other.dt = end * STAGES / forces
    other.heartbeat = look
    other.integrate(end)

    print(f"the Pythagorean problem to t = {end:g}, {forces} force evaluations each")
    print(f"energy error asked               {TOLERANCE:.1e}")
    print(f"achieved, aits                   {sim.integrator.energy_error:.1e}")
    print(f"achieved, leapfrog of order 8    {worst:.1e}")


if __name__ == "__main__":
    main()
