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

from aitimestepper.engine.layout import ROWS
from aitimestepper.engine.run.state import Run
from aitimestepper.ensembles.file import INTERRUPTED
from aitimestepper.ensembles.members import MemberResult
from aitimestepper.ensembles.request import EnsembleRequest, Member, Watch, never_begun
from aitimestepper.errors import CheckpointError, InputError
from aitimestepper.recordings.parts import FINISHED
from aitimestepper.simulation.blocks import frame_of
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.goal import goal_of
from aitimestepper.simulation.outcomes import outcome_of
from aitimestepper.simulation.planning import PlannedRun, own_criterion, planned
from aitimestepper.simulation.progress import Progress
from aitimestepper.simulation.request import request_of
from aitimestepper.simulation.summaries import summary_of
from aitimestepper.systems.initial import check_apart

_PAIRS_OF_A_CALL = 2**17
"""Pairs in the first call of the compiled loop, about a millisecond: shorter ones would leave threads waiting for
Python's lock."""

_SECONDS_OF_A_LOOK = 0.05


class Integrators:
    """What integrates members; any number of threads may call it at once."""

    def __init__(self, request: EnsembleRequest) -> None:
        """Compile the user's criterion, if the configuration names one.

        Raises:
            InputError: it cannot be compiled.
        """
        self._request = request
        self._own = own_criterion(request.settings.config)

    def result_of(self, member: Member, watch: Watch) -> MemberResult:
        """Integrate a member to its end, or to where it fails or is told to stop.

        Raises:
            CheckpointError: the weights do not fit; no member can be integrated.
        """
        began = time.perf_counter()
        system = None
        try:
            system = self._request.system_of(member)
            request = request_of(self._request.settings, system)
            check_apart(system, request.settings.config.softening)
            goal = goal_of(request)._replace(every=0, interval=math.inf, keeps=False)
            plan = planned(request, own=self._own, goal=goal)
            run = plan.new_run()
        except CheckpointError:
            raise
        except InputError as error:
            return never_begun(member, str(error), system)
        reached, outcome = _integrate(run, plan, watch)
        direction = plan.goal.direction
        last = frame_of(reached, system.n_dims).turned(direction)
        summary = summary_of(reached.books[0], time.perf_counter() - began, outcome, direction)
        return MemberResult(
            member.index,
            member.seed,
            summary.outcome,
            summary,
            reached.system[: len(reached.system) // ROWS].copy(),
            last.position[0],
            last.velocity[0],
        )


def _integrate(run: Run, plan: PlannedRun, watch: Watch) -> tuple[Run, str]:
    """The state that was reached, and the outcome."""
    system = plan.request.system
    budget = max(_PAIRS_OF_A_CALL // system.n_bodies**2, 1)
    reached, outcome = run, FINISHED
    blocks = drive(run, plan.plan, plan.own, plan.goal, system.n_dims, budget=budget, merging=plan.merging())
    for block in blocks:
        reached = block.reached
        if block.last:
            outcome = outcome_of(block, system.mass, system.names, plan.goal.direction)
        elif watch.stopped:
            books = block.run.books[0]
            time_seen = plan.goal.direction * books.time
            outcome = f"{INTERRUPTED} at t = {time_seen:.9g} after {int(books.steps)} steps"
            break
        watch.moved(plan.fraction(block.run))
    watch.moved(0.0)
    return reached, outcome


def integrate_in_threads(
    n_threads: int, request: EnsembleRequest, members: Sequence[Member], done: dict[int, MemberResult], show: Progress
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
    integrators, watch = Integrators(request), Watch()
    left = iter(members)

    def work() -> None:
        for member in left_over(left, watch):
            done[member.index] = integrators.result_of(member, watch)

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
