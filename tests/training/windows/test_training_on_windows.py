"""Calibrated weights: windows in place of steps, in the same two phases."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.engine.features.test_description import described, described_with_light_pairs
from tests.engine.physics.test_light_pairs import moon
from tests.training.stopping import check_that_stopping_changes_nothing, left_by
from torch import nn

from aitimestepper import Config, ConfigError, ParticleTorch, simulate, train
from aitimestepper.constants import TRAITS
from aitimestepper.engine.run.governor import HIGHEST_DEMAND, LOWEST_DEMAND
from aitimestepper.engine.training.windows import ABSENT
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system
from aitimestepper.training.session import building
from aitimestepper.training.session.building import build_training
from aitimestepper.training.steps.learned import Attempt
from aitimestepper.training.windows import scores
from aitimestepper.training.windows.attempt import Targets, attempt_windows, drawn_targets, features_of
from aitimestepper.training.windows.measuring import batch_of, padded, traits_of
from aitimestepper.training.windows.windows import Windows
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.compiled import control_of
from aitimestepper.weights.file import read_model

CALIBRATED = {"output_scale": "calibrated", "draw": "mixed", "feature_type": "invariant"}
SMALL = {
    **CALIBRATED, "num_orbits": 6, "replay_batch_size": 12, "replay_steps": 3, "min_replay_steps": 3, "n_steps": 50,
    "hidden_dims": (8,), "window": 0.5, "redraw_every": 1, "max_retrain_iterations": 2, "energy_threshold": 1.0,
    "E_upper": 0.5, "E_lower": 0.2, "lr": 3e-3, "tensorboard": False, "checkpoint_every": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _few_systems(monkeypatch):
    monkeypatch.setattr(building, "_MEASURED", 50)
    monkeypatch.setattr(scores, "_FRESH", 8)


class Factor(nn.Module):
    """The same factor for every state, and each output with a weight of its own."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.log_factor = nn.Parameter(torch.full((len(HEADS),), math.log(factor), dtype=torch.float64))

    def forward(self, features):
        return self.log_factor.exp().expand(len(features), len(HEADS))


def systems(count: int = 8, seed: int = 3):
    rng = np.random.default_rng(seed)
    return [mixed_system(rng) for _ in range(count)]


def triple(**keys):
    """Eight times the same three bodies."""
    config = Config(**{**SMALL, "window": 1.0, "n_steps": 500, **keys})
    mass = torch.tensor([1.0, 0.8, 0.5], dtype=torch.float64).expand(8, 3).clone()
    position = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [0, 3.0, 0.5]], dtype=torch.float64).expand(8, 3, 3).clone()
    velocity = torch.tensor([[0.0, -0.5, 0], [0, 0.7, 0], [-0.6, 0, 0]], dtype=torch.float64).expand(8, 3, 3).clone()
    return config, ParticleTorch.from_tensors(mass, position, velocity)


EACH_HEAD = Targets(torch.arange(8), 10.0 ** (-0.75 * torch.tensor([2.0, 4, 6, 8, 2, 4, 6, 8], dtype=torch.float64)))


def tried_on(model, state: ParticleTorch, targets: Targets, config: Config) -> Attempt:
    """Of a network that does not look at features."""
    return attempt_windows(model, state, torch.zeros(len(targets.head), 1), targets, config)


@pytest.mark.parametrize(("factor", "sign"), [(6.0, 1.0), (0.06, -1.0)])
def test_the_gradient_pushes_the_factor_towards_the_band(factor, sign):
    config, state = triple()
    model = Factor(factor)
    tried = tried_on(model, state, EACH_HEAD, config)
    above, below = tried.error > config.E_upper, tried.error < config.E_lower
    assert (above if sign > 0 else below).all()
    assert (tried.losses > 0).all()
    tried.losses.sum().backward()
    assert model.log_factor.grad is not None
    assert (sign * model.log_factor.grad > 0).all()
    assert torch.isfinite(model.log_factor.grad).all()


