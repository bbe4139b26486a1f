"""Whatever stops a run, and however often: the summary of what goes on from there is that of a run never stopped."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from tests.builders import head_on
from tests.engine.run.test_rollout import model_file
from tests.simulation.test_resume import assert_same

from aitimestepper import Config, Recording, SimulationError, resume, simulate
from aitimestepper.recordings.parts import FINISHED, UNFINISHED
from aitimestepper.simulation import driver, recorder

KINDS = {
    "fixed": {"timestep": "fixed", "dt": 0.005},
    "free-fall, reversible": {"timestep": "free-fall", "eta": 0.02},
    "free-fall, plain": {"timestep": "free-fall", "eta": 0.02, "reversible": False},
    "guarded": {"timestep": "fixed", "dt": 0.01, "guard": 1e-7},
    "learned": {"timestep": "learned"},
    "learned, with a past": {"timestep": "learned", "feature_type": "delta_mag", "history_len": 3},
    "ttl, fixed": {"timestep": "fixed", "integrator": "ttl", "h": 0.02, "order": 4},
    "ttl, free-fall, guarded": {"timestep": "free-fall", "integrator": "ttl", "eta": 0.05, "guard": 1e-5},
    "calibrated": {"tolerance": 1e-6},
    "calibrated, leapfrog": {"tolerance": 1e-4, "integrator": "leapfrog"},
    "calibrated, of a step": {"tolerance": 1e-5, "tolerance_kind": "step"},
}
ENDS = (0.9, 1.7, 3.1)


def config_of(kind: str, **keys) -> Config:
    plan = dict(KINDS[kind])
    if kind.startswith("learned"):
        own = {key: plan.pop(key) for key in ("feature_type", "history_len") if key in plan}
        plan["model"] = "model.safetensors" if Path("model.safetensors").exists() else model_file(Path.cwd(), **own)
    return Config(**{"ic": "pythagorean", "every": 50, "step_history": True, **plan, **keys})


@pytest.fixture
def short_calls(monkeypatch):
    """Many calls of the compiled loop, each of them a block on file, as in a run that takes hours."""
    monkeypatch.setattr(driver, "_next_budget", lambda budget, seconds: 150)
    monkeypatch.setattr(recorder, "_SECONDS_OF_A_BLOCK", 0.0)


def stopped(run, blocks: int) -> None:
    """Carry out a run, with Ctrl-C after so many blocks."""
    seen: list[float] = []

    def show(fraction: float) -> None:
        seen.append(fraction)
        if len(seen) > blocks:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run(show)


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("kind", KINDS)
def test_later_and_later_ends(kind):
    simulate(config=config_of(kind, duration=ENDS[0], output="run.h5"))
    for end in (*ENDS, 60.0) if kind.startswith("calibrated") else ENDS:
        resumed = resume("run.h5", duration=end)
        assert_same(resumed, simulate(config=config_of(kind, duration=end)))
        assert_same(resume("run.h5"), resumed)


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("kind", KINDS)
def test_later_and_later_steps(kind):
    simulate(config=config_of(kind, steps=7, output="run.h5"))
    for steps in (7, 8, 501):
        assert_same(resume("run.h5", steps=steps), simulate(config=config_of(kind, steps=steps)))


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_and_a_kill_at_blocks(kind):
    duration = 60.0 if kind.startswith("calibrated") else 3.1
    whole = simulate(config=config_of(kind, duration=duration))
    config = config_of(kind, duration=duration, output="run.h5")

    def begin(show) -> None:
        def copy_and_show(fraction: float) -> None:
            if 0.0 < fraction < 1.0:
                shutil.copy("run.h5", "killed.h5")
            show(fraction)

        simulate(config=config, progress=copy_and_show)

    stopped(begin, 2)
    assert Recording.load("killed.h5").summary.outcome == UNFINISHED
    assert_same(resume("killed.h5"), whole)
    while Recording.load("run.h5").summary.outcome != FINISHED:
        stopped(lambda show: resume("run.h5", progress=show), 3)
    assert_same(Recording.load("run.h5"), whole)


@pytest.mark.usefixtures("short_calls")
@pytest.mark.parametrize("kind", ["ttl, fixed", "guarded", "calibrated"])
def test_samples(kind):
    keys = {"every": None, "samples": 10}
    whole = simulate(config=config_of(kind, duration=4.0, **keys))
    simulate(config=config_of(kind, duration=2.0, **keys | {"samples": 5}, output="run.h5"))
    assert_same(resume("run.h5", duration=4.0), whole)


@pytest.mark.usefixtures("short_calls")
def test_a_run_that_goes_on_says_where_it_stands_from_the_beginning():
    simulate(config=config_of("ttl, fixed", duration=0.9, output="run.h5"))
    seen: list[Recording] = []
    resume("run.h5", duration=3.1, progress=lambda fraction: seen.append(Recording.load("run.h5")))
    first = seen[0]
    assert first.summary.outcome == UNFINISHED
    assert first.summary.time < 0.9
    assert first.summary.steps == len(first.step_history.time)


@pytest.mark.usefixtures("short_calls")
def test_a_run_that_cannot_go_on_fails_again_in_the_same_way():
    config = Config(timestep="free-fall", eta=0.02, duration=2.0, every=1, output="run.h5")
    with pytest.raises(SimulationError) as failed:
        simulate(config=config, system=head_on())
    for _ in range(2):
        with pytest.raises(SimulationError) as again:
            resume("run.h5")
        assert_same(again.value.recording, failed.value.recording)
