"""A second run at a tenth of the tolerance, and what it says of the positions of the first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.builders import head_on
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, InputError, Recording, SimulationError, resume, simulate, simulate_ensemble
from aitimestepper.recordings.parts import UNFINISHED
from aitimestepper.simulation import confirmation
from aitimestepper.simulation.blocks import Block
from aitimestepper.simulation.confirmation import differences_between
from aitimestepper.simulation.driver import drive
from aitimestepper.systems.initial import InitialConditions

FIELDS = ("tolerance", "position_difference", "position_difference_relative", "force_evaluations", "outcome")
ECCENTRICITY, SMALL_MASS = 0.6, 0.3
ORBIT = {"ic": f"kepler:e={ECCENTRICITY},m2={SMALL_MASS}", "periods": 20}


def true_separation(run: Recording) -> np.ndarray:
    """(S, 2), of two bodies with a = 1 that begin at the apocentre, by Kepler's equation."""
    anomaly = math.sqrt(run.mass.sum()) * run.time + math.pi
    eccentric = anomaly.copy()
    for _ in range(50):
        residual = eccentric - ECCENTRICITY * np.sin(eccentric) - anomaly
        eccentric -= residual / (1.0 - ECCENTRICITY * np.cos(eccentric))
    side = math.sqrt(1.0 - ECCENTRICITY**2)
    return np.stack([np.cos(eccentric) - ECCENTRICITY, side * np.sin(eccentric)], axis=-1)


def true_errors(run: Recording) -> tuple[float, float]:
    """Of the light body, which is further from the centre: largest, and largest over the separation."""
    truth = true_separation(run)
    separation = run.position[:, 1] - run.position[:, 0]
    # Which body is first, and where the pericentre lies, is told by the start.
    truth *= np.sign(separation[0] @ truth[0])
    np.testing.assert_allclose(separation[0], truth[0], atol=1e-12)
    error = np.linalg.norm(separation - truth, axis=-1) / (1.0 + SMALL_MASS)
    return error.max(), (error / np.linalg.norm(truth, axis=-1)).max()


def second_alone(run: Recording, tolerance: float) -> Recording:
    """A run at a tenth of the tolerance, asked for by itself."""
    keys = {key: value for key, value in run.settings.items() if key not in ("confirm", "tolerance", "output")}
    return simulate(config=Config(**keys, tolerance=tolerance))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_the_difference_is_the_true_error_of_an_orbit(tolerance, integrator):
    run = simulate(config=Config(**ORBIT, tolerance=tolerance, integrator=integrator, samples=200, confirm=True))
    error, relative = true_errors(run)
    assert error / 2 < run.summary.confirm_position_difference < 2 * error
    assert relative / 2 < run.summary.confirm_position_difference_relative < 2 * relative
    assert run.summary.confirm_outcome == "confirmed"


@pytest.mark.parametrize("sign", [1, -1])
def test_all_states_that_were_asked_for_are_compared_with_those_of_a_run_by_itself(sign):
    config = Config(ic="figure-eight", tolerance=1e-5, samples=300, duration=20.0 * sign, confirm=True)
    run = simulate(config=config)
    alone = second_alone(run, 1e-6)
    np.testing.assert_array_equal(run.time, alone.time)
    apart = np.linalg.norm(run.position - alone.position, axis=-1)
    between = np.linalg.norm(alone.position[:, :, None] - alone.position[:, None], axis=-1)
    nearest = np.where(np.eye(3) > 0, np.inf, between).min(-1)
    found = run.summary
    assert found.confirm_tolerance == 1e-6
    assert found.confirm_position_difference == apart.max()
    assert found.confirm_position_difference_relative == (apart / nearest).max()
    assert found.confirm_force_evaluations == alone.summary.force_evaluations


def test_times_of_ones_own_are_compared():
    times = [0.5, 0.6, 7.0, 7.25]
    config = Config(ic="figure-eight", tolerance=1e-5, order=4)
    run = simulate(config=config.replace(confirm=True), times=times)
    alone = simulate(config=config.replace(tolerance=1e-6), times=times)
    apart = np.linalg.norm(run.position - alone.position, axis=-1).max()
    assert run.summary.confirm_position_difference == apart


@pytest.mark.parametrize("end", [{"duration": 60.0}, {"steps": 700}, {"duration": 60.0, "every": 3}])
@pytest.mark.parametrize("ic", ["figure-eight", "pythagorean"])
def test_the_run_itself_is_the_one_without_a_second(ic, end):
    config = Config(ic=ic, tolerance=1e-5, **end)
    run, plain = simulate(config=config.replace(confirm=True)), simulate(config=config)
    assert_same(run, plain, but=("wall_seconds", *(f"confirm_{name}" for name in FIELDS)))
    assert run.summary.confirm_outcome == "confirmed"
    assert {getattr(plain.summary, f"confirm_{name}") for name in FIELDS} == {None}


@pytest.mark.parametrize("end", [{"duration": 60.0}, {"steps": 700}, {"duration": 60.0, "every": 3}])
def test_where_no_times_were_asked_for_the_end_and_a_few_states_are_compared_at_little_cost(end):
    run = simulate(config=Config(ic="figure-eight", tolerance=1e-5, confirm=True, **end))
    alone = simulate(config=Config(ic="figure-eight", tolerance=1e-6, duration=run.time[-1]))
    apart = np.linalg.norm(run.position[-1] - alone.position[-1], axis=-1).max()
    assert apart * (1 - 1e-6) <= run.summary.confirm_position_difference < 3 * apart
    assert 1.0 < run.summary.confirm_force_evaluations / alone.summary.force_evaluations < 1.2


