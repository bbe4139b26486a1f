"""The gate and its losses."""

from __future__ import annotations

import math

import pytest
import torch
from tests.conftest import CountingField, kepler, parts, random_bodies, specified

from aitimestepper import (
    Config,
    FullyConnectedNN,
    ModelAdapter,
    NoGradientError,
    ParticleTorch,
    PointMassTidalField,
    attempt_single_step,
    band_loss_zero_inside_where,
    check_energy_threshold,
    compute_single_step_loss,
)
from aitimestepper.training.steps.learned import Attempt
from aitimestepper.training.steps.losses import learn
from aitimestepper.training.steps.single_step import SingleSteps


def attempt(model, particle: ParticleTorch, config: Config, adapter: ModelAdapter) -> Attempt:
    learned = SingleSteps(config, adapter)
    return learned.attempt(model, learned.start(particle))


def test_the_band_loss_is_zero_inside_and_quadratic_outside():
    x = torch.tensor([-3.0, -1.0, 0.0, 2.0, 5.0])
    assert band_loss_zero_inside_where(x, -1.0, 2.0).tolist() == [4.0, 0.0, 0.0, 0.0, 9.0]


def test_the_loss_is_that_of_the_logarithm_of_the_error():
    config = specified(E_lower=1e-6, E_upper=1e-4)
    loss = compute_single_step_loss(torch.tensor([-1.0]), torch.tensor([-1.0 + 1e-3], dtype=torch.float64), config)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(math.log(10.0) ** 2, rel=1e-6)


def test_an_exploded_step_gave_nan_gradients():
    """Known fault 14: an energy that is not finite counts with error 1 and sends nothing back."""
    after = torch.tensor([-1.002, float("nan"), float("inf")], dtype=torch.float64, requires_grad=True)
    before = torch.full((3,), -1.0, dtype=torch.float64)
    config = specified()
    loss = compute_single_step_loss(before, after, config)
    (gradient,) = torch.autograd.grad(loss, after)
    failed = math.log(1.0 / 1e-4) ** 2
    assert loss.item() == pytest.approx((math.log(0.002 / 1e-4) ** 2 + 2 * failed) / 3, rel=1e-3)
    assert torch.isfinite(gradient).all()
    passed, error = check_energy_threshold(before, after, threshold=2.0)
    assert not passed
    assert error.tolist()[1:] == [1.0, 1.0]


def test_the_gate_is_strict_and_judges_every_system():
    before = torch.tensor([-1.0, -2.0], dtype=torch.float64)
    assert check_energy_threshold(before, before * (1 + 1e-5), 1e-4)[0]
    assert not check_energy_threshold(before, before * torch.tensor([1.0, 1.001]), 1e-4)[0]


@pytest.mark.parametrize("n_steps", [1, 5])
def test_an_attempt_is_always_one_step_on_a_copy(n_steps):
    model, _, config, adapter = parts(0.01, n_steps=n_steps)
    particle = kepler(e=0.3)
    field = CountingField()
    particle.set_external_field(field)
    start = particle.position.clone()
    advanced, dt, before, after = attempt_single_step(model, particle, config, adapter)
    assert (dt.shape, before.shape, after.shape) == ((1,), (1,), (1,))
    assert torch.equal(particle.position, start)
    assert particle.current_time == 0
    assert advanced.current_time.item() == dt.item() == pytest.approx(0.01)
    assert field.forces <= 3  # the features' force, which opens the step, and the closing one


def test_an_attempt_on_a_batch_gives_one_number_for_each_system():
    model, _, config, adapter = parts(0.01)
    _, dt, before, after = attempt_single_step(model, random_bodies(0, batch=(4,)), config, adapter)
    assert dt.shape == before.shape == after.shape == (4,)


def test_dropout_active_in_the_gate():
    """Known fault 5: with dropout the same weights and state always give the same step, and it is the one used."""
    config = specified(dropout=0.5)
    model = FullyConnectedNN(11, dropout=0.5, generator=torch.Generator().manual_seed(1))
    adapter = ModelAdapter(config)
    particle = kepler(e=0.5)
    model.train()
    steps = {attempt_single_step(model, particle, config, adapter)[1].item() for _ in range(5)}
    assert steps == {adapter.predict_dt(model, particle).item()}
    assert model.training


