"""Part 2: all accepted states pass, steps grow, and each is seen with its own history."""

from __future__ import annotations

import pytest
import torch
from tests.conftest import kepler, parts

from aitimestepper import (
    HistoryBuffer,
    collect_trajectory,
    evaluate_minibatch,
    generalize_on_trajectory,
    sample_minibatch,
    stack_particles,
    train_epoch_two_phase,
)
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory


def collected(dt=0.02, particle=None, **keys):
    model, optimizer, config, adapter = parts(dt, **{"steps_per_epoch": 6, **keys})
    trajectory, _ = collect_trajectory(model, particle or kepler(e=0.5, at="apocentre"), optimizer, config, adapter)
    return model, optimizer, config, adapter, trajectory


def test_it_trains_until_every_state_passes():
    model, optimizer, config, adapter, trajectory = collected()
    with torch.no_grad():
        model.log_dt += 3.0
    assert not evaluate_minibatch(model, trajectory, config, adapter).all_pass
    converged, iterations, metrics = generalize_on_trajectory(model, trajectory, optimizer, config, adapter)
    assert converged
    assert 0 < iterations < config.replay_steps
    assert metrics["final_pass_rate"] == 1.0
    assert metrics["max_rel_dE"] < config.energy_threshold
    assert evaluate_minibatch(model, trajectory, config, adapter).all_pass


@pytest.mark.parametrize(("patience", "least", "made"), [(5, 1, 6), (5, 9, 9), (100, 1, 20), (0, 1, 20), (None, 1, 20)])
def test_it_ends_where_the_loss_no_longer_falls(patience, least, made):
    keys = {"replay_patience": patience, "min_replay_steps": least, "replay_steps": 20}
    model, _, config, adapter, trajectory = collected(**keys)
    with torch.no_grad():
        model.log_dt += 3.0
    still = torch.optim.SGD(model.parameters(), lr=1e-12)
    converged, iterations, metrics = generalize_on_trajectory(model, trajectory, still, config, adapter)
    assert (converged, iterations) == (False, made)
    assert metrics["final_pass_rate"] < 1
    moving = torch.optim.Adam(model.parameters(), lr=0.1)
    config = config.replace(replay_steps=1000, replay_patience=patience and 100)
    assert generalize_on_trajectory(model, trajectory, moving, config, adapter)[0]


def test_the_lower_band_edge_makes_steps_grow():
    """Known fault 9: tiny steps pass every gate, yet Part 2 lengthens them; mean_step_fraction tells."""
    model, optimizer, config, adapter, trajectory = collected(1e-5, min_replay_steps=100)
    before = evaluate_minibatch(model, trajectory, config, adapter)
    assert before.all_pass
    first = generalize_on_trajectory(model, trajectory, optimizer, config.replace(min_replay_steps=1), adapter)[2]
    _, iterations, last = generalize_on_trajectory(model, trajectory, optimizer, config, adapter)
    assert iterations == 100
    assert last["mean_step_fraction"] > 20 * first["mean_step_fraction"]


def test_step_fraction_is_one_at_the_largest_step_that_passes():
    model, optimizer, config, adapter, trajectory = collected(0.001, replay_steps=0)
    low, high = 1e-4, 0.35
    for _ in range(40):  # bisection for the last of the six states
        middle = (low * high) ** 0.5
        model.log_dt.data.fill_(torch.tensor(middle).log().item())
        ok = evaluate_minibatch(model, [trajectory[-1]], config, adapter).all_pass
        low, high = (middle, high) if ok else (low, middle)
    config = config.replace(min_replay_size=1)
    _, _, metrics = generalize_on_trajectory(model, [trajectory[-1]], optimizer, config, adapter)
    assert metrics["mean_step_fraction"] == pytest.approx(1.0, abs=0.25)  # the grid's spacing


