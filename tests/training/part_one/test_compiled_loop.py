"""Part 1 in one compiled function: the same as in torch, to rounding; and systems at their own pace in both."""

from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from tests.conftest import kepler, parts, specified

from aitimestepper import (
    Config,
    FullyConnectedNN,
    HistoryBuffer,
    ModelAdapter,
    NoGradientError,
    ParticleTorch,
    RetrainLimitError,
    RetrainWarning,
    collect_trajectory,
    collect_trajectory_step,
    stack_particles,
)
from aitimestepper.engine.training import progress
from aitimestepper.engine.training.progress import ITERATIONS, SPENT
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.part_one.collect import why_torch
from aitimestepper.training.session.building import build_training, training_systems
from aitimestepper.training.session.epochs import epochs
from aitimestepper.training.steps.single_step import SingleSteps


class TorchOnly(FullyConnectedNN):
    """The same network under another name, which the compiled loop does not take."""


def training(kind: type[FullyConnectedNN], config: Config, particle: ParticleTorch | None = None, **network):
    particle = training_systems(config) if particle is None else particle
    adapter = ModelAdapter(config)
    model = kind(
        adapter.build_feature_tensor(particle).shape[-1],
        hidden_dims=config.hidden_dims,
        activation=config.activation,
        fourier_dim=config.fourier_dim,
        generator=torch.Generator().manual_seed(5),
        **network,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return model, particle, optimizer, config, adapter


def weights(model: FullyConnectedNN) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def numbers(metrics: dict) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key != "final_particle"}


