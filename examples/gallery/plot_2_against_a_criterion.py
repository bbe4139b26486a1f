"""
Against classical criteria
==========================

The same number of force evaluations, spent by a fixed step, by the free-fall criterion and by calibrated steps, on an
eccentric triple.
"""

# %%
# A classical criterion has an accuracy parameter eta. Here it is searched for until the run costs as much as the
# calibrated one, which was asked for an error instead.

import matplotlib.pyplot as plt
import numpy as np

from aitimestepper import simulate

system = {"ic": "hierarchical-triple:e_in=0.8,a_out=10", "periods": 100}
calibrated = simulate(**system, tolerance=1e-6, samples=2000)
budget = calibrated.summary.force_evaluations


def at_equal_cost(**method):
    """The run of a method whose parameter makes it cost the budget, by bisection."""
    key = "dt" if method["timestep"] == "fixed" else "eta"
    low, high = 1e-5, 1.0
    while high / low > 1.01:
        middle = np.sqrt(low * high)
        trial = simulate(**system, **method, **{key: middle})
        if trial.summary.force_evaluations > budget:
            low = middle
        else:
            high = middle
    return simulate(**system, **method, **{key: high}, samples=2000)


runs = {
    "fixed step": at_equal_cost(timestep="fixed"),
    "free-fall criterion": at_equal_cost(timestep="free-fall"),
    "calibrated, 1e-6 asked": calibrated,
}
for name, run in runs.items():
    cost, error = run.summary.force_evaluations, run.summary.energy_error_max
    print(f"{name:24} {cost:7d} evaluations, error {error:.1e}")

# %%
# Energy errors over time.

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, run), colour in zip(runs.items(), ("#999999", "#E69F00", "#0072B2"), strict=True):
    error = np.abs(run.energy / run.energy[0] - 1)
    axes.semilogy(run.time, np.maximum(error, 1e-16), color=colour, lw=0.8, label=name)
axes.set(xlabel="time", ylabel="relative energy error")
axes.legend(loc="lower right")
plt.show()
