"""Part 1 in one compiled function: for a plain multilayer perceptron with Adam on the CPU.

Weights and moments are taken out of the torch module and its optimiser as arrays before, and put back after, so that
between two calls nothing shows which loop ran.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.engine.features import summary as features
from aitimestepper.engine.features.summary import WIDTHS, Sight
from aitimestepper.engine.layout import EARLIER, ROWS, X
from aitimestepper.engine.training import collecting
from aitimestepper.engine.training.collecting import (
    ACCEPTED_ERROR,
    DONE,
    DT,
    ERROR_LAST,
    ITERATIONS,
    LIMIT,
    LOSS_LAST,
    NO_GRADIENT,
    ORBIT,
    RECORD,
    STEP_LAST,
    TIME,
    WORKING,
    Accepted,
    Orbits,
    Scene,
)
from aitimestepper.engine.training.gate import STATE
from aitimestepper.engine.training.perceptron import Adam, Perceptron
from aitimestepper.errors import NoGradientError, RetrainLimitError
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.networks import FourierFeatures, FullyConnectedNN
from aitimestepper.names import ACTIVATIONS, FEATURE_TYPES
from aitimestepper.training.part_one.torch_loop import WARN_EVERY, Collected, Flock, OnAttempt, Task, warn_of_patience
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.rows import Array, gate_of, law_of, particle_of, rows_of, why_not_compiled
from aitimestepper.training.steps.trajectory import Samples

_ATTEMPTS_A_CALL = 10_000
"""Attempts after which Python looks at the clock, the limits and Ctrl-C: about a tenth of a second."""

_ROUNDS_ALONE = 16
"""Rounds that a process may go without the others while none of its steps is refused: an exchange costs as much as the
attempts of some dozen systems, and while a process waits it does nothing."""


def why_not_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, flock: Flock, config: Config, adapter: ModelAdapter
) -> str | None:
    """Why Part 1 has to run in torch; None if it can run compiled."""
    if type(adapter) is not ModelAdapter or adapter.device not in (None, torch.device("cpu"), "cpu"):
        return "the features are not those of the package"
    if type(model) is not FullyConnectedNN or not model.output_positive or _has_hooks(model):
        return "the network is no plain multilayer perceptron"
    if any(p.dtype != torch.float64 or p.device.type != "cpu" or not p.requires_grad for p in model.parameters()):
        return "the weights are not all trained in double precision on the CPU"
    window = flock.window
    if window is not None and (type(window), window.feature_type) != (HistoryBuffer, config.feature_type):
        return "the history is of another kind"
    return _why_not_adam(optimizer, model) or why_not_compiled(flock.state, config)


def _has_hooks(model: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def _why_not_adam(optimizer: torch.optim.Optimizer, model: nn.Module) -> str | None:
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return "the optimiser is not Adam"
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    if any(group[key] for group in settings for key in ("amsgrad", "maximize", "differentiable")):
        return "Adam has a setting that only torch knows"
    if any(group != settings[0] for group in settings):
        return "the optimiser has groups with settings of their own"
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    if sorted(trained) != sorted(id(p) for p in model.parameters()):
        return "the optimiser trains other weights than the network's"
    if len({int(state["step"]) for state in optimizer.state.values()}) > 1 or len(optimizer.state) not in (
        0,
        len(trained),
    ):
        return "the optimiser has made different numbers of steps for different weights"
    return None


def collect_compiled(
    model: FullyConnectedNN,
    optimizer: torch.optim.Optimizer,
    flock: Flock,
    config: Config,
    adapter: ModelAdapter,
    task: Task,
    on_attempt: OnAttempt | None = None,
) -> Collected:
    """As `pace.collect_by_torch`, where `why_not_loop` has no objection."""
    scene = _scene(model, flock, config, adapter)
    orbits = _opened(model, flock, scene)
    quota = int(ranks.total(np.array([float(task.quota)]))[0])
    room = quota + len(orbits.energy)
    accepted = Accepted(
        np.empty((room, STATE * flock.state.n_bodies)), np.empty((room, RECORD)), np.empty(room, dtype=np.int64)
    )
    limit = math.inf if config.max_retrain_iterations is None else float(config.max_retrain_iterations)
    aim = collecting.Task(quota, task.once, limit, config.output_scale == "physical")
    with borrowed(model, optimizer) as (network, adam):
        n_accepted = _run(orbits, network, adam, scene, aim, accepted, config, on_attempt)
    return _collected(orbits, accepted, n_accepted, flock)


def _run(
    orbits: Orbits,
    network: Perceptron,
    adam: Adam,
    scene: Scene,
    task: collecting.Task,
    accepted: Accepted,
    config: Config,
    on_attempt: OnAttempt | None,
) -> int:
    """Call after call until the task is done; the number of accepted steps."""
    n_accepted = n_rounds = told = 0
    together = ranks.count() > 1
    left = task.quota
    status = WORKING
    budget = max(min(_ATTEMPTS_A_CALL // len(orbits.energy), WARN_EVERY), 1)
    while status != DONE:
        rest = Accepted(accepted.states[n_accepted:], accepted.records[n_accepted:], accepted.rounds[n_accepted:])
        if together:
            status, new, left = _shared_round(orbits, network, adam, scene, task._replace(quota=left), rest)
        else:
            goal = task._replace(quota=task.quota - n_accepted)
            status, new = collecting.collect(orbits, network, adam, scene, goal, rest, budget)
        rest.rounds[:new] += n_rounds
        n_accepted, n_rounds = n_accepted + new, n_rounds + (_ROUNDS_ALONE if together else budget)
        worst = orbits.spent[orbits.spent[:, ITERATIONS].argmax()]
        iterations, error, dt = int(worst[ITERATIONS]), float(worst[ERROR_LAST]), float(worst[STEP_LAST])
        if iterations == 0 < n_accepted:  # nothing is being retrained
            error, dt = (float(x) for x in accepted.records[n_accepted - 1, [ACCEPTED_ERROR, DT]])
        if on_attempt is not None:
            on_attempt(error, dt, iterations, new)
        if status == LIMIT:
            raise RetrainLimitError(int(task.limit), error, config.energy_threshold)
        if status not in (DONE, WORKING):
            raise NoGradientError(float(worst[LOSS_LAST]), finite=status == NO_GRADIENT)
        if iterations // WARN_EVERY > told:
            warn_of_patience(iterations, error, config)
        told = iterations // WARN_EVERY
    return n_accepted


def _shared_round(
    orbits: Orbits, network: Perceptron, adam: Adam, scene: Scene, task: collecting.Task, accepted: Accepted
) -> tuple[int, int, int]:
    """Rounds up to one iteration together with the other processes.

    Returns:
        A status, the steps accepted here, and what is left of the quota of all.
    """
    most = 1 if task.once else _ROUNDS_ALONE
    new, refused = collecting.attempt_until_refused(orbits, network, scene, task, accepted, most)
    counts = [float(new), float(abs(refused)), float(refused < 0)]
    sums = ranks.total(np.concatenate([network.gradient, counts]))
    network.gradient[:] = sums[:-3]
    n_new, n_refused, over = (int(x) for x in sums[-3:])
    status = collecting.learn(network, adam, -n_refused if over else n_refused)
    left = task.quota - n_new
    return DONE if status == WORKING and left <= 0 else status, new, left


def _scene(model: FullyConnectedNN, flock: Flock, config: Config, adapter: ModelAdapter) -> Scene:
    scales = adapter.scales_for(flock.state)
    if flock.window is not None:
        scales = flock.window.norm_scales = flock.window.norm_scales or scales
    kind = FEATURE_TYPES.index(config.feature_type)
    first = model.layers[0]
    frequencies = first.frequencies.numpy().reshape(-1).copy() if isinstance(first, FourierFeatures) else np.empty(0)
    sight = Sight(kind, config.history_len, flock.state.n_dims, *(float(scale) for scale in scales))
    return Scene(law_of(flock.state, config), gate_of(config), sight, frequencies)


def _opened(model: FullyConnectedNN, flock: Flock, scene: Scene) -> Orbits:
    """The flock as arrays, with what the network sees of each state."""
    state, sight = flock.state, scene.sight
    now = state.snapshot()
    past = [] if flock.window is None else flock.window.padded(now)
    rows = [rows_of(snapshot, ROWS) for snapshot in (*past, now)]
    n, n_systems = state.n_bodies, len(rows[-1])
    for earlier, later in pairwise(rows):
        later[:, EARLIER * n :] = earlier[:, X * n : STATE * n]
    n_past = max(len(past) - 1, 0) if sight.kind == features.DELTA_MAG else len(past)
    linear = _linear(model)
    orbits = Orbits(
        systems=rows[-1],
        energy=state.total_energy_batch(scene.law.G).numpy().copy(),
        free_fall=np.empty(n_systems),
        dt=now.dt.numpy().copy(),
        time=state.current_time.numpy().copy(),
        past=np.empty((n_systems, n_past, WIDTHS[sight.kind])),
        inputs=np.empty((n_systems, linear[0].in_features)),
        spent=flock.spent,
        active=flock.active.copy(),
    )
    window = np.array(rows[:-1]).reshape(len(past), n_systems, ROWS * n)
    steps = np.array([snapshot.dt.numpy() for snapshot in past]).reshape(len(past), n_systems)
    collecting.open_orbits(orbits, window, steps, scene)
    return orbits


def _collected(orbits: Orbits, accepted: Accepted, n_accepted: int, flock: Flock) -> Collected:
    records, start = accepted.records[:n_accepted].copy(), flock.state
    whose = records[:, ORBIT].astype(np.int64)
    dt, time = (torch.from_numpy(records[:, column].copy()) for column in (DT, TIME))
    states = particle_of(accepted.states[:n_accepted].copy(), dt, time, start.period[torch.from_numpy(whose)], start)
    now = particle_of(orbits.systems, torch.from_numpy(orbits.dt), torch.from_numpy(orbits.time), start.period, start)
    window = samples_window = None
    if flock.window is not None:
        window, samples_window = _windows(flock.window, start.snapshot(), states.snapshot(), whose)
    sizes = np.unique(accepted.rounds[:n_accepted], return_counts=True)[1].tolist()
    return Collected(now, window, Samples(states, dt, samples_window), sizes, records)


def _windows(
    window: HistoryBuffer, start: Snapshot, accepted: Snapshot, whose: NDArray[np.int64]
) -> tuple[HistoryBuffer, HistoryBuffer]:
    """The history of every system after the last of its accepted steps, and that of each accepted state."""
    known = [*window.padded(start), start]
    pool = Snapshot(*(torch.cat(tensors) for tensors in zip(*known, accepted, strict=True)))
    n_systems, depth = len(start.dt), len(known)
    # The states of each system in a row of its own kind of clock: those known, then those accepted.
    order = np.argsort(whose, kind="stable")
    counts = np.bincount(whose, minlength=n_systems)
    begins = np.concatenate([[0], np.cumsum(counts + depth)])
    sequence = np.empty(begins[-1], dtype=np.int64)
    for k in range(depth):
        sequence[begins[:-1] + k] = k * n_systems + np.arange(n_systems)
    rank = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(whose), dtype=np.int64)
    places[order] = begins[whose[order]] + depth + rank
    sequence[places] = depth * n_systems + np.arange(len(whose))

    def before(place: NDArray[np.int64]) -> HistoryBuffer:
        return window.holding(
            pool.at(torch.from_numpy(sequence[place - back])) for back in range(window.history_len, 0, -1)
        )

    return before(begins[1:] - 1), before(places)


def _linear(model: FullyConnectedNN) -> list[nn.Linear]:
    return [layer for layer in model.layers if isinstance(layer, nn.Linear)]


@contextmanager
def borrowed(model: FullyConnectedNN, optimizer: torch.optim.Optimizer) -> Iterator[tuple[Perceptron, Adam]]:
    """Network and optimiser as arrays; what has become of them is put back at the end, whatever happens."""
    layers = _linear(model)
    group = optimizer.param_groups[0]
    weights = _flat(layers, lambda p: p.detach())
    steps = {int(state["step"]) for state in optimizer.state.values()} or {0}
    mean, square = (
        _flat(layers, lambda p, key=key: optimizer.state[p][key]) if optimizer.state else np.zeros_like(weights)
        for key in ("exp_avg", "exp_avg_sq")
    )
    network = Perceptron(
        widths=np.array([layers[0].in_features, *(layer.out_features for layer in layers)]),
        activation=ACTIVATIONS.index(model.activation),
        weights=weights,
        gradient=np.zeros_like(weights),
        mean=mean,
        square=square,
        steps=np.array([steps.pop()]),
    )
    adam = Adam(
        rate=float(group["lr"]),
        first=float(group["betas"][0]),
        second=float(group["betas"][1]),
        epsilon=float(group["eps"]),
        decay=float(group["weight_decay"]),
        decoupled=type(optimizer) is torch.optim.AdamW or bool(group.get("decoupled_weight_decay")),
    )
    try:
        yield network, adam
    finally:
        _put_back(network, layers, optimizer)


def _flat(layers: list[nn.Linear], tensor_of: Any) -> Array:
    """(in, out) weights and biases of all layers, one after the other."""
    pieces = [
        piece
        for layer in layers
        for piece in (tensor_of(layer.weight).numpy().T.reshape(-1), tensor_of(layer.bias).numpy())
    ]
    return np.concatenate(pieces)


@torch.no_grad()
def _put_back(network: Perceptron, layers: list[nn.Linear], optimizer: torch.optim.Optimizer) -> None:
    if network.steps[0] == 0:
        return
    begin = 0
    for layer in layers:
        for parameter in (layer.weight, layer.bias):
            end = begin + parameter.numel()

            def shaped(flat: Array, parameter: Tensor = parameter, begin: int = begin, end: int = end) -> Tensor:
                piece = torch.from_numpy(flat[begin:end])
                return piece.reshape(parameter.T.shape).T if parameter.ndim == 2 else piece

            parameter.copy_(shaped(network.weights))
            state = optimizer.state[parameter]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["step"].fill_(float(network.steps[0]))
            state["exp_avg"].copy_(shaped(network.mean))
            state["exp_avg_sq"].copy_(shaped(network.square))
            begin = end
