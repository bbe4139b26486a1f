"""Windows measure what a step does to a system, as a run with that step would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import law
from tests.engine.features.test_description import by_numpy, described, described_with_light_pairs
from tests.engine.physics.test_light_pairs import moon

from aitimestepper import Config, simulate
from aitimestepper.constants import TRAITS
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, Method
from aitimestepper.engine.physics.omega import PAIR_NORM
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.training.windows import LEAST_STEPS, Window, describe_all, opened, roll_out
from aitimestepper.systems.clusters import random_system
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state, two_body
from aitimestepper.weights.calibrated import HEADS

PLAIN = law()


def method(integrator: str, order: int) -> Method:
    return Method(TTL if integrator == "ttl" else LEAPFROG, STAGES[order], PAIR_NORM)


def drawn(count: int, n: int, seed: int = 1) -> list[InitialConditions]:
    rng = np.random.default_rng(seed)
    return [random_system(rng, n_bodies=n, dim=3) for _ in range(count)]


def arrays(systems: list[InitialConditions]):
    return tuple(np.array([getattr(system, name) for system in systems]) for name in ("mass", "position", "velocity"))


def rolled(state, factor, tolerance, *, integrator="ttl", order=4, phase=3.0, most_steps=1000, of_law=PLAIN):
    """Errors (S, 2), and positions and velocities at the end."""
    mass, position, velocity = (array.copy() for array in state)
    errors = np.full((len(mass), 2), np.nan)
    window = Window(phase, most_steps)
    roll_out(
        mass, position, velocity, np.broadcast_to(factor, len(mass)).astype(float),
        np.broadcast_to(tolerance, len(mass)).astype(float), method(integrator, order), of_law, window, errors,
    )  # fmt: skip
    return errors, position, velocity


def with_absent(state, places: list[int]):
    """The same, with massless bodies far away put in at `places`."""
    mass, position, velocity = state
    for place in places:
        mass = np.insert(mass, place, 0.0, axis=1)
        position = np.insert(position, place, [1e100 * (place + 1), 0.0, 0.0], axis=1)
        velocity = np.insert(velocity, place, 0.0, axis=1)
    return mass, position, velocity


@pytest.mark.parametrize(("integrator", "order"), [("ttl", 4), ("leapfrog", 2), ("leapfrog", 8)])
def test_absent_bodies_change_nothing(integrator, order):
    state = arrays(drawn(4, 4))
    plain = rolled(state, 0.4, 1e-4, integrator=integrator, order=order)
    filled = rolled(with_absent(state, [1, 3, 6]), 0.4, 1e-4, integrator=integrator, order=order)
    present = [0, 2, 4, 5]
    np.testing.assert_array_equal(filled[0], plain[0])
    np.testing.assert_array_equal(filled[1][:, present], plain[1])
    np.testing.assert_array_equal(filled[2][:, present], plain[2])
    assert (filled[1][:, [1, 3, 6], 0] >= 1e90).all()
    traits = np.zeros((2, 4, TRAITS))
    describe_all(traits[0], *state, PLAIN, np.zeros(4, dtype=bool))
    describe_all(traits[1], *with_absent(state, [1, 3, 6]), PLAIN, np.zeros(4, dtype=bool))
    np.testing.assert_array_equal(traits[0], traits[1])
    for s in range(4):
        np.testing.assert_array_equal(traits[0, s], described(*(array[s] for array in state))[0])


def test_the_errors_do_not_depend_on_the_rest_of_the_batch():
    state = arrays(drawn(6, 5))
    factor, tolerance = np.linspace(0.1, 0.9, 6), np.logspace(-6, -2, 6)
    whole = rolled(state, factor, tolerance)
    order = np.array([3, 0, 5, 1, 4, 2])
    mixed = rolled(tuple(array[order] for array in state), factor[order], tolerance[order])
    for mine, theirs in zip(mixed, whole, strict=True):
        np.testing.assert_array_equal(mine, theirs[order])
    alone = rolled(tuple(array[2:3] for array in state), factor[2:3], tolerance[2:3])
    np.testing.assert_array_equal(alone[0][0], whole[0][2])


def fixed_run(system: InitialConditions, integrator: str, order: int, step: float, n_steps: int, **keys):
    how = {"timestep": "fixed", "h": step} if integrator == "ttl" else {"timestep": "fly-by", "eta": step}
    return simulate(
        config=Config(integrator=integrator, order=order, steps=n_steps, every=n_steps, **how, **keys), system=system
    )


@pytest.mark.parametrize(("integrator", "order"), HEADS)
def test_the_energy_error_is_that_of_a_run_with_this_step(integrator, order):
    systems, tolerance, factor = drawn(3, 4, seed=order), 10.0 ** (-0.75 * order), 0.6
    errors, position, velocity = rolled(
        arrays(systems), factor, tolerance, integrator=integrator, order=order, phase=2.0
    )
    for s, system in enumerate(systems):
        relative = factor * tolerance ** (1.0 / order)
        _, reference = by_numpy(system.mass, system.position, system.velocity)
        step = relative * (reference if integrator == "ttl" else 1.0)
        n_steps = max(int(2.0 / relative), LEAST_STEPS)
        run = fixed_run(system, integrator, order, step, n_steps)
        assert errors[s, 0] * tolerance == pytest.approx(run.summary.energy_error_max, rel=1e-6, abs=1e-13)
        np.testing.assert_allclose(position[s], run.position[-1], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(velocity[s], run.velocity[-1], rtol=1e-9, atol=1e-9)


def test_windows_end_after_so_many_steps_at_the_latest_and_have_a_least_number():
    system = drawn(1, 4)[0]
    reference = by_numpy(system.mass, system.position, system.velocity)[1]
    for phase, most, expected in ((100.0, 25, 25), (1e-3, 1000, LEAST_STEPS)):
        _, position, _ = rolled(arrays([system]), 0.5, 1e-4, phase=phase, most_steps=most)
        run = fixed_run(system, "ttl", 4, 0.05 * reference, expected)
        np.testing.assert_allclose(position[0], run.position[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("integrator", "order"), HEADS)
def test_the_position_error_is_the_true_one_over_what_is_allowed(integrator, order):
    """On a circle every step is like the first: its place after the time that it takes is known."""
    pair = two_body((1.0, 1e-3), Elements(0.0, 1.0, 0.0), dim=3)
    factor = {2: 0.1, 4: 0.4, 6: 0.8, 8: 1.0}[order] * (1.0 if integrator == "ttl" else 0.5)
    tolerance = 1e-3
    errors, _, _ = rolled(
        arrays([pair]), factor * tolerance ** (-1.0 / order), tolerance, integrator=integrator, order=order,
        most_steps=LEAST_STEPS,
    )  # fmt: skip
    reference = by_numpy(pair.mass, pair.position, pair.velocity)[1]
    run = fixed_run(pair, integrator, order, factor * (reference if integrator == "ttl" else 1.0), 1)
    angle = math.sqrt(1.001) * run.time[1]
    turn = np.array([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1.0]])
    true = np.linalg.norm(run.position[1, 1] - pair.position[1] @ turn) / angle
    assert 1e-9 < true < 1e-2
    assert errors[0, 1] * POSITION_SHARE * tolerance == pytest.approx(true, rel=0.15)


def test_a_window_that_is_not_finite_has_infinite_errors_and_leaves_the_state():
    state = arrays(drawn(2, 3))
    state[2][0] *= 1e200  # so that the energy is infinity less infinity
    errors, position, _ = rolled(state, 0.5, 1e-4)
    assert (errors[0] == math.inf).all()
    assert np.isfinite(errors[1]).all()
    np.testing.assert_array_equal(position[0], state[1][0])


def test_a_parabolic_pair_is_measured_by_kinetic_and_potential_energy():
    position = np.array([[0.0, 0.0, 0.0], [1.0, 0.2, 0.0]])
    velocity = np.array([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]) * math.sqrt(4.0 / math.hypot(1.0, 0.2))
    pair = InitialConditions(np.ones(2), position, velocity)
    errors, _, _ = rolled(arrays([pair]), 1.0, 1e-2, phase=2.0, integrator="leapfrog", order=2)
    run = fixed_run(pair, "leapfrog", 2, 0.1, 20)
    assert run.energy_scale == pytest.approx((pair.velocity**2).sum())
    assert errors[0, 0] * 1e-2 == pytest.approx(run.summary.energy_error_max, rel=1e-6)


def test_softening_and_the_constant_of_gravity_belong_to_the_law():
    system = drawn(1, 4)[0]
    errors, position, _ = rolled(arrays([system]), 0.6, 1e-3, of_law=law(G=2.0, softening=0.1), phase=2.0)
    _, reference = by_numpy(system.mass, system.position, system.velocity, G=2.0, softening=0.1)
    relative = 0.6 * 1e-3**0.25
    run = fixed_run(system, "ttl", 4, relative * reference, max(int(2.0 / relative), LEAST_STEPS), G=2.0, softening=0.1)
    np.testing.assert_allclose(position[0], run.position[-1], rtol=1e-9, atol=1e-9)
    assert errors[0, 0] * 1e-3 == pytest.approx(run.summary.energy_error_max, rel=1e-6)


def test_bodies_without_a_partner_are_opened_in_their_order():
    system, books = opened(*(array[0] for array in with_absent(arrays(drawn(1, 3)), [0, 2])), PLAIN, False)
    expected = drawn(1, 3)[0]
    np.testing.assert_array_equal(system[:3], expected.mass)
    assert np.isfinite(books.view(np.float64)).all()


def moons_at(*anomalies: float):
    """A batch of states of a star, a planet and its massless moon with e = 0.8, at these mean anomalies in degrees."""
    systems = []
    for anomaly in anomalies:
        bodies = moon(a=0.01, e=0.8, planet=1e-3)
        x, v = relative_state(Elements(0.8, 0.01, anomaly), 1e-3)
        position, velocity = bodies.position.copy(), bodies.velocity.copy()
        position[2], velocity[2] = position[1] + x, velocity[1] + v
        systems.append(InitialConditions(bodies.mass, position, velocity))
    return arrays(systems)


@pytest.mark.parametrize(("order", "tolerance"), [(4, 1e-4), (6, 1e-6)])
def test_a_moon_passes_with_the_long_steps_that_its_weight_allows_wherever_it_is(order, tolerance):
    """Without a weight the largest factor that passes is 0.4 from the apocentre, and several times that elsewhere."""
    factors = np.geomspace(0.2, 20.0, 24)
    largest = []
    for anomaly in (0.0, 60.0, 180.0):
        state = (np.repeat(array, len(factors), axis=0) for array in moons_at(anomaly))
        errors, _, _ = rolled(tuple(state), factors, tolerance, order=order)
        passed = errors.max(1) <= 1.0
        assert not passed.all()
        largest.append(factors[np.argmin(passed) - 1])
        assert passed[0]
    assert min(largest) > 3.0
    assert max(largest) < 2.0 * min(largest)


def test_descriptions_see_the_weights_of_light_pairs_where_the_integrator_has_them():
    state = moons_at(30.0, 30.0)
    traits = np.zeros((2, TRAITS))
    describe_all(traits, *state, PLAIN, np.array([False, True]))
    np.testing.assert_array_equal(traits[0], described(*(array[0] for array in state))[0])
    np.testing.assert_array_equal(traits[1], described_with_light_pairs(*(array[1] for array in state))[0])
    assert np.abs(traits[1] - traits[0]).max() > 1.0
