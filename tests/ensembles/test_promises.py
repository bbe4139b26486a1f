"""What was asked of the members of an ensemble: verdicts, counts, and the file."""

from __future__ import annotations

import numpy as np
import pytest
from tests.views.recordings import SUMMARY

from aitimestepper import EnsembleResult, simulate, simulate_ensemble
from aitimestepper.ensembles.members import NO_SEED, MemberResult
from aitimestepper.ensembles.promises import largest_share, promises_of
from aitimestepper.recordings.parts import Summary

COLD = {"duration": 10.0, "tolerance": 1e-12, "progress": False}
"""Of bodies that fall from rest: below rounding for most of them."""


def result(*members: dict, seeds: tuple[int, ...] | None = None) -> EnsembleResult:
    """Members with some numbers of their summary."""
    last = (np.ones(2), np.zeros((2, 2)), np.zeros((2, 2)))
    seeds = seeds or tuple(range(100, 100 + len(members)))
    summaries = [Summary(**SUMMARY | about) for about in members]
    return EnsembleResult.of(
        [MemberResult(k, seeds[k], s.outcome, s, *last) for k, s in enumerate(summaries)], settings={"tolerance": 1e-6}
    )


def asked(energy: float, position: float = 0.0, longest: float = 0.1, **more) -> dict:
    promise = {"energy_error_asked": 1e-6, "position_error_asked": 1e-5, "longest_step": longest}
    return promise | {"energy_error_max": energy, "position_error_max": position} | more


def test_verdicts_are_those_of_the_summaries():
    members = [asked(1e-7), asked(1e-3), asked(1e-7, 1.0), asked(1e-7, 0.0, 2.0), {}]
    many = result(*members)
    summaries = [Summary(**SUMMARY | about) for about in members]
    for name in ("energy_verdict", "position_verdict", "step_verdict", "falls_short"):
        assert getattr(many, name).tolist() == [getattr(summary, name) for summary in summaries], name
    assert many.energy_verdict.tolist() == ["kept", "exceeded", "kept", "kept", None]
    assert many.position_verdict.tolist() == ["kept", "kept", "exceeded", "unknown", None]


def test_members_that_kept_it_are_counted_and_the_worst_is_named():
    energy, position = promises_of(result(asked(1e-7), asked(4.5e-2), asked(1e-8, 2e-6, 3.0)))
    assert str(energy) == "energy error: 2 of 3 kept 1e-06; worst 4.5e-02, seed 101"
    assert str(position) == "local position error: 2 of 3 kept 1e-05, 1 unknown; worst 2.0e-06, seed 102"
    assert (energy.verdict, position.verdict) == ("exceeded", "unknown")


def test_a_member_that_did_not_reach_its_end_has_not_kept_anything():
    (energy, _) = promises_of(result(asked(1e-7), asked(1e-7, outcome="the run stopped"), seeds=(NO_SEED, NO_SEED)))
    assert str(energy) == "energy error: 1 of 2 kept 1e-06; worst 1.0e-07, member 0"
    assert energy.verdict == "exceeded"


def test_where_nothing_was_asked_there_is_nothing_to_keep():
    assert promises_of(result({}, {})) == []
    assert not result({}, {}).falls_short.any()


def test_a_member_that_took_most_is_named():
    few = [{"force_evaluations": 10}] * 39
    assert largest_share(result(*few, {"force_evaluations": 130})) == "seed 139 took 25 % of all force evaluations"
    assert largest_share(result(*few, {"force_evaluations": 40})) == ""
    assert largest_share(result({"force_evaluations": 1}, {"force_evaluations": 2})) == ""  # of two, one has a half


def test_the_file_keeps_what_was_asked_and_what_came_of_it(tmp_path):
    many = result(asked(1e-7), asked(1e-3, 1.0), {})
    many.save(tmp_path / "e.h5")
    again = EnsembleResult.load(tmp_path / "e.h5")
    assert again.energy_verdict.tolist() == many.energy_verdict.tolist() == ["kept", "exceeded", None]
    for name in ("energy_error_asked", "position_error_asked", "position_error_max", "longest_step"):
        assert np.array_equal(getattr(again, name), getattr(many, name), equal_nan=True), name


@pytest.fixture(scope="module")
def cold() -> EnsembleResult:
    return simulate_ensemble("random:n=3,virial=0", count=4, **COLD)


def test_members_have_the_promise_and_the_verdict_of_the_run_alone(cold):
    alone = simulate("random:n=3,virial=0", seed=int(cold.seed[0]), **COLD).summary
    for name in ("energy_error_asked", "position_error_asked", "position_error_max", "longest_step"):
        assert getattr(cold, name)[0] == getattr(alone, name), name
    assert cold.energy_verdict[0] == alone.energy_verdict
    assert "exceeded" in cold.energy_verdict  # 1e-12 from rest is below rounding
    assert "local position error" in repr(cold)
