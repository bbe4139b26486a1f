"""Part 1: every accepted step conserves energy, in a batch each by itself."""

from __future__ import annotations

import gc
import json
import warnings

import pytest
import torch
from tests.conftest import kepler, parts, specified

from aitimestepper import (
    EmptyTrajectoryWarning,
    FullyConnectedNN,
    HistoryBuffer,
    ModelAdapter,
    RetrainLimitError,
    RetrainWarning,
    collect_trajectory,
    collect_trajectory_step,
    stack_particles,
    train_epoch_two_phase,
)
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.steps.trajectory import Trajectory


def test_a_refused_step_is_learned_from_until_it_passes():
    model, optimizer, config, adapter = parts(0.3)
    particle = kepler(e=0.6)
    accepted, dt, metrics = collect_trajectory_step(model, particle, optimizer, config, adapter)
    error = relative_energy_error(particle.total_energy(), accepted.total_energy())
    assert isinstance(dt, float)
    assert error < config.energy_threshold
    assert metrics["final_energy_error"] == pytest.approx(error.item())
    assert metrics["retrain_iterations"] == metrics["reject_count"] > 0
    assert metrics["accepted_dt"] == dt == accepted.current_time.item()
    assert metrics["retrain_rel_dE_max"] >= config.energy_threshold
    assert particle.current_time == 0
    assert not accepted.position.requires_grad


def test_a_step_that_passes_at_once_costs_one_attempt_and_changes_no_weight():
    model, optimizer, config, adapter = parts(0.001)
    weight = model.log_dt.detach().clone()
    _, _, metrics = collect_trajectory_step(model, kepler(e=0.6), optimizer, config, adapter)
    assert model.calls == 1
    assert metrics["retrain_iterations"] == 0
    assert torch.equal(model.log_dt, weight)


def test_in_a_batch_the_systems_that_passed_are_frozen():
    model, optimizer, config, adapter = parts(0.05)
    batch = stack_particles([kepler(e=0.0), kepler(e=0.9), kepler(e=0.3)])
    accepted, dt, metrics = collect_trajectory_step(model, batch, optimizer, config, adapter)
    assert dt[0].item() == pytest.approx(0.05)  # passed at once, before anything was learned
    assert dt[1] < dt[0]
    assert metrics["reject_count"] <= metrics["retrain_iterations"] * 2
    for index, step in enumerate(dt):
        single = batch.select(index)
        single.update_dt(step)
        single.evolve()
        assert torch.allclose(accepted.position[index], single.position, rtol=1e-14)
        assert relative_energy_error(batch.total_energy_batch()[index], single.total_energy()) < config.energy_threshold
    assert torch.equal(accepted.acceleration, stack_particles([accepted.select(i) for i in range(3)]).acceleration)


def test_the_limit_names_iterations_error_and_threshold():
    model, optimizer, config, adapter = parts(10.0, max_retrain_iterations=3, lr=1e-9)
    with pytest.raises(RetrainLimitError, match="within 3 retrain iterations") as caught:
        collect_trajectory_step(model, kepler(e=0.5), optimizer, config, adapter)
    assert (caught.value.iterations, caught.value.threshold) == (3, config.energy_threshold)
    assert caught.value.last_error > config.energy_threshold


def test_a_long_retraining_warns_and_its_memory_does_not_grow():
    model, optimizer, config, adapter = parts(10.0, max_retrain_iterations=1001, lr=1e-12)
    alive = []

    def on_attempt(error, dt, iterations, accepted):
        if iterations in (100, 1000):
            gc.collect()
            alive.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))

    with pytest.warns(RetrainWarning, match="1000 retrain iterations"), pytest.raises(RetrainLimitError):
        collect_trajectory_step(model, kepler(e=0.5), optimizer, config, adapter, on_attempt=on_attempt)
    assert alive[0] == alive[1]