def test_the_derivative_of_the_loss_is_that_of_finite_differences():
    _, _, config, adapter = parts()
    particle = kepler(e=0.6)

    def loss(log_dt: float) -> tuple[float, float]:
        stub = parts(math.exp(log_dt))[0]
        tried = attempt(stub, particle, config, adapter)
        tried.losses.sum().backward()
        return tried.losses.item(), stub.log_dt.grad.item()

    at, h = math.log(0.08), 1e-6
    difference = (loss(at + h)[0] - loss(at - h)[0]) / (2 * h)
    assert loss(at)[0] > 1.0
    assert loss(at)[1] == pytest.approx(difference, rel=1e-6)


def test_a_step_longer_than_the_pair_time_allows_is_refused_whatever_its_energy():
    model, _, config, adapter = parts(30.0)
    tried = attempt(model, kepler(e=0.0), config, adapter)
    limit = 0.5 * (1 / 2) ** 0.5
    assert not tried.passed.any()
    assert tried.losses.item() == pytest.approx(math.log(30.0 / limit) ** 2)
    tried.losses.sum().backward()
    assert model.log_dt.grad.item() > 0  # downhill is a shorter step


def test_a_long_step_that_lands_on_the_same_energy_is_refused():
    model, _, config, adapter = parts(0.5, energy_threshold=0.9, E_upper=0.5)
    tried = attempt(model, kepler(e=0.0), config, adapter)
    assert tried.error.item() < config.energy_threshold
    assert not tried.passed.any()


def test_a_step_lost_in_rounding_is_driven_to_grow():
    """Known fault 9: the lower band edge acts, even where the energy error is exactly zero."""
    model, _, config, adapter = parts(1e-9)
    tried = attempt(model, kepler(e=0.3), config, adapter)
    tried.losses.sum().backward()
    assert tried.passed.all()
    assert model.log_dt.grad.item() < 0


def test_a_lost_system_does_not_spoil_the_gradient_of_the_others():
    bodies = random_bodies(3, batch=(2,))
    bodies.position.data[1, 0] = bodies.position.data[1, 1]  # two bodies at one point: infinite energy
    config = specified(max_step_fraction=1e9)
    model = parts(0.2)[0]
    tried = attempt(model, bodies, config, ModelAdapter(config))
    assert tried.passed.tolist()[1] is False
    assert tried.error[1].item() == 1.0
    tried.losses.mean().backward()
    assert torch.isfinite(model.log_dt.grad)


def test_energy_threshold_below_the_band_edge_is_refused():
    """Known fault 10: between E_upper and the threshold there would be a rejection without a loss."""
    with pytest.raises(ValueError, match=r"E_upper = 0.0001 must be < energy_threshold = 1e-05"):
        specified(energy_threshold=1e-5)


def test_a_refused_step_without_a_gradient_is_an_error_and_not_a_loop():
    model, optimizer, *_ = parts()
    with pytest.raises(NoGradientError, match="has no gradient"):
        learn(model, optimizer, torch.tensor(3.0), 1, refused=True)
    weight = model.log_dt.detach().clone()
    with pytest.raises(NoGradientError, match="not finite"):
        learn(model, optimizer, model.log_dt * float("inf"), 1, refused=True)
    assert torch.equal(model.log_dt, weight)


def test_physical_steps_follow_the_units():
    config = specified(output_scale="physical", feature_type="invariant")
    model = FullyConnectedNN(10, generator=torch.Generator().manual_seed(0))
    adapter = ModelAdapter(config)
    particle = kepler(e=0.7)
    scaled = ParticleTorch(particle.mass, particle.position * 100.0, particle.velocity / 10.0)
    assert adapter.predict_dt(model, scaled).item() == pytest.approx(1000 * adapter.predict_dt(model, particle).item())


def test_angular_momentum_is_judged_when_asked_for():
    particle = kepler(e=0.3)
    particle.set_external_field(PointMassTidalField(50.0, [4.0, 3.0]))
    plain, judged = specified(E_lower=1e-16), specified(E_lower=1e-16, L_lower=1e-12, L_upper=1e-9)
    model = parts(0.005)[0]
    losses = [attempt(model, particle, c, ModelAdapter(c)).losses.item() for c in (plain, judged)]
    assert losses[1] > losses[0] + 1.0


def test_a_lone_body_in_a_field_can_be_trained_on():
    field = PointMassTidalField(50.0, [4.0, 3.0])
    particle = ParticleTorch([1.0], [[1.0, 0.5]], [[0.0, 1.0]], external_field=field)
    model, _, config, adapter = parts(1.0, E_upper=1e-5)
    tried = attempt(model, particle, config, adapter)
    assert not tried.passed.any()
    tried.losses.sum().backward()
    assert torch.isfinite(model.log_dt.grad)
    assert model.log_dt.grad != 0
