"""Speed of Part 1 and Part 2, package and plain loop one after the other in every round."""

from __future__ import annotations

import statistics
from typing import Any

import plain_loop
import torch
from training_cases import Case, Measured, fresh, timed

from aitimestepper import collect_trajectory
from aitimestepper.training.part_two.generalize import learn_from
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory

Numbers = dict[str, Any]
LEARNT = {"lr": 3e-4, "output_scale": "physical", "feature_type": "invariant"}
"""A training that soon passes most states at once."""

WARM = 20
"""Steps of each orbit before the middle of a training: the first bend from steps that are far too long is behind."""

MOST_PLAIN = 64
"""Orbits of the plain loop at most: it is the yardstick of larger batches too."""


def plainly(case: Case, n_steps: int) -> tuple[int, float]:
    """`n_steps` accepted steps of every system by the plain loop: steps of all, iterations."""
    particle, total = case.particle, 0
    n_systems = particle.as_batch().batch_shape[0]
    for _ in range(n_steps):
        particle, iterations = plain_loop.accepted_step(case.model, particle, case.optimizer, case.config, case.adapter)
        total += iterations
    return n_steps * n_systems, float(total)


def by_package(case: Case) -> tuple[int, float]:
    """An epoch's Part 1 of the package: accepted steps of all systems, iterations summed over them."""
    _, metrics = collect_trajectory(case.model, case.particle, case.optimizer, case.config, case.adapter)
    return metrics["total_steps"], metrics["mean_retrain_iterations"] * metrics["total_steps"]


def from_fresh_weights(seed: int, n_orbits: int, plain_steps: int, steps: int) -> Numbers:
    """One round: both from the same fresh weights, the plain loop on at most 64 orbits."""
    plain, mine = fresh(min(n_orbits, MOST_PLAIN), seed, fused=False), fresh(n_orbits, seed, steps_per_epoch=steps)
    return _round(timed(lambda: plainly(plain, plain_steps)), timed(lambda: by_package(mine)))


def in_training(seed: int, n_orbits: int, plain_steps: int, steps: int) -> Numbers:
    """One round in the middle of a training: the package has taken `WARM` steps of each orbit, and both go on."""
    before = fresh(n_orbits, seed, steps_per_epoch=WARM)
    _, metrics = collect_trajectory(before.model, before.particle, before.optimizer, before.config, before.adapter)
    reached = metrics["final_particle"]
    plain, mine = fresh(min(n_orbits, MOST_PLAIN), seed, fused=False), fresh(n_orbits, seed, steps_per_epoch=steps)
    for case in (plain, mine):
        case.model.load_state_dict(before.model.state_dict())
    few = reached.select(torch.arange(MOST_PLAIN)) if n_orbits > MOST_PLAIN else reached
    plain, mine = plain._replace(particle=few), mine._replace(particle=reached)
    return _round(timed(lambda: plainly(plain, plain_steps)), timed(lambda: by_package(mine)))


def from_trained_weights(seed: int, n_orbits: int, plain_steps: int, steps: int) -> Numbers:
    """The same with weights that pass most states: trained by the package before, for both alike."""
    plain = fresh(min(n_orbits, MOST_PLAIN), seed, fused=False, **LEARNT)
    mine = fresh(n_orbits, seed, steps_per_epoch=steps, **LEARNT)
    by_package(mine)
    plain.model.load_state_dict(mine.model.state_dict())
    return _round(timed(lambda: plainly(plain, plain_steps)), timed(lambda: by_package(mine)))


def _round(plain: Measured, package: Measured) -> Numbers:
    both = {"plain": plain, "package": package}
    found = {f"{name} {what}": value for name, m in both.items() for what, value in m._asdict().items()}
    for name, m in both.items():
        found[f"{name} steps a second"] = m.steps / m.seconds
        found[f"{name} iterations a second"] = m.iterations / m.seconds
        found[f"{name} iterations a step"] = m.iterations / m.steps
    return found


def same_steps(n_steps: int) -> float:
    """Largest relative difference of the positions reached by both after `n_steps` steps of one orbit."""
    plain, mine = fresh(1, 3, fused=False), fresh(1, 3, steps_per_epoch=n_steps)
    particle = plain.particle
    for _ in range(n_steps):
        particle, _ = plain_loop.accepted_step(plain.model, particle, plain.optimizer, plain.config, plain.adapter)
    _, metrics = collect_trajectory(mine.model, mine.particle, mine.optimizer, mine.config, mine.adapter)
    difference = (metrics["final_particle"].position - particle.position).abs().max()
    return float(difference / particle.position.abs().max())


def replay(n_samples: int, plain_rounds: int, iterations: int) -> Numbers:
    """Seconds for one iteration of Part 2 on `n_samples` states."""
    case = fresh(64, steps_per_epoch=max(n_samples // 64, 1), replay_batch_size=n_samples, **LEARNT)
    trajectory, _ = collect_trajectory(case.model, case.particle, case.optimizer, case.config, case.adapter)
    memory = ReplayMemory(case.config.replay_capacity)
    memory.extend(trajectory)
    learned = SingleSteps(case.config, case.adapter)
    start = learned.replayed(memory)
    states = [start.state.select(k) for k in range(n_samples)]
    chosen = torch.arange(n_samples)

    def plain() -> tuple[int, float]:
        plain_loop.replay_iteration(case.model, states, case.optimizer, case.config, case.adapter)
        return n_samples, 1.0

    def package() -> tuple[int, float]:
        for _ in range(iterations):
            learn_from(case.model, case.optimizer, learned, start, chosen)
        return n_samples * iterations, float(iterations)

    package()
    rounds = [(timed(plain).seconds, timed(package).seconds / iterations) for _ in range(plain_rounds)]
    return {
        "plain seconds": statistics.median(a for a, _ in rounds),
        "package seconds": statistics.median(b for _, b in rounds),
        "ratio": statistics.median(a / b for a, b in rounds),
    }


def ratio_of(rounds: list[Numbers], what: str) -> float:
    """Median over rounds of the package's number over that of the plain loop."""
    return statistics.median(r[f"package {what}"] / r[f"plain {what}"] for r in rounds)
