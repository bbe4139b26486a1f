"""Five minutes of training, judged on orbits of the same family that it has not met."""

from __future__ import annotations

import time
from typing import Any

import torch
from training_cases import SETTINGS

from aitimestepper import Config, ParticleTorch
from aitimestepper.training.session.building import build_training, training_systems
from aitimestepper.training.session.epochs import epochs
from aitimestepper.training.steps.single_step import FRACTION_DECADES, FRACTION_GRID, SingleSteps

Numbers = dict[str, Any]

FIRST_RATE, LAST_RATE = 3e-3, 1e-5
UNSEEN_SEED = 1_000_000
"""Far from the seeds of the training, which counts up from one for each draw."""


def trained_and_judged(seconds: float, unseen: int = 512, steps: int = 200) -> Numbers:
    """Train 64 orbits, drawn anew in every epoch, for so many seconds; judge the weights on others."""
    config = Config(
        **SETTINGS, feature_type="invariant", output_scale="physical", num_orbits=64, steps_per_epoch=20, lr=FIRST_RATE,
        E_lower=8e-5, E_upper=1.4e-4, epochs=10**6, redraw_every=1, replay_steps=50, seed=1,
    )  # fmt: skip
    state = build_training(config)
    state.redraw = lambda epoch: training_systems(config.replace(seed=epoch))
    accepted = 0.0
    began = time.perf_counter()
    for record in epochs(state, config):
        accepted += record.metrics["total_steps"]
        done = (time.perf_counter() - began) / seconds
        if done >= 1.0:
            break
        for group in state.optimizer.param_groups:
            group["lr"] = LAST_RATE * (FIRST_RATE / LAST_RATE) ** (1.0 - done)
    learned = SingleSteps(config.replace(seed=UNSEEN_SEED, num_orbits=unseen), state.learned.adapter)
    found = judged(state.model, learned, steps)
    return {"seconds": time.perf_counter() - began, "epochs": state.epoch, "accepted steps": accepted, **found}


@torch.no_grad()
def judged(model: Any, learned: SingleSteps, n_steps: int) -> Numbers:
    """Share of steps that pass at once, and mean step over the largest that passes, along unseen orbits.

    Where a step is refused, the orbit goes on with half of the largest that passes.
    """
    config = learned.config
    state: ParticleTorch = training_systems(config)
    grid = torch.logspace(-FRACTION_DECADES, 0.0, 4 * FRACTION_GRID, dtype=torch.float64)
    passed, fractions = [], []
    for _ in range(n_steps):
        start = learned.start(state)
        assert start.known.compiled is not None
        tried = learned.attempt(model, start)
        largest = start.known.compiled.largest_steps(
            config.max_step_fraction * state.shortest_pair_time(config.G), grid
        )
        passed.append(tried.passed)
        fractions.append(tried.dt / largest)
        state.update_dt(torch.where(tried.passed, tried.dt, 0.5 * largest))
        state.evolve_batch(config.G)
    rates = torch.stack(passed).double()
    return {
        "passed at once": float(rates.mean()),
        "worst orbit": float(rates.mean(0).min()),
        "mean step over largest": float(torch.stack(fractions).mean()),
        "unseen orbits": len(state.dt),
        "steps of each": n_steps,
    }