@pytest.mark.parametrize(("warmup", "kept"), [(None, 3), (0, 5), (2, 3), (9, 0)])
def test_only_the_first_warm_up_steps_are_left_out(warmup, kept):
    model, optimizer, config, adapter = parts(0.001, steps_per_epoch=5, history_len=2)
    window = HistoryBuffer(2, "basic")
    trajectory, metrics = collect_trajectory(
        model, kepler(e=0.2), optimizer, config, adapter, window, warmup_steps=warmup
    )
    assert len(trajectory) == metrics["trajectory_length"] == kept
    assert metrics["warmup_discarded"] == 5 - kept
    assert metrics["total_steps"] == 5
    assert metrics["acceptance_rate"] == 1.0
    assert len(window) == 2


def test_the_newest_history_interval_was_always_zero():
    """Known fault 7: the history holds states before the current one, in training and in simulation alike."""
    model, optimizer, config, adapter = parts(0.001, steps_per_epoch=4, history_len=2, feature_type="delta_mag")
    trajectory, _ = collect_trajectory(model, kepler(e=0.4), optimizer, config, adapter)
    state, dt = trajectory[-1]
    features = trajectory.histories[-1].features_for(state)
    assert features[10] > 0  # mean |dx| of the newest interval
    assert features[19].item() == pytest.approx(dt)
    simulated = ModelAdapter(config)
    particle = kepler(e=0.4)
    for _ in range(4):
        before = particle.clone_detached()
        particle.update_dt(simulated.predict_dt(model, particle))
        particle.evolve()
        simulated.update_history(before)
    assert torch.allclose(simulated.build_feature_tensor(particle), features, rtol=1e-12)


def test_the_step_of_a_single_system_is_a_float_which_json_takes():
    model, optimizer, config, adapter = parts(0.001, steps_per_epoch=3)
    trajectory, _ = collect_trajectory(model, kepler(e=0.4), optimizer, config, adapter)
    steps = [dt for _, dt in trajectory]
    assert json.loads(json.dumps(steps)) == steps == [dt for _, dt in trajectory.samples]
    assert steps == [state.dt.item() for state, _ in trajectory]
    again = Trajectory.from_pairs(trajectory)
    assert [dt for _, dt in again] == steps  # no detour through single precision
    both, _ = collect_trajectory(model, stack_particles([kepler(), kepler(e=0.4)]), optimizer, config, adapter)
    assert both[0][1].shape == (2,)


@pytest.mark.parametrize("function", [collect_trajectory, train_epoch_two_phase])
def test_a_trajectory_of_which_the_warm_up_leaves_nothing_is_warned_of(function):
    keys = {"history_len": 3, "feature_type": "delta_mag"}
    model, optimizer, config, adapter = parts(0.001, steps_per_epoch=2, **keys)
    with pytest.warns(EmptyTrajectoryWarning, match="all 2 accepted steps went into the warm-up") as caught:
        function(model, kepler(e=0.4), optimizer, config, adapter, HistoryBuffer(3, "delta_mag"))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(model, kepler(e=0.4), optimizer, config.replace(steps_per_epoch=4), adapter)


def test_a_state_is_never_pushed_twice():
    adapter = ModelAdapter(specified(history_len=3))
    for token in (1, 1, 2):
        adapter.update_history(kepler(), token=token)
    assert len(adapter.history_buffer) == 2


def test_missing_history_is_zero_states_and_not_the_oldest_repeated():
    window = HistoryBuffer(2, "basic")
    features = window.features_for(kepler(e=0.5))
    assert features[:11].tolist() == pytest.approx([2, 2, 2, *[0] * 8])
    assert torch.equal(features[:11], features[11:22])


def test_the_whole_loop_with_a_real_network_and_gradients_through_every_feature_type():
    for feature_type, history_len in (("rich", 0), ("delta_mag", 2), ("invariant", 1)):
        config = specified(feature_type=feature_type, history_len=history_len, steps_per_epoch=3, lr=0.01)
        adapter = ModelAdapter(config)
        batch = stack_particles([kepler(e=0.3), kepler(e=0.8)])
        model = FullyConnectedNN(adapter.input_dim_from_state(batch), generator=torch.Generator().manual_seed(0))
        optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
        trajectory, metrics = collect_trajectory(model, batch, optimizer, config, adapter)
        assert metrics["max_energy_error"] < config.energy_threshold
        accepted = sum(len(dt) for _, dt in trajectory)
        assert accepted == metrics["total_steps"] == metrics["trajectory_length"] >= 6
