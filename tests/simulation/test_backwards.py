"""Runs that go back in time."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, InputError, compare, resume, simulate, simulate_ensemble
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.conserved import angular_momentum
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.series import energy_errors, steps

METHODS = {
    "calibrated ttl": {"tolerance": 1e-6},
    "calibrated leapfrog": {"tolerance": 1e-6, "integrator": "leapfrog"},
    "fixed": {"timestep": "fixed", "dt": 0.01},
    "fixed ttl": {"timestep": "fixed", "h": 0.05, "integrator": "ttl", "order": 4},
    "free fall": {"timestep": "free-fall", "eta": 0.01},
    "guarded": {"timestep": "aarseth", "eta": 0.05, "guard": 1e-9},
}
KEPT = [{}, {"every": 3}, {"samples": 7}, {"step_history": True}]


def late(spec: str = "figure-eight") -> InitialConditions:
    """A system that does not begin at time 0."""
    system = initial_conditions(spec)
    return InitialConditions(system.mass, system.position, system.velocity, time=2.5)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_back_is_one_forth_with_all_velocities_turned(method, kept):
    back = simulate(config=Config(**METHODS[method], **kept, duration=-5.0), system=late())
    forth = simulate(config=Config(**METHODS[method], **kept, duration=5.0), system=late().turned)
    np.testing.assert_array_equal(back.time, -forth.time)
    np.testing.assert_array_equal(back.dt, -forth.dt)
    np.testing.assert_array_equal(back.position, forth.position)
    np.testing.assert_array_equal(back.velocity, -forth.velocity)
    np.testing.assert_array_equal(back.energy, forth.energy)
    spin = angular_momentum(back.mass, back.position, back.velocity)
    np.testing.assert_allclose(back.angular_momentum, spin, rtol=0, atol=1e-15)
    for mine, theirs in zip(back.step_history[:2], forth.step_history[:2], strict=True):
        np.testing.assert_array_equal(mine, -theirs)
    assert (back.time[0], back.time[-1], back.summary.time) == (2.5, -2.5, -2.5)
    assert (np.diff(back.time) < 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_back_and_forth_ends_where_it_began(tmp_path, method):
    path = str(tmp_path / "back.h5")
    simulate(config=Config(**METHODS[method], duration=-5.0, output=path), system=late())
    forth = simulate(config=Config(**METHODS[method], ic=path, duration=5.0))
    assert forth.time[-1] == 2.5
    apart = np.abs(forth.position[-1] - late().position).max()
    assert apart < (1e-3 if "dt" in METHODS[method] or "eta" in METHODS[method] else 1e-5)


def test_velocities_are_those_of_the_motion():
    run = simulate(config=Config(ic="kepler:e=0.3", tolerance=1e-6, duration=-1.0, samples=200))
    moved = (run.position[2:] - run.position[:-2]) / (run.time[2:] - run.time[:-2])[:, None, None]
    np.testing.assert_allclose(moved, run.velocity[1:-1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", ["fixed", "fixed ttl", "free fall"])
def test_a_run_back_goes_on_bit_by_bit(tmp_path, method):
    keys = {"ic": "three-body:name=moth-I", "every": 7, "step_history": True, **METHODS[method]}
    whole = simulate(config=Config(**keys, duration=-20.0))
    simulate(config=Config(**keys, duration=-8.0, output="run.h5"))
    assert_same(resume("run.h5", duration=-20.0), whole)
    interrupted(Config(**keys, duration=-20.0, output="other.h5"), 0.0)
    assert_same(resume("other.h5"), whole)


def test_a_run_keeps_its_direction():
    simulate(config=Config(ic="kepler", tolerance=1e-4, duration=-2.0, output="run.h5"))
    with pytest.raises(InputError, match="the run goes back in time: ask for a duration < 0"):
        resume("run.h5", duration=3.0)
    with pytest.raises(InputError, match=r"has reached t = -2 .* ask for a later end"):
        resume("run.h5", duration=-1.0)
    steps = resume("run.h5", steps=100)
    assert steps.summary.steps == 100
    assert steps.time[-1] < -2.0
    simulate(config=Config(ic="kepler", tolerance=1e-4, duration=2.0, output="forth.h5"))
    with pytest.raises(InputError, match="the run goes forwards in time: ask for a duration > 0"):
        resume("forth.h5", duration=-3.0)


def test_periods_may_be_counted_back():
    run = simulate(config=Config(ic="kepler:e=0.5", tolerance=1e-6, periods=-2.0))
    assert run.time[-1] == -2.0 * run.period
    np.testing.assert_allclose(run.position[-1], run.position[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("key", ["duration", "periods"])
def test_a_length_of_nothing_is_refused(key):
    with pytest.raises(InputError, match=f"{key} = 0 is not allowed: it should be above 0, or below 0 to go back"):
        Config(ic="kepler", tolerance=1e-4, **{key: 0.0})


def test_an_archive_of_a_run_back_can_be_read_by_rebound(tmp_path):
    rebound = pytest.importorskip("rebound")
    run = simulate(config=Config(tolerance=1e-4, duration=-5.0, output=str(tmp_path / "back.bin")), system=late())
    last = rebound.Simulationarchive(str(tmp_path / "back.bin"))[-1]
    assert (last.t, np.sign(last.dt)) == (-2.5, -1.0)
    np.testing.assert_array_equal([body.vxyz[:2] for body in last.particles], run.velocity[-1])
    assert read_initial_conditions(tmp_path / "back.bin").time == -2.5


def test_members_of_an_ensemble_go_back_as_simulate_does():
    keys = {"ic": "random:n=3", "tolerance": 1e-4, "duration": -1.0}
    many, one = simulate_ensemble(config=Config(**keys, count=2, seed=3)), simulate(config=Config(**keys, seed=4))
    np.testing.assert_array_equal(many.velocity[1], one.velocity[-1])
    np.testing.assert_array_equal(many.position[1], one.position[-1])
    assert many.time.tolist() == [-1.0, -1.0]


def test_methods_are_compared_on_runs_back():
    config = Config(ic="pythagorean", duration=-2.0, evaluations=(500,), methods=("ttl4:fixed", "leapfrog:free-fall"))
    back = compare(config=config).systems[0]
    forth = compare(config=config.replace(duration=2.0)).systems[0]
    assert (back.duration, forth.duration) == (-2.0, 2.0)
    # The bodies begin at rest: both directions are one motion.
    assert [row.position_error for row in back.rows] == [row.position_error for row in forth.rows]


def test_a_failure_says_the_time_that_is_seen():
    with pytest.raises(Exception, match=r"the run stopped at t = -0\.\d+ after"):
        simulate(config=Config(timestep="fixed", dt=1e-2, duration=-1.0, guard=1e-9), system=fall())


def fall() -> InitialConditions:
    """Two bodies that fall into each other, whichever way time goes."""
    return InitialConditions([1.0, 1.0], [[-0.2], [0.2]], [[0.0], [0.0]])


def test_views_show_a_run_back_in_the_order_of_time():
    run = simulate(config=Config(ic="kepler:e=0.3", tolerance=1e-6, duration=-3.0, samples=30))
    motion = Motion(run)
    assert (motion.time[0], motion.time[-1]) == (-3.0, 0.0)
    np.testing.assert_array_equal(motion.position[-1], run.position[0])
    for series in (steps(run), energy_errors(run)):
        assert (np.diff(series.time) > 0).all()
        assert (series.value > 0).all()
