"""Runs of `gbs`: what they promise, and that they are runs like others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from aitimestepper import Config, InitialConditions, InputError, resume, simulate, simulate_ensemble
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.run import requested
from aitimestepper.systems.catalogue import initial_conditions


def gbs(system="pythagorean", **keys):
    return simulate(system, integrator="gbs", progress=False, **{"tolerance": 1e-9, **keys})


def energy_of(recording):
    x, v, m = recording.position, recording.velocity, recording.mass
    kinetic = 0.5 * (m[:, None] * v**2).sum((1, 2))
    first, second = np.triu_indices(len(m), 1)
    apart = np.linalg.norm(x[:, first] - x[:, second], axis=-1)
    return kinetic - recording.G * (m[first] * m[second] / apart).sum(-1)


SYSTEMS = (
    ("pythagorean", {"duration": 70.0}),
    ("figure-eight", {"periods": 5.0}),
    ("kepler:e=0.9", {"periods": 20.0}),
    ("random:n=7,seed=11", {"duration": 8.0}),
    ("random:n=3,virial=0,seed=4,dim=3", {"duration": 30.0}),
    ("solar-system", {"duration": 60.0}),
)


@pytest.mark.parametrize(("system", "length"), SYSTEMS)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_energy_error_stays_within_what_was_asked_for(system, length, tolerance):
    run = gbs(system, tolerance=tolerance, **length)
    energy = energy_of(run)
    assert np.abs(energy / energy[0] - 1.0).max() <= 1.05 * tolerance
    assert (run.summary.energy_verdict, run.summary.position_verdict) == ("kept", "kept")
    assert run.summary.energy_error_asked == tolerance


def test_positions_converge_to_those_of_an_orbit_that_is_known():
    """A whole number of periods later two bodies are where they were."""
    for tolerance in (1e-6, 1e-9):
        run = gbs("kepler:e=0.7", periods=10, tolerance=tolerance)
        off = np.abs(run.position[-1] - run.position[0]).max()
        # Energies, and so periods, are within the tolerance.
        assert off < 3.0 * math.pi * 10 * tolerance
        assert 0.1 * off < run.summary.position_error_run * 2.0 < 100.0 * off


def test_scattering_takes_less_than_half_of_the_evaluations_of_constant_steps():
    evaluations = [
        sum(
            simulate(f"random:n=3,virial=0,seed={seed}", duration=20, tolerance=1e-9, **keys).summary.force_evaluations
            for seed in range(20, 28)
        )
        for keys in ({"integrator": "gbs"}, {"integrator": "ttl"})
    ]
    assert evaluations[0] < evaluations[1] / 2.0


def test_a_run_does_not_depend_on_how_often_the_loop_returns():
    ends = []
    for budget in (1, 7, 10**6):
        plan = planned(requested(Config(ic="pythagorean", duration=20.0, tolerance=1e-8, integrator="gbs"), None, None))
        *_, block = drive(plan.new_run(), plan.plan, plan.own, plan.goal, 2, budget=budget)
        ends.append(block.reached.system.tobytes() + block.reached.books.tobytes())
    assert ends[0] == ends[1] == ends[2]


def test_a_resumed_run_has_the_same_bits():
    keys = {"tolerance": 1e-8, "samples": 40, "output": "whole.h5"}
    whole = gbs(duration=20.0, **keys)
    gbs(duration=10.0, **keys | {"output": "part.h5", "samples": 20})
    gone_on = resume(Path("part.h5"), duration=20.0, progress=False)
    assert gone_on.position.tobytes() == whole.position.tobytes()
    assert gone_on.summary.force_evaluations == whole.summary.force_evaluations


def test_samples_are_met_exactly_and_leave_the_run_as_it_is():
    alone, sampled = gbs(duration=30.0, tolerance=1e-10), gbs(duration=30.0, tolerance=1e-10, samples=30)
    np.testing.assert_array_equal(sampled.time, np.arange(31.0))
    np.testing.assert_array_equal(alone.position[-1], sampled.position[-1])
    middle = gbs(duration=7.0, tolerance=1e-10)
    np.testing.assert_allclose(middle.position[-1], sampled.position[7], atol=1e-7)


def test_it_goes_back_to_where_it_came_from():
    there = gbs(duration=4.0, tolerance=1e-11)
    back = gbs(InitialConditions(there.mass, there.position[-1], there.velocity[-1], time=4.0), duration=-4.0)
    np.testing.assert_allclose(back.position[-1], there.position[0], atol=1e-6)
    assert back.time[-1] == 0.0


def test_a_close_encounter_ends_it_at_the_time_at_which_another_method_finds_it():
    times = [
        simulate("pythagorean", duration=20, tolerance=1e-11, stop_approach=0.02, integrator=name).summary.time
        for name in ("gbs", "ttl")
    ]
    assert times[0] == pytest.approx(times[1], rel=1e-9)
    assert times[0] < 2.0


def test_softening_a_tide_and_massless_bodies_are_integrated_too():
    soft = gbs("kepler:e=0.5", periods=5, softening=0.05, external_field_mass=5.0, external_field_position=(20.0, 0.0))
    hard = simulate(
        "kepler:e=0.5",
        periods=5,
        tolerance=1e-11,
        softening=0.05,
        external_field_mass=5.0,
        external_field_position=(20.0, 0.0),
        integrator="ttl",
    )
    np.testing.assert_allclose(soft.position[-1], hard.position[-1], atol=1e-6)
    star = initial_conditions("kepler:e=0.2")
    with_dust = InitialConditions(
        [*star.mass, 0.0, 0.0],
        [*star.position, [0.0, 3.0], [4.0, 0.0]],
        [*star.velocity, [-0.6, 0.0], [0.0, 0.5]],
    )
    run = gbs(with_dust, duration=40.0)
    other = simulate(with_dust, duration=40.0, tolerance=1e-11)
    np.testing.assert_allclose(run.position[-1], other.position[-1], atol=1e-5)
    assert run.summary.energy_verdict == "kept"


def test_an_ensemble_of_them_keeps_what_was_asked_for():
    result = simulate_ensemble(
        "random:n=3,virial=0", duration=20, tolerance=1e-8, integrator="gbs", count=12, threads=2, progress=False
    )
    assert list(result.energy_verdict) == ["kept"] * 12


def test_a_second_run_confirms_it():
    run = gbs("kepler:e=0.3", periods=5, tolerance=1e-7, confirm=True)
    assert 0.0 < run.summary.confirm_position_difference < 1e-4


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"order": 4}, "chooses the order of each step"),
        ({"timestep": "fixed", "h": 0.1}, "chooses its steps by its own error estimate"),
        ({"dt_max": 0.1}, "does nothing with timestep = estimate"),
        ({"guard": 1e-3}, "leave guard out"),
        ({"tolerance": 1e-13}, "between 1e-12 and 0.1"),
    ],
)
def test_what_would_do_nothing_is_refused(keys, why):
    with pytest.raises(InputError, match=why):
        gbs("figure-eight", duration=1.0, **keys)


def test_other_integrators_have_no_estimate():
    with pytest.raises(InputError, match="needs integrator = gbs"):
        simulate("figure-eight", duration=1.0, tolerance=1e-6, integrator="leapfrog", timestep="estimate")
    assert simulate("figure-eight", duration=1.0, tolerance=1e-6, timestep="estimate").settings["integrator"] == "gbs"
