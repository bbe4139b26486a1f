"""What is shown over time, and in which units."""

from __future__ import annotations

import numpy as np
import pytest
from tests.views.recordings import circling, recorded

from aitimestepper.constants import SMALLEST_ERROR
from aitimestepper.recordings.parts import StepHistory
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.views.series import (
    CODE_UNITS,
    angular_momentum_errors,
    energy_errors,
    in_external_field,
    steps,
    units_of,
)

TIMES = np.linspace(0.0, 1.0, 11)


@pytest.mark.parametrize(
    ("spec", "units"),
    [
        ("halley", ("au", "yr/2π")),
        ("plummer:n=4,seed=1", ("N-body units", "N-body units")),
        ("kepler", (CODE_UNITS, CODE_UNITS)),
    ],
)
def test_units_are_those_that_the_initial_conditions_name(spec, units):
    assert units_of(circling(TIMES, note=initial_conditions(spec).note)) == units


def test_the_error_of_the_angular_momentum_is_that_of_the_summary():
    # One body on a circle that slows down: L falls from 1 to 0.5.
    slower = 1.0 - 0.5 * TIMES
    position = circling(TIMES, n_bodies=1).position
    recording = recorded(
        TIMES, lambda t: position, lambda t: slower[:, None, None] * circling(TIMES, n_bodies=1).velocity
    )
    assert angular_momentum_errors(recording).value[-1] == pytest.approx(0.5)


@pytest.mark.parametrize("n_dims", [2, 3])
def test_without_an_error_the_smallest_is_shown(n_dims):
    series = angular_momentum_errors(circling(TIMES, n_dims))
    assert len(series.time) == len(series.value) == 10
    assert (series.value >= SMALLEST_ERROR).all()
    assert series.value.max() < 1e-15


def test_without_any_motion_there_is_no_error_of_the_angular_momentum():
    still = recorded(TIMES, lambda t: np.zeros((11, 1, 2)), lambda t: np.zeros((11, 1, 2)))
    assert (angular_momentum_errors(still).value == SMALLEST_ERROR).all()


def test_every_step_is_shown_where_it_was_kept():
    frames = circling(TIMES)
    history = StepHistory(np.linspace(0.01, 1.0, 100), np.full(100, 0.01), np.full(100, -1.5))
    every = type(frames).of(frames.info, frames.frames, frames.summary, history)
    assert (len(steps(frames).time), len(energy_errors(frames).time)) == (9, 10)
    # The last step is what was left of the duration.
    assert (len(steps(every).time), len(energy_errors(every).time)) == (99, 100)
    assert (energy_errors(every).value == 0.5).all()


def test_a_field_from_outside_is_in_the_settings():
    assert in_external_field(circling(TIMES, settings={"external_field_mass": 3.0}))
    assert not in_external_field(circling(TIMES))
