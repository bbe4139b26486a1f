"""Part 1 in one compiled function: for a plain multilayer perceptron with Adam on the CPU."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aitimestepper.engine.features.summary import DELTA_MAG, WIDTHS
from aitimestepper.engine.layout import EARLIER, ROWS, X
from aitimestepper.engine.networks import Network
from aitimestepper.engine.training import collecting, progress
from aitimestepper.engine.training.collecting import DONE, LIMIT, NO_GRADIENT, WORKING
from aitimestepper.engine.training.gate import STATE
from aitimestepper.engine.training.perceptron import Adam, Perceptron
from aitimestepper.engine.training.progress import Accepted, Orbits, Setup, open_orbits
from aitimestepper.errors import NoGradientError, RetrainLimitError
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.training.part_one.borrowed import borrowed, why_not_borrowed
from aitimestepper.training.part_one.torch_loop import WARN_EVERY, OnAttempt, warn_of_patience
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Batch, Collected, Learned, Task
from aitimestepper.training.steps.rows import gate_of, law_of, particle_of, rank_within, rows_of, why_not_compiled
from aitimestepper.training.steps.trajectory import Samples

_ATTEMPTS_A_CALL = 10_000
"""Attempts after which Python looks at the clock, the limits and Ctrl-C: about a tenth of a second."""

_ROUNDS_ALONE = 16
"""Rounds that a process may go without the others while none of its steps is refused: an exchange costs as much as the
attempts of some dozen systems, and while a process waits it does nothing."""


def why_not_loop(model: nn.Module, optimizer: torch.optim.Optimizer, learned: Learned[Any], batch: Batch) -> str | None:
    """Why Part 1 has to run in torch; None if it can run compiled."""
    history, config = batch.history, learned.config
    if learned.sight(batch.state, history) is None:
        return "the features are not those of the package"
    if history is not None and (type(history), history.feature_type) != (HistoryBuffer, config.feature_type):
        return "the history is of another kind"
    return why_not_borrowed(model, optimizer) or why_not_compiled(batch.state, config)


def collect_compiled(
    model: FullyConnectedNN,
    optimizer: torch.optim.Optimizer,
    learned: Learned[Any],
    batch: Batch,
    task: Task,
    on_attempt: OnAttempt | None = None,
) -> Collected:
    """As `torch_loop.collect_by_torch`, where `why_not_loop` has no objection."""
    config = learned.config
    setup = setup_of(learned, batch)
    quota = int(ranks.total(np.array([float(task.quota)]))[0])
    room = quota + len(batch.active)
    accepted = Accepted(
        np.empty((room, STATE * batch.state.n_bodies)),
        np.empty((room, progress.RECORD)),
        np.empty(room, dtype=np.int64),
    )
    aim = collecting.Task(quota, task.once, learned.most_iterations, config.output_scale == "physical")
    with borrowed(model, optimizer) as (perceptron, adam):
        orbits = opened(perceptron.network, batch, setup)
        n_accepted = _run(orbits, perceptron, adam, setup, aim, accepted, on_attempt)
    return _collected(orbits, accepted, n_accepted, batch)


def _run(
    orbits: Orbits,
    perceptron: Perceptron,
    adam: Adam,
    setup: Setup,
    task: collecting.Task,
    accepted: Accepted,
    on_attempt: OnAttempt | None,
) -> int:
    """Call after call until the task is done; the number of accepted steps."""
    n_accepted = n_rounds = 0
    told = int(orbits.spent[:, progress.ITERATIONS].max()) // WARN_EVERY  # in an earlier epoch
    together = ranks.count() > 1
    left = task.quota
    status = WORKING
    budget = max(min(_ATTEMPTS_A_CALL // len(orbits.energy), WARN_EVERY), 1)
    while status != DONE:
        rest = Accepted(accepted.states[n_accepted:], accepted.records[n_accepted:], accepted.rounds[n_accepted:])
        if together:
            status, new, left = _shared_round(orbits, perceptron, adam, setup, task._replace(quota=left), rest)
        else:
            goal = task._replace(quota=task.quota - n_accepted)
            status, new = collecting.collect(orbits, perceptron, adam, setup, goal, rest, budget)
        rest.rounds[:new] += n_rounds
        n_accepted, n_rounds = n_accepted + new, n_rounds + (_ROUNDS_ALONE if together else budget)
        worst = orbits.spent[orbits.spent[:, progress.ITERATIONS].argmax()]
        iterations, error, dt = (
            int(worst[progress.ITERATIONS]),
            float(worst[progress.ERROR_LAST]),
            float(worst[progress.STEP_LAST]),
        )
        if iterations == 0 < n_accepted:  # nothing is being retrained
            error, dt = (float(x) for x in accepted.records[n_accepted - 1, [progress.ACCEPTED_ERROR, progress.DT]])
        if on_attempt is not None:
            on_attempt(error, dt, iterations, new)
        if status == LIMIT:
            least = float(worst[progress.ERROR_LEAST])
            raise RetrainLimitError(int(task.limit), error, setup.gate.threshold, best_error=least)
        if status not in (DONE, WORKING):
            raise NoGradientError(float(worst[progress.LOSS_LAST]), finite=status == NO_GRADIENT)
        if iterations // WARN_EVERY > told:
            warn_of_patience(iterations, error, setup.gate.threshold)
        told = iterations // WARN_EVERY
    return n_accepted


def _shared_round(
    orbits: Orbits, perceptron: Perceptron, adam: Adam, setup: Setup, task: collecting.Task, accepted: Accepted
) -> tuple[int, int, int]:
    """Rounds up to one iteration together with the other processes.

    Returns:
        A status, the steps accepted here, and what is left of the quota of all.
    """
    most = 1 if task.once else _ROUNDS_ALONE
    new, refused = collecting.attempt_until_refused(orbits, perceptron, setup, task, accepted, most)
    counts = [float(new), float(abs(refused)), float(refused < 0)]
    sums = ranks.total(np.concatenate([perceptron.gradient, counts]))
    perceptron.gradient[:] = sums[:-3]
    n_new, n_refused, over = (int(x) for x in sums[-3:])
    status = collecting.learn(perceptron, adam, -n_refused if over else n_refused)
    left = task.quota - n_new
    return DONE if status == WORKING and left <= 0 else status, new, left


def setup_of(learned: Learned[Any], batch: Batch) -> Setup:
    """What does not change, where `why_not_loop` has no objection."""
    sight = learned.sight(batch.state, batch.history)
    assert sight is not None
    return Setup(law_of(batch.state, learned.config), gate_of(learned.config), sight)


def opened(network: Network, batch: Batch, setup: Setup) -> Orbits:
    """The batch as arrays, with what the network sees of each state."""
    state = batch.state
    now = state.snapshot()
    past = [] if batch.history is None else batch.history.padded(now)
    rows = [rows_of(snapshot, ROWS) for snapshot in (*past, now)]
    n, n_systems = state.n_bodies, len(rows[-1])
    for earlier, later in pairwise(rows):
        later[:, EARLIER * n :] = earlier[:, X * n : STATE * n]
    n_past = max(len(past) - 1, 0) if setup.sight.kind == DELTA_MAG else len(past)
    orbits = Orbits(
        systems=rows[-1],
        energy=state.total_energy_batch(setup.law.G).numpy().copy(),
        free_fall=np.empty(n_systems),
        dt=now.dt.numpy().copy(),
        time=state.current_time.numpy().copy(),
        past=np.empty((n_systems, n_past, WIDTHS[setup.sight.kind])),
        inputs=np.empty((n_systems, network.widths[2])),
        spent=batch.spent,
        active=batch.active.copy(),
    )
    history = np.array(rows[:-1]).reshape(len(past), n_systems, ROWS * n)
    steps = np.array([snapshot.dt.numpy() for snapshot in past]).reshape(len(past), n_systems)
    open_orbits(orbits, history, steps, network, setup)
    return orbits


def _collected(orbits: Orbits, accepted: Accepted, n_accepted: int, batch: Batch) -> Collected:
    records, start = accepted.records[:n_accepted].copy(), batch.state
    whose = records[:, progress.ORBIT].astype(np.int64)
    dt, time = (torch.from_numpy(records[:, column].copy()) for column in (progress.DT, progress.TIME))
    states = particle_of(accepted.states[:n_accepted].copy(), dt, time, start.period[torch.from_numpy(whose)], start)
    now = particle_of(orbits.systems, torch.from_numpy(orbits.dt), torch.from_numpy(orbits.time), start.period, start)
    history = samples_history = None
    if batch.history is not None:
        history, samples_history = _histories(batch.history, start.snapshot(), states.snapshot(), whose)
    sizes = np.unique(accepted.rounds[:n_accepted], return_counts=True)[1].tolist()
    return Collected(now, history, Samples(states, dt, samples_history), sizes, records)


def _histories(
    history: HistoryBuffer, start: Snapshot, accepted: Snapshot, whose: NDArray[np.int64]
) -> tuple[HistoryBuffer, HistoryBuffer]:
    """The history of every system after the last of its accepted steps, and that of each accepted state."""
    known = [*history.padded(start), start]
    pool = Snapshot(*(torch.cat(tensors) for tensors in zip(*known, accepted, strict=True)))
    n_systems, depth = len(start.dt), len(known)
    # The states of each system in a row of their own: those known, then those accepted.
    begins = np.concatenate([[0], np.cumsum(np.bincount(whose, minlength=n_systems) + depth)])
    sequence = np.empty(begins[-1], dtype=np.int64)
    for k in range(depth):
        sequence[begins[:-1] + k] = k * n_systems + np.arange(n_systems)
    positions = begins[whose] + depth + rank_within(whose)
    sequence[positions] = depth * n_systems + np.arange(len(whose))

    def before(position: NDArray[np.int64]) -> HistoryBuffer:
        return history.holding(
            pool.at(torch.from_numpy(sequence[position - back])) for back in range(history.history_len, 0, -1)
        )

    return before(begins[1:] - 1), before(positions)
