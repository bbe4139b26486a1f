"""Runs by Wisdom and Holman's split: energies of what is kept, exact times, runs that go on, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, InputError, Recording, resume, simulate
from aitimestepper.simulation.run import requested
from aitimestepper.systems.initial import InitialConditions

STEP = 1.2 / 20
"""A twentieth of the shortest period of `planets`, about."""


def planets(*, scale: float = 1.0) -> InitialConditions:
    """Three planets, listed from the outside in, and two massless bodies; the star stands in the middle of the list."""
    sizes = np.array([2.1, 1.2, 0.0, 0.7, 0.35, 1.0])
    mass = np.array([1e-4, 1e-5, 1.0, 3e-5, 0.0, 0.0]) * np.where(sizes > 0, scale, 1.0)
    angle = np.array([0.3, 2.0, 0.0, 4.0, 5.0, 1.0])
    position, velocity = np.zeros((6, 3)), np.zeros((6, 3))
    orbiting = sizes > 0
    speed = 0.95 * sizes[orbiting] ** -0.5
    c, s = np.cos(angle[orbiting]), np.sin(angle[orbiting])
    position[orbiting] = (sizes[orbiting] * np.array([c, s, 0.02 * s])).T
    velocity[orbiting] = (speed * np.array([-s, c, 0.02 * c])).T
    velocity -= (mass[:, None] * velocity).sum(0) / mass.sum()
    return InitialConditions(mass=mass, position=position, velocity=velocity, period=1.3)


def run(**keys) -> Recording:
    return simulate(planets(), **{"integrator": "wh", "timestep": "fixed", "dt": STEP, **keys})


@pytest.mark.parametrize("coordinates", ["jacobi", "heliocentric"])
@pytest.mark.parametrize(
    ("kind", "evaluations", "error"), [("plain", 1, 2e-6), ("corrected", 1, 5e-9), ("saba", 8, 1e-9)]
)
def test_energies_of_all_that_is_kept_are_small(kind, evaluations, error, coordinates):
    found = run(steps=2000, every=50, wh_kind=kind, wh_coordinates=coordinates)
    assert found.summary.energy_error_max < error
    assert found.summary.angular_momentum_residual < 1e-12
    assert len(found.time) == 41
    assert found.time[-1] == pytest.approx(2000 * STEP, rel=1e-14)
    kinetic = 0.5 * (found.mass * (found.velocity**2).sum(-1)).sum(-1)
    apart = np.linalg.norm(found.position[:, :, None] - found.position[:, None], axis=-1)
    first, second = np.triu_indices(6, 1)
    potential = -(found.mass[first] * found.mass[second] / apart[:, first, second]).sum(-1)
    assert found.energy == pytest.approx(kinetic + potential, rel=1e-13)
    # A step is cheap: most of what is counted are its own kicks, and those of the corrector at the states kept.
    assert 2000 * evaluations <= found.summary.force_evaluations <= 2000 * evaluations + 42 * 17 + 50


def test_positions_are_those_of_a_finer_run_by_another_integrator():
    right = simulate(planets(), duration=30.0, samples=5, timestep="fixed", dt=0.002, integrator="leapfrog", order=8)
    for kind, error in (("corrected", 3e-5), ("saba", 1e-6)):
        found = run(duration=30.0, samples=5, wh_kind=kind)
        assert found.time.tolist() == right.time.tolist()
        assert np.abs(found.position - right.position).max() < error


@pytest.mark.parametrize("kind", ["plain", "corrected", "saba"])
def test_what_is_looked_at_changes_nothing(kind):
    quiet = run(duration=40.0, every=10**6, wh_kind=kind)
    for keys in ({"every": 1}, {"every": 7, "step_history": True}, {"samples": 11}):
        seen = run(duration=40.0, wh_kind=kind, **keys)
        assert seen.position[-1].tolist() == quiet.position[-1].tolist()
        assert seen.summary.steps == quiet.summary.steps


@pytest.mark.parametrize("kind", ["plain", "corrected", "saba"])
def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    keys = {"ic": "solar-system", "integrator": "wh", "timestep": "fixed", "dt": 0.07, "wh_kind": kind, "every": 13}
    whole = simulate(config=Config(duration=400.0, **keys))
    interrupted(Config(duration=400.0, output="run.h5", **keys), 0.0)
    stopped = Recording.load("run.h5")
    assert 0 < stopped.summary.steps < whole.summary.steps
    assert_same(resume("run.h5"), whole)
    assert_same(resume("run.h5", duration=500.0), simulate(config=Config(duration=500.0, **keys)))


def test_a_run_back_in_time_returns():
    there = run(duration=50.0, wh_kind="saba")
    end = InitialConditions(mass=there.mass, position=there.position[-1], velocity=there.velocity[-1], time=50.0)
    back = simulate(end, integrator="wh", timestep="fixed", dt=STEP, duration=-50.0, wh_kind="saba")
    assert np.abs(back.position[-1] - planets().position).max() < 1e-9


def test_relativity_and_oblateness_are_kicks():
    keys = {"relativity": True, "light_speed": 200.0, "J2": 1e-3, "J2_radius": 0.05}
    for coordinates in ("jacobi", "heliocentric"):
        found = run(duration=60.0, samples=4, wh_coordinates=coordinates, dt=STEP / 2, **keys)
        right = simulate(
            planets(), duration=60.0, samples=4, timestep="fixed", dt=0.002, integrator="leapfrog", order=8, **keys
        )
        assert found.summary.energy_error_max < 1e-7
        assert np.abs(found.position - right.position).max() < 1e-4


def test_a_close_encounter_ends_a_run_where_it_is():
    found = run(duration=500.0, stop_approach=0.25)
    assert "encounter" in found.summary.outcome
    apart = np.linalg.norm(found.position[-1][:, None] - found.position[-1][None], axis=-1)
    assert apart[np.triu_indices(6, 1)].min() == pytest.approx(0.25, abs=1e-9)


def test_an_encounter_of_planets_shows_in_the_energy_error():
    position = np.array([[0.0, 0.0], [1.0, 0.0], [1.03, 0.01]])
    velocity = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 0.985]])
    system = InitialConditions(mass=np.array([1.0, 1e-3, 1e-3]), position=position, velocity=velocity)
    found = simulate(system, integrator="wh", timestep="fixed", dt=0.3, duration=100.0)
    assert found.summary.energy_error_max > 1e-4


@pytest.mark.parametrize(
    ("system", "keys", "reason"),
    [
        ("figure-eight", {}, "all others together have 2 of the mass of the heaviest"),
        ("kepler:e=0.3", {"softening": 0.1}, "takes no softening"),
        ("solar-system", {"external_field_mass": 1.0, "external_field_position": (9.0, 0.0, 0.0)}, "no external field"),
        ("solar-system", {"order": 4}, "order = 4 does nothing with integrator = wh"),
        ("solar-system", {"timestep": "free-fall", "dt": None, "eta": 0.1}, "takes timestep = fixed and dt"),
        ("solar-system", {"timestep": None, "dt": None, "tolerance": 1e-6}, "takes timestep = fixed and dt"),
        ("solar-system", {"guard": 1e-6}, "guard does nothing with integrator = wh"),
        ("solar-system", {"integrator": "leapfrog", "wh_kind": "saba"}, "wh_kind does nothing with integrator"),
    ],
)
def test_what_it_is_not_for_is_refused(system, keys, reason):
    keys = {"integrator": "wh", "timestep": "fixed", "dt": 0.1, "duration": 1.0, **keys}
    keys = {name: value for name, value in keys.items() if value is not None}
    if system == "kepler:e=0.3":
        system = InitialConditions(mass=[1.0, 0.01], position=[[0, 0], [1, 0]], velocity=[[0, 0], [0, 1]])
        with pytest.raises(InputError, match=reason):
            simulate(system, **keys)
        return
    with pytest.raises(InputError, match=reason):
        requested(Config(ic=system, **keys))
