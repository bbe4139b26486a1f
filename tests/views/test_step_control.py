"""What is shown of the control of steps: the path that was kept, the attempts that were not, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.views.recordings import circling
from tests.views.test_plots import texts

from aitimestepper import Config, InputError, Recording, simulate
from aitimestepper.constants import ANCHOR, EXCUSED, LONGER, NETWORK, SETBACK
from aitimestepper.recordings.parts import StepHistory
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.views import step_control as views
from aitimestepper.views.step_control import (
    LARGEST_SHOWN,
    has_step_control,
    plot_step_control,
    range_of_errors,
    some_setbacks,
    step_control,
)

pytest.importorskip("matplotlib")

ROWS = [
    # kind, time, goes on at, step before, step, of the network, error, position error
    (NETWORK, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0),
    (ANCHOR, 0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0),
    (SETBACK, 1.5, 0.0, 0.5, 0.25, 0.5, 7.0, 0.1),
    (EXCUSED, 1.7, 0.0, 0.25, 0.125, 0.5, 1e300, 0.1),
    (ANCHOR, 2.0, 2.0, 0.125, 0.125, 0.5, 0.3, 0.2),
    (LONGER, 3.0, 3.0, 0.125, 0.25, 0.5, 0.1, 0.2),
    (ANCHOR, 4.0, 4.0, 0.25, 0.25, 0.5, 0.3, 0.0),
]


def controlled(rows=ROWS, *, direction: float = 1.0, **about) -> Recording:
    """A recording with these events, to time 5."""
    times = np.linspace(0.0, 5.0, 51)
    steps = StepHistory(times[1:], np.full(50, 0.1), np.full(50, -1.0 - 3e-7))
    events = StepEvents.of(np.array(rows))
    recording = circling(times, energy_error_asked=1e-6, **about)
    return Recording.of(
        recording.info, recording.frames.turned(direction), recording.summary, steps.turned(direction),
        events.turned(direction),
    )  # fmt: skip


def test_the_step_in_force_is_that_of_the_path_that_was_kept():
    shown = step_control(controlled())
    assert set(shown.in_force.value) == {0.125, 0.25}  # and nothing of the attempts that were taken back
    in_force = {time: shown.in_force.value[shown.in_force.time == time][-1] for time in (0.0, 2.0, 3.0, 4.0, 5.0)}
    assert in_force == {0.0: 0.125, 2.0: 0.125, 3.0: 0.25, 4.0: 0.25, 5.0: 0.25}
    assert set(shown.wanted.value) == {0.5}
    np.testing.assert_allclose(shown.energy.value, 0.3, rtol=1e-6)
    assert set(shown.position.value) == {0.2}
    assert list(shown.anchors) == [0.0, 2.0, 4.0]


def test_setbacks_lead_from_the_error_to_the_anchor():
    back = step_control(controlled()).setbacks
    assert [list(column) for column in back] == [
        [1.5, 1.7],
        [0.0, 0.0],
        [0.5, 0.25],
        [0.25, 0.125],
        [7.0, 1e300],
        [False, True],
    ]


def test_errors_of_every_size_are_within_the_axis():
    low, high = range_of_errors(step_control(controlled()))
    assert low < 0.2 < 1.0 < LARGEST_SHOWN <= high < math.inf
    assert views.shown_errors(np.array([1e300, 2.0])).tolist() == [LARGEST_SHOWN, 2.0]


def test_a_run_back_is_shown_in_the_order_of_time(tmp_path):
    shown = step_control(controlled(direction=-1.0))
    assert (np.diff(shown.in_force.time) >= 0.0).all()
    assert (np.diff(shown.anchors) > 0.0).all()
    assert shown.in_force.value[-1] == 0.125
    plot_step_control(controlled(direction=-1.0), tmp_path / "f.png")


def test_the_figure_says_what_is_what(tmp_path):
    plot_step_control(controlled(), tmp_path / "f.svg", title="A run", time_label="yr")
    assert {
        *("A run", "step [yr]", "error / allowed", "step in force [fictitious time]", "time [yr]"),
        *("energy error", "local position error", "step of the network", "anchor", "setback", "error accepted"),
    } <= set(texts(tmp_path / "f.svg"))
    plot_step_control(controlled(ROWS[:2], settings={"integrator": "leapfrog"}), tmp_path / "g.svg")
    shown = set(texts(tmp_path / "g.svg"))
    assert "step in force [fly-by time]" in shown
    assert "setback" not in shown


def test_a_calibrated_run_can_be_drawn(tmp_path):
    run = simulate(config=Config(ic="figure-eight", tolerance=1e-4, steps=300, step_history=True))
    assert has_step_control(run)
    assert "step in force [fictitious time]" in _drawn(run, tmp_path)
    run = simulate(
        config=Config(ic="figure-eight", tolerance=1e-4, steps=300, step_history=True, integrator="leapfrog")
    )
    assert "step in force [fly-by time]" in _drawn(run, tmp_path)


def _drawn(run: Recording, tmp_path) -> set[str]:
    plot_step_control(run, tmp_path / "f.svg", overwrite=True)
    return set(texts(tmp_path / "f.svg"))


def test_a_run_that_noted_nothing_is_refused(tmp_path):
    run = circling(np.linspace(0.0, 1.0, 9))
    assert not has_step_control(run)
    with pytest.raises(InputError, match="simulate --step-history notes it"):
        plot_step_control(run, tmp_path / "f.png")


def test_of_very_many_setbacks_those_with_the_largest_errors_are_shown():
    rng = np.random.default_rng(3)
    anchors = np.sort(rng.uniform(0.0, 5.0, 20_000))
    rows = np.zeros((len(anchors), 8))
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:6] = SETBACK, anchors + 1e-3, anchors, 0.1
    rows[:, 6] = rng.uniform(1.0, 2.0, len(anchors))
    rows[777, 6] = 50.0
    back = step_control(controlled(rows)).setbacks
    shown = some_setbacks(back, 100)
    assert len(shown.time) <= 100
    assert shown.error.max() == 50.0
    assert some_setbacks(shown, 100) is shown
