"""Faults of earlier research code that must not come back, where no other file has them.

The others are next to what they are about, each named after what was wrong: 1, 2, 15 in physics/test_gravity.py; 18 in
physics/test_leapfrog.py; 5, 9, 10, 14 in training/test_step.py; 7 in training/test_collect.py; 6, 8, 9 in
training/test_generalize.py; 11 and the resume half of 17 in training/test_session.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import CheckpointError, Config, Recording, load_stepper, simulate, train
from aitimestepper.cli.main import main
from aitimestepper.systems.catalogue import initial_conditions

SMALL = {"epochs": 2, "hidden_dims": (8,), "output_scale": "physical", "replay_steps": 3, "tensorboard": False}


def test_unequal_masses_placed_symmetrically_gave_a_total_momentum():
    """Known fault 3, through every door: names, files and the Python constructor of initial conditions."""
    np.save("pair.npy", [[3.0, -1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0, -1.0]])
    for spec in ("pair.npy", "kepler:e=0.5,m2=1e-3", "halley", "hierarchical-triple", "random:n=5", "plummer:n=8"):
        system = initial_conditions(spec)
        momentum = system.mass[:, None] * system.velocity
        assert np.abs(momentum.sum(axis=0)).max() <= 1e-15 * np.abs(momentum).sum() + 1e-300, spec


def test_an_accuracy_flag_changed_nothing():
    """Known fault 4: --tolerance, --eta and --dt each change the steps; where one would not, it is refused."""
    train(config=Config(save_name="m", **SMALL))
    common = {"ic": "kepler:e=0.6", "periods": 1}
    for settings in (
        [{"timestep": "learned", "model": "runs/m", "tolerance": x} for x in (1e-4, 1e-7)],
        [{"timestep": "free-fall", "eta": x} for x in (0.1, 0.01)],
        [{"timestep": "fixed", "dt": x} for x in (0.01, 0.001)],
    ):
        coarse, fine = (simulate(config=Config(**common, **keys)).summary for keys in settings)
        assert fine.steps > 5 * coarse.steps
        assert fine.energy_error_max < 0.1 * coarse.energy_error_max
    assert (
        main(["simulate", "--ic", "kepler", "--steps", "3", "--timestep", "fixed", "--dt", "0.1", "--tolerance", "1"])
        == 2
    )


def test_key_equals_value_was_silently_dropped(capsys):
    """Known fault 12."""
    words = ["--timestep=free-fall", "--steps=7", "--eta=0.02", "--json"]
    assert main(["simulate", "--ic=kepler:e=0.5", *words]) == 0
    assert '"steps": 7' in capsys.readouterr().out


def test_a_gate_for_each_step_bounded_no_run_and_nobody_was_told():
    """Known fault 13: the error that is reported is that of the run against its start, not that of a step."""
    run = simulate(
        config=Config(
            ic="kepler:e=0.8", periods=30, timestep="free-fall", eta=0.2, reversible=False, every=1, output="drift.h5"
        )
    )
    single = np.abs(np.diff(run.energy)) / abs(run.energy[0])
    reported = run.summary.energy_error_max
    assert reported > 2 * single.max()
    assert reported == pytest.approx(np.abs(run.energy / run.energy[0] - 1).max(), rel=1e-9)
    assert Recording.load("drift.h5").summary.energy_error_max == reported


@pytest.mark.parametrize(("end", "steps", "time"), [({"steps": 17}, 17, 1.7), ({"duration": 1.25}, 13, 1.25)])
def test_requested_steps_and_duration_were_ignored_for_a_bound_pair(end, steps, time):
    """Known fault 16."""
    summary = simulate(config=Config(ic="kepler:e=0.1", timestep="fixed", dt=0.1, **end)).summary
    assert summary.steps == steps
    assert summary.time == pytest.approx(time, rel=1e-14)


def test_a_checkpoint_of_another_network_size_ended_in_a_traceback(capsys):
    """Known fault 17: one clear line, from a file that is small and that nothing unsafe has to open."""
    from aitimestepper.weights.file import read_model, write_model

    outcome = train(config=Config(save_name="m", **SMALL))
    file = read_model(outcome.model_path)
    assert outcome.model_path.stat().st_size < 20_000
    write_model(outcome.model_path, file._replace(config=file.config.replace(hidden_dims=(9,))))
    with pytest.raises(CheckpointError, match="network of another size"):
        load_stepper(outcome.run_dir)
    words = ["--ic", "kepler", "--steps", "3", "--timestep", "learned", "--model", str(outcome.run_dir)]
    assert main(["simulate", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "another size" in lines[0]
