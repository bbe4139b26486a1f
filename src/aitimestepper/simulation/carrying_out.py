"""One run, from a checked request to its end: the plan, the loop and the recorder together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aitimestepper.engine.run.state import Run, packed, unpack
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.parts import RunInfo, Summary
from aitimestepper.recordings.reading import StoredRun
from aitimestepper.recordings.recording import Interrupted, Recording, SimulationError
from aitimestepper.simulation.blocks import Block
from aitimestepper.simulation.callback import Callback, Watch, watch_of
from aitimestepper.simulation.confirmation import confirmed, share_of_first
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.merging import Merging
from aitimestepper.simulation.outcomes import outcome_of
from aitimestepper.simulation.planning import PlannedRun, planned, taken_up
from aitimestepper.simulation.progress import Progress
from aitimestepper.simulation.recorder import Recorder
from aitimestepper.simulation.request import Request


class CompletedRun(NamedTuple):
    """What came of a run, and where its states are."""

    info: RunInfo
    summary: Summary
    recorder: Recorder

    def recording(self) -> Recording:
        """All of it, in memory."""
        return self.recorder.recording(self.summary)


def begin(request: Request, progress: Progress, *, keeps: bool, callback: Callback | None = None) -> CompletedRun:
    """Carry out a run from its start.

    Args:
        request: what was asked for.
        progress: called several times a second with the part that is done, 0 to 1.
        keeps: whether the states will be asked for.
        callback: shown the states that are kept; may end the run.

    Raises:
        InputError: it cannot begin.
        SimulationError: it could not go on; carries what was reached.
    """
    plan, config = planned(request), request.settings.config
    run = plan.new_run()
    recorder = _recorder(plan, run, keeps=keeps)
    if config.output is not None:
        recorder.create(Path(config.output), plan.origin, overwrite=config.overwrite)
    return _carry_out(plan, run, recorder, progress, callback, plan.merging())


def go_on(
    request: Request, output: Reservation, stored: StoredRun, progress: Progress, callback: Callback | None = None
) -> CompletedRun:
    """Carry on a run from where its file says that it stands.

    Raises:
        InputError: it has passed the end that is asked for; its weights are gone; its file has another layout.
        SimulationError: as for `begin`.
    """
    plan = taken_up(request, stored.origin)
    merging = plan.merging(stored.mergers.turned(plan.goal.direction))
    run = plan.new_run() if merging is None or not len(stored.mergers.time) else merging.blank_run()
    state = stored.state if merging is None else stored.state[: len(packed(run))]  # there is room for all bodies
    try:
        unpack(state, stored.layout, run)
    except InputError as error:
        raise InputError(f"cannot go on with {output.path.name}: {error}") from None
    time, steps = stored.summary.time, stored.summary.steps
    if plan.goal.direction * time > plan.goal.end_time or steps > plan.goal.last_step:
        raise InputError(f"the run has reached t = {time:.9g} after {steps} steps already: ask for a later end")
    recorder = _recorder(plan, run, keeps=True, merging=merging)
    recorder.reopen(output, stored)
    return _carry_out(plan, run, recorder, progress, callback, merging)


def _recorder(plan: PlannedRun, run: Run, *, keeps: bool, merging: Merging | None = None) -> Recorder:
    info = replace(plan.info, energy_scale=float(run.books[0].energy_scale))
    keeps = keeps or plan.request.settings.config.confirm
    bodies = None if merging is None else merging.bodies
    return Recorder(info, run, plan.request.system.n_dims, keeps=keeps, direction=plan.goal.direction, bodies=bodies)


def _carry_out(
    plan: PlannedRun,
    run: Run,
    recorder: Recorder,
    show: Progress,
    callback: Callback | None,
    merging: Merging | None,
) -> CompletedRun:
    confirms = plan.request.settings.config.confirm
    share = share_of_first(plan) if confirms else 1.0
    watch = None if callback is None else watch_of(callback, plan.request.system, plan.goal.direction)
    try:
        last, summary = _to_its_end(plan, run, recorder, lambda fraction: show(share * fraction), watch, merging)
        if confirms and last.failure is None:
            summary = confirmed(plan, recorder, summary, lambda fraction: show(share + (1.0 - share) * fraction))
            recorder.amend(summary)
    finally:
        recorder.close()
    if last.failure is not None:
        raise SimulationError(summary, recorder.info, lambda: recorder.recording(summary))
    show(plan.fraction(last.reached))
    return CompletedRun(recorder.info, summary, recorder)


def _to_its_end(
    plan: PlannedRun, run: Run, recorder: Recorder, show: Progress, watch: Watch | None, merging: Merging | None
) -> tuple[Block, Summary]:
    """The last block, and the summary, which is on file."""
    system = plan.request.system
    try:
        show(plan.fraction(run))
        first = plan.plan if merging is None else merging.plan
        for block in drive(run, first, plan.own, plan.goal, system.n_dims, watch=watch, merging=merging):
            recorder.add(block)
            if not block.last:
                show(plan.fraction(block.reached))
        return block, recorder.finish(outcome_of(block, system.mass, system.names, plan.goal.direction))
    except KeyboardInterrupt:
        summary = recorder.interrupt()
        raise Interrupted(summary, recorder.info, lambda: recorder.recording(summary)) from None