def test_progress_counts_steps_that_pass_and_no_others():
    """Neither short steps nor long ones can raise it, as a product of means could."""
    model, optimizer, config, adapter, trajectory = collected(0.001, replay_steps=0)

    def metrics(dt: float) -> dict[str, float]:
        model.log_dt.data.fill_(torch.tensor(dt).log().item())
        return generalize_on_trajectory(model, trajectory, optimizer, config, adapter)[2]

    short, long = metrics(1e-4), metrics(3.0)
    assert short["progress"] == pytest.approx(short["mean_step_fraction"])
    assert short["progress"] < 0.05
    assert long["mean_step_fraction"] > 1.0
    assert long["progress"] == 0.0
    passing = metrics(0.01)
    assert passing["final_pass_rate"] == 1.0
    assert short["progress"] < passing["progress"] <= 1.0


def test_stored_states_are_not_modified():
    model, optimizer, config, adapter, trajectory = collected()
    before = [state.position.clone() for state, _ in trajectory]
    generalize_on_trajectory(model, trajectory, optimizer, config, adapter)
    assert all(torch.equal(x, state.position) for x, (state, _) in zip(before, trajectory, strict=True))


def test_replay_used_the_live_history_for_old_states():
    """Known fault 8: whatever the running history holds, a stored state is seen with the one of its time."""
    _, _, config, adapter, trajectory = collected(history_len=2, feature_type="delta_mag", dt=0.01)
    samples = trajectory.samples
    stacked = SingleSteps(config, adapter).start(samples.state, samples.history).features
    for row, (state, _), history in zip(stacked, trajectory, trajectory.histories, strict=True):
        assert torch.allclose(row, history.features_for(state), rtol=1e-12)
    assert not torch.allclose(stacked[2], adapter.history_buffer.features_for(trajectory[2][0]), rtol=1e-2)


def test_bare_pairs_get_the_history_that_stands_before_them():
    model, _, config, adapter, trajectory = collected(history_len=2, feature_type="delta_mag", dt=0.01)
    pairs = list(trajectory)
    bare = evaluate_minibatch(model, pairs, config, adapter, HistoryBuffer(2, "delta_mag"))
    assert torch.equal(bare.dt, evaluate_minibatch(model, trajectory, config, adapter).dt)


def test_part_two_never_ran_with_the_default_settings():
    """Known fault 6: one step an epoch is enough, because the memory runs over the epochs."""
    model, optimizer, config, adapter = parts(0.01)
    assert config.steps_per_epoch == 1
    particle, replay, results = kepler(e=0.3), ReplayMemory(config.replay_capacity), []
    for _ in range(3):
        result = train_epoch_two_phase(model, particle, optimizer, config, adapter, replay=replay)
        particle = result["final_particle"]
        results.append(result)
    assert results[0]["generalization_metrics"]["skipped"] is True
    assert results[0]["converged"] is False
    assert [r["part2_iterations"] > 0 for r in results] == [False, True, True]
    assert results[-1]["converged"] is True


def test_the_memory_forgets_the_oldest():
    _, _, config, _, trajectory = collected(particle=stack_particles([kepler(e=0.5), kepler(e=0.1)]), dt=0.01)
    replay = ReplayMemory(5)
    replay.extend(trajectory)
    assert len(replay) == 5
    assert torch.equal(replay.samples.state.position[-1], trajectory[-1][0].position[1])
    assert config.replay_capacity == 10_000


def test_a_minibatch_is_drawn_without_repeats_from_the_generator():
    *_, trajectory = collected()
    draws = [sample_minibatch(trajectory, 4, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    times = [[state.current_time.item() for state, _ in draw] for draw in draws]
    assert times[0] == times[1]
    assert len(set(times[0])) == 4
    assert len(sample_minibatch(trajectory, 100)) == 6


def test_a_rollout_is_judged_by_its_largest_error():
    model, _, config, adapter, trajectory = collected(0.01, particle=kepler(e=0.8, at="apocentre"))
    one = evaluate_minibatch(model, trajectory, config, adapter)
    many = evaluate_minibatch(model, trajectory, config.replace(n_steps=20), adapter)
    assert (many.error >= one.error).all()
    assert (many.error > 3 * one.error).any()
    many.losses.sum().backward()
    assert torch.isfinite(model.log_dt.grad)


def test_rollouts_carry_the_history_along():
    model, optimizer, config, adapter, trajectory = collected(history_len=2, feature_type="delta_mag", dt=0.01)
    config = config.replace(n_steps=3)
    converged, _, _ = generalize_on_trajectory(model, trajectory, optimizer, config, adapter)
    assert converged
