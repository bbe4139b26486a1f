import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aitimestepper import InitialConditionsError
from aitimestepper.systems.initial import FRAME_TOLERANCE, InitialConditions, check_apart

MASS = [1.0, 2.0]
POSITION = [[0.0, 0.0], [1.0, 0.0]]
VELOCITY = [[0.0, 0.0], [0.0, 1.0]]


def relative_momentum(mass, vectors):
    weighted = mass[:, None] * vectors
    size = np.abs(weighted).sum()
    return math.hypot(*weighted.sum(axis=0)) / size if size else 0.0


def test_unequal_masses_placed_symmetrically_have_no_momentum():
    system = InitialConditions([1.0, 0.3], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, -0.5], [0.0, 0.5]])
    for vectors in (system.velocity, system.position):
        # A sum of rounded products: how it rounds depends on the processor.
        assert np.abs(system.mass @ vectors).max() <= 2.0**-52 * (system.mass @ np.abs(vectors)).max()
    assert system.velocity[1, 1] - system.velocity[0, 1] == pytest.approx(1.0, rel=1e-15)


def lengths(largest):
    """Numbers of either sign that are 0 or far from underflow."""
    return st.floats(-largest, largest).map(lambda value: round(value, 12))


@given(
    mass=arrays(float, 4, elements=st.floats(1e-12, 1e12)),
    vectors=arrays(float, (2, 4, 3), elements=lengths(1e6)),
    drift=lengths(1e8),
)
def test_every_system_starts_in_the_centre_of_mass_frame_and_stays_there(mass, vectors, drift):
    position, velocity = vectors
    system = InitialConditions(mass, position + drift, velocity - drift)
    assert relative_momentum(mass, system.velocity) <= 2 * FRAME_TOLERANCE
    assert relative_momentum(mass, system.position) <= 2 * FRAME_TOLERANCE
    again = InitialConditions(system.mass, system.position, system.velocity)
    np.testing.assert_array_equal(again.position, system.position)
    np.testing.assert_array_equal(again.velocity, system.velocity)


def test_a_system_keeps_its_own_copy():
    position = np.array(POSITION) - 2 / 3 * np.array([1.0, 0.0])
    system = InitialConditions(MASS, position, VELOCITY)
    position[0] = 99.0
    assert system.position.max() < 1.0
    with pytest.raises(ValueError, match="read-only"):
        system.position[0] = 0.0


def test_massless_bodies_are_allowed():
    system = InitialConditions([1.0, 0.0], POSITION, VELOCITY)
    np.testing.assert_array_equal(system.position, POSITION)


def test_gravity_changes_velocities_and_times_so_that_the_orbit_stays():
    system = InitialConditions(MASS, POSITION, VELOCITY, period=6.0, note="test")
    scaled = system.with_gravity(4.0)
    np.testing.assert_array_equal(scaled.position, system.position)
    np.testing.assert_allclose(scaled.velocity, 2.0 * system.velocity, rtol=1e-15)
    assert scaled.period == 3.0
    assert scaled.note == "test; velocities and times for G = 4"
    assert system.with_gravity(1.0) is system


def test_bodies_without_mass_stay_where_they_are():
    system = InitialConditions([0.0, 0.0], POSITION, VELOCITY)
    np.testing.assert_array_equal(system.position, POSITION)
    np.testing.assert_array_equal(system.velocity, VELOCITY)
    assert system.is_free


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mass": 1.0}, r"mass must have shape \(N,\)"),
        ({"mass": []}, r"mass must have shape \(N,\) with N >= 1"),
        ({"mass": [1.0]}, "one mass for each body: 1 for 2 bodies"),
        ({"mass": [1.0, -2.0]}, r"mass of body 1 \(counting from 0\) must be >= 0, got -2"),
        ({"names": ("Sun", "Sun")}, "no two alike, got 'Sun' twice"),
        ({"names": ("Sun", "Ear\nth")}, "names must be printable"),
        ({"softening": -1.0}, "softening must be >= 0"),
        ({"mass": [1.0, np.nan]}, "mass of body 1 .* must be finite"),
        ({"mass": ["a", "b"]}, "mass must be a rectangular array of real numbers"),
        ({"position": [[0, 0], [np.inf, 0]]}, "position of body 1 .* must be finite"),
        ({"position": [[0, 0], [1e200, 0]]}, r"at most 1e\+100 in size"),
        ({"position": [[0, 0], [0]]}, "position must be a rectangular array"),
        ({"position": np.zeros((2, 4))}, r"D = 1, 2 or 3, got \(2, 4\)"),
        ({"velocity": np.zeros((2, 3))}, "velocity must have the shape of position"),
        ({"velocity": [[0, 0], [0, 1j]]}, "real numbers"),
        ({"velocity": [[np.nan, 0], [0, 1]]}, "velocity of body 0"),
        ({"period": -1.0}, "period must be >= 0"),
        ({"period": np.inf}, "period must be >= 0 and finite"),
        ({"time": np.nan}, "time must be finite"),
        ({"names": ("Sun",)}, "one name for each body: 1 for 2"),
    ],
)
def test_bad_bodies_are_refused_with_one_sentence(changes, message):
    with pytest.raises(InitialConditionsError, match=message):
        InitialConditions(**{"mass": MASS, "position": POSITION, "velocity": VELOCITY, **changes})


def test_two_bodies_at_one_point_are_named_with_the_way_out():
    system = InitialConditions(
        [1.0, 0.0, 1.0, 2.0],
        [[0.0, 1.0], [5.0, 1.0], [0.0, -1.0], [0.0, 1.0]],
        np.zeros((4, 2)),
        names=("a", "b", "c", "d"),
    )
    with pytest.raises(InitialConditionsError, match=r"bodies 0 \(a\) and 3 \(d\) .* softening > 0"):
        check_apart(system, softening=0.0)
    check_apart(system, softening=0.01)


@pytest.mark.parametrize(("third_mass", "refused"), [(0.0, False), (1e-9, True)])
def test_only_massless_bodies_may_share_a_point(third_mass, refused):
    system = InitialConditions([1.0, 0.0, third_mass], [[0.0], [1.0], [1.0]], np.zeros((3, 1)))
    if refused:
        with pytest.raises(InitialConditionsError, match="bodies 1 and 2"):
            check_apart(system, softening=0.0)
    else:
        check_apart(system, softening=0.0)