def test_there_is_no_gradient_inside_the_band():
    config, state = triple()
    ratio = tried_on(Factor(0.5), state, EACH_HEAD, config).error
    wide = config.replace(E_lower=0.5 * float(ratio.min()), E_upper=2 * float(ratio.max()), energy_threshold=1e9)
    model = Factor(0.5)
    losses = tried_on(model, state, EACH_HEAD, wide).losses
    assert not losses.any()
    losses.sum().backward()
    assert model.log_factor.grad is None or not model.log_factor.grad.any()


def test_the_loss_is_the_squared_distance_of_the_step_from_the_band():
    """Near the band, in logarithms; its slope is that of the law error ~ step^order."""
    config, state = triple()
    ratio = tried_on(Factor(0.5), state, EACH_HEAD, config).error
    order = torch.tensor([2.0, 4, 6, 8, 2, 4, 6, 8], dtype=torch.float64)
    near = config.replace(E_lower=1e-12, E_upper=float(ratio.min()) / 3.0, energy_threshold=1e9)
    model = Factor(0.5)
    tried = tried_on(model, state, EACH_HEAD, near)
    distance = torch.log(tried.error / near.E_upper) / order
    close = distance < 2.0
    assert close.any()
    assert torch.allclose(tried.losses.detach()[close], distance[close] ** 2, rtol=1e-9)
    tried.losses.sum().backward()
    assert torch.allclose(model.log_factor.grad[close], 2.0 * distance[close], rtol=1e-9)


def test_a_window_that_explodes_weighs_little_more_than_one_that_fails():
    config, state = triple()
    tried = tried_on(Factor(300.0), state, EACH_HEAD, config)
    assert torch.isfinite(tried.losses).all()
    assert tried.losses.max() < 30.0


def test_what_no_step_can_cure_is_not_learned_from():
    config, state = triple()
    model = Factor(0.01)
    targets = EACH_HEAD._replace(tolerance=torch.full((8,), 1e-24, dtype=torch.float64))
    tried = tried_on(model, state, targets, config)
    assert (tried.error > config.E_upper).all()
    assert not tried.losses.any()


def test_the_states_are_left_and_the_windows_end_elsewhere():
    config, state = triple()
    before = state.position.clone()
    tried = tried_on(Factor(0.5), state, EACH_HEAD, config)
    assert torch.equal(state.position, before)
    assert (tried.reached().position - before).abs().amax(dim=(1, 2)).min() > 0.01


def test_the_result_does_not_depend_on_the_number_of_threads(monkeypatch):
    config = Config(**SMALL)
    state = batch_of(systems(40), MOST_BODIES, config)
    targets = drawn_targets(40, torch.Generator().manual_seed(1))
    results = []
    for threads in (1, 4):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=threads: set(range(n)))
        results.append(tried_on(Factor(0.5), state, targets, config))
    one, four = results
    assert torch.equal(one.error, four.error)
    assert torch.equal(one.reached().position, four.reached().position)
    assert torch.equal(one.losses, four.losses)


def test_each_sample_is_judged_by_itself():
    config = Config(**SMALL)
    drawn = systems(12)
    targets = drawn_targets(12, torch.Generator().manual_seed(2))
    whole = tried_on(Factor(0.7), batch_of(drawn, MOST_BODIES, config), targets, config)
    for index in (0, 5, 11):
        own = targets.select(torch.tensor([index]))
        alone = tried_on(Factor(0.7), batch_of([drawn[index]], drawn[index].n_bodies + 2, config), own, config)
        assert alone.error[0] == whole.error[index]


# --- what the network is told


def test_targets_cover_all_heads_and_the_demands_of_training():
    targets = drawn_targets(4000, torch.Generator().manual_seed(3))
    order = torch.tensor([order for _, order in HEADS])[targets.head]
    demand = torch.log10(targets.tolerance) / order
    counts = torch.bincount(targets.head, minlength=len(HEADS))
    assert (counts > 350).all()
    assert targets.tolerance.min() >= 1e-10
    assert demand.min() >= LOWEST_DEMAND - 1e-12
    assert demand.max() <= HIGHEST_DEMAND + 1e-12
    assert demand[order == 2].min() < LOWEST_DEMAND + 0.1


