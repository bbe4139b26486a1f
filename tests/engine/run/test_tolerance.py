"""A calibrated run keeps to what was asked of it, measures its own errors and takes back what exceeds them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import energy, flat, law
from tests.engine.run.builders import assert_kept, constant_model, cost

from aitimestepper import Config, Recording, simulate
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state, two_body

DRAWN = [
    *(f"random:n={n},seed={seed},dim=3" for n, seed in ((3, 7), (3, 51), (4, 13), (5, 45), (6, 21), (7, 33), (8, 5))),
    *("random:n=3,seed=1", "random:n=4,seed=8", "hierarchical-triple", "hierarchical-triple:e_in=0.7,m3=0.1"),
    "kepler:e=0.9",
]


def end_of(ic: str) -> dict:
    return {"duration": 2.0} if ic.startswith("random") else {"periods": 3}


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("ic", DRAWN)
def test_the_energy_error_stays_below_the_tolerance_at_every_step(ic, tolerance):
    assert_kept(simulate(config=Config(ic=ic, tolerance=tolerance, step_history=True, **end_of(ic))), tolerance)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_any_integrator_keeps_the_tolerance(integrator, order):
    ic = "hierarchical-triple:e_in=0.6"
    keys = {"integrator": integrator, "order": order, "step_history": True, "periods": 3}
    assert_kept(simulate(config=Config(ic=ic, tolerance=1e-4, **keys)), 1e-4)


@pytest.mark.parametrize("ic", ["hierarchical-triple:e_in=0.6", "random:n=5,seed=45,dim=3", "kepler:e=0.8"])
@pytest.mark.parametrize(("tolerance", "order"), [(1e-4, 4), (1e-7, 6)])
def test_steps_that_are_far_too_long_are_taken_back(tmp_path, ic, tolerance, order):
    model = constant_model(tmp_path, 50.0)
    run = simulate(
        config=Config(ic=ic, tolerance=tolerance, order=order, model=model, step_history=True, every=1, duration=8.0)
    )
    assert_kept(run, tolerance)
    assert run.summary.rejected_steps > 0
    assert_one_trajectory(run)


def assert_one_trajectory(run: Recording) -> None:
    """Every step, and every frame, follows from the one before it: none is left of what was undone."""
    assert (np.diff(run.time) > 0).all()
    assert len(run.step_history.time) in (run.summary.steps, run.summary.steps - 1)
    assert (np.diff(run.step_history.time) > 0).all()
    whole = len(run.step_history.time)
    np.testing.assert_array_equal(run.time[1 : whole + 1], run.step_history.time)
    np.testing.assert_array_equal(run.energy[1 : whole + 1], run.step_history.energy)
    np.testing.assert_allclose(np.diff(run.time), run.dt[1:], rtol=1e-9, atol=1e-13)
    mean = 0.5 * (run.velocity[1:] + run.velocity[:-1]) * run.dt[1:, None, None]
    moved = np.abs(np.diff(run.position, axis=0) - mean).max(axis=(1, 2))
    reach = np.abs(mean).max(axis=(1, 2))
    assert (moved <= 0.5 * reach).all()


def test_steps_that_are_far_too_short_become_longer_at_no_cost(tmp_path):
    keys = {"ic": "hierarchical-triple", "tolerance": 1e-4, "order": 4, "duration": 200.0, "step_history": True}
    model = constant_model(tmp_path, 0.05)
    run, held = (simulate(config=Config(model=model, tolerance_kind=kind, **keys)) for kind in ("run", "none"))
    assert_kept(run, 1e-4)
    assert held.summary.steps > 2.5 * run.summary.steps
    first, last = (np.diff(run.step_history.time[part]).mean() for part in (slice(50), slice(-50, None)))
    assert last > 2.5 * first


def test_what_shorter_steps_cannot_cure_is_accepted_and_said():
    """At a pericentre of 1e-7 rounding alone is far above what is allowed."""
    pair = two_body((1.0, 1.0), Elements(1.0 - 1e-7, 1.0, 180.0))
    run = simulate(config=Config(tolerance=1e-12, periods=3.3, step_history=True), system=pair)
    assert run.summary.outcome == "finished"
    assert run.summary.steps < 200_000
    assert run.summary.energy_verdict == ("kept" if run.summary.energy_error_max <= 1e-10 else "exceeded")


def test_each_step_by_itself_can_be_held_to_the_tolerance(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-5, "order": 4, "model": constant_model(tmp_path, 8.0)}
    run = simulate(config=Config(tolerance_kind="step", steps=200, step_history=True, **keys))
    changes = np.diff(np.concatenate([[run.summary.energy_initial], run.step_history.energy])) / run.energy_scale
    assert np.abs(changes).max() <= 1e-5
    assert run.summary.rejected_steps > 0
    assert run.summary.energy_error_max > 1e-5
    assert run.summary.energy_verdict is None
    assert run.summary.energy_error_asked is None


def test_a_run_that_nothing_holds_never_goes_back(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-5, "order": 4, "model": constant_model(tmp_path, 8.0)}
    run = simulate(config=Config(tolerance_kind="none", steps=200, **keys))
    assert run.summary.rejected_steps == 0
    assert run.summary.energy_error_max > 1e-5
    assert run.summary.force_evaluations == cost(4, 200, ttl=True)
    assert run.summary.energy_verdict == run.summary.position_verdict == "exceeded"


def test_a_parabolic_pair_is_held_to_its_kinetic_and_potential_energy(tmp_path):
    position = np.array([[0.0, 0.0], [1.0, 0.2]])
    speed = math.sqrt(2.0 * 2.0 / math.hypot(1.0, 0.2))
    velocity = np.array([[0.0, 0.0], [-speed, 0.0]])
    pair = InitialConditions(np.ones(2), position, velocity)
    for model in (None, constant_model(tmp_path, 20.0)):
        run = simulate(config=Config(tolerance=1e-6, duration=5.0, step_history=True, model=model), system=pair)
        kinetic = 0.5 * (pair.velocity**2).sum()
        assert abs(run.summary.energy_initial) < 1e-12
        assert run.energy_scale == pytest.approx(2.0 * kinetic)
        assert_kept(run, 1e-6)


def planets_and_comet() -> InitialConditions:
    """A star, a planet and a comet without mass that passes close to the star."""
    planet = relative_state(Elements(0.05, 5.0, 200.0), 1.0)
    comet = relative_state(Elements(0.9, 3.0, 120.0), 1.0)
    zero = np.zeros(3)
    position, velocity = np.array([zero, planet[0], comet[0]]), np.array([zero, planet[1], comet[1]])
    return InitialConditions(np.array([1.0, 1e-4, 0.0]), position, velocity)


@pytest.mark.parametrize("factor", [None, 10.0])
def test_a_comet_without_mass_is_held_by_the_error_of_its_place(tmp_path, factor):
    model = None if factor is None else constant_model(tmp_path, factor)
    keys = {"model": model, "duration": 60.0}
    run = simulate(config=Config(tolerance=1e-6, step_history=True, **keys), system=planets_and_comet())
    assert_kept(run, 1e-6)
    free = simulate(config=Config(tolerance=1e-6, tolerance_kind="none", **keys), system=planets_and_comet())
    exact = simulate(
        config=Config(timestep="fixed", h=0.02, order=8, integrator="ttl", duration=60.0), system=planets_and_comet()
    )
    apart, apart_free = (np.abs(r.position[-1, 2] - exact.position[-1, 2]).max() for r in (run, free))
    assert apart < 1e-2
    if factor is not None:
        assert run.summary.rejected_steps > 0
        assert free.summary.position_verdict == "exceeded"
        assert apart_free > 10.0 * apart


def test_two_and_three_dimensions_are_the_same(tmp_path):
    keys = {"tolerance": 1e-6, "model": constant_model(tmp_path, 2.0), "duration": 2.0}
    flat_run = simulate(config=Config(ic="random:n=4,seed=8", **keys))
    first = InitialConditions(flat_run.mass, flat_run.position[0], flat_run.velocity[0])
    deep = InitialConditions(
        first.mass, np.pad(first.position, ((0, 0), (0, 1))), np.pad(first.velocity, ((0, 0), (0, 1)))
    )
    run = simulate(config=Config(**keys), system=deep)
    np.testing.assert_array_equal(run.position[..., :2], flat_run.position)
    assert not run.position[..., 2].any()
    assert run.summary.force_evaluations == flat_run.summary.force_evaluations


def test_softening_and_a_tide_belong_to_the_energy_that_is_kept(tmp_path):
    tide = {"external_field_mass": 20.0, "external_field_position": (8.0, 1.0, 0.0), "softening": 0.02, "G": 1.5}
    for model in (None, constant_model(tmp_path, 5.0)):
        config = Config(
            ic="random:n=4,seed=13,dim=3", tolerance=1e-5, duration=4.0, step_history=True, every=1, model=model, **tide
        )
        run = simulate(config=config)
        assert_kept(run, 1e-5)
        of_law = law(G=1.5, softening=0.02, tide=(20.0, 8.0, 1.0, 0.0))
        ends = [energy(flat(run.mass, run.position[k], run.velocity[k]), of_law) for k in (0, -1)]
        assert ends == pytest.approx([run.energy[0], run.energy[-1]], rel=1e-12)
        assert abs(ends[1] - ends[0]) <= 1e-5 * abs(ends[0])


@pytest.mark.parametrize(("heavier", "larger"), [(1e3, 1e-3), (1e-3, 1e3), (1e3, 1e3)])
def test_other_units_give_as_many_steps(tmp_path, heavier, larger):
    first = simulate(config=Config(ic="hierarchical-triple:e_in=0.6", timestep="fixed", dt=0.1, steps=1))
    position, velocity = first.position[0], first.velocity[0]
    scaled = InitialConditions(heavier * first.mass, larger * position, math.sqrt(heavier / larger) * velocity)
    plain = InitialConditions(first.mass, position, velocity)
    time = math.sqrt(larger**3 / heavier)
    for model in (None, constant_model(tmp_path, 3.0)):
        for integrator in ("ttl", "leapfrog"):
            keys = {"tolerance": 1e-5, "model": model, "integrator": integrator}
            one = simulate(config=Config(duration=20.0, **keys), system=plain).summary
            other = simulate(config=Config(duration=20.0 * time, **keys), system=scaled).summary
            assert (one.steps, one.rejected_steps) == (other.steps, other.rejected_steps)
            assert one.force_evaluations == pytest.approx(other.force_evaluations, abs=20)
            assert other.position_error_max == pytest.approx(one.position_error_max, rel=1e-3)


def test_a_leapfrog_run_does_not_drift(tmp_path):
    keys = {"ic": "kepler:e=0.6", "tolerance": 1e-4, "order": 2, "integrator": "leapfrog", "periods": 40}
    for model in (None, constant_model(tmp_path, 1.0)):
        run = simulate(config=Config(model=model, step_history=True, **keys))
        assert_kept(run, 1e-4)
    even, uneven = (
        simulate(
            config=Config(tolerance_kind="none", model=constant_model(tmp_path, 2.0), reversible=r, **keys)
        ).summary
        for r in (True, False)
    )
    assert even.energy_error_final < 0.1 * uneven.energy_error_final


A1 = (
    np.array([1.0, 1e-3, 0.0]),
    np.array([[0.0, 0.0], [1.0, 0.0], [0.982, 0.0]]),
    np.array([[0.0, 0.0], [0.0, 1.0005], [0.0, 0.89509]]),
)
"""A star, a planet and its moon (a = 0.01, e = 0.8): right at t = 2 are a = 0.009949 and e = 0.7526 (IAS15)."""


@pytest.mark.parametrize(("tolerance", "most"), [(1e-2, 500), (1e-3, 1000), (1e-4, 2000), (1e-6, 5000), (1e-8, 10_000)])
def test_an_eccentric_moon_is_not_lost(tolerance, most):
    run = simulate(config=Config(duration=2.0, tolerance=tolerance), system=InitialConditions(*A1))
    x, v = run.position[-1, 2] - run.position[-1, 1], run.velocity[-1, 2] - run.velocity[-1, 1]
    a = -1e-3 / (v @ v - 2e-3 / np.linalg.norm(x))
    assert (run.summary.energy_verdict, run.summary.position_verdict) == ("kept", "kept")
    assert a == pytest.approx(0.009949, rel=max(10.0 * tolerance, 1e-4))
    assert run.summary.force_evaluations < most


@pytest.mark.parametrize("tolerance", [1e-7, 1e-9])
def test_planets_that_meet_are_held_to_the_tolerance_and_the_run_ends(tolerance):
    """Steps are a twentieth of an orbit; the planets pass each other within a few thousandths of one."""
    mass, angle, a = np.array([1.0, 1e-3, 1e-3]), np.array([0.0, 0.0, 0.4]), np.array([1.0, 1.0, 1.05])
    position = a[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    velocity = np.stack([-np.sin(angle), np.cos(angle)], 1) / np.sqrt(a)[:, None]
    position[0] = velocity[0] = 0.0
    keys = {"duration": 60.0, "tolerance": tolerance, "every": 1, "step_history": True}
    run = simulate(config=Config(**keys), system=InitialConditions(mass, position, velocity))
    assert np.linalg.norm(run.position[:, 2] - run.position[:, 1], axis=1).min() < 0.02
    assert run.summary.outcome == "finished"
    assert_kept(run, tolerance)
