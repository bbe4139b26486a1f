"""The compiled loop: it is the reference loop, it goes back the way it came, and it always gives an answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aitimestepper import (
    Config,
    FullyConnectedNN,
    InputError,
    ParticleTorch,
    SimulationError,
    load_stepper,
    register_criterion,
    simulate,
)
from aitimestepper.engine.layout import AX, N_BOOKS, ROWS, VX, X
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.own_criterion import OwnCriterion
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.rollout import advance
from aitimestepper.engine.run.state import Frames, Limits, Run, copy_of
from aitimestepper.features.build import feature_length
from aitimestepper.model.reference import FreeFallStep, LearnedStep, reference_steps
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.run import requested
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, write_model

FEATURES = [("basic", 0), ("rich", 0), ("invariant", 0), ("basic", 2), ("rich", 1), ("invariant", 3), ("delta_mag", 1)]


def model_file(tmp_path, **keys) -> str:
    """A network with random weights, whose steps are a few hundredths of the shortest pair time."""
    config = Config(**{"hidden_dims": (16, 12), "output_scale": "physical", **keys})
    model = FullyConnectedNN(
        feature_length(config.feature_type, config.history_len),
        hidden_dims=config.hidden_dims,
        activation=config.activation,
        fourier_dim=config.fourier_dim,
        fourier_scale=0.05,
        initial_output=0.03,
        generator=torch.Generator().manual_seed(5),
    )
    with torch.no_grad():  # as it is after training, the output does not leave its range
        model.layers[-1].weight *= 0.05
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_model(tmp_path / "model.safetensors", ModelFile(weights, config, None, {}))
    return str(tmp_path / "model.safetensors")


def particle_of(ic: str, G: float = 1.0, softening: float = 0.0) -> ParticleTorch:
    system = initial_conditions(ic, G=G, softening=softening)
    return ParticleTorch(system.mass, system.position, system.velocity, softening=softening, G=G)


def assert_same_path(ic: str, model: str, *, n_steps: int = 1000, reversible: bool = False, **keys) -> None:
    how = {"timestep": "learned", "model": model, "reversible": reversible, "guard": "off"}
    run = simulate(config=Config(ic=ic, steps=n_steps, every=1, **how, **keys))
    network, adapter, trained = load_stepper(model)
    adapter.config = trained.replace(G=keys.get("G", 1.0))
    reference = reference_steps(
        particle_of(ic, **keys),
        LearnedStep(network, adapter),
        n_steps,
        G=keys.get("G", 1.0),
        reversible=reversible,
    )
    for name in ("time", "dt", "position", "velocity", "energy"):
        mine, theirs = getattr(run, name), getattr(reference, name)
        assert np.abs(mine - theirs).max() <= 1e-10 * np.abs(theirs).max(), name


@pytest.mark.parametrize(("feature_type", "history_len"), FEATURES)
def test_learned_steps_agree_with_the_reference_loop_over_a_thousand(tmp_path, feature_type, history_len):
    assert_same_path("figure-eight", model_file(tmp_path, feature_type=feature_type, history_len=history_len))


@pytest.mark.parametrize(
    ("ic", "keys", "more"),
    [
        ("kepler:e=0.5,m2=0.2", {"feature_type": "invariant"}, {"G": 39.5}),
        ("kepler:e=0.3", {"feature_type": "rich", "activation": "silu"}, {"softening": 0.1}),
        ("random:n=5,seed=3,dim=3", {"feature_type": "delta_mag", "history_len": 3}, {"softening": 0.2}),
        ("hierarchical-triple", {"feature_type": "basic", "normalize_inputs": True, "activation": "relu"}, {}),
        ("figure-eight", {"feature_type": "invariant", "fourier_dim": 3, "activation": "sigmoid"}, {}),
        ("figure-eight", {"feature_type": "delta_mag", "history_len": 2, "normalize_inputs": True}, {}),
    ],
)
def test_learned_steps_agree_in_any_setting(tmp_path, ic, keys, more):
    assert_same_path(ic, model_file(tmp_path, **keys), **more)


def test_learned_steps_agree_when_they_are_made_reversible(tmp_path):
    assert_same_path("figure-eight", model_file(tmp_path, feature_type="invariant"), reversible=True)


@pytest.mark.parametrize("reversible", [True, False])
def test_free_fall_steps_agree_with_the_reference_loop(reversible):
    run = simulate(
        config=Config(ic="figure-eight", timestep="free-fall", eta=0.03, steps=1000, every=1, reversible=reversible)
    )
    reference = reference_steps(particle_of("figure-eight"), FreeFallStep(0.03), 1000, reversible=reversible)
    np.testing.assert_allclose(run.position, reference.position, rtol=0, atol=1e-10)
    np.testing.assert_allclose(run.dt, reference.dt, rtol=1e-10)


def reversed_run(run: Run, plan: Plan, own: OwnCriterion) -> Run:
    """The run that goes back in time through the same states, step by step.

    The reversible recursion makes the next step from the last one; going back, the last one is the step that would
    have come next.
    """
    back, ahead = copy_of(run), copy_of(run)
    none = Frames(
        np.empty((1, N_BOOKS)),
        np.empty((1, len(run.system) // ROWS * 6)),
        np.empty((0, 3)),
        0,
        math.inf,
        room_for_events(0),
    )
    advance(ahead, plan, own, Limits(math.inf, math.inf, 1), none)
    n = len(run.system) // ROWS
    back.system[VX * n : AX * n] *= -1.0
    back.books[0].last_rate = ahead.books[0].last_rate
    return back


def there_and_back(n_steps: int, **keys) -> float:
    """How far from its start a run comes back to, in units of the largest coordinate."""
    config = Config(**{"ic": "kepler:e=0.7,m2=0.3", "steps": n_steps, **keys})
    prepared = planned(requested(config))
    run = prepared.new_run()
    n = prepared.request.system.n_bodies
    begin = run.system[X * n : VX * n].copy()
    frames = Frames(np.empty((1, 3)), np.empty((1, 6 * n)), np.empty((0, 3)), 0, math.inf, room_for_events(0))
    limits = Limits(math.inf, math.inf, n_steps)
    assert advance(run, prepared.plan, prepared.own, limits, frames)[0] == 0
    assert np.abs(run.system[X * n : VX * n] - begin).max() > 0.1
    back = reversed_run(run, prepared.plan, prepared.own)
    assert advance(back, prepared.plan, prepared.own, limits, frames)[0] == 0
    return float(np.abs(back.system[X * n : VX * n] - begin).max() / np.abs(begin).max())


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
@pytest.mark.parametrize("timestep", ["free-fall", "fly-by", "acceleration", "aarseth", "prs23"])
def test_steps_forward_and_back_return(timestep, integrator, order):
    keys = {"timestep": timestep, "eta": 0.02, "integrator": integrator, "order": order}
    assert there_and_back(333, **keys) < 1e-10


def test_steps_that_are_not_reversible_do_not_return():
    assert there_and_back(333, timestep="free-fall", eta=0.02, reversible=False) > 1e-6


def test_fixed_steps_of_fictitious_time_return():
    assert there_and_back(500, timestep="fixed", integrator="ttl", h=0.05, order=6) < 1e-10


def test_reversible_steps_do_not_drift():
    keys = {"ic": "kepler:e=0.6", "timestep": "free-fall", "eta": 0.05, "periods": 50}
    plain, reversible = (simulate(config=Config(**keys, reversible=r)).summary for r in (False, True))
    assert reversible.energy_error_final < 1e-2 * plain.energy_error_final
    assert reversible.force_evaluations == pytest.approx(plain.force_evaluations, rel=0.02)


def test_the_recursion_follows_its_definition():
    """1/dt_next = 2/g - 1/dt, started with g, and never below 0.3/g."""
    run = simulate(config=Config(ic="kepler:e=0.97", timestep="free-fall", eta=0.8, steps=100, every=1))
    r = np.linalg.norm(run.position[:, 1] - run.position[:, 0], axis=-1)
    wanted = 1.0 / (0.8 * np.sqrt(r**3 / 2.0))
    expected = [wanted[0]]
    for k in range(1, 100):
        expected.append(max(2.0 * wanted[k] - expected[-1], 0.3 * wanted[k]))
    np.testing.assert_allclose(run.dt[1:], 1.0 / np.array(expected), rtol=1e-9)
    assert (np.array(expected) == 0.3 * wanted[:100]).any(), "the bound should be met here"


def test_steps_keep_within_their_bounds():
    run = simulate(
        config=Config(ic="kepler:e=0.8", timestep="free-fall", eta=0.05, dt_min=4e-3, dt_max=2e-2, periods=2, every=1)
    )
    assert run.dt[1:-1].min() == pytest.approx(4e-3)
    assert run.dt[1:].max() == pytest.approx(2e-2)


@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
@pytest.mark.parametrize("order", [2, 6])
def test_every_force_evaluation_is_counted(integrator, order):
    stages = {2: 1, 6: 9}[order]
    step = {"h": 0.05} if integrator == "ttl" else {"dt": 0.01}
    run = simulate(
        config=Config(ic="figure-eight", timestep="fixed", integrator=integrator, order=order, steps=40, **step)
    )
    assert run.summary.force_evaluations == 1 + 40 * stages


def test_a_criterion_that_wants_the_force_between_the_kicks_pays_for_it():
    run = simulate(config=Config(ic="figure-eight", timestep="prs23", eta=0.05, integrator="ttl", steps=40))
    assert run.summary.force_evaluations == 1 + 40 * 2


# --- the end and the samples


@pytest.mark.parametrize("keys", [{"integrator": "ttl", "h": 0.3, "order": 4}, {"dt": 0.03}])
def test_the_end_is_exact_and_does_not_disturb_the_trajectory(keys):
    short, long = (
        simulate(config=Config(ic="figure-eight", timestep="fixed", duration=t, every=1, **keys)) for t in (2.0, 4.0)
    )
    assert short.time[-1] == 2.0
    whole = len(short.time) - 1
    np.testing.assert_array_equal(short.position[:whole], long.position[:whole])
    assert short.time[-1] not in long.time


@pytest.mark.parametrize("keys", [{"integrator": "ttl", "h": 0.05}, {"dt": 0.003}])
def test_samples_lie_at_their_times_and_on_the_orbit(keys):
    config = Config(ic="figure-eight", timestep="fixed", duration=2.0, **keys)
    sampled, plain = simulate(config=config.replace(samples=8)), simulate(config=config.replace(every=1))
    np.testing.assert_array_equal(sampled.time, np.linspace(0.0, 2.0, 9))
    np.testing.assert_array_equal(sampled.position[-1], plain.position[-1])
    for axis in range(2):
        between = np.interp(sampled.time, plain.time, plain.position[:, 0, axis])
        np.testing.assert_allclose(sampled.position[:, 0, axis], between, atol=1e-3)
    assert sampled.summary.force_evaluations > plain.summary.force_evaluations


def test_about_a_thousand_states_are_kept_of_any_run():
    for end in ({"duration": 20.0}, {"steps": 20_000}):
        run = simulate(config=Config(ic="kepler:e=0.3", timestep="fixed", dt=1e-3, **end))
        assert 990 <= len(run.time) <= 1002
        assert run.summary.steps == 20_000


def test_the_history_has_every_step():
    run = simulate(config=Config(ic="kepler:e=0.3", timestep="free-fall", eta=0.01, steps=2000, step_history=True))
    assert len(run.step_history.time) == 2000
    assert run.step_history.dt.sum() == pytest.approx(run.summary.time)
    error = np.abs(run.step_history.energy - run.summary.energy_initial).max() / run.energy_scale
    assert error == run.summary.energy_error_max


# --- the guard, and runs that cannot go on


def test_the_guard_bounds_the_error_of_every_step():
    keys = {"ic": "kepler:e=0.9,M=180", "timestep": "fixed", "dt": 0.02, "duration": 4.0, "step_history": True}
    free, guarded = simulate(config=Config(**keys)), simulate(config=Config(**keys, guard=1e-4))
    worst = [np.abs(np.diff(run.step_history.energy)).max() / run.energy_scale for run in (free, guarded)]
    assert worst[0] > 1e-2
    assert worst[1] <= 1e-4
    assert guarded.summary.rejected_steps > 0
    assert guarded.summary.force_evaluations == 1 + guarded.summary.steps + guarded.summary.rejected_steps


def test_a_guard_that_cannot_be_met_stops_the_run_and_keeps_what_was_reached():
    config = Config(timestep="fixed", dt=0.1, duration=10.0, guard=1e-3)
    at_rest = InitialConditions(np.ones(2), np.array([[0.5, 0.0], [-0.5, 0.0]]), np.zeros((2, 2)))
    with pytest.raises(SimulationError, match=r"t = 0\.785.*the guard refuses every step .*bodies 0") as failure:
        simulate(config=config, system=at_rest)
    reached = failure.value.recording
    assert reached.summary.rejected_steps > 10
    assert reached.time[-1] == reached.summary.time == pytest.approx(math.pi / 4, abs=1e-3)
    assert np.isfinite(reached.position).all()


@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
def test_a_collision_course_ends_with_a_sentence(integrator):
    keys = {"timestep": "free-fall", "eta": 0.02, "integrator": integrator, "duration": 50.0}
    try:
        summary = simulate(config=Config(ic="pythagorean", **keys)).summary
        assert math.isfinite(summary.energy_error_max)
    except SimulationError as error:
        assert "the run stopped at t = " in str(error)  # noqa: PT017 - either is an answer


def test_a_body_that_flies_away_is_followed():
    run = simulate(config=Config(ic="kepler:e=0.99,M=1,m2=0", timestep="free-fall", eta=0.01, duration=3.0))
    assert run.summary.outcome == "finished"


# --- criteria of the user's own


def free_fall_again(mass, position, velocity, acceleration, softening, G):
    shortest = np.inf
    for i in range(mass.shape[0]):
        for j in range(i):
            r = np.sqrt(((position[i] - position[j]) ** 2).sum() + softening**2)
            shortest = min(shortest, np.sqrt(r**3 / (G * (mass[i] + mass[j]))))
    return shortest


def test_a_criterion_of_the_users_own_drives_a_run():
    register_criterion("again", free_fall_again)
    own, built_in = (
        simulate(config=Config(ic="figure-eight", timestep=name, eta=0.02, steps=100, every=1))
        for name in ("again", "free-fall")
    )
    np.testing.assert_allclose(own.position, built_in.position, atol=1e-12)


def test_a_criterion_that_numba_cannot_compile_is_one_clear_error():
    register_criterion("hopeless", lambda mass, *rest: object())
    with pytest.raises(InputError, match="'hopeless' cannot be compiled by numba"):
        simulate(config=Config(ic="figure-eight", timestep="hopeless", eta=0.02, steps=1))


def test_a_criterion_may_not_take_the_name_of_another():
    with pytest.raises(InputError, match="none of fixed"):
        register_criterion("free-fall", free_fall_again)


def test_a_history_cannot_be_reversible(tmp_path):
    model = model_file(tmp_path, feature_type="delta_mag", history_len=2)
    with pytest.raises(InputError, match="looks back at 2 earlier ones"):
        simulate(config=Config(ic="kepler", timestep="learned", model=model, steps=1, reversible=True))
