"""Draw the figures of docs/calibrated.md: asked and achieved over the held-out suite, and one run from inside.

python benchmarks/suite/figures.py      # needs matplotlib and benchmarks/results/suite.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from ratios import ias15_points

from aitimestepper import Config, Recording, simulate

BENCHMARKS = Path(__file__).parents[1]
DOCS = BENCHMARKS.parent / "docs"

# Okabe & Ito's colours, which colour-blind readers can tell apart; a mark of its own for each group too.
STYLES = {
    "two": ("two bodies", "#0072B2", "o"),
    "three": ("three", "#D55E00", "^"),
    "many": ("5 to 128", "#009E73", "s"),
    "planets": ("planets", "#CC79A7", "D"),
    "units": ("other units", "#56B4E9", "v"),
}
SYSTEM, TOLERANCE = "random:n=5,seed=20", 1e-4
"""Five bodies in a plane: close encounters of every depth."""


def main() -> None:
    """Draw both."""
    results = json.loads((BENCHMARKS / "results" / "suite.json").read_text(encoding="utf-8"))
    _promise_and_cost(results)
    _asked_and_achieved(results["systems"])
    _one_run()


def _promise_and_cost(results: dict[str, Any]) -> None:
    """The first picture of README: achieved against asked, and evaluations over those of IAS15."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.9), constrained_layout=True)
    spread = np.random.default_rng(0)
    points = ias15_points(results)
    for group, (label, colour, mark) in STYLES.items():
        systems = [system for system in results["systems"].values() if system["group"] == group]
        runs = [run for system in systems for run in system["promise"] if "failure" not in run]
        runs = [run for run in runs if run["asked_order"] is None]
        shaken = 10.0 ** spread.uniform(-0.25, 0.25, len(runs))
        asked = np.array([run["tolerance"] for run in runs]) * shaken
        achieved = np.array([max(run["energy_max"] or 0.0, 1e-14) for run in runs]) * shaken
        left.plot(asked, achieved, mark, color=colour, ms=3.0, alpha=0.8, label=label)
        own = [point for point in points if point.group == group and point.tolerance is not None]
        shaken = 10.0 ** spread.uniform(-0.4, 0.4, len(own))
        right.plot(
            [point.tolerance for point in own] * shaken, [p.value for p in own], mark, color=colour, ms=3.5, alpha=0.8
        )
    line = np.array([1e-10, 1e-2])
    left.plot(line, line, color="0.2", lw=1.0)
    left.text(1e-5, 4e-5, "asked", fontsize=8)
    left.set(xscale="log", yscale="log", xlim=(5e-3, 2e-10), ylim=(3e-15, 1e-2))
    left.set(xlabel="energy error that was asked for", ylabel="largest that the run had")
    left.set_title(f"{sum(len(s['promise']) for s in results['systems'].values())} runs, nothing tuned", fontsize=10)
    left.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.2), ncols=3, columnspacing=0.8)
    right.axhline(1.0, color="0.2", lw=1.0)
    right.text(3e-3, 1.08, "IAS15, best epsilon of a grid", fontsize=8)
    right.set(xscale="log", yscale="log", xlim=(5e-3, 2e-10), ylim=(0.01, 10.0))
    right.set(xlabel="energy error that was asked for", ylabel="force evaluations over IAS15's")
    right.set_title("cost at the same achieved error", fontsize=10)
    figure.savefig(DOCS / "figures" / "promise.png", dpi=130)
    plt.close(figure)


def _asked_and_achieved(systems: dict[str, Any]) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 4.2), sharey=True, constrained_layout=True)
    spread = np.random.default_rng(0)
    panels = (("energy_max", 1.0, "energy error"), ("position_max", 10.0, "local position error"))
    for axis, (key, allowed, name) in zip(axes, panels, strict=True):
        for group, (label, colour, mark) in STYLES.items():
            runs = [r for s in systems.values() if s["group"] == group for r in s["promise"] if "failure" not in r]
            runs = [run for run in runs if run["asked_order"] is None]
            asked = np.array([run["tolerance"] for run in runs]) * 10.0 ** spread.uniform(-0.25, 0.25, len(runs))
            ratio = np.array([(run[key] or 0.0) / (allowed * run["tolerance"]) for run in runs])
            axis.plot(asked, np.maximum(ratio, 1e-6), mark, color=colour, ms=3.5, alpha=0.8, label=label)
        axis.axhline(1.0, color="0.2", lw=1.0)
        axis.axhline(0.1, color="0.6", lw=0.8, ls="--")
        axis.set(xscale="log", yscale="log", xlim=(3e-10, 2e-2), ylim=(6e-7, 1e3), xlabel="tolerance")
        axis.set_title(f"{name}, over what is allowed")
        axis.invert_xaxis()
    axes[0].set_ylabel("achieved / allowed")
    axes[0].text(1.4e-2, 1.3, "allowed", fontsize=8)
    axes[0].text(1.4e-2, 0.09, "a tenth", va="top", fontsize=8, color="0.4")
    axes[1].legend(fontsize=8, frameon=False, ncols=2, loc="upper left")
    figure.savefig(DOCS / "calibrated.png", dpi=130)
    plt.close(figure)


def _one_run() -> None:
    """A calibrated run beside one with a constant step of as many force evaluations."""
    common: dict[str, Any] = {"ic": SYSTEM, "duration": 8.0, "step_history": True}
    learned = simulate(config=Config(tolerance=TOLERANCE, integrator="ttl", **common))
    fixed = _as_costly(learned, common)
    figure, axes = plt.subplots(2, 1, figsize=(9.0, 5.2), sharex=True, constrained_layout=True)
    _draw(axes, learned, "#0072B2", f"calibrated, {learned.summary.force_evaluations} evaluations")
    _draw(axes, fixed, "#D55E00", f"constant h, {fixed.summary.force_evaluations} evaluations")
    axes[0].axhline(TOLERANCE, color="0.2", lw=1.0)
    axes[0].text(0.02, TOLERANCE * 0.8, "tolerance", fontsize=8, va="top")
    axes[0].set(yscale="log", ylabel="|E - E₀| / |E₀|", title=f"{SYSTEM}, order {learned.settings['order']}")
    axes[0].set_ylim(1e-11, None)
    axes[1].set(yscale="log", ylabel="step in time", xlabel="time (N-body units)")
    axes[0].legend(fontsize=8, frameon=False, loc="lower right")
    figure.savefig(DOCS / "calibrated-run.png", dpi=130)
    plt.close(figure)


def _as_costly(learned: Recording, common: dict[str, Any]) -> Recording:
    """The run with a constant h whose cost is nearest, by bisection."""
    low, high = 1e-6, 1.0
    for _ in range(30):
        h = (low * high) ** 0.5
        order = learned.settings["order"]
        fixed = simulate(config=Config(timestep="fixed", integrator="ttl", order=order, h=h, **common))
        if fixed.summary.force_evaluations > learned.summary.force_evaluations:
            low = h
        else:
            high = h
    return fixed


def _draw(axes: Any, recording: Recording, colour: str, label: str) -> None:
    history = recording.step_history
    error = np.abs(history.energy - recording.summary.energy_initial) / recording.energy_scale
    first: Axes = axes[0]
    first.plot(history.time, np.maximum(error, 1e-12), color=colour, lw=0.8, label=label)
    axes[1].plot(history.time, history.dt, color=colour, lw=0.8)


if __name__ == "__main__":
    main()
