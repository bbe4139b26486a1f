"""The calibrated stepper: its weights, a step for a program of one's own, and what a bare tolerance means."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from tests.engine.run.test_governor import constant_model
from tests.engine.run.test_rollout import model_file

from aitimestepper import CalibratedStepper, CheckpointError, Config, InputError, simulate
from aitimestepper.constants import TRAITS
from aitimestepper.simulation.request import checked, settings_of
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.orbits import Elements, two_body
from aitimestepper.weights.calibrated import HEADS, TOLERANCES, order_for
from aitimestepper.weights.file import DEFAULT_MODEL, read_model

STATE = initial_conditions("random:n=5,seed=45,dim=3")
BODIES = (STATE.mass, STATE.position, STATE.velocity)


@pytest.fixture(scope="module")
def stepper() -> CalibratedStepper:
    return CalibratedStepper.load_default()


# --- the weights


def test_the_weights_are_small_and_say_where_they_come_from(stepper):
    assert DEFAULT_MODEL.stat().st_size < 300_000
    assert {"config", "seed", "commit"} <= set(stepper.about)
    assert len(stepper.about["commit"]) == 40
    assert stepper.about["config"]["output_scale"] == "calibrated"
    assert stepper.about["config"]["seed"] == stepper.about["seed"]
    file = read_model(None)
    assert len(file.scales) == 2 * TRAITS
    assert all(np.isfinite(array).all() for array in file.weights.values())


# --- a step for a state


@pytest.mark.parametrize(("integrator", "order"), HEADS)
def test_a_smaller_tolerance_gives_a_shorter_step(stepper, integrator, order):
    tolerances = np.logspace(-11, -1.5, 8)
    steps = [stepper.step(*BODIES, t, integrator=integrator, order=order) for t in tolerances]
    assert all(0.0 < step < math.inf for step in steps)
    assert (np.diff(steps) >= 0.0).all()
    assert steps[-1] > 2.0 * steps[0]


@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
def test_the_step_has_the_units_of_the_bodies(stepper, integrator):
    heavier, larger, G = 1e3, 1e-3, 7.0
    speed = math.sqrt(heavier / larger * G)
    own = stepper.step(*BODIES, 1e-4, integrator=integrator)
    scaled = stepper.step(
        heavier * STATE.mass, larger * STATE.position, speed * STATE.velocity, 1e-4, integrator=integrator, G=G
    )
    time = larger / speed
    unit = time if integrator == "leapfrog" else heavier / larger * time
    assert scaled == pytest.approx(unit * own, rel=1e-6)


@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
def test_the_order_of_the_bodies_and_their_common_motion_do_not_matter(stepper, integrator):
    own = stepper.step(*BODIES, 1e-4, integrator=integrator)
    order = [3, 1, 4, 0, 2]
    assert stepper.step(*(array[order] for array in BODIES), 1e-4, integrator=integrator) == pytest.approx(own)
    moved = (STATE.mass, STATE.position + 3.0, STATE.velocity - 2.0)
    assert stepper.step(*moved, 1e-4, integrator=integrator) == pytest.approx(own)
    assert stepper.step(STATE.mass, STATE.position, -STATE.velocity, 1e-4, integrator=integrator) == own


def test_the_step_of_a_pair_is_the_factor_of_what_it_sets_by_itself(tmp_path):
    own = CalibratedStepper.load(constant_model(tmp_path, 0.3))
    pair = two_body((1.0, 1e-6), Elements(0.0, 2.0, 0.0), dim=3)
    bodies = (pair.mass, pair.position, pair.velocity)
    time_scale = math.sqrt(8.0 / 2.0)
    assert own.step(*bodies, 1e-4, order=4) == pytest.approx(0.03 * time_scale, rel=1e-5)
    assert own.step(*bodies, 1e-4, order=2) == pytest.approx(0.003 * time_scale, rel=1e-5)
    assert own.step(*bodies, 1e-4, integrator="ttl", order=4) == pytest.approx(0.03 * math.sqrt(2.0), rel=1e-3)


def test_it_is_the_first_step_of_a_run(stepper):
    keys = {"tolerance": 1e-5, "order": 4, "steps": 1, "every": 1}
    run = simulate(config=Config(integrator="leapfrog", **keys), system=STATE)
    assert run.dt[1] == pytest.approx(stepper.step(*BODIES, 1e-5, order=4), rel=1e-12)


def test_a_state_unlike_any_in_training_is_told(tmp_path, stepper):
    assert stepper.is_familiar(*BODIES)
    strange = CalibratedStepper.load(constant_model(tmp_path, 0.9, ranges=1e-9))
    usual = CalibratedStepper.load(constant_model(tmp_path, 0.9))
    assert not strange.is_familiar(*BODIES)
    assert strange.step(*BODIES, 1e-4) == usual.step(*BODIES, 1e-4)


def test_softening_lengthens_the_step_of_an_encounter(stepper):
    close = STATE.position.copy()
    close[1] = close[0] + 1e-4
    moved = (STATE.mass, close, STATE.velocity)
    assert stepper.step(*moved, 1e-4, softening=0.1) > 10.0 * stepper.step(*moved, 1e-4)


@pytest.mark.parametrize(
    ("bodies", "keys", "message"),
    [
        (([1.0], [[0.0, 0.0]], [[0.0, 0.0]]), {}, "needs two bodies"),
        (BODIES, {"integrator": "euler"}, "integrator must be one of leapfrog, ttl"),
        (BODIES, {"order": 3}, "of order 2, 4, 6 or 8"),
        (BODIES, {"tolerance": 0.0}, "tolerance must be between"),
        (BODIES, {"tolerance": -1e-3}, "tolerance must be between"),
        (BODIES, {"tolerance": math.nan}, "tolerance"),
        (BODIES, {"G": 0.0}, "G = 0"),
        (BODIES, {"softening": -1.0}, "softening = -1"),
        ((STATE.mass[:3], STATE.position, STATE.velocity), {}, "one mass for each body"),
        ((0.0 * STATE.mass, STATE.position, STATE.velocity), {}, "needs two bodies"),
        ((STATE.mass, 0.0 * STATE.position, STATE.velocity), {}, "initial energy is|at one point"),
    ],
)
def test_what_cannot_be_answered_is_refused(stepper, bodies, keys, message):
    with pytest.raises(InputError, match=message):
        stepper.step(*bodies, **{"tolerance": 1e-4, **keys})


@pytest.mark.parametrize("tolerance", [1e-13, 0.2])
def test_a_tolerance_that_calibrated_steps_cannot_keep_is_refused(stepper, tolerance):
    with pytest.raises(InputError, match=r"between 1e-12 and 0\.1"):
        stepper.step(*BODIES, tolerance)


def test_weights_that_choose_single_steps_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not calibrated"):
        CalibratedStepper.load(model_file(tmp_path, feature_type="invariant"))
    with pytest.raises(CheckpointError, match="no model file"):
        CalibratedStepper.load(tmp_path / "none")


def test_it_is_loaded_without_torch():
    code = (
        "import sys, aitimestepper as c; s = c.CalibratedStepper.load_default()\n"
        "assert not {'torch', 'h5py', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is chosen where nothing was said


@pytest.mark.parametrize(
    ("keys", "timestep", "integrator", "order"),
    [
        ({"tolerance": 1e-3}, "learned", "auto", None),
        ({"tolerance": 1e-3, "integrator": "leapfrog"}, "learned", "leapfrog", None),
        ({"tolerance": 1e-3, "order": 8}, "learned", "ttl", 8),
        ({"tolerance": 1e-3, "timestep": "fly-by"}, "fly-by", "leapfrog", 2),
        ({"timestep": "fixed", "dt": 0.1}, "fixed", "leapfrog", 2),
        ({"timestep": "fixed", "h": 0.1, "integrator": "ttl", "order": 4}, "fixed", "ttl", 4),
        ({"timestep": "free-fall", "eta": 0.1}, "free-fall", "leapfrog", 2),
    ],
)
def test_what_is_chosen(keys, timestep, integrator, order):
    found = settings_of(Config(**keys, steps=1)).config
    assert (found.timestep, found.integrator) == (timestep, integrator)
    assert found.order == (order_for(keys["tolerance"]) if order is None else order)
    assert settings_of(found).config == found


def test_single_step_weights_keep_the_plain_leapfrog(tmp_path):
    model = model_file(tmp_path, feature_type="invariant")
    found = settings_of(Config(model=model, tolerance=1e-4, steps=1))
    assert (found.config.timestep, found.config.integrator, found.config.order) == ("learned", "leapfrog", 2)
    assert not found.calibrated
    calibrated = settings_of(Config(model=constant_model(tmp_path, 0.5), tolerance=1e-4, steps=1))
    assert (calibrated.config.integrator, calibrated.calibrated) == ("auto", True)
    with pytest.raises(InputError, match="needs tolerance"):
        checked(Config(timestep="learned", steps=1), calibrated=True)


def test_the_order_grows_as_the_tolerance_shrinks():
    orders = [order_for(tolerance) for tolerance in np.logspace(-1, -12, 45)]
    assert orders == sorted(orders)
    assert set(orders) == {2, 4, 6, 8}


def test_a_tolerance_is_all_that_a_simulation_needs():
    run = simulate(config=Config(ic="hierarchical-triple", tolerance=1e-5, periods=2))
    assert run.summary.outcome == "finished"
    assert run.summary.energy_error_max <= 1e-5 == run.summary.energy_error_asked
    assert run.summary.energy_verdict == "kept"
    assert run.summary.as_dict()["position_verdict"] == run.summary.position_verdict == "kept"
    assert run.settings["tolerance"] == 1e-5


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tolerance": 0.99e-12}, "between 1e-12 and 0.1"),
        ({"tolerance": 0.11}, "between 1e-12 and 0.1"),
        ({}, "needs a tolerance"),
        ({"tolerance": 1e-4, "omega": "sum"}, "omega cannot be set"),
        ({"tolerance": 1e-4, "omega_q": 2.0}, "omega_q cannot be set"),
        ({"tolerance": 1e-4, "omega_weight": "unit"}, "omega_weight cannot be set"),
        ({"tolerance": 1e-4, "integrator": "leapfrog", "omega": "sum"}, "omega does nothing"),
        ({"tolerance": 1e-4, "reversible": True}, "reversible = True does nothing"),
        ({"tolerance": 1e-4, "eta": 0.1}, "no timestep that takes it"),
        ({"tolerance": 1e-4, "timestep": "learned", "dt": 0.1}, "dt = 0.1 does nothing"),
        ({"timestep": "fly-by", "eta": 0.1, "tolerance_kind": "step"}, "tolerance_kind = step does nothing"),
    ],
)
def test_what_cannot_be_kept_or_would_do_nothing_is_refused(keys, message):
    with pytest.raises(InputError, match=message):
        simulate(config=Config(ic="kepler", duration=1.0, **keys))


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_ends_of_the_range_are_allowed(tolerance):
    assert simulate(config=Config(ic="hierarchical-triple", tolerance=tolerance, steps=20)).summary.steps == 20


def test_leapfrog_steps_may_be_reversible_or_not():
    runs = [
        simulate(
            config=Config(ic="kepler:e=0.8", tolerance=1e-3, integrator="leapfrog", reversible=r, steps=50)
        ).position
        for r in (None, True, False)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 0.0
