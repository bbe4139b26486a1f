"""Where the time of one retrain iteration goes: in the plain loop, and in the compiled one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numba import njit
from training_cases import fresh

from aitimestepper.arrays import Floats
from aitimestepper.engine.training import collecting, perceptron
from aitimestepper.engine.training.gate import VERDICT, judge
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.part_one.collect import _flock
from aitimestepper.training.part_one.compiled_loop import _opened, _scene, borrowed
from aitimestepper.training.steps.losses import log_band_loss

Shares = dict[str, float]


def plain_shares(repeats: int) -> Shares:
    """Microseconds of each part of an iteration of the plain loop on one orbit."""
    case, spent = fresh(1, fused=False), {}
    model, adapter, config = case.model, case.adapter, case.config

    def part(name: str, work: Callable[[], object]) -> object:
        began = time.perf_counter()
        made = work()
        spent[name] = spent.get(name, 0.0) + (time.perf_counter() - began) / repeats * 1e6
        return made

    def physics(dt: torch.Tensor) -> torch.Tensor:
        state = case.particle.clone_detached()
        before = state.total_energy_batch(config.G)
        state.update_dt(dt)
        state.evolve_batch(config.G)
        error = relative_energy_error(before, state.total_energy_batch(config.G))
        return log_band_loss(error, config.E_lower, config.E_upper).mean()

    for _ in range(repeats):
        features = part("features", lambda: adapter.build_feature_tensor(case.particle))
        dt = part("network", lambda f=features: adapter.step_from_output(model(f), case.particle))
        loss = part("step and energies", lambda d=dt: physics(d))
        part("backward", lambda x=loss: (case.optimizer.zero_grad(), x.backward()))
        part("optimiser", case.optimizer.step)
    return spent


def compiled_shares(repeats: int) -> Shares:
    """Microseconds of each part of an iteration of the compiled loop on one orbit, each part repeated by itself.

    The features of a state are computed once, when it is reached: they are no part of a retrain iteration.
    """
    case = fresh(1)
    flock = _flock(case.particle, case.adapter, None)
    scene = _scene(case.model, flock, case.config, case.adapter)
    orbits = _opened(case.model, flock, scene)
    row, trial, verdict = np.empty(orbits.past.shape[2]), np.empty(orbits.systems.shape[1]), np.empty(VERDICT)
    with borrowed(case.model, case.optimizer) as (network, adam):
        still = adam._replace(rate=1e-300)
        units = perceptron.count_units(network.widths)
        values, slopes, deltas = (np.zeros(units) for _ in range(3))
        values[: orbits.inputs.shape[1]] = orbits.inputs[0]
        task = collecting.Task(10**9, False, math.inf, False)
        room = collecting.Accepted(np.empty((4, orbits.systems.shape[1])), np.empty((4, 12)), np.empty(4, np.int64))
        parts = {
            "features (once a state)": lambda n: _look(n, orbits, row, scene),
            "network": lambda n: _forward(n, network, values, slopes),
            "step and energies": lambda n: _judge(n, trial, verdict, orbits, scene),
            "backward": lambda n: _backward(n, network, values, slopes, deltas),
            "optimiser": lambda n: _descend(n, network, still),
            "whole iteration": lambda n: collecting.collect(orbits, network, still, scene, task, room, n),
        }
        return {name: _microseconds(work, repeats) for name, work in parts.items()}


def _microseconds(work: Callable[[int], object], repeats: int) -> float:
    work(1)
    began = time.perf_counter()
    work(repeats)
    return (time.perf_counter() - began) / repeats * 1e6


@njit
def _look(n: int, orbits: collecting.Orbits, row: Floats, scene: collecting.Scene) -> None:
    for _ in range(n):
        collecting.look(orbits, 0, row, scene)


@njit
def _forward(n: int, network: perceptron.Perceptron, values: Floats, slopes: Floats) -> None:
    for _ in range(n):
        perceptron.forward(network, values, slopes)


@njit
def _judge(n: int, trial: Floats, verdict: Floats, orbits: collecting.Orbits, scene: collecting.Scene) -> None:
    for _ in range(n):
        energy, free_fall = orbits.energy[0], orbits.free_fall[0]
        judge(trial, verdict, orbits.systems[0], energy, free_fall, 0.1, 0.0, scene.law, scene.gate, True)


@njit
def _backward(n: int, network: perceptron.Perceptron, values: Floats, slopes: Floats, deltas: Floats) -> None:
    for _ in range(n):
        perceptron.backward(network, values, slopes, deltas)


@njit
def _descend(n: int, network: perceptron.Perceptron, adam: perceptron.Adam) -> None:
    for _ in range(n):
        perceptron.step_down(network, adam, 1.0)
