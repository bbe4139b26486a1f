"""What a run reports about its conserved quantities."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aitimestepper.recording import (
    ConservationTally,
    Counts,
    Frames,
    Recording,
    RunInfo,
    angular_momentum,
    energy_scale,
)
from aitimestepper.storage import read_recording


def circling_pair(n_frames: int = 8, n_dims: int = 2) -> Frames:
    """Two unit masses on a circle of diameter 2, one revolution."""
    phase = np.linspace(0.0, 2.0 * np.pi, n_frames)
    zeros = np.zeros((n_frames, max(0, n_dims - 2)))
    outward = np.column_stack([np.cos(phase), np.sin(phase), zeros])
    along = np.column_stack([-np.sin(phase), np.cos(phase), zeros])
    position, velocity = (np.stack([vector, -vector], axis=1) for vector in (outward, 0.5 * along))
    spin = angular_momentum(np.ones(2), position, velocity)
    return Frames(phase, np.gradient(phase), position, velocity, np.full(n_frames, -0.25), spin)


def first(frames: Frames) -> Frames:
    return Frames(*(array[:1] for array in frames))


def rest(frames: Frames) -> Frames:
    return Frames(*(array[1:] for array in frames))


COUNTS = Counts(steps=7, force_evaluations=8, rejected_steps=0, wall_seconds=0.5)


def test_an_exact_orbit_has_no_errors():
    frames = circling_pair()
    tally = ConservationTally(RunInfo(mass=np.ones(2), energy_scale=0.25), first(frames))
    tally.add(rest(frames))
    summary = tally.summary(COUNTS, "finished")
    assert summary.energy_error_max == summary.energy_error_final == 0.0
    assert summary.momentum_residual == pytest.approx(0.0, abs=1e-15)
    assert summary.angular_momentum_residual == pytest.approx(0.0, abs=1e-15)
    assert summary.time == pytest.approx(2.0 * np.pi)


def test_the_largest_error_is_kept_when_it_has_passed():
    frames = circling_pair()
    frames.energy[3] = -0.30
    frames.energy[-1] = -0.26
    tally = ConservationTally(RunInfo(mass=np.ones(2), energy_scale=0.25), first(frames))
    for row in range(1, 8):
        tally.add(Frames(*(array[row : row + 1] for array in frames)))
    summary = tally.summary(COUNTS, "finished")
    assert summary.energy_error_max == pytest.approx(0.2)
    assert summary.energy_error_final == pytest.approx(0.04)


def test_residuals_are_relative_to_what_the_bodies_carry():
    frames = circling_pair()
    kicked = frames._replace(velocity=frames.velocity.copy())
    kicked.velocity[-1] += [0.1, 0.0]
    kicked = kicked._replace(angular_momentum=frames.angular_momentum * np.r_[np.ones(7), 1.5])
    tally = ConservationTally(RunInfo(mass=np.ones(2), energy_scale=0.25), first(kicked))
    tally.add(rest(kicked))
    summary = tally.summary(COUNTS, "finished")
    largest_speeds = np.linalg.norm(kicked.velocity, axis=-1).sum(axis=-1).max()
    assert summary.momentum_residual == pytest.approx(0.2 / largest_speeds)
    assert summary.angular_momentum_residual == pytest.approx(0.5 / largest_speeds)


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
    )
    tally = ConservationTally(info, first(frames))
    written = Recording.of(info, frames, tally.summary(COUNTS, "finished"))
    written.save(tmp_path / "run.h5")
    read = Recording.load(tmp_path / "run.h5")
    for name in Frames._fields:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.summary == written.summary
    assert {k: v for k, v in vars(read.info).items() if k != "mass"} == {
        k: v for k, v in vars(info).items() if k != "mass"
    }


def test_the_summary_is_strict_json_with_the_keys_of_the_report(tmp_path):
    frames = circling_pair()
    summary = ConservationTally(RunInfo(mass=np.ones(2)), frames).summary(COUNTS, "finished")
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
    ]
    Recording.of(RunInfo(mass=np.ones(2)), frames, summary).save(tmp_path / "run.h5")
    assert read_recording(tmp_path / "run.h5").summary == summary
