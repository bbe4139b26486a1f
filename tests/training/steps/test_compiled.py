"""The compiled step and its derivative against the torch step, which is the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.conftest import CountingField, random_bodies, specified

from aitimestepper import ModelAdapter, ParticleTorch, PointMassTidalField, stack_particles
from aitimestepper.engine.training.gate import LOSS, SLOPE, VERDICT, judge_all
from aitimestepper.training.steps.rows import why_not_compiled
from aitimestepper.training.steps.single_step import SingleSteps, step_fraction


class Steps(torch.nn.Module):
    """A network whose first output is a step of its own for each sample, and the second a predicted error."""

    def __init__(self, dt: torch.Tensor) -> None:
        super().__init__()
        self.log_dt = torch.nn.Parameter(dt.log())
        self.log_error = torch.nn.Parameter(torch.linspace(-30.0, 1.0, len(dt), dtype=torch.float64))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.log_dt.exp(), self.log_error.exp()], dim=-1)


def systems(n_bodies: int, n_dims: int, seed: int, *, softening: float = 0.0, field: object = None) -> ParticleTorch:
    batch = random_bodies(seed, n_bodies, n_dims, (40,))
    batch.softening, batch.external_field = softening, field
    return batch


CASES = {
    "plane": (systems(2, 2, 1), {}),
    "line": (systems(2, 1, 2), {"G": 3.0}),
    "four": (systems(4, 3, 3), {}),
    "softened": (systems(5, 3, 4, softening=0.2), {"G": 0.5}),
    "tide": (systems(3, 3, 5, field=PointMassTidalField(20.0, [4.0, -3.0, 2.0], G=2.0)), {"G": 2.0}),
    "head": (systems(3, 2, 6), {"error_loss_weight": 0.7}),
    "other band": (systems(3, 2, 7), {"E_lower": 1e-9, "E_upper": 1e-7, "energy_threshold": 1e-6}),
    "short limit": (systems(3, 2, 8), {"max_step_fraction": 0.01}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("output_scale", ["absolute", "physical"])
def test_verdicts_losses_gradients_and_states_are_those_of_the_torch_step(name, output_scale):
    particle, keys = CASES[name]
    config = specified(output_scale=output_scale, **keys)
    adapter = ModelAdapter(config)
    model = Steps(torch.logspace(-7, 1.5, 40, dtype=torch.float64))  # from rounding to far beyond the limit
    learned = SingleSteps(config, adapter)
    start = learned.start(particle)
    assert start.known.compiled is not None
    found, expected = (
        learned.attempt(model, s) for s in (start, start._replace(known=start.known._replace(compiled=None)))
    )
    assert torch.equal(found.passed, expected.passed)
    assert 0 < found.passed.sum() < 40
    # An error is a difference of energies, exact to their rounding only.
    assert torch.allclose(found.error, expected.error, rtol=1e-9, atol=1e-13)
    clear = expected.error.detach() > 1e-7
    assert torch.allclose(found.losses[clear], expected.losses[clear], rtol=1e-5, atol=1e-9)
    slopes = [torch.autograd.grad(tried.losses.sum(), list(model.parameters())) for tried in (found, expected)]
    for mine, theirs in zip(*slopes, strict=True):
        assert torch.allclose(mine[clear], theirs[clear], rtol=1e-4, atol=1e-9)
    accepted = [tried.reached().select(tried.passed.nonzero()[:, 0]) for tried in (found, expected)]
    for quantity in ("position", "velocity", "acceleration", "current_time", "dt"):
        mine, theirs = (getattr(state, quantity) for state in accepted)
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-13)


def test_the_slope_is_that_of_the_loss():
    particle, config = systems(4, 3, 11, field=PointMassTidalField(5.0, [2.5, 1.0, 3.0])), specified()
    states = SingleSteps(config, ModelAdapter(config)).start(particle).known.compiled
    dt = 0.2 * particle.shortest_pair_time().numpy()

    def verdicts(steps: np.ndarray) -> np.ndarray:
        found, reached = np.empty((40, VERDICT)), np.empty_like(states.rows)
        judge_all(found, reached, *states.arrays[:3], steps, steps, states.law, states.gate)
        return found

    change = 1e-6 * dt
    numeric = (verdicts(dt + change)[:, LOSS] - verdicts(dt - change)[:, LOSS]) / (2 * change)
    there = verdicts(dt)
    steep = np.abs(there[:, SLOPE]) * dt >= 11.9 * np.sqrt(there[:, LOSS])  # limited on purpose
    assert steep.sum() < 20
    assert (there[~steep, LOSS] > 0).sum() > 10
    np.testing.assert_allclose(there[~steep, SLOPE], numeric[~steep], rtol=1e-4, atol=1e-6)


def test_bodies_at_one_point_are_refused_without_a_gradient():
    meeting = ParticleTorch([1.0, 1.0], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]])
    apart = ParticleTorch([1.0, 1.0], [[0.5, 0.0], [-0.5, 0.0]], [[0.0, 0.7], [0.0, -0.7]])
    config = specified()
    learned = SingleSteps(config, ModelAdapter(config))
    model = Steps(torch.tensor([0.3, 0.3], dtype=torch.float64))
    tried = learned.attempt(model, learned.start(stack_particles([meeting, apart])))
    assert tried.passed.tolist() == [False, False]
    assert tried.error[0] == 1.0
    tried.losses.sum().backward()
    assert torch.isfinite(model.log_dt.grad).all()
    assert model.log_dt.grad[1] != 0


def test_the_largest_passing_steps_are_those_of_the_torch_grid():
    particle, config = systems(3, 3, 12), specified()
    start = SingleSteps(config, ModelAdapter(config)).start(particle)
    dt = torch.full((40,), 0.01, dtype=torch.float64)
    fractions = [
        step_fraction(s, dt, config) for s in (start, start._replace(known=start.known._replace(compiled=None)))
    ]
    assert torch.allclose(*fractions, rtol=1e-12)


def test_what_the_engine_does_not_know_is_left_to_torch():
    plain = systems(2, 2, 13)
    config = specified()
    assert why_not_compiled(plain, config) is None
    assert "gradients" in why_not_compiled(
        ParticleTorch.from_tensors(plain.mass, plain.position.clone().requires_grad_(), plain.velocity), config
    )
    assert "angular momentum" in why_not_compiled(plain, config.replace(L_lower=1e-9, L_upper=1e-6))
    assert "float32" in why_not_compiled(ParticleTorch(*plain.bodies, dtype=torch.float32), config)
    for field in (
        CountingField(),
        PointMassTidalField(1.0, [2.0, 0.0], softening=0.1),
        PointMassTidalField(1.0, [2.0, 0.0], G=2.0),
        PointMassTidalField(1.0, R_of_t=lambda t: torch.stack([2 + t, t], -1)),
    ):
        assert "external field" in why_not_compiled(systems(2, 2, 13, field=field), config)
