"""Simulations: what is conserved, what is counted, where they end, and how they fail."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tests.builders import head_on, untrained
from tests.conftest import ConstantStep, CountingField, kepler

from aitimestepper import (
    Config,
    FullyConnectedNN,
    HistoryBuffer,
    InputError,
    ModelAdapter,
    OutputError,
    OutputExistsError,
    Recording,
    SimulationError,
    simulate,
    simulate_ensemble,
)
from aitimestepper.cli.main import main
from aitimestepper.model.reference import FixedStep, FreeFallStep, LearnedStep, reference_steps
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import read_model, write_model


def run(ic: str = "kepler:e=0.3", **keys) -> Recording:
    return simulate(config=Config(ic=ic, **keys))


def fixed(n_steps: int, *, ic: str = "kepler:e=0.3", periods: float = 1.0, period: float | None = None, **keys):
    """A run of equal steps."""
    period = 2 * math.pi / math.sqrt(2) if period is None else period
    return run(ic, timestep="fixed", dt=periods * period / n_steps, periods=periods, **keys)


# --- physics


def test_energy_error_is_of_second_order():
    coarse, fine = (fixed(n).summary.energy_error_max for n in (400, 800))
    assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.1)


def test_a_period_closes_to_second_order():
    coarse, fine = (
        np.abs(recording.position[-1] - recording.position[0]).max() for recording in (fixed(400), fixed(800))
    )
    assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.1)


def test_force_and_energy_have_the_same_softening():
    coarse, fine = (fixed(n, softening=0.3).summary.energy_error_max for n in (400, 800))
    assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.1)


def test_free_fall_steps_beat_fixed_ones_on_an_eccentric_orbit():
    adaptive = run("kepler:e=0.9", timestep="free-fall", eta=0.05, periods=3)
    equal = fixed(adaptive.summary.force_evaluations - 1, ic="kepler:e=0.9", periods=3)
    assert equal.summary.force_evaluations == adaptive.summary.force_evaluations
    assert adaptive.summary.energy_error_max < 0.1 * equal.summary.energy_error_max


def test_the_energy_of_an_external_field_is_part_of_the_error():
    keys = {"external_field_mass": 20.0, "external_field_position": (6.0, 0.0)}
    recording = fixed(2000, **keys)
    own = 0.5 * (recording.velocity**2).sum((1, 2)) - 1 / np.linalg.norm(
        recording.position[:, 0] - recording.position[:, 1], axis=-1
    )
    left_out = np.abs(own / own[0] - 1).max()
    assert left_out > 0.05
    assert recording.summary.energy_error_max < 1e-4


def test_momentum_and_angular_momentum_stay():
    summary = fixed(300, ic="kepler:e=0.6,m1=1,m2=0.01").summary
    assert summary.momentum_residual < 1e-14
    assert summary.angular_momentum_residual < 1e-13


def test_a_parabolic_orbit_has_a_finite_error():
    """E = 0: the error is relative to kinetic + |potential|."""
    system = InitialConditions(np.ones(2), np.array([[0.5, 0.0], [-0.5, 0.0]]), np.array([[0.0, 1.0], [0.0, -1.0]]))
    recording = simulate(config=Config(timestep="fixed", dt=0.01, duration=2.0), system=system)
    assert recording.summary.energy_initial == 0.0
    assert recording.energy_scale == 2.0
    assert 0 < recording.summary.energy_error_max < 1e-4


def test_a_massless_body_follows_the_others():
    system = InitialConditions(
        np.array([1.0, 0.0]), np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    )
    recording = simulate(config=Config(timestep="free-fall", eta=0.01, duration=2 * math.pi), system=system)
    np.testing.assert_allclose(recording.position[-1, 1], [1.0, 0.0], atol=1e-3)


# --- counts and ends


@pytest.mark.parametrize("stepper", [FixedStep(0.01), FreeFallStep(0.02), "learned"])
def test_a_step_of_the_reference_loop_costs_one_force_evaluation(stepper):
    if stepper == "learned":
        stepper = LearnedStep(ConstantStep(0.01), ModelAdapter(Config(feature_type="rich", history_len=3)))
    particle, field = kepler(e=0.5), CountingField()
    particle.set_external_field(field)
    reference_steps(particle, stepper, 50)
    assert field.forces == 51


@pytest.mark.parametrize("steps", [1, 7, 2000])
def test_steps_are_honoured(steps):
    """Of a bound pair too."""
    recording = run(timestep="fixed", dt=0.001, steps=steps, every=1)
    assert len(recording.time) == recording.summary.steps + 1 == steps + 1
    assert recording.time[-1] == pytest.approx(0.001 * steps)


@pytest.mark.parametrize(("dt", "steps"), [(0.1, 13), (0.3, 5), (5.0, 1), (1.2345 / 1000, 1000)])
def test_a_duration_is_hit_exactly(dt, steps):
    recording = run(timestep="fixed", dt=dt, duration=1.2345, every=1)
    assert recording.time[-1] == recording.summary.time == 1.2345
    assert recording.summary.steps == steps
    np.testing.assert_allclose(recording.dt[1:-1], dt)
    assert 0 < recording.dt[-1] <= dt * (1 + 1e-6)
    assert recording.dt.sum() == pytest.approx(1.2345, rel=1e-14)


def test_rounding_in_the_time_leaves_no_last_step_of_nothing():
    """Ten steps of 0.1 add up to 0.9999999999999999."""
    assert run(timestep="fixed", dt=0.1, duration=1.0).summary.steps == 10


def test_periods_are_those_of_the_system():
    recording = run("kepler:e=0.3,a=2,m1=3", timestep="free-fall", eta=0.1, periods=1.5)
    assert recording.summary.time == pytest.approx(1.5 * 2 * math.pi * math.sqrt(8 / 4))


def test_a_run_starts_at_the_time_of_its_initial_state():
    system = InitialConditions(head_on().mass, head_on().position, head_on().velocity, time=100.0)
    recording = simulate(config=Config(timestep="fixed", dt=0.01, duration=0.5), system=system)
    assert recording.time[[0, -1]].tolist() == [100.0, 100.5]


def test_a_lone_body_needs_one_step():
    lone = InitialConditions(np.ones(1), np.zeros((1, 3)), np.zeros((1, 3)))
    assert simulate(config=Config(timestep="free-fall", eta=0.1, duration=3.0), system=lone).summary.steps == 1


STEPS = [
    {"tolerance": 1e-6},
    {"tolerance": 1e-6, "integrator": "leapfrog"},
    {"timestep": "free-fall", "eta": 0.01, "integrator": "ttl"},
    {"timestep": "aarseth", "eta": 0.01},
    {"timestep": "fixed", "h": 0.1, "integrator": "ttl"},
    {"timestep": "fixed", "dt": 0.1},
]


@pytest.mark.parametrize("keys", STEPS)
def test_bodies_that_attract_no_other_move_uniformly(keys):
    position, velocity = np.array([[0.92, 0.0], [1.0, 2.0]]), np.array([[0.0, 0.5], [-1.0, 0.25]])
    light = InitialConditions(np.zeros(2), position, velocity)
    run = simulate(config=Config(**keys, duration=60.0, samples=3), system=light)
    np.testing.assert_allclose(run.position, position + run.time[:, None, None] * velocity, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(run.velocity, np.broadcast_to(velocity, (4, 2, 2)))
    np.testing.assert_array_equal(run.time, [0.0, 20.0, 40.0, 60.0])
    summary = run.summary
    assert (summary.outcome, summary.energy_error_max, summary.energy_initial) == ("finished", 0.0, 0.0)
    assert (summary.energy_verdict, summary.position_verdict) == (("kept",) * 2 if "tolerance" in keys else (None,) * 2)


@pytest.mark.parametrize("keys", STEPS)
def test_one_body_stays_in_its_own_frame(tmp_path, keys):
    (tmp_path / "one.csv").write_text("0.92,0,0,0.5,0\n")
    config = Config(ic=str(tmp_path / "one.csv"), duration=60.0, **keys)
    run = simulate(config=config)
    assert run.time[-1] == 60.0
    assert not run.position.any()
    assert simulate_ensemble(config=config.replace(count=1)).outcome == ("finished",)


def test_a_step_of_free_bodies_is_at_most_dt_max():
    light = InitialConditions(np.zeros(2), np.eye(2), np.eye(2))
    assert simulate(config=Config(tolerance=1e-6, duration=1.0, dt_max=0.125), system=light).summary.steps == 8


def test_no_criterion_knows_a_step_of_free_bodies_in_an_external_field():
    light = InitialConditions(np.zeros(2), np.eye(2), np.zeros((2, 2)))
    keys = {"external_field_mass": 1.0, "external_field_position": (10.0, 0.0), "duration": 30.0}
    with pytest.raises(InputError, match="nothing says which steps their external field needs"):
        simulate(config=Config(tolerance=1e-6, **keys), system=light)
    assert simulate(config=Config(timestep="fixed", dt=0.1, **keys), system=light).summary.steps == 300


def test_simulations_run_in_double_precision_and_do_not_take_another():
    assert (
        main(["simulate", "--ic", "kepler", "--steps", "3", "--timestep", "fixed", "--dt", "0.1", "--dtype", "float32"])
        == 2
    )
    assert fixed(300).summary.momentum_residual < 1e-14


def test_progress_runs_from_nothing_to_one():
    seen: list[float] = []
    simulate(config=Config(ic="kepler", timestep="fixed", dt=0.001, duration=2.0), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] < 0.1
    assert seen[-1] == 1.0


# --- learned steps


def test_the_history_holds_the_states_that_steps_started_from():
    config = Config(feature_type="delta_mag", history_len=2)
    model = FullyConnectedNN(20, hidden_dims=(8,), initial_output=0.01, generator=torch.Generator().manual_seed(3))
    reference = reference_steps(kepler(e=0.6), LearnedStep(model, ModelAdapter(config)), 10)
    state, window, adapter, steps = kepler(e=0.6), HistoryBuffer(2, "delta_mag"), ModelAdapter(config), []
    for _ in range(10):
        steps.append(adapter.predict_dt(model, state, window))
        window.push(state)
        state.update_dt(steps[-1])
        state.evolve()
    assert len(set(map(float, steps))) == 10
    np.testing.assert_array_equal(reference.dt[1:], np.array(steps))


def test_a_smaller_tolerance_gives_a_smaller_error(tmp_path):
    model = untrained(tmp_path / "model.safetensors", feature_type="invariant")
    keys = {"timestep": "learned", "model": model, "periods": 1, "every": 1}
    loose, trained, tight = (run(**keys, **more) for more in ({"tolerance": 16e-4}, {}, {"tolerance": 2e-7}))
    np.testing.assert_allclose(loose.dt[1] / trained.dt[1], 2.0, rtol=1e-12)
    np.testing.assert_allclose(tight.dt[1] / trained.dt[1], 0.1, rtol=1e-12)
    errors = [r.summary.energy_error_max for r in (loose, trained, tight)]
    assert errors[0] > 2 * errors[1] > 100 * errors[2]


def test_learned_steps_in_units_of_the_pair_time_follow_gravity(tmp_path):
    keys = {
        "timestep": "learned",
        "model": untrained(tmp_path / "model.safetensors", feature_type="invariant"),
        "steps": 20,
    }
    one, other = run("kepler:e=0.5", **keys), run("kepler:e=0.5", G=4 * math.pi**2, **keys)
    np.testing.assert_allclose(other.dt * 2 * math.pi, one.dt, rtol=1e-9)


def test_a_model_of_single_precision_drives_a_run_in_double(tmp_path):
    path = untrained(tmp_path / "model.safetensors", dtype="float32")
    assert run(timestep="learned", model=path, steps=5).position.dtype == np.float64


# --- files


def test_the_file_holds_what_is_returned(tmp_path):
    recording = run(timestep="free-fall", eta=0.005, periods=1, output=str(tmp_path / "run.h5"), every=1)
    read = Recording.load(tmp_path / "run.h5")
    np.testing.assert_array_equal(read.position, recording.position)
    np.testing.assert_array_equal(read.energy_error, recording.energy_error)
    assert read.summary == recording.summary
    assert read.settings == json.loads(json.dumps(recording.settings))
    assert recording.energy_error.max() == recording.summary.energy_error_max


def test_a_recording_serves_as_initial_conditions(tmp_path):
    recording = run(timestep="fixed", dt=0.01, steps=50, output=str(tmp_path / "run.h5"))
    further = run(str(tmp_path / "run.h5"), timestep="fixed", dt=0.01, steps=1)
    np.testing.assert_allclose(further.position[0], recording.position[-1], atol=1e-15)
    assert further.time[0] == recording.time[-1]


def test_an_existing_output_is_refused_before_the_run(tmp_path):
    (tmp_path / "run.h5").write_text("precious")
    with pytest.raises(OutputExistsError, match="set overwrite"):
        run(timestep="fixed", dt=1e-9, duration=1.0, output=str(tmp_path / "run.h5"))
    assert (tmp_path / "run.h5").read_text() == "precious"


def test_a_bad_request_leaves_the_old_output(tmp_path):
    (tmp_path / "run.h5").write_text("precious")
    with pytest.raises(InputError, match="no model file"):
        run(timestep="learned", model="nowhere", steps=1, output=str(tmp_path / "run.h5"), overwrite=True)
    assert (tmp_path / "run.h5").read_text() == "precious"


def test_a_missing_directory_is_found_before_the_run(tmp_path):
    with pytest.raises(OutputError, match="there is no directory"):
        run(timestep="fixed", dt=1e-9, duration=1.0, output=str(tmp_path / "missing" / "run.h5"))


def test_an_interrupted_run_keeps_its_frames(tmp_path):
    def interrupt(done: float) -> None:
        if done > 0.0:
            raise KeyboardInterrupt

    config = Config(ic="kepler", timestep="fixed", dt=1e-4, duration=1e4, output=str(tmp_path / "run.h5"))
    with pytest.raises(KeyboardInterrupt):
        simulate(config=config, progress=interrupt)
    kept = Recording.load(tmp_path / "run.h5")
    assert kept.summary.outcome.startswith(f"interrupted at t = {kept.time[-1]:.9g}")
    assert kept.summary.steps > 0
    assert kept.time[-1] == kept.summary.time


# --- failures


@pytest.mark.parametrize("softening", [0.0, 0.01])
def test_a_collision_course_gets_an_answer(tmp_path, softening):
    config = Config(timestep="free-fall", eta=0.05, duration=2.0, softening=softening, output=str(tmp_path / "run.h5"))
    if softening:
        assert simulate(config=config, system=head_on()).summary.outcome == "finished"
        return
    with pytest.raises(SimulationError, match=r"stopped at t = 0\.785.*too short.*closest were bodies 0") as failure:
        simulate(config=config, system=head_on())
    reached = failure.value.recording
    assert failure.value.time == reached.time[-1] == pytest.approx(math.pi / 4, abs=1e-3)
    for array in reached.frames:
        assert np.isfinite(array).all()
    json.dumps(reached.summary.as_dict(), allow_nan=False)
    assert Recording.load(tmp_path / "run.h5").summary == reached.summary


def test_bodies_that_meet_in_one_point_stop_the_run():
    """One step takes both to the origin, where their force is infinite."""
    system = InitialConditions(np.ones(2), np.array([[0.5, 0.0], [-0.5, 0.0]]), np.array([[-0.75, 0.0], [0.75, 0.0]]))
    with pytest.raises(SimulationError, match=r"t = 0 after 0 steps: a step leads to a state .* not finite"):
        simulate(config=Config(timestep="fixed", dt=0.5, duration=2.0), system=system)


def test_a_network_that_predicts_nonsense_stops_the_run(tmp_path):
    path = untrained(tmp_path / "model.safetensors")
    file = read_model(path)
    file.weights["layers.0.bias"][:] = 100.0
    file.weights["layers.2.weight"][0] = np.resize([1.7e308, 1.7e308, -1.7e308, -1.7e308], 8)  # inf - inf
    write_model(tmp_path / "nonsense.safetensors", file)
    with pytest.raises(SimulationError, match="after 0 steps: the step wanted is not a number > 0"):
        run(timestep="learned", model=str(tmp_path / "nonsense.safetensors"), steps=5)


def test_an_unbounded_step_without_an_end_stops_the_run():
    lone = InitialConditions(np.ones(1), np.zeros((1, 2)), np.ones((1, 2)))
    with pytest.raises(SimulationError, match="nothing bounds the step, and there is no time at which to end"):
        simulate(config=Config(timestep="free-fall", eta=0.1, steps=5), system=lone)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"duration": 1.0}, "needs a tolerance.*or a timestep.*: one of fixed, free-fall, fly-by, .*prs23, learned"),
        ({"timestep": "fixed", "duration": 1.0}, "timestep = fixed needs dt"),
        ({"timestep": "free-fall", "duration": 1.0}, "timestep = free-fall needs eta"),
        ({"timestep": "learned", "duration": 1.0}, "timestep = learned needs tolerance"),
        (
            {"timestep": "fixed", "dt": 0.1, "eta": 0.1, "duration": 1.0},
            r"eta = 0\.1 does nothing .* which take dt: leave",
        ),
        ({"timestep": "fixed", "dt": 0.1, "tolerance": 0.1, "duration": 1.0}, r"tolerance = 0\.1 does nothing"),
        ({"timestep": "free-fall", "eta": 0.1, "tolerance": 0.1, "duration": 1.0}, "takes eta or tolerance, not both"),
        ({"timestep": "fixed", "dt": 0.1, "reversible": True, "steps": 1}, "reversible = True does nothing"),
        ({"timestep": "fixed", "dt": 0.1, "omega": "sum", "steps": 1}, "omega does nothing with integrator = leapfrog"),
        ({"timestep": "fixed", "dt": 0.1, "integrator": "ttl", "steps": 1}, "needs h, which is not set"),
        ({"timestep": "fixed", "dt": 0.1, "samples": 5, "steps": 1}, "samples are taken .* set duration or periods"),
        ({"timestep": "learned", "model": "m", "dt": 0.1, "duration": 1.0}, r"dt = 0\.1 does nothing"),
        ({"timestep": "fixed", "dt": 0.1}, "exactly one of duration, periods, steps, got none"),
        ({"timestep": "fixed", "dt": 0.1, "steps": 3, "periods": 1.0}, "got periods and steps"),
        ({"timestep": "fixed", "dt": 0.1, "periods": 1.0, "ic": "plummer:n=8"}, "no.*duration or steps instead"),
        (
            {
                "timestep": "fixed",
                "dt": 0.1,
                "steps": 1,
                "external_field_mass": 1.0,
                "external_field_position": (9.0, 0.0, 0.0),
            },
            "external_field_position needs 2 numbers for this system, got 3",
        ),
        ({"timestep": "learned", "model": "nowhere.safetensors", "steps": 1}, "no model file at nowhere"),
    ],
)
def test_requests_that_cannot_be_carried_out(keys, message):
    with pytest.raises(InputError, match=message):
        run(**{"ic": "kepler", **keys})


def test_bodies_come_from_one_place():
    config = Config(timestep="fixed", dt=0.1, steps=1)
    with pytest.raises(InputError, match="needs initial conditions"):
        simulate(config=config)
    with pytest.raises(InputError, match="ic = 'kepler' would do nothing"):
        simulate(config=config.replace(ic="kepler"), system=head_on())


def test_a_duration_lost_in_the_rounding_of_the_time():
    late = InitialConditions(head_on().mass, head_on().position, head_on().velocity, time=1e9)
    with pytest.raises(InputError, match="cannot be told from 0"):
        simulate(config=Config(timestep="fixed", dt=0.1, duration=1e-9), system=late)
