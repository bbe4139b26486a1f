"""Trainings on systems of one's own: bodies, files, folders, and what the run directory keeps of them."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests.training.stopping import Stop, check_that_stopping_changes_nothing, left_by

from aitimestepper import Config, InitialConditionsError, InputError, simulate, train
from aitimestepper.cli.main import main
from aitimestepper.sweeping import SweepSettings, sweep
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.files_out import write_initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.trainings import read_training_systems
from aitimestepper.training.session.building import build_training
from aitimestepper.weights.file import read_model

SMALL = {
    "hidden_dims": (8,),
    "output_scale": "physical",
    "lr": 1e-3,
    "replay_steps": 4,
    "steps_per_epoch": 5,
    "checkpoint_every": 1,
    "tensorboard": False,
}
ORBITS = ("kepler:e=0.3", "kepler:e=0.5,a=2", "kepler:e=0.7,m2=0.2")


def orbits() -> list[InitialConditions]:
    return [initial_conditions(spec) for spec in ORBITS]


def folder(systems: list[InitialConditions], name: str = "own") -> Path:
    path = Path(name)
    path.mkdir()
    for number, system in enumerate(systems):
        write_initial_conditions(path / f"{number}.h5", system)
    (path / ".hidden").write_text("no system")
    return path


def weights(run_dir: Path | str) -> dict[str, np.ndarray]:
    return read_model(run_dir).weights


def same_weights(*run_dirs: Path | str) -> bool:
    first, *others = map(weights, run_dirs)
    return all(np.array_equal(first[name], other[name]) for other in others for name in first)


def test_bodies_names_files_and_a_folder_are_the_same_training():
    path = folder(orbits())
    ways = {
        "bodies": orbits(),
        "names": list(ORBITS),
        "files": sorted(path.glob("*.h5")),
        "folder": path,
        "mixed": [ORBITS[0], path / "1.h5", str(path / "2.h5")],
    }
    for name, systems in ways.items():
        train(systems, epochs=3, save_name=name, **SMALL)
    assert same_weights(*(Path("runs", name) for name in ways))
    train(list(reversed(orbits())), epochs=3, save_name="other", **SMALL)
    assert not same_weights("runs/bodies", "runs/other")


def test_one_of_a_list_is_the_training_on_it_alone():
    train("kepler:e=0.5", epochs=3, save_name="named", **SMALL)
    train([initial_conditions("kepler:e=0.5")], epochs=3, save_name="list", **SMALL)
    train(initial_conditions("kepler:e=0.5"), epochs=3, save_name="body", **SMALL)
    assert same_weights("runs/named", "runs/list", "runs/body")


def test_the_run_directory_keeps_the_systems_and_they_can_be_trained_on_again():
    train(orbits(), epochs=3, save_name="first", **SMALL)
    kept = [one.system for one in read_training_systems(Path("runs/first/initial_conditions.npz"))]
    for system, own in zip(kept, orbits(), strict=True):
        for name in ("mass", "position", "velocity"):
            assert np.array_equal(getattr(system, name), getattr(own, name))
    assert tomllib.loads(Path("runs/first/config.toml").read_text())["systems"] == ["runs/first"]
    train("runs/first", epochs=3, save_name="second", **SMALL)
    assert main(["train", "--config", "runs/first/config.toml", "--save-name", "third"]) == 0
    assert same_weights("runs/first", "runs/second", "runs/third")
    assert simulate("runs/first:system=2", timestep="learned", model="runs/first", steps=3).summary.steps == 3


def test_a_training_on_files_that_is_stopped_after_every_epoch_ends_with_the_same_bits():
    path = folder(orbits())
    check_that_stopping_changes_nothing({**SMALL, "systems": (str(path),)}, epochs=5)


def test_a_training_on_bodies_goes_on_with_the_same_bits_and_needs_no_file():
    train(orbits(), epochs=6, save_name="whole", **SMALL)
    train(orbits(), epochs=6, save_name="cut", observers=[Stop(3)], **SMALL)
    Path("runs/cut").rename("elsewhere")
    assert train(resume=Path("elsewhere")).epochs_completed == 6
    whole, cut = left_by("runs/whole")[0], left_by("elsewhere")[0]
    assert whole.keys() == cut.keys()
    assert all(np.array_equal(whole[name], cut[name]) for name in whole)


def test_files_that_are_gone_do_not_keep_a_training_from_going_on():
    path = folder(orbits())
    train(path, epochs=4, save_name="cut", observers=[Stop(2)], **SMALL)
    shutil.rmtree(path)
    assert train(resume=Path("runs/cut")).epochs_completed == 4


def test_systems_of_unequal_sizes_are_refused_with_their_sizes():
    with pytest.raises(InitialConditionsError, match=r"of these 3 there are 2 with 2, 1 with 3: train on each kind"):
        train([*ORBITS[:2], "figure-eight"], **SMALL)
    with pytest.raises(InitialConditionsError, match=r"equal numbers of dimensions, .* 1 with 2, 1 with 3"):
        train(["kepler", "kepler:inc=30"], **SMALL)
    soft = InitialConditions([1.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], softening=0.1)
    with pytest.raises(InitialConditionsError, match="must share a softening"):
        train([soft, initial_conditions("kepler")], **SMALL)
    free = InitialConditions([0.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    with pytest.raises(InitialConditionsError, match=r"attract each other \(system 1"):
        train([initial_conditions("kepler"), free], **SMALL)
    assert not Path("runs").exists()


def test_systems_that_are_named_twice_or_not_at_all_are_refused():
    with pytest.raises(InputError, match="given twice"):
        train("kepler", ic="kepler")
    with pytest.raises(InputError, match="given twice"):
        train(orbits(), config=Config(systems=ORBITS))
    with pytest.raises(InputError, match="given twice: set one of ic and systems"):
        Config(systems=ORBITS, ic="kepler")
    with pytest.raises(InputError, match="all of them bodies, or all of them names"):
        train(["kepler", initial_conditions("kepler")])
    with pytest.raises(InputError, match="one or more"):
        train([])
    with pytest.raises(InputError, match="goes on with its own systems"):
        train("kepler", resume=Path("runs/none"))
    with pytest.raises(InputError, match="num_orbits cannot be set beside it"):
        Config(systems=ORBITS, num_orbits=3)
    with pytest.raises(InputError, match="leave ic and systems out"):
        Config(systems=ORBITS, output_scale="calibrated", draw="mixed")


def test_an_empty_folder_is_refused():
    Path("empty").mkdir()
    with pytest.raises(InitialConditionsError, match="no files in the folder empty"):
        train("empty")


def test_softening_and_gravity_of_own_systems_are_those_of_the_training():
    softened = [
        InitialConditions([1.0, 1.0], [[0.0, 0.0], [r, 0.0]], [[0.0, 0.0], [0.0, 6.0]], softening=0.1)
        for r in (1.0, 1.5)
    ]
    state = build_training(Config(G=39.5, systems=("runs/none",), **SMALL), softened)
    assert (state.particle.softening, state.particle.G, state.particle.batch_shape) == (0.1, 39.5, (2,))


def test_the_command_takes_several_and_says_what_it_trains_on(capsys):
    path = folder(orbits())
    flags = ["--epochs", "2", "--hidden-dims", "8", "--no-tensorboard", "--output-scale", "physical"]
    assert main(["train", "--systems", str(path), "kepler:e=0.1", *flags]) == 0
    told = capsys.readouterr().err
    assert "training on 4 systems of one's own, e = 0.1 to 0.7" in told
    assert "--ic runs/run:system=0" in told
    assert main(["train", "--systems", "kepler", "figure-eight", *flags]) == 2
    assert "1 with 2, 1 with 3" in capsys.readouterr().err


def test_a_sweep_searches_on_own_systems_and_may_compare_what_is_unseen():
    pytest.importorskip("optuna")
    path = folder([initial_conditions(f"kepler:e={0.08 * k}") for k in range(11)])
    config = Config(**{**SMALL, "epochs": 2, "check_every": 1, "systems": (str(path),), "save_name": "search"})
    settings = SweepSettings(
        trials=2, space={"activation": ["tanh", "silu"]}, metric="check_loss", direction="minimize"
    )
    outcome = sweep(config, settings)
    assert [trial.state for trial in outcome.trials] == ["complete"] * 2
    assert outcome.best.score == min(trial.score for trial in outcome.trials)
    assert len(read_training_systems(Path("runs/search/trial-0000/initial_conditions.npz"))) == 11