def test_the_features_are_positions_in_the_measured_ranges_and_what_the_engine_makes_of_them():
    config = Config(**SMALL)
    learned = Windows(config, torch.Generator().manual_seed(4))
    drawn = systems(30)
    learned.measure(drawn)
    _, _, features, targets = learned.start(batch_of(drawn, MOST_BODIES, config))
    assert features.shape == (30, TRAITS + 1)
    order = torch.tensor([order for _, order in HEADS])[targets.head]
    assert torch.allclose(features[:, TRAITS], torch.log10(targets.tolerance) / order)
    assert features[:, :TRAITS].abs().max() <= 1.0 + 1e-12
    low, high = np.array(learned.scales).reshape(2, TRAITS)
    for s, system in enumerate(drawn):
        position, velocity = (np.pad(v, ((0, 0), (0, 3 - system.n_dims))) for v in (system.position, system.velocity))
        ttl = HEADS[int(targets.head[s])][0] == "ttl"
        traits, _ = (described_with_light_pairs if ttl else described)(system.mass, position, velocity)
        np.testing.assert_allclose(
            0.5 * (low + high) + 0.5 * (high - low) * features[s, :TRAITS].numpy(), traits, atol=1e-9
        )


def test_systems_are_filled_up_with_absent_bodies():
    drawn = systems(10)
    mass, position, velocity = padded(drawn)
    for s, system in enumerate(drawn):
        own = system.n_bodies
        assert (np.abs(position[s, :own]) < ABSENT).all()
        assert (position[s, own:, 0] > ABSENT).all()
        np.testing.assert_array_equal(position[s, :own, : system.n_dims], system.position)
        np.testing.assert_array_equal(velocity[s, :own, : system.n_dims], system.velocity)
        assert mass[s].sum() == pytest.approx(system.mass.sum())
    batch = batch_of(drawn, MOST_BODIES, Config(**SMALL))
    assert batch.position.shape == (10, MOST_BODIES, 3)


# --- whole trainings


def weights(run: str) -> dict[str, np.ndarray]:
    return read_model(run).weights


def same(first: str, second: str) -> bool:
    one, two = read_model(first), read_model(second)
    about, other = ({k: v for k, v in file.about.items() if k != "commit"} for file in (one, two))
    alike = all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)
    return alike and one.scales == two.scales and about == other


def test_a_training_stopped_after_every_epoch_ends_with_the_bits_of_one_that_never_was():
    check_that_stopping_changes_nothing({**SMALL, "redraw_every": 2, "lr_final": 1e-3}, epochs=5)


def test_a_training_can_be_repeated_resumed_and_used():
    train(config=Config(epochs=3, save_name="a", **SMALL))
    train(config=Config(epochs=3, save_name="b", **SMALL))
    assert same("runs/a", "runs/b")
    train(config=Config(epochs=2, save_name="halves", **SMALL))
    assert not same("runs/a", "runs/halves")
    outcome = train(config=Config(epochs=3), resume=Path("runs/halves"))
    assert outcome.epochs_completed == 3
    assert same("runs/a", "runs/halves")
    train(config=Config(epochs=1, save_name="other", seed=5, **SMALL))
    assert not same("runs/a", "runs/other")
    file = read_model("runs/a")
    assert file.scales is not None
    assert len(file.scales) == 2 * TRAITS
    low, high = np.array(file.scales).reshape(2, TRAITS)
    assert (low < high).all()
    assert set(file.about["scores"]) == {f"{integrator}{order}" for integrator, order in HEADS}
    for score in file.about["scores"].values():
        assert 0.0 <= score["kept"] <= 1.0
        assert score["q05"] <= score["median"] <= score["q95"]
    run = simulate(
        config=Config(ic="hierarchical-triple", tolerance=1e-4, model="runs/a", duration=20.0, step_history=True)
    )
    errors = np.abs(run.step_history.energy - run.summary.energy_initial) / run.energy_scale
    assert errors.max() <= 1e-4
    assert run.summary.energy_verdict == "kept"


