"""The systems of a training as initial conditions of whatever comes after it."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitimestepper import Config, InitialConditionsError, train
from aitimestepper.systems import trainings
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.mixture import mixed_system
from aitimestepper.systems.trainings import read_training_system, write_training_systems

FILE = Path("initial_conditions.npz")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("training") / FILE
    write_training_systems(
        path, [initial_conditions("kepler"), initial_conditions("pythagorean")], G=1.0, softening=0.0
    )
    with np.load(path) as archive:
        return dict(archive)


def assert_same(one, other):
    for name in ("mass", "position", "velocity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.period, one.time, one.names, one.note) == (other.period, other.time, other.names, other.note)


def refused(spec, message, **law):
    with pytest.raises(InitialConditionsError, match=message) as caught:
        initial_conditions(str(spec), **law)
    assert "\n" not in str(caught.value)


def test_systems_of_any_size_and_dimension_come_back_to_the_last_bit():
    rng = np.random.default_rng(1)
    systems = [mixed_system(rng) for _ in range(20)] + [
        initial_conditions("solar-system"),
        initial_conditions("kepler"),
    ]
    write_training_systems(FILE, systems, G=2.0, softening=0.1)
    for number, system in enumerate(systems):
        assert_same(read_training_system(FILE, number).system, system)
    found = read_training_system(FILE, 0)
    assert (found.G, found.system.softening) == (2.0, 0.1)


def test_a_run_directory_and_the_file_in_it_are_the_systems_that_the_training_began_with():
    small = {"hidden_dims": (4,), "replay_steps": 0, "tensorboard": False, "output_scale": "physical", "epochs": 1}
    train(config=Config(save_name="named", ic="solar-system", **small))
    for spec in ("runs/named", "runs/named:system=0", "runs/named/initial_conditions.npz"):
        assert_same(initial_conditions(spec), initial_conditions("solar-system"))
    train(config=Config(save_name="drawn", num_orbits=3, seed=4, G=2.0, softening=0.01, **small))
    law = {"G": 2.0, "softening": 0.01}
    energies = {float(initial_conditions(f"runs/drawn:system={k}", **law).position[0, 0]) for k in range(3)}
    assert len(energies) == 3
    refused(
        "runs/drawn", "a training has 3 systems in it: choose one, with :system=0 to :system=2 behind the path", **law
    )
    refused("runs/drawn:system=3", "there is no system=3 in it, only system=0 to system=2", **law)
    refused("runs/drawn:system=0", "made with G = 2.0, not 1.0: pass --G 2.0", softening=0.01)
    refused("runs/drawn:system=0", "made with softening = 0.01, not 0.5: leave softening out", G=2.0, softening=0.5)
    refused("runs/drawn:sistem=0", "unknown option 'sistem'; did you mean system?", **law)
    refused("runs", "not a regular file, nor the run directory of a training")
    refused("runs/drawn/config.toml:system=0", "only a training has several systems", **law)


def test_a_path_with_a_colon_in_it_is_still_a_path():
    Path("a:system=1").mkdir()
    write_training_systems(Path("a:system=1") / FILE, [initial_conditions("kepler")], G=1.0, softening=0.0)
    assert initial_conditions("a:system=1").n_bodies == 2
    assert initial_conditions("a:system=1:system=0").n_bodies == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": None}, "not of a training: .*mass.npy"),
        ({"mass": np.array([[1.0, np.nan, 0.0]] * 2)}, "mass of body 1 .* must be finite"),
        ({"mass": np.ones((2, 5))}, r"damaged: mass in it has shape \(2, 5\)"),
        ({"mass": np.array([[None] * 3] * 2)}, "damaged, or no NumPy archive of plain arrays"),
        ({"mass": np.ones((2, 3), dtype=complex)}, "mass in it has shape"),
        ({"n_bodies": np.array([9, 9])}, "it says 9 bodies in 2 dimensions, which it does not hold"),
        ({"n_bodies": np.array([0, 0])}, "it says 0 bodies"),
        ({"n_dims": np.array([-1, -1])}, "in -1 dimensions"),
        ({"period": np.array([np.nan, 1.0])}, "period must be >= 0 and finite"),
        ({"G": np.array(np.nan)}, "made with G = nan, not 1.0"),
        ({"softening": np.array(np.nan)}, "softening must be >= 0 and at most 1e\\+100, got nan"),
        ({"position": np.zeros((0, 3, 2))}, "damaged: mass in it has shape"),
    ],
)
def test_what_does_not_fit_together_is_refused(arrays, change, message):
    np.savez(FILE, **{name: array for name, array in {**arrays, **change}.items() if array is not None})
    refused(f"{FILE}:system=0", message)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused(arrays, position, value, cut):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = bytearray(buffer.getvalue())
    position %= len(content)
    content[position] = value
    FILE.write_bytes(bytes(content[:position] if cut else content))
    with contextlib.suppress(InitialConditionsError):
        initial_conditions(f"{FILE}:system=0")


def test_a_file_that_unpacks_to_more_than_is_read_is_refused_before_it_is(arrays, monkeypatch):
    np.savez_compressed(FILE, **{**arrays, "note": np.zeros((2**20,), dtype="U64")})
    monkeypatch.setattr(trainings, "LARGEST", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read"))
    refused(f"{FILE}:system=0", "it holds 2.7e[+]08 bytes, the most that is read are 1048576")
