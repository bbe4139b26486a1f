"""What is wrong in the file of a run that is to go on is said in one line, and no number that is not finite gets in."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

from aitimestepper import Config, InputError, Recording, resume, simulate


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "run.h5"
    simulate(config=Config(ic="kepler:e=0.5", timestep="fixed", dt=0.01, steps=200, output=str(path)))
    return path


def with_summary(**changes):
    def damage(file):
        values = json.loads(file["summary"][()]) | changes
        file["summary"][()] = json.dumps(values).encode()

    return damage


def with_attribute(name, text):
    def damage(file):
        file.attrs[name] = text

    return damage


def with_origin(**changes):
    def damage(file):
        file.attrs["origin"] = json.dumps(json.loads(file.attrs["origin"]) | changes)

    return damage


def with_state(value):
    def damage(file):
        file["state"][...] = value

    return damage


def replaced(name, make):
    def damage(file):
        del file[name]
        if make is not None:
            make(file)

    return damage


DAMAGES = {
    **{f"slot {slot!r}": with_summary(slot=slot) for slot in (5, None, "a", 1.5, [0], True)},
    **{f"frames {count!r}": with_summary(frames=count) for count in (0, -1, None, "x", 2.0, 10**9)},
    **{f"origin {text}": with_attribute("origin", text) for text in ("{}", "[]", "{", "null", "[" * 10000)},
    **{f"every {value!r}": with_origin(every=value) for value in (None, "a", -1, 1.5, True, 10**30)},
    **{f"interval {value!r}": with_origin(interval=value) for value in ("x", -1.0, 0.0, [1])},
    **{f"sample_interval {value!r}": with_origin(sample_interval=value) for value in ("x", -1.0, 0.0)},
    **{f"settings {text}": with_attribute("settings", text) for text in ("[]", "null", "3", '"x"')},
    "no state": replaced("state", None),
    "a group for the state": replaced("state", lambda file: file.create_group("state")),
    "a state of another shape": replaced("state", lambda file: file.create_dataset("state", (2,), np.float64)),
    "a shorter state": replaced("state", lambda file: file.create_dataset("state", (2, 7), np.float64)),
    "names as a group": lambda file: file.create_group("names"),
    **{f"a state of {value}": with_state(value) for value in (np.nan, np.inf, 0.0)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_does_not_go_on(damage, sound, tmp_path):
    path = tmp_path / "run.h5"
    shutil.copy(sound, path)
    with h5py.File(path, "r+") as file:
        damage(file)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"run\.h5") as refused:
        resume(path, steps=300)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("entry", range(20))
def test_a_body_that_is_nowhere_does_not_go_on(entry, sound, tmp_path):
    path = tmp_path / "run.h5"
    shutil.copy(sound, path)
    with h5py.File(path, "r+") as file:
        file["state"][:, entry] = np.nan  # mass, position, velocity or acceleration of one of two bodies
    with pytest.raises(InputError, match=r"run\.h5.*damaged"):
        resume(path, steps=300)


@pytest.mark.parametrize("name", ["mass", "position", "velocity", "time", "energy"])
def test_a_number_that_is_not_finite_is_not_read(name, sound, tmp_path):
    path = tmp_path / "run.h5"
    shutil.copy(sound, path)
    with h5py.File(path, "r+") as file:
        array = file[name][()]
        array.flat[array.size // 2] = np.nan
        file[name][...] = array
    with pytest.raises(InputError, match="not finite"):
        Recording.load(path)