def test_the_engine_takes_the_factor_that_the_network_gives():
    """From torch to the compiled network: the same description, the same factor."""
    train(config=Config(epochs=1, save_name="a", **SMALL))
    file = read_model("runs/a")
    config = Config(**SMALL)
    from aitimestepper.engine.networks import first_output
    from aitimestepper.model.loading import build_network

    model = build_network(config, TRAITS + 1, output_dim=len(HEADS))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in file.weights.items()})
    drawn = systems(8)
    traits = traits_of(padded(drawn), EACH_HEAD.head.numpy(), config)
    targets = EACH_HEAD._replace(tolerance=torch.full((8,), 1e-4, dtype=torch.float64))
    with torch.no_grad():
        factors = model(features_of(batch_of(drawn, MOST_BODIES, config), targets, file.scales, config))
    for head, (integrator, order) in enumerate(HEADS):
        own = control_of(file, Config(tolerance=1e-4, integrator=integrator, order=order))
        layers = np.zeros((2, TRAITS + 1))
        demand = np.clip(math.log10(1e-4) / order, LOWEST_DEMAND, HIGHEST_DEMAND)
        layers[0] = np.append(traits[head], demand)
        assert first_output(own.network, layers) == pytest.approx(float(factors[head, head]), rel=1e-9)


def test_the_network_is_told_of_light_pairs_where_the_integrator_weighs_them():
    """The ranges of the description hold both."""
    config = Config(**SMALL)
    learned = Windows(config, torch.Generator().manual_seed(1))
    learned.measure([moon(e=e) for e in (0.2, 0.5, 0.8)])
    assert learned.scales is not None
    low, high = np.array(learned.scales).reshape(2, TRAITS)
    heads = np.array([HEADS.index((name, 4)) for name in ("ttl", "leapfrog")])
    traits = traits_of(padded([moon(e=0.5)] * 2), heads, config)
    assert np.abs(traits[0] - traits[1]).max() > 1.0
    assert (traits >= low).all()
    assert (traits <= high).all()
    targets = Targets(torch.from_numpy(heads), torch.full((2,), 1e-4, dtype=torch.float64))
    features = features_of(batch_of([moon(e=0.5)] * 2, 3, config), targets, learned.scales, config)
    expected = (traits - 0.5 * (low + high)) / (0.5 * (high - low))
    np.testing.assert_allclose(features[:, :TRAITS].numpy(), expected, rtol=1e-12, atol=1e-12)


def test_refused_windows_are_replaced_by_accepted_ones_and_the_epoch_goes_on():
    state = build_training(Config(**SMALL))
    assert state.redraw is not None
    assert torch.equal(state.redraw(1).position, state.particle.position)
    assert not torch.equal(state.redraw(2).mass, state.particle.mass)
    config = Config(epochs=1, save_name="hard", **{**SMALL, "energy_threshold": 1e-3, "E_upper": 5e-4, "E_lower": 1e-4})
    outcome = train(config=config)
    assert outcome.epochs_completed == 1
    assert outcome.summary["max_retrain_iterations"] <= 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"output_scale": "calibrated", "feature_type": "invariant"}, "output_scale = calibrated and draw = mixed"),
        ({"draw": "mixed"}, "output_scale = calibrated and draw = mixed"),
        ({**CALIBRATED, "feature_type": "basic"}, "needs feature_type = invariant"),
        ({**CALIBRATED, "ic": "kepler"}, "leave ic and systems out"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        Config(**keys)


def test_looking_at_unseen_systems_leaves_no_trace():
    for every in (0, 1):
        train(config=Config(**SMALL, epochs=3, check_every=every, save_name=f"every-{every}"))
    (without, told), (with_it, also_told) = map(left_by, ("runs/every-0", "runs/every-1"))
    assert all(np.array_equal(without[name], with_it[name], equal_nan=True) for name in without)
    assert [{key: value for key, value in line.items() if not key.startswith("check_")} for line in also_told] == told
    assert all(math.isfinite(line["check_loss"]) and 0.0 <= line["check_pass_rate"] <= 1.0 for line in also_told)