CASES = {
    "basic": {"lr": 1e-3},
    "rich, silu": {"feature_type": "rich", "activation": "silu", "num_orbits": 5, "weight_decay": 0.1},
    "delta_mag, relu": {"feature_type": "delta_mag", "history_len": 3, "activation": "relu", "num_orbits": 4},
    "invariant, sigmoid": {
        "feature_type": "invariant", "history_len": 1, "activation": "sigmoid", "output_scale": "physical",
        "num_orbits": 3,
    },
    "fourier, head": {"fourier_dim": 4, "error_loss_weight": 0.2, "num_orbits": 2},
    "three bodies, tide": {
        "num_particles": 3, "dim": 3, "softening": 0.05, "G": 2.0, "num_orbits": 4, "history_len": 2,
        "external_field_mass": 8.0, "external_field_position": (6.0, -4.0, 5.0), "output_scale": "physical",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_trajectory_weights_metrics_and_history_are_those_of_the_torch_loop(name):
    config = specified(**{"lr": 2e-3, "hidden_dims": (16, 12), "steps_per_epoch": 12, **CASES[name]})
    mine, theirs = training(FullyConnectedNN, config), training(TorchOnly, config)
    assert why_torch(mine[0], mine[2], SingleSteps(config, mine[4]), mine[1]) is None
    assert why_torch(theirs[0], theirs[2], SingleSteps(config, theirs[4]), theirs[1]) is not None
    for _ in range(2):  # the second call goes on with moments and a full history
        (found, first), (expected, second) = (collect_trajectory(*task) for task in (mine, theirs))
        assert numbers(first) == pytest.approx(numbers(second), rel=1e-6)
        assert [torch.as_tensor(dt).numel() for _, dt in found] == [torch.as_tensor(dt).numel() for _, dt in expected]
        for one, other in ((found.samples, expected.samples),):
            for quantity in ("position", "velocity", "acceleration", "current_time", "period", "dt"):
                assert torch.allclose(
                    getattr(one.state, quantity), getattr(other.state, quantity), rtol=1e-9, atol=1e-9
                ), quantity
            if config.history_len:
                assert torch.allclose(one.history.features_for(one.state), other.history.features_for(other.state))
        now, then = first["final_particle"], second["final_particle"]
        assert torch.allclose(mine[4].build_feature_tensor(now), theirs[4].build_feature_tensor(then), rtol=1e-9)
        assert torch.allclose(now.position, then.position, rtol=1e-9)
        for one, other in zip(mine[0].parameters(), theirs[0].parameters(), strict=True):
            assert torch.allclose(one, other, rtol=1e-9, atol=1e-10)
        mine = (mine[0], now, *mine[2:])
        theirs = (theirs[0], then, *theirs[2:])


def test_a_thousand_iterations_end_with_the_same_weights_to_rounding():
    """Four units cannot reach so short a step in so few iterations: the state never passes."""
    config = specified(
        lr=1e-3, hidden_dims=(4,), max_retrain_iterations=1100, energy_threshold=1e-12, E_lower=1e-15, E_upper=1e-13
    )
    ends = []
    for kind in (FullyConnectedNN, TorchOnly):
        task = training(kind, config, kepler(e=0.7))
        with pytest.warns(RetrainWarning), pytest.raises(RetrainLimitError, match="within 1100 retrain") as caught:
            collect_trajectory_step(*task)
        ends.append((weights(task[0]), caught.value.last_error))
    assert (ends[0][0] - weights(training(FullyConnectedNN, config)[0])).abs().max() > 0.1  # a long way together
    assert torch.allclose(ends[0][0], ends[1][0], rtol=1e-9, atol=1e-9)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-4)


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_a_state_that_an_earlier_epoch_was_warned_of_is_not_warned_of_again_before_the_next_thousand(kind):
    config = Config(lr=1e-6, hidden_dims=(4,), max_retrain_iterations=1900, energy_threshold=1e-12, E_lower=1e-15,
                    E_upper=1e-13)  # fmt: skip
    many = stack_particles([kepler(e=0.7)] * 100)  # so many that the compiled loop returns before it has come to 2,000
    spent = np.zeros((100, progress.SPENT))
    spent[:, progress.ITERATIONS] = 1500.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", RetrainWarning)
        with pytest.raises(RetrainLimitError):
            collect_trajectory(*training(kind, config, many), spent=spent)


@pytest.mark.parametrize("e", [0.3, 0.9])
def test_both_loops_tell_the_least_error_of_a_state_that_did_not_pass(e):
    config = specified(lr=1e-4, max_retrain_iterations=20, energy_threshold=1e-12, E_lower=1e-15, E_upper=1e-13)
    ends = []
    for kind in (FullyConnectedNN, TorchOnly):
        with pytest.raises(RetrainLimitError, match=r"the error does not fall far enough; .* the least ") as caught:
            collect_trajectory_step(*training(kind, config, kepler(e=e)))
        ends.append(caught.value)
    assert ends[0].best_error == pytest.approx(ends[1].best_error, rel=1e-6)
    assert all(config.energy_threshold < end.best_error <= end.last_error for end in ends)
    assert 0.0 < ends[0].best_error < 1.0


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_no_limit_is_said_in_two_ways_and_the_default_ends_a_training_that_does_not_learn(kind):
    for none in (None, 0):
        assert SingleSteps(specified(max_retrain_iterations=none), None).most_iterations == math.inf
    config = Config(lr=1e-12, energy_threshold=1e-12, E_lower=1e-15, E_upper=1e-13)
    assert SingleSteps(config, None).most_iterations == 50_000
    spent = np.zeros((1, progress.SPENT))
    spent[:, progress.ITERATIONS] = 49_995.0
    with pytest.raises(RetrainLimitError, match="within 50000 retrain iterations"):
        collect_trajectory(*training(kind, config, kepler(e=0.7)), spent=spent)


def test_torch_goes_on_where_the_compiled_loop_stopped():
    config = specified(lr=1e-3, steps_per_epoch=5, num_orbits=3)
    mine, theirs = training(FullyConnectedNN, config), training(TorchOnly, config)
    for task in (mine, theirs):
        collect_trajectory(*task)
    assert mine[2].state_dict()["state"].keys() == theirs[2].state_dict()["state"].keys()
    for model, _, optimizer, _, _ in (mine, theirs):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    for one, other in zip(mine[0].parameters(), theirs[0].parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_no_system_waits_for_the_slowest_and_each_keeps_its_own_order(kind):
    """An orbit of low eccentricity goes on while another is retrained; the steps of each lead from start to end."""
    config = specified(lr=1e-4, steps_per_epoch=20)
    starts = [kepler(e=0.1, at="apocentre"), kepler(e=0.95, m2=0.5)]
    trajectory, metrics = collect_trajectory(*training(kind, config, stack_particles(starts), initial_output=0.03))
    assert metrics["total_steps"] >= 40
    assert [len(dt) for _, dt in trajectory].count(1) > 20  # rounds in which only the easy one went on
    for start, end in zip(starts, (metrics["final_particle"].select(k) for k in range(2)), strict=True):
        for states, dts in trajectory:
            for row in (states.mass == start.mass).all(-1).nonzero().reshape(-1):
                before = start.total_energy()
                start.update_dt(dts[row])
                start.evolve()
                assert relative_energy_error(before, start.total_energy()) < config.energy_threshold
                assert torch.allclose(start.position, states.position[row], rtol=1e-12)
        assert torch.equal(start.current_time, end.current_time)


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_what_a_state_has_cost_is_remembered_over_the_epochs(kind):
    config = specified(lr=1e-9, steps_per_epoch=2, max_retrain_iterations=25)
    particle = stack_particles([kepler(e=0.0), kepler(e=0.97)])
    model, _, optimizer, config, adapter = training(kind, config, particle, initial_output=0.02)
    spent = np.zeros((2, SPENT))
    for epoch in range(4):
        _, metrics = collect_trajectory(model, particle, optimizer, config, adapter, spent=spent)
        particle = metrics["final_particle"]
        assert spent[0, ITERATIONS] == 0
        assert spent[1, ITERATIONS] > epoch
    assert particle.current_time[1] == 0
    longer = config.replace(steps_per_epoch=100)
    with pytest.raises(RetrainLimitError, match="within 25 retrain iterations"):
        collect_trajectory(model, particle, optimizer, longer, adapter, spent=spent)


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_systems_that_rest_do_not_move(kind):
    task = training(
        kind, specified(steps_per_epoch=3), stack_particles([kepler(e=0.1), kepler(e=0.3)]), initial_output=0.01
    )
    _, metrics = collect_trajectory(*task, resting=torch.tensor([True, False]))
    assert metrics["total_steps"] == 3
    assert metrics["final_particle"].current_time[0] == 0 < metrics["final_particle"].current_time[1]


def test_a_training_of_one_period_lets_those_rest_that_have_covered_theirs():
    config = specified(
        num_orbits=4, a_min=0.3, a_max=2.0, stop_at_period=True, epochs=400, hidden_dims=(8,), replay_steps=0,
        output_scale="physical",
    )  # fmt: skip
    state = build_training(config)
    state.model.layers[-1].bias.data[0] = -2.0
    for _ in epochs(state, config):
        pass
    periods = (state.particle.current_time / state.particle.period).tolist()
    assert state.epoch < 400
    assert all(1.0 <= covered < 1.2 for covered in periods), periods


@pytest.mark.parametrize("kind", [FullyConnectedNN, TorchOnly])
def test_a_history_of_its_own_for_each_system(kind):
    """The warm-up is counted for each, and a sample sees exactly the states that its own system came through."""
    config = specified(feature_type="delta_mag", history_len=2, steps_per_epoch=6, lr=1e-3)
    particle = stack_particles([kepler(e=0.1, at="apocentre"), kepler(e=0.9), kepler(e=0.5)])
    model, _, optimizer, config, adapter = training(kind, config, particle, initial_output=0.03)
    window = HistoryBuffer(2, "delta_mag")
    trajectory, metrics = collect_trajectory(model, particle, optimizer, config, adapter, window)
    assert 2 <= metrics["warmup_discarded"] <= 6
    for (state, dt), past in zip(trajectory, trajectory.histories, strict=True):
        newest = past.snapshots()[-1]
        before = ParticleTorch.from_tensors(newest.mass, newest.position, newest.velocity)
        before.update_dt(dt)
        before.evolve_batch()
        assert torch.allclose(before.position, state.position, rtol=1e-10, atol=1e-12)
    taken = (metrics["final_particle"].current_time > 0).tolist()
    assert [missing < 2 for missing in window.missing().tolist()] == taken


def test_the_limit_is_said_and_its_iterations_counted():
    model, particle, optimizer, config, adapter = training(
        FullyConnectedNN, specified(max_retrain_iterations=7, lr=1e-9), kepler(e=0.9), initial_output=5.0
    )
    with pytest.raises(RetrainLimitError, match="within 7 retrain iterations") as caught:
        collect_trajectory_step(model, particle, optimizer, config, adapter)
    assert caught.value.last_error > 0
    assert all(int(state["step"]) == 7 for state in optimizer.state.values())


def test_the_lack_of_a_gradient_is_said_and_leaves_the_weights():
    """At e = 0.999 the shortest step already shows rounding, which the threshold refuses."""
    config = specified(energy_threshold=1e-14, E_lower=1e-17, E_upper=1e-15)
    model, particle, optimizer, config, adapter = training(FullyConnectedNN, config, kepler(e=0.999))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.layers[-1].bias[0] = -800.0  # softplus and its slope are zero
    with pytest.raises(NoGradientError, match="has no gradient"):
        collect_trajectory_step(model, particle, optimizer, config, adapter)
    assert model.layers[-1].bias[0] == -800.0
    with torch.no_grad():
        model.layers[0].weight[0, 0] = float("nan")
    with pytest.raises(NoGradientError, match="not finite"):
        collect_trajectory_step(model, particle, optimizer, config, adapter)


def test_why_a_training_runs_in_torch():
    config = specified()
    model, particle, _, _, adapter = training(FullyConnectedNN, config)
    adam = torch.optim.Adam(model.parameters())

    def reason(**changes):
        own = {"model": model, "optimizer": adam, "particle": particle, "config": config, "adapter": adapter, **changes}
        return why_torch(own["model"], own["optimizer"], SingleSteps(own["config"], own["adapter"]), own["particle"])

    assert reason() is None
    assert "Adam" in reason(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert "only torch knows" in reason(optimizer=torch.optim.Adam(model.parameters(), amsgrad=True))
    groups = [{"params": [p], "lr": 0.1 * k} for k, p in enumerate(model.parameters())]
    assert "groups" in reason(optimizer=torch.optim.Adam(groups))
    assert "other weights" in reason(optimizer=torch.optim.Adam(list(model.parameters())[1:]))
    assert "perceptron" in reason(model=parts()[0])
    hooked = copy.deepcopy(model)
    hooked.register_forward_hook(lambda *_: None)
    assert "perceptron" in reason(model=hooked, optimizer=torch.optim.Adam(hooked.parameters()))
    frozen = copy.deepcopy(model)
    frozen.layers[0].weight.requires_grad_(False)
    assert "not all trained" in reason(model=frozen, optimizer=torch.optim.Adam(frozen.parameters()))
    assert "angular momentum" in reason(config=config.replace(L_lower=1e-9, L_upper=1e-6))


def test_a_run_says_which_loop_it_takes(capsys):
    seen = []

    class Watch:
        def begin(self, message):
            seen.append(message)

        def step(self, record):
            pass

        epoch = step

        def close(self):
            pass

    from aitimestepper import run_two_phase_training

    config = specified(epochs=1)
    model, particle, optimizer, config, adapter = training(FullyConnectedNN, config)
    run_two_phase_training(model, particle, optimizer, config, adapter, observers=[Watch()])
    sgd = torch.optim.SGD(model.parameters(), lr=1e-6)
    run_two_phase_training(model, particle, sgd, config, adapter, observers=[Watch()])
    assert seen == ["Part 1 runs compiled", "Part 1 runs in torch: the optimiser is not Adam"]
