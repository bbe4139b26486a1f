"""Places between recorded states."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.views.recordings import circling, drifting

from aitimestepper.views.interpolation import Motion


def largest_error(n_frames: int) -> float:
    motion = Motion(circling(np.linspace(0.0, 6.0, n_frames)))
    times = np.linspace(0.0, 6.0, 997)
    return float(np.abs(motion.at(times)[:, 0] - np.stack([np.cos(times), np.sin(times)], axis=-1)).max())


def test_the_cubic_is_of_fourth_order():
    assert math.log2(largest_error(25) / largest_error(50)) == pytest.approx(4.0, abs=0.2)


def test_recorded_states_are_met_and_the_ends_are_not_left():
    recording = circling(np.array([0.0, 0.3, 0.4, 1.3]))
    motion = Motion(recording)
    np.testing.assert_allclose(motion.at(recording.time), recording.position, atol=1e-15)
    np.testing.assert_allclose(motion.at(np.array([-1.0, 9.0])), recording.position[[0, -1]], atol=1e-15)


def test_a_state_that_is_there_twice_is_passed_over():
    motion = Motion(circling(np.array([0.0, 0.5, 0.5, 1.0])))
    assert np.isfinite(motion.at(np.linspace(0, 1, 11))).all()
    assert len(motion.time) == 3


def test_one_state_stays_where_it_is():
    motion = Motion(circling(np.array([2.0])))
    assert motion.at(np.linspace(0, 5, 3)).shape == (3, 2, 2)
    assert list(motion.smooth_times(100)) == [2.0]


def test_where_a_passage_is_missing_bodies_go_along_the_chord():
    # Nearly a whole revolution between two states: a cubic would go far out.
    motion = Motion(circling(np.array([0.0, 6.0, 6.1])))
    np.testing.assert_array_equal(motion.cut, [[True, True], [False, False]])
    start, end = motion.at(np.array([0.0, 6.0]))
    np.testing.assert_allclose(motion.at(np.array([1.5]))[0], 0.75 * start + 0.25 * end)


def test_between_states_times_are_added_where_paths_turn():
    states = np.linspace(0.0, 6.0, 13)
    times = Motion(circling(states)).smooth_times(1000)
    assert set(states) <= set(times)
    assert np.diff(times).max() <= 0.1 + 1e-12
    assert len(Motion(drifting(states)).smooth_times(1000)) == len(states)
    assert len(Motion(circling(states)).smooth_times(30)) <= 30


def test_times_of_a_trail_stay_within_it():
    motion = Motion(circling(np.sort(np.random.default_rng(1).uniform(0.0, 6.0, 1000))))
    times = motion.times_between(2.0, 4.0, 100)
    assert (times[0], times[-1]) == (2.0, 4.0)
    assert 50 <= len(times) <= 101
    assert motion.times_between(-5.0, 1.0, 100)[0] == motion.time[0]
