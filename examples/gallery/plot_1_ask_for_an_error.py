"""
Ask for an error, get it
========================

One system, seven tolerances, nothing tuned: the largest energy error of each run against what was asked for.
"""

# %%
# The Pythagorean problem: masses 3, 4 and 5 start at rest in a triangle, pass each other closely many times, and one of
# them is thrown out.

import matplotlib.pyplot as plt
import numpy as np

from aitimestepper import simulate

tolerances = [10.0**-k for k in range(3, 10)]
runs = []
for tolerance in tolerances:
    run = simulate("pythagorean", duration=60, tolerance=tolerance)
    runs.append(run)
    error, cost = run.summary.energy_error_max, run.summary.force_evaluations
    print(f"asked {tolerance:.0e}: {error:.1e}, {run.summary.energy_verdict}, {cost} evaluations")

errors = [run.summary.energy_error_max for run in runs]

# %%
# Every run stays below the line, and rarely far below: an error that is much smaller than what was asked for would have
# been paid for with force evaluations.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.loglog(tolerances, tolerances, color="0.6", label="asked")
left.loglog(tolerances, errors, "o", color="#0072B2", label="achieved")
left.set(xlabel="tolerance asked for", ylabel="largest relative energy error")
left.legend()

finest = runs[3]
for body, mass in enumerate(finest.mass):
    right.plot(*finest.position[:, body].T, lw=0.8, label=f"mass {mass:g}")
right.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-5, 5), ylim=(-5, 5))
right.legend()
plt.show()

# %%
# How the cost grows: from 1e-5 to 1e-9 by less than a factor of four, because the order grows with the demand. (Here
# the run at 1e-4, with order 4, costs more than its neighbours: it goes back several times at one deep encounter.)

cost = np.array([run.summary.force_evaluations for run in runs])
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
axes.loglog(cost, errors, "o-", color="#D55E00")
axes.set(xlabel="force evaluations", ylabel="largest relative energy error")
plt.show()
