"""What a run reports about its conserved quantities."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from aitimestepper import InputError, Recording
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.systems.conserved import angular_momentum


def circling_pair(n_frames: int = 8, n_dims: int = 2) -> Frames:
    """Two unit masses on a circle of diameter 2, one revolution."""
    phase = np.linspace(0.0, 2.0 * np.pi, n_frames)
    zeros = np.zeros((n_frames, max(0, n_dims - 2)))
    outward = np.column_stack([np.cos(phase), np.sin(phase), zeros])
    along = np.column_stack([-np.sin(phase), np.cos(phase), zeros])
    position, velocity = (np.stack([vector, -vector], axis=1) for vector in (outward, 0.5 * along))
    spin = angular_momentum(np.ones(2), position, velocity)
    dt, errors = np.gradient(phase), np.zeros(n_frames)
    return Frames(phase, dt, position, velocity, np.full(n_frames, -0.25), spin, 0.5 * dt, 2.0 * dt, errors)


SUMMARY = Summary(7, 8, 0, 6.25, -0.25, -0.25, 0.2, 0.04, 0.0, 1e-15, 0.5, "finished")


@pytest.mark.parametrize(("n_dims", "expected"), [(2, 1.0), (3, [0.0, 0.0, 1.0])])
def test_angular_momentum_of_a_circle(n_dims, expected):
    np.testing.assert_allclose(circling_pair(n_dims=n_dims).angular_momentum[2], expected, atol=1e-15)


def test_angular_momentum_in_one_dimension_is_zero():
    line = np.ones((4, 2, 1))
    assert angular_momentum(np.ones(2), line, line).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("kinetic", "total", "scale"),
    [(1.0, -0.5, 0.5), (1.0, 0.0, 2.0), (1.0, 1e-16, 2.0), (0.0, 0.0, 1.0), (1e-300, -1e-300, 1e-300)],
)
def test_an_energy_that_is_only_rounding_is_no_scale(kinetic, total, scale):
    assert energy_scale(kinetic, total) == pytest.approx(scale, rel=1e-12)


def test_a_recording_comes_back_bit_for_bit(tmp_path):
    frames = circling_pair(n_dims=3)
    info = RunInfo(
        mass=np.ones(2),
        names=("Söl", "b"),
        period=6.3,
        G=2.0,
        softening=0.1,
        note="au",
        settings={"dt": 0.1, "ic": "x"},
        radius=np.array([0.5, 0.0]),
    )
    written = Recording.of(info, frames, SUMMARY)
    written.save(tmp_path / "run.h5")
    read = Recording.load(tmp_path / "run.h5")
    for name in Frames._fields:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.summary == written.summary
    for name in ("mass", "radius"):
        np.testing.assert_array_equal(getattr(read, name), getattr(info, name))
    arrays = ("mass", "radius")
    assert {k: v for k, v in vars(read.info).items() if k not in arrays} == {
        k: v for k, v in vars(info).items() if k not in arrays
    }


def test_the_summary_is_strict_json_with_the_keys_of_the_report(tmp_path):
    frames = circling_pair()
    summary = SUMMARY
    assert list(json.loads(json.dumps(summary.as_dict(), allow_nan=False))) == [
        "steps",
        "force_evaluations",
        "rejected_steps",
        "time",
        "energy_initial",
        "energy_final",
        "energy_error_max",
        "energy_error_final",
        "momentum_residual",
        "angular_momentum_residual",
        "wall_seconds",
        "outcome",
        "energy_error_asked",
        "position_error_asked",
        "position_error_max",
        "outside_training",
        "step_error_asked",
        "step_error_max",
        "steps_above",
        "confirm_tolerance",
        "confirm_position_difference",
        "confirm_position_difference_relative",
        "confirm_force_evaluations",
        "confirm_outcome",
        "position_error_run",
        "longest_step",
        "energy_error_max_time",
        "mergers",
        "merger_energy",
        "handed_over_at_step",
        "handed_over_at_time",
        "energy_verdict",
        "position_verdict",
        "step_verdict",
    ]
    Recording.of(RunInfo(mass=np.ones(2)), frames, summary).save(tmp_path / "run.h5")
    assert Recording.load(tmp_path / "run.h5").summary == summary


def with_events() -> Recording:
    events = StepEvents.of(np.arange(40.0).reshape(5, 8) % 5)
    steps = StepHistory(*(np.arange(7.0) + number for number in range(3)))
    return Recording.of(RunInfo(mass=np.ones(2)), circling_pair(), SUMMARY, steps, events)


def test_steps_and_events_come_back_bit_for_bit(tmp_path):
    written = with_events()
    written.save(tmp_path / "run.h5")
    read = Recording.load(tmp_path / "run.h5")
    for mine, theirs in ((read.step_history, written.step_history), (read.step_events, written.step_events)):
        for read_column, column in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(read_column, column)
            assert read_column.dtype == column.dtype


def test_a_file_of_before_there_were_events_opens(tmp_path):
    with_events().save(tmp_path / "run.h5")
    without_events(tmp_path / "run.h5")
    read = Recording.load(tmp_path / "run.h5")
    assert len(read.step_history.time) == 7
    assert len(read.step_events.time) == 0


def without_events(path) -> None:
    """Make of a file what was written before there were events."""
    with h5py.File(path, "r+") as file:
        text = json.loads(file["summary"][()])
        del file["events"], text["events"], text["tail"]["events"]
        file["summary"][()] = json.dumps(text).encode()


@pytest.mark.parametrize(("name", "value"), [("kind", 17), ("error", np.nan)])
def test_events_that_are_none_are_refused(tmp_path, name, value):
    with_events().save(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file[f"events/{name}"][3] = value
    with pytest.raises(InputError, match="damaged or incomplete"):
        Recording.load(tmp_path / "run.h5")


def test_time_of_events_is_turned_with_that_of_the_run():
    events = with_events().step_events
    back = events.turned(-1.0)
    np.testing.assert_array_equal(back.time, -events.time)
    np.testing.assert_array_equal(back.goes_on_at, -events.goes_on_at)
    np.testing.assert_array_equal(back.step, events.step)