def test_a_tenth_below_the_least_tolerance_is_that():
    run = simulate(config=Config(**ORBIT, tolerance=5e-12, confirm=True))
    assert run.summary.confirm_tolerance == 1e-12
    assert 0 < run.summary.confirm_position_difference < 1e-7


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"tolerance": 1e-12}, "confirm needs a tolerance above 1e-12"),
        ({"tolerance": 1e-4, "tolerance_kind": "step"}, "confirm needs a tolerance of the whole run"),
        ({"tolerance": 1e-4, "tolerance_kind": "none"}, "confirm needs a tolerance of the whole run"),
        ({"timestep": "fixed", "dt": 0.01}, "confirm needs a tolerance of the whole run"),
        ({"timestep": "free-fall", "tolerance": 1e-4}, "confirm needs a tolerance of the whole run"),
    ],
)
def test_what_has_no_second_run_is_refused(keys, words):
    with pytest.raises(InputError, match=words):
        simulate(config=Config(ic="kepler", periods=1, confirm=True, **keys))


def test_an_ensemble_has_none():
    with pytest.raises(InputError, match="confirm does nothing in an ensemble"):
        simulate_ensemble(config=Config(ic="random:n=3", count=2, duration=1.0, tolerance=1e-3, confirm=True))


def test_one_body_has_no_neighbour():
    alone = InitialConditions(np.ones(1), np.zeros((1, 3)), np.zeros((1, 3)))
    found = simulate(config=Config(duration=3.0, tolerance=1e-4, confirm=True), system=alone).summary
    assert (found.confirm_position_difference, found.confirm_position_difference_relative) == (0.0, None)


def test_distances_by_hand():
    first = np.array([[[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]], [[0.0, 0.0], [2.0, 0.0], [5.0, 0.0]]])
    second = first + np.array([[[0.0, 0.1], [0.0, 0.0], [0.0, 0.4]], [[0.0, 0.2], [0.0, 0.0], [0.0, 0.3]]])
    largest, relative = differences_between(first, second)
    assert largest == pytest.approx(0.4)
    assert relative == pytest.approx(max(0.1 / math.hypot(1, 0.1), 0.4 / math.hypot(4, 0.4), 0.3 / math.hypot(3, 0.3)))
    together = np.zeros((1, 2, 3))
    assert differences_between(together, together) == (0.0, 0.0)
    assert all(map(math.isfinite, differences_between(together + 1.0, together)))


def test_what_is_on_file_is_what_comes_back():
    config = Config(ic="figure-eight", periods=5, tolerance=1e-5, confirm=True)
    run, stored = simulate(config=config), simulate(config=config.replace(output="run.h5"))
    assert_same(run, stored)
    assert_same(stored, Recording.load("run.h5"))


def test_an_archive_is_confirmed_too():
    pytest.importorskip("rebound")
    config = Config(ic="figure-eight", periods=2, tolerance=1e-5, confirm=True)
    assert_same(simulate(config=config), simulate(config=config.replace(output="run.bin")))


@pytest.mark.parametrize("at", [0.1, 0.7])
@pytest.mark.parametrize("keys", [{}, {"samples": 40}])
def test_a_run_that_was_interrupted_says_so_and_is_confirmed_when_it_goes_on(at, keys):
    config = Config(ic="pythagorean", duration=60.0, tolerance=1e-9, confirm=True, **keys)
    whole = simulate(config=config)
    seen: list[Recording] = []
    with pytest.raises(KeyboardInterrupt):
        simulate(config=config.replace(output="run.h5"), progress=lambda fraction: _stop(fraction, at, seen))
    stopped = Recording.load("run.h5").summary
    first_has_ended = at > 0.5
    assert (stopped.outcome == "finished") == first_has_ended
    which = "second run" if first_has_ended else "run"
    assert stopped.confirm_outcome == f"not confirmed: the {which} did not come to its end"
    assert seen[0].summary.outcome == UNFINISHED
    assert seen[0].summary.confirm_outcome == "not confirmed: the run did not come to its end"
    assert stopped.confirm_position_difference is None
    assert_same(resume("run.h5"), whole)
    further = resume("run.h5", duration=61.0)
    assert further.summary.confirm_outcome == "confirmed"
    assert further.summary.confirm_force_evaluations != whole.summary.confirm_force_evaluations


def _stop(fraction: float, at: float, seen: list[Recording]) -> None:
    if Path("run.h5").exists() and not seen:
        seen.append(Recording.load("run.h5"))
    if fraction > at:
        raise KeyboardInterrupt


def test_confirm_cannot_be_asked_of_a_run_that_goes_on():
    interrupted(Config(ic="figure-eight", periods=50, tolerance=1e-6, output="run.h5"), 0.1)
    with pytest.raises(TypeError, match="confirm"):
        resume("run.h5", confirm=True)


def test_a_run_that_failed_is_not_confirmed():
    with pytest.raises(SimulationError) as failed:
        simulate(config=Config(tolerance=1e-4, duration=2.0, confirm=True, integrator="leapfrog"), system=head_on())
    assert failed.value.summary.confirm_outcome == "not confirmed: the run did not come to its end"
    assert failed.value.summary.confirm_force_evaluations is None


def test_a_second_run_that_fails_is_said(monkeypatch):
    def failing(*arguments: Any) -> Iterator[Block]:
        for block in drive(*arguments):
            yield block._replace(failure="the step wanted is too short to advance the time")

    monkeypatch.setattr(confirmation, "drive", failing)
    found = simulate(config=Config(ic="figure-eight", periods=2, tolerance=1e-4, confirm=True)).summary
    assert found.outcome == "finished"
    assert found.confirm_outcome.startswith("not confirmed, by a second run: the run stopped at t = ")
    assert (found.confirm_position_difference, found.confirm_tolerance) == (None, 1e-5)
    assert found.confirm_force_evaluations > 1
