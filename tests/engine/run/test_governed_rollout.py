"""The loop of a calibrated run: it goes back and takes shorter steps, and does not depend on how it is called."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from tests.engine.builders import rows
from tests.engine.run.builders import arrays, assert_kept, constant_model, cost, prepared
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, Recording, resume, simulate
from aitimestepper.engine.layout import AX, MASS, N_BOOKS, VX, X, books_in
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run.governed_rollout import LONGEST_STRETCH, scratch
from aitimestepper.engine.run.governor import consult
from aitimestepper.engine.run.setbacks import set_back
from aitimestepper.engine.run.state import Limits, copy_of, packed
from aitimestepper.simulation import recorder
from aitimestepper.simulation.driver import advance_run
from aitimestepper.simulation.planning import PlannedRun


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
@pytest.mark.parametrize("steps", [1, 64, 200])
def test_every_force_evaluation_is_counted(tmp_path, integrator, order, steps):
    model = constant_model(tmp_path, 0.1)
    run = simulate(
        config=Config(ic="figure-eight", tolerance=0.01, model=model, integrator=integrator, order=order, steps=steps)
    )
    assert run.summary.rejected_steps == 0
    assert run.summary.steps == steps
    out_of_turn, rest = divmod(
        run.summary.force_evaluations - cost(order, steps, ttl=integrator == "ttl"),
        2 * {2: 1, 4: 5, 6: 9, 8: 17}[order],
    )
    assert rest == 0
    assert 0 <= out_of_turn <= steps // 8


def test_setbacks_are_counted_as_steps_that_were_undone(tmp_path):
    model = constant_model(tmp_path, 20.0)
    run = simulate(config=Config(ic="figure-eight", tolerance=1e-5, order=4, model=model, steps=300))
    assert run.summary.rejected_steps > 0
    least = 5 * (run.summary.steps + run.summary.rejected_steps)
    assert least < run.summary.force_evaluations < 2.0 * least


def driven(plan: PlannedRun, budget: int, room: int):
    """The run at its end, its frames and its history, by calls that return after `budget` steps or so."""
    run, kept, history, calls = plan.new_run(), [], [], 0
    frames = arrays(plan.request.system.n_bodies, room=room)
    while True:
        status, n_frames, n_history = advance_run(
            run, plan.plan, plan.own, Limits(math.inf, plan.goal.last_step, budget), frames
        )
        kept.append(np.hstack([frames.books[:n_frames], frames.rows[:n_frames]]))
        history.append(frames.history[:n_history].copy())
        calls += 1
        if status == 2:
            return packed(run), np.vstack(kept), np.vstack(history), calls
        assert status in (0, 3)


@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_the_result_does_not_depend_on_how_often_the_loop_returns(tmp_path, integrator):
    plan = prepared(
        ic="random:n=4,seed=13,dim=3", tolerance=1e-5, order=4, integrator=integrator,
        model=constant_model(tmp_path, 3.0), steps=3001,
    )  # fmt: skip
    whole = driven(plan, 10**9, 4000)
    assert whole[3] == 1
    assert len(whole[1]) == len(whole[2]) == 3001
    for budget, room in ((1, 4000), (77, 4000), (10**9, LONGEST_STRETCH), (1, LONGEST_STRETCH + 5)):
        again = driven(plan, budget, room)
        assert again[3] > 3
        for mine, theirs in zip(again[:3], whole[:3], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def long_run(tmp_path, **keys) -> Config:
    """One with setbacks all along its way."""
    model = constant_model(tmp_path, 20.0)
    return Config(
        ic="hierarchical-triple:e_in=0.6",
        tolerance=1e-5,
        order=4,
        model=model,
        step_history=True,
        **{"every": 70, **keys},
    )


@pytest.mark.parametrize("end", [{"duration": 12000.0}, {"steps": 40000}])
def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path, end):
    whole = simulate(config=long_run(tmp_path, **end))
    assert whole.summary.rejected_steps > 0
    interrupted(long_run(tmp_path, output="run.h5", **end), 0.0)
    stopped = Recording.load("run.h5")
    assert 0 < stopped.summary.steps < whole.summary.steps
    assert_same(resume("run.h5"), whole)
    assert_same(Recording.load("run.h5"), whole)


def test_a_killed_run_goes_on_bit_by_bit(tmp_path, monkeypatch):
    """What is on the disk while a run goes on is all that is left of it when it is killed."""
    monkeypatch.setattr(recorder, "_SECONDS_OF_A_BLOCK", 0.0)
    whole = simulate(config=long_run(tmp_path, duration=12000.0))

    def keep_a_copy(done: float) -> None:
        if 0.0 < done < 0.9 and not (tmp_path / "killed.h5").exists():
            shutil.copy("run.h5", "killed.h5")

    simulate(config=long_run(tmp_path, duration=12000.0, output="run.h5"), progress=keep_a_copy)
    killed = Recording.load("killed.h5")
    assert killed.summary.outcome.startswith("unfinished")
    assert 0 < killed.summary.steps < whole.summary.steps
    assert_same(resume("killed.h5"), whole)


@pytest.mark.parametrize("factor", [None, 10.0])
def test_samples_lie_at_their_times_once_each_although_the_run_goes_back(tmp_path, factor):
    model = None if factor is None else constant_model(tmp_path, factor)
    keys = {"ic": "hierarchical-triple:e_in=0.6", "tolerance": 1e-6, "model": model, "duration": 60.0}
    run = simulate(config=Config(samples=50, step_history=True, **keys))
    np.testing.assert_array_equal(run.time, np.linspace(0.0, 60.0, 51))
    assert run.summary.energy_error_max >= run.energy_error.max()
    assert_kept(run, 1e-6)
    if factor is not None:
        assert run.summary.rejected_steps > 0


def test_the_step_to_the_end_is_held_to_the_tolerance_too(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-3, "order": 4, "model": constant_model(tmp_path, 3.0)}
    for duration in np.linspace(3.0, 9.0, 40):
        run = simulate(config=Config(duration=float(duration), step_history=True, **keys))
        assert run.time[-1] == duration
        assert_kept(run, 1e-3)


@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_steps_forward_and_back_return(tmp_path, integrator):
    """The choice does not know forwards from backwards."""
    plan = prepared(
        ic="kepler:e=0.7,m2=0.3", tolerance=1e-4, tolerance_kind="none", order=4, integrator=integrator,
        model=constant_model(tmp_path, 0.3), steps=300,
    )  # fmt: skip
    run, frames = plan.new_run(), arrays(2)
    n = 2
    begin = run.system[X * n : VX * n].copy()
    none = Limits(math.inf, 300.0, 10**9)
    assert advance_run(run, plan.plan, plan.own, none, frames)[0] == 2
    assert np.abs(run.system[X * n : VX * n] - begin).max() > 0.1
    back, ahead = copy_of(run), copy_of(run)
    assert advance_run(ahead, plan.plan, plan.own, none._replace(last_step=301.0), frames)[0] == 2
    back.system[VX * n : AX * n] *= -1.0
    back.books[0].last_rate = ahead.books[0].last_rate
    assert advance_run(back, plan.plan, plan.own, none._replace(last_step=600.0), frames)[0] == 2
    assert np.abs(back.system[X * n : VX * n] - begin).max() < 1e-10


def test_the_recursion_begins_anew_where_the_step_changes(tmp_path):
    plan = prepared(
        ic="figure-eight", tolerance=1e-4, tolerance_kind="none", order=2, integrator="leapfrog",
        model=constant_model(tmp_path, 0.5), steps=65,
    )  # fmt: skip
    run, frames = plan.new_run(), arrays(3)
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 63.0, 10**9), frames)[0] == 2
    run.books[0].network_step *= 3.0
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 65.0, 10**9), frames)[:2] == (2, 2)
    x, v = np.moveaxis(frames.rows[0].reshape(2, 3, 3), -1, 1)
    i, j = np.triu_indices(3, 1)
    r, speed = (np.linalg.norm(vectors[i] - vectors[j], axis=-1) for vectors in (x, v))
    assert books_in(frames.books[1]).last_dt == pytest.approx(
        0.5 * 0.01 / np.sqrt((speed**2 + 2.0 / r) / r**2).max(), rel=1e-9
    )


def test_a_setback_restores_all_but_what_was_spent(tmp_path):
    plan = prepared(
        ic="hierarchical-triple:e_in=0.6", tolerance=1e-5, order=4, model=constant_model(tmp_path, 0.5), steps=64
    )
    run, frames = plan.new_run(), arrays(3)
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 64.0, 10**9), frames)[0] == 2
    books_in(run.anchor).omega *= 1.5  # as long steps may leave it
    begin, later = run.anchor.copy(), copy_of(run)
    books_in(run.anchor).anchor_step = later.books[0].anchor_step = 40.0
    run.books[:], run.system[:] = later.books, later.system + 1.0
    run.books[0].force_evaluations, run.books[0].time = 1234.0, 99.0
    set_back(run, plan.plan, 3.0, 0.1)
    np.testing.assert_array_equal(run.system, begin[N_BOOKS:])
    assert run.books[0].time == books_in(begin).time
    assert run.books[0].steps == 64.0
    assert run.books[0].force_evaluations == 1234.0
    assert run.books[0].rejected_steps == 24.0
    assert run.books[0].setbacks == 1.0
    assert run.books[0].last_rate == 0.0
    assert run.books[0].correction < 1.0
    assert run.books[0].omega == omega_of(run.system, plan.plan.law, PAIR_NORM)
    first = run.books[0].correction
    set_back(run, plan.plan, 3.0, 0.1)
    assert run.books[0].correction < first
    assert run.books[0].setbacks == 2.0
    second = run.books[0].correction
    set_back(run, plan.plan, 3.0, 20.0)
    assert run.books[0].correction == pytest.approx(second * 0.5 / 20.0)  # half of what would not be too long


def test_a_run_stands_at_its_anchor_whenever_the_loop_returns(tmp_path):
    plan = prepared(
        ic="hierarchical-triple:e_in=0.6", tolerance=1e-5, order=4, model=constant_model(tmp_path, 2.0), steps=2000
    )
    run, frames = plan.new_run(), arrays(3)
    while advance_run(run, plan.plan, plan.own, Limits(math.inf, 2000.0, 1), frames)[0] == 0:
        np.testing.assert_array_equal(run.anchor[:N_BOOKS], run.books.view(np.float64))
        np.testing.assert_array_equal(run.anchor[N_BOOKS:], run.system)
        assert run.books[0].anchor_step == run.books[0].steps
        assert run.books[0].excused_error == run.books[0].vain_setbacks == 0.0
    assert rows(run.system, MASS, X)[0].sum() > 0.0


def test_rounding_does_not_shorten_the_steps(tmp_path):
    """An error that rounding may have made is accepted at once, and the run goes on with the steps that it had."""
    plan = prepared(ic="kepler:e=0.9", tolerance=1e-12, order=8, model=constant_model(tmp_path, 0.5), steps=64)
    run, frames = plan.new_run(), arrays(2)
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 64.0, 10**9), frames)[0] == 2
    books, anchor = run.books[0], books_in(run.anchor)
    before = books.correction
    books.deepest, error = 1e3, 5e-13
    books.kinetic_energy = anchor.kinetic_energy + error
    assert error < 10.0 * 2.0**-52 * 1e3
    assert set_back(run, plan.plan, 2.0, 0.1)
    assert run.books[0].correction == before
    assert run.books[0].excused_error == 4.0
    run.books[0].deepest = 1.0
    run.books[0].kinetic_energy = anchor.kinetic_energy + error
    assert not set_back(run, plan.plan, 6.0, 0.1)
    assert run.books[0].correction < before


def test_a_state_that_will_pass_is_not_asked_about(tmp_path):
    """At the pericentre of an eccentric orbit a system is smaller than it mostly is."""

    def consulted(size):
        plan = prepared(ic="kepler:e=0.9", tolerance=1e-6, order=6, model=constant_model(tmp_path, 0.5), steps=64)
        run, frames = plan.new_run(), arrays(2)
        assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 64.0, 10**9), frames)[0] == 2
        asked = run.books[0].states_asked
        run.books[0].usual_size = size / abs(run.books[0].potential_energy)
        traits, layers, _ = scratch(run, plan.plan.control)
        consult(run.system, run.books[0], plan.plan, traits, layers)
        return run.books[0].states_asked - asked

    assert consulted(1.0) == 1.0
    assert consulted(100.0) == 0.0
