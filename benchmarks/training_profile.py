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
from aitimestepper.engine.training import collecting, perceptron, progress
from aitimestepper.engine.training.gate import VERDICT, judge
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.part_one.borrowed import borrowed
from aitimestepper.training.part_one.collect import batch_of
from aitimestepper.training.part_one.compiled_loop import opened, setup_of
from aitimestepper.training.steps.losses import log_band_loss
from aitimestepper.training.steps.single_step import SingleSteps

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
    learned = SingleSteps(case.config, case.adapter)
    batch = batch_of(learned, case.particle, None)
    setup = setup_of(learned, batch)
    with borrowed(case.model, case.optimizer) as (net, adam):
        own = opened(net.network, batch, setup)
        row, trial, verdict = np.empty(own.past.shape[2]), np.empty(own.systems.shape[1]), np.empty(VERDICT)
        still = adam._replace(rate=1e-300)
        units = perceptron.count_units(net)
        values, slopes, deltas = (np.zeros(units) for _ in range(3))
        values[: own.inputs.shape[1]] = own.inputs[0]
        task = collecting.Task(10**9, False, math.inf, False)
        room = progress.Accepted(np.empty((4, own.systems.shape[1])), np.empty((4, 12)), np.empty(4, np.int64))
        parts = {
            "features (once a state)": lambda n: _look(n, own, row, net, setup),
            "network": lambda n: _forward(n, net, values, slopes),
            "step and energies": lambda n: _judge(n, trial, verdict, own, setup),
            "backward": lambda n: _backward(n, net, values, slopes, deltas),
            "optimiser": lambda n: _descend(n, net, still),
            "whole iteration": lambda n: collecting.collect(own, net, still, setup, task, room, n),
        }
        return {name: _microseconds(work, repeats) for name, work in parts.items()}


def _microseconds(work: Callable[[int], object], repeats: int) -> float:
    work(1)
    began = time.perf_counter()
    work(repeats)
    return (time.perf_counter() - began) / repeats * 1e6


@njit
def _look(n: int, own: progress.Orbits, row: Floats, net: perceptron.Perceptron, setup: progress.Setup) -> None:
    for _ in range(n):
        progress.look(own, 0, row, net.network, setup)


@njit
def _forward(n: int, net: perceptron.Perceptron, values: Floats, slopes: Floats) -> None:
    for _ in range(n):
        perceptron.forward(net, values, slopes)


@njit
def _judge(n: int, trial: Floats, verdict: Floats, own: progress.Orbits, setup: progress.Setup) -> None:
    for _ in range(n):
        energy, free_fall = own.energy[0], own.free_fall[0]
        judge(trial, verdict, own.systems[0], energy, free_fall, 0.1, 0.0, setup.law, setup.gate, True)


@njit
def _backward(n: int, net: perceptron.Perceptron, values: Floats, slopes: Floats, deltas: Floats) -> None:
    for _ in range(n):
        perceptron.backward(net, values, slopes, deltas)


@njit
def _descend(n: int, net: perceptron.Perceptron, adam: perceptron.Adam) -> None:
    for _ in range(n):
        perceptron.step_down(net, adam, 1.0)
