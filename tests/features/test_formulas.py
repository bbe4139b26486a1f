"""The features are what docs/features.md says, written out pair by pair; and so is the loss of docs/loss.md."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from aitimestepper import Config, ModelAdapter, ParticleTorch
from aitimestepper.training.steps.single_step import SingleSteps

EPS, G = 0.05, 1.7


def bodies(seed: int, n: int = 4, dim: int = 3):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 1.0, n), rng.normal(size=(n, dim)), rng.normal(size=(n, dim))


def particle(m, x, v) -> ParticleTorch:
    return ParticleTorch(m, x, v, softening=EPS, G=G)


def features(kind: str, state: ParticleTorch, **keys) -> np.ndarray:
    return ModelAdapter(Config(feature_type=kind, **keys)).build_feature_tensor(state).numpy()


def pairs(m, x, v):
    for i, j in itertools.combinations(range(len(m)), 2):
        yield m[i], m[j], x[i] - x[j], v[i] - v[j]


@pytest.mark.parametrize("seed", range(3))
def test_invariant_features_are_those_of_the_page(seed):
    m, x, v = bodies(seed)
    a = particle(m, x, v).get_acceleration().numpy()
    still = v - (m[:, None] * v).sum(0) / m.sum()
    energy = 0.5 * (m * (still**2).sum(1)).sum()
    energy += sum(G * p * q / math.sqrt(r @ r + EPS**2) for p, q, r, _ in pairs(m, x, v))
    rows = []
    for p, q, apart, w in pairs(m, x, v):
        r, mu, speed = math.sqrt(apart @ apart + EPS**2), p + q, w @ w
        radial = (apart @ w) ** 2 / r**2
        rate = G * p * q / (r * energy) * (speed / r**2 + G * mu / r**3)
        curvature = G * p * q / (r**3 * energy) * (speed - 3 * radial) / 12
        circular = speed * r / (G * mu)
        e2 = 1 + (speed - radial) * r / (G * mu) * (circular - 2)
        rows.append((rate, curvature, e2, circular, radial / speed, G * mu / r**3, speed / r**2, radial / r**2))
    rate, curvature, e2, circular, share, fall, fly, approach = np.array(rows).T
    W = math.sqrt((rate**2).sum())
    w = rate**2 / (rate**2).sum()
    C, K = curvature.sum(), (m * (a**2).sum(1)).sum() / (24 * energy)

    def norm4(values):
        return ((values / W) ** 4).sum() ** 0.25

    A, B, R = norm4(fall), norm4(fly), norm4(approach)
    expected = [
        C / W,
        K / W,
        (C - K) / W,
        math.log(max((w * e2).sum(), 0.0) + 1e-4),
        math.log((w * circular).sum() + 1e-2),
        (w * share).sum(),
        (w**2).sum(),
        0.5 * math.log(A),
        0.5 * math.log(B + 1e-6 * A),
        0.5 * math.log(R + 1e-6 * A),
    ]
    assert features("invariant", particle(m, x, v)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_basic_and_rich_features_are_those_of_the_page():
    m, x, v = bodies(5)
    state = particle(m, x, v)
    a = np.linalg.norm(state.get_acceleration().numpy(), axis=1)
    centred = [y - (m[:, None] * y).sum(0) / m.sum() for y in (x, v)]
    distance = np.array([math.sqrt(r @ r) for _, _, r, _ in pairs(m, x, v)])
    L0, V0, A0 = distance.mean(), math.sqrt((centred[1] ** 2).sum(1).mean()), math.sqrt((a**2).mean())
    sizes = np.linalg.norm(centred[0], axis=1) / L0, np.linalg.norm(centred[1], axis=1) / V0, a / A0
    counts = [len(m), 3, m.sum()]
    basic = [*counts, *(f(s) for s in sizes for f in (np.mean, np.max)), distance.min() / L0, 1.0]
    assert features("basic", state, normalize_inputs=True) == pytest.approx(basic, rel=1e-12)

    def rms(values):
        return math.sqrt((values**2).mean())

    rich = [*counts, *(f(s) for s in (m, *sizes) for f in (np.mean, np.min, np.max, rms))]
    rich += [distance.min() / L0, 1.0, distance.max() / L0, EPS / L0]
    assert features("rich", state, normalize_inputs=True) == pytest.approx(rich, rel=1e-12)


class Says(torch.nn.Module):
    """The same output for every state."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.output = torch.nn.Parameter(torch.tensor(numbers, dtype=torch.float64))

    def forward(self, features):
        return self.output.expand(*features.shape[:-1], -1)


@pytest.mark.parametrize("fraction", [1e-3, 0.05, 0.3, 0.45, 0.7])
def test_the_loss_of_a_step_is_that_of_the_page(fraction):
    m, x, v = bodies(2)
    config = Config(output_scale="physical", G=G, error_loss_weight=0.5, L_lower=1e-9, L_upper=1e-3)
    state = particle(m, x, v)
    learned = SingleSteps(config, ModelAdapter(config))
    tried = learned.attempt(Says(fraction, 1e-5), learned.start(state))
    unit = min(math.sqrt((r @ r + EPS**2) ** 1.5 / (G * (p + q))) for p, q, r, _ in pairs(m, x, v))
    dt = (fraction + 1e-12) * unit
    assert tried.dt.item() == pytest.approx(dt, rel=1e-12)
    before, after = state.clone_detached(), state.clone_detached()
    after.update_dt(dt)
    after.evolve()
    E0, E1 = before.total_energy().item(), after.total_energy().item()
    error = abs(E1 - E0) / abs(E0 + math.copysign(1e-12, E0))

    def band(value, lower, upper):
        low, high, log = math.log(lower), math.log(upper), math.log(value)
        return (low - log) ** 2 if log < low else (log - high) ** 2 if log > high else 0.0

    turned = (after.angular_momentum() - before.angular_momentum()).norm().item()
    lever = (m * np.linalg.norm(x, axis=1) * np.linalg.norm(v, axis=1)).sum()
    spin = turned / lever
    limit = 0.5 * unit
    if dt > limit:
        expected = math.log(dt / limit) ** 2
    elif dt >= 0.8 * limit and error < config.E_lower:
        expected = 0.0
    else:
        expected = band(error, config.E_lower, config.E_upper)
        expected += band(spin, 1e-9, 1e-3) if spin > 1e-14 else 0.0
        expected += 0.5 * (math.log(1e-5) - math.log(min(max(error, 1e-14), 1.0))) ** 2
    assert tried.losses.item() == pytest.approx(expected, rel=1e-6)
