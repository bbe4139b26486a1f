"""The members of an ensemble through the compiled engine: one at a time, in as many threads as wanted.

The compiled loop releases Python's lock, so threads integrate side by side; what is between, the initial conditions
above all, they do in turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from aitimestepper.checkpoint import ModelFile, read_model
from aitimestepper.engine.driver import FAILURES, Block, frame_of, go, next_budget, summary_of
from aitimestepper.engine.layout import ROWS, STEPS, TIME, VX, X, vectors_of
from aitimestepper.engine.plans import copy_of, new_run, own_criterion, plan_for
from aitimestepper.engine.rollout import Frames, Limits, Plan, Run, reach
from aitimestepper.engine.stepping import AT_STEPS, AT_TARGET, RUNNING
from aitimestepper.ensemble import Member, Progress, Request, Watch, never_begun
from aitimestepper.ensemble_result import MemberResult
from aitimestepper.errors import CheckpointError, InputError
from aitimestepper.recorder import Recorder
from aitimestepper.recording import FINISHED, RunInfo, StepHistory
from aitimestepper.running import check_reversible
from aitimestepper.simulate import check_request
from aitimestepper.systems.initial import InitialConditions

_PAIRS_OF_A_CALL = 2**17
_SECONDS_OF_A_LOOK = 0.05

INTERRUPTED = "interrupted"
"""How a member that was stopped half-way begins its outcome."""


def model_of(request: Request) -> ModelFile | None:
    """The weights that all members share, if they take learned steps.

    Raises:
        CheckpointError: the file cannot be used.
        InputError: it cannot be used reversibly.
    """
    config = request.config
    model = read_model(config.model) if config.timestep == "learned" else None
    check_reversible(config, model)
    return model


class Crew:
    """What integrates members; any number of threads may call it at once."""

    def __init__(self, request: Request, model: ModelFile | None) -> None:
        """Compile the user's criterion, if the configuration names one.

        Raises:
            InputError: it cannot be compiled.
        """
        self._request, self._model = request, model
        self._own = own_criterion(request.config)

    def result_of(self, member: Member, watch: Watch) -> MemberResult:
        """Integrate a member to its end, or to where it fails or is told to stop.

        Raises:
            CheckpointError: the weights do not fit; no member can be integrated.
        """
        began = time.perf_counter()
        system = None
        try:
            system = self._request.system_of(member)
            _, end_time = check_request(self._request.config, system)
            plan = plan_for(self._request.config, system, self._model)
            run = new_run(system, plan)
        except CheckpointError:
            raise
        except InputError as error:
            return never_begun(member, str(error), system)
        run, outcome = self._integrate(run, plan, system, end_time, watch)
        rows = run.system.reshape(ROWS, -1)
        return MemberResult(
            member.index,
            member.seed,
            outcome,
            summary_of(run.books, time.perf_counter() - began, outcome),
            system.mass.copy(),
            vectors_of(rows[X : X + 3], system.n_dims),
            vectors_of(rows[VX : VX + 3], system.n_dims),
        )

    def _integrate(
        self, run: Run, plan: Plan, system: InitialConditions, end_time: float, watch: Watch
    ) -> tuple[Run, str]:
        """The state that was reached, and the outcome."""
        last_step = float(self._request.config.steps or math.inf)
        nothing = Frames(np.empty((1, 3)), np.empty((1, 6 * system.n_bodies)), np.empty((0, 3)), 0, math.inf)
        budget = max(_PAIRS_OF_A_CALL // system.n_bodies**2, 1)
        status = RUNNING
        while status == RUNNING and not watch.stopped:
            began = time.perf_counter()
            status, _, _ = go(run, plan, self._own, Limits(end_time, last_step, budget), nothing)
            seconds = time.perf_counter() - began
            budget = next_budget(budget, seconds)
            if status == RUNNING:
                by_time = (float(run.books[TIME]) - system.time) / (end_time - system.time)
                watch.moved(min(max(by_time, float(run.books[STEPS]) / last_step, 0.0), 1.0))
        watch.moved(0.0)
        if status == RUNNING:
            return run, f"{INTERRUPTED} at t = {run.books[TIME]:.9g} after {int(run.books[STEPS])} steps"
        if status == AT_TARGET:
            look = copy_of(run)
            status = reach(look, plan, end_time)
            if status == RUNNING:
                return look, FINISHED
        return run, FINISHED if status == AT_STEPS else _sentence(run, system, FAILURES[status])


def _sentence(run: Run, system: InitialConditions, failure: str) -> str:
    """As `simulate` says it."""
    recorder = Recorder(RunInfo(system.mass, system.names), run, system.n_dims)
    return recorder.stop_sentence(Block(frame_of(run, system.n_dims), StepHistory.none(), run, run, failure))


def integrate_in_threads(
    n_threads: int, request: Request, members: Sequence[Member], done: dict[int, MemberResult], show: Progress
) -> None:
    """Integrate members in threads of this process.

    Args:
        n_threads: how many.
        request: what the members have in common.
        members: they are begun in this order.
        done: takes the results as they come, by index.
        show: called with the part that is done.

    Raises:
        InputError: the model file or the criterion cannot be used.
        KeyboardInterrupt: Ctrl-C; the members that were being integrated are in `done` as far as they came.
    """
    crew, watch = Crew(request, model_of(request)), Watch()
    left = iter(members)

    def work() -> None:
        for member in left_over(left, watch):
            done[member.index] = crew.result_of(member, watch)

    with ThreadPoolExecutor(max_workers=n_threads, thread_name_prefix="ensemble") as pool:
        try:
            working: set[Any] = {pool.submit(work) for _ in range(min(n_threads, len(members)))}
            while working:
                finished, working = wait(working, _SECONDS_OF_A_LOOK)
                for future in finished:
                    future.result()
                show(watch.fraction(len(done), len(members)))
        finally:
            watch.stopped = True


def left_over(members: Iterator[Member], watch: Watch) -> Iterator[Member]:
    """Members, until there are none left or the threads are to stop; several threads may share the iterator."""
    while not watch.stopped:
        # A list's iterator gives each of its entries to one thread only.
        member = next(members, None)
        if member is None:
            return
        yield member
