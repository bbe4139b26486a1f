"""
A system of your own
====================

Planets around a star, from arrays, in au, years and solar masses.
"""

import matplotlib.pyplot as plt
import numpy as np

from aitimestepper import simulate
from aitimestepper.systems.initial import InitialConditions

# %%
# Four planets, the innermost two close to a 3:2 resonance, and a comet without mass on a long orbit.

G = 4 * np.pi**2
radius = np.array([1.0, 1.32, 2.4, 4.1])
angle = np.array([0.0, 2.0, 4.0, 1.0])
speed = np.sqrt(G / radius)
mass = np.array([1.0, 3e-5, 5e-5, 3e-4, 1e-3, 0.0])
position = np.array([[0, 0], *np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), [12.0, 3.0]])
velocity = np.array([[0, 0], *np.column_stack([-speed * np.sin(angle), speed * np.cos(angle)]), [-0.4, 0.35]])
system = InitialConditions(mass, position, velocity, names=("star", "b", "c", "d", "e", "comet"))

run = simulate(system, duration=60.0, G=G, tolerance=1e-8, samples=3000)
print(f"asked 1e-8, achieved {run.summary.energy_error_max:.1e} with {run.summary.force_evaluations} evaluations")

# %%
# The recording has equally spaced samples, so it can be drawn as it is.

figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
for body, name in enumerate(run.names):
    axes.plot(*run.position[:, body].T, lw=0.7, label=name)
axes.set(xlabel="x [au]", ylabel="y [au]", aspect="equal")
axes.legend(loc="upper right")
plt.show()
