import math
import subprocess
import sys

import numpy as np
import pytest

from aitimestepper import InitialConditionsError
from aitimestepper.systems.catalogue import describe_systems, initial_conditions
from aitimestepper.systems.clusters import kinetic_energy, potential_energy
from aitimestepper.systems.sources import SOURCES


def test_the_names_are_listed_once():
    assert set(SOURCES) == {
        *("kepler", "halley", "figure-eight", "three-body", "pythagorean", "random", "plummer"),
        *("hierarchical-triple", "solar-system"),
    }


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("G", [1.0, 4 * math.pi**2])
def test_every_name_builds_a_system_at_rest_under_any_constant(name, G):
    if name == "solar-system":
        pytest.importorskip("astropy")
    system, unit = initial_conditions(name, G=G), initial_conditions(name)
    momenta = system.mass[:, None] * system.velocity
    assert np.linalg.norm(momenta.sum(axis=0)) <= 1e-14 * np.abs(momenta).sum()
    np.testing.assert_array_equal(system.position, unit.position)
    assert kinetic_energy(system.mass, system.velocity) == pytest.approx(
        G * kinetic_energy(unit.mass, unit.velocity), rel=1e-12
    )
    assert system.period * math.sqrt(G) == pytest.approx(unit.period, rel=1e-12)


def test_options_reach_the_orbit():
    system = initial_conditions("kepler: e=0.6, a=2, m1=1, m2=0.25, M=0", G=3.0)
    energy = kinetic_energy(system.mass, system.velocity) + 3.0 * potential_energy(system.mass, system.position)
    assert energy == pytest.approx(-3.0 * 0.25 / 4.0, rel=1e-13)
    assert np.linalg.norm(system.position[1] - system.position[0]) == pytest.approx(0.8, rel=1e-14)
    assert system.period == pytest.approx(math.tau * math.sqrt(8.0 / 3.75), rel=1e-14)


@pytest.mark.parametrize(
    ("spec", "bodies", "dims"),
    [
        ("kepler", 2, 2),
        ("kepler:argp=30", 2, 2),
        ("kepler:inc=0", 2, 3),
        ("kepler:node=10,m2=0", 2, 3),
        ("halley", 2, 3),
        ("random:n=5", 5, 2),
        ("random:n=5,dim=3", 5, 3),
        ("plummer", 64, 3),
        ("hierarchical-triple", 3, 3),
        ("three-body:name=moth-I", 3, 2),
    ],
)
def test_sizes(spec, bodies, dims):
    system = initial_conditions(spec)
    assert (system.n_bodies, system.n_dims) == (bodies, dims)


def test_inclination_tilts_the_orbit():
    system = initial_conditions("kepler:inc=60,node=25")
    normal = np.cross(system.position[1], system.velocity[1])
    assert normal[2] / np.linalg.norm(normal) == pytest.approx(0.5, abs=1e-15)


def test_the_seed_of_the_specification_wins():
    fixed = [initial_conditions("random:n=3,seed=5", seed=seed).position for seed in (0, 1)]
    np.testing.assert_array_equal(*fixed)
    np.testing.assert_array_equal(fixed[0], initial_conditions("random:n=3", seed=5).position)
    assert not np.allclose(fixed[0], initial_conditions("random:n=3", seed=6).position)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("keplr:e=0.6", r"unknown initial conditions 'keplr'; did you mean kepler\? \(known: kepler, .* or a file\)"),
        ("Kepler", r"did you mean kepler\?"),
        ("", "unknown initial conditions ''"),
        ("kepler:ecc=0.6", r"kepler: unknown option 'ecc' \(known: e, a, m1"),
        ("kepler:ma=0.6", r"unknown option 'ma'; did you mean M\?"),
        ("figure-eight:e=1", r"unknown option 'e' \(known: radius\)"),
        ("kepler:e=1.2", "kepler: e = 1.2 is not allowed: it must be >= 0 and < 1"),
        ("kepler:e=1", "e = 1 is not allowed"),
        ("kepler:e=nan", "e = nan is not allowed"),
        ("kepler:a=0", "a = 0 is not allowed: it must be between 1e-30 and 1e30"),
        ("kepler:m1=-1", "m1 = -1 is not allowed"),
        ("kepler:m2=inf", "m2 = inf is not allowed: it must be between 0 and 1e30"),
        ("kepler:M=inf", "M = inf is not allowed: it must be a finite number of degrees"),
        ("kepler:e=half", "e = half is not allowed"),
        ("kepler:e=0.5,e=0.6", "kepler: option e is given twice"),
        ("kepler:e", "options are written KEY=VALUE,KEY=VALUE, got 'e'"),
        ("kepler:e=", "got 'e='"),
        ("kepler:=1", "got '=1'"),
        ("kepler:", "options are written KEY=VALUE"),
        ("kepler:e=0.5,,a=1", "options are written KEY=VALUE,KEY=VALUE, got ''"),
        ("random:n=0", "n = 0 is not allowed: it must be a whole number from 2 to 20000"),
        ("random:n=3.5", "n = 3.5 is not allowed"),
        ("plummer:n=1000000000", "n = 1000000000 is not allowed"),
        ("random:seed=-1", "seed = -1 is not allowed"),
        ("random:dim=1", "dim = 1 is not allowed"),
        ("random:virial=-1", "virial = -1 is not allowed"),
        ("solar-system:date=foo", "date = foo is not allowed: it must be a date from 1900-01-02 to 2099-12-31"),
        ("solar-system:date=2026-02-30", "date = 2026-02-30 is not allowed"),
        ("solar-system:date=1500-01-01", "date = 1500-01-01 is not allowed"),
        ("three-body:name=moth", "name = moth is not allowed: it must be one of figure-eight, butterfly-I"),
        ("hierarchical-triple:a_out=1", "outer orbit must stay outside"),
        ("orbits/pair.csv", "cannot read the initial conditions orbits/pair.csv: No such file"),
        ("pair.csv", "No such file"),
    ],
)
def test_bad_specifications_get_one_sentence(spec, message):
    with pytest.raises(InitialConditionsError, match=message) as caught:
        initial_conditions(spec)
    assert "\n" not in str(caught.value)


def test_bodies_at_one_point_need_softening(tmp_path):
    path = tmp_path / "pair.csv"
    path.write_text("1,0,0,0,0\n1,0,0,0,0\n1,3,0,0,0\n")
    with pytest.raises(InitialConditionsError, match=r"bodies 0 and 1 .* are at one point.*softening"):
        initial_conditions(str(path))
    assert initial_conditions(str(path), softening=0.1).n_bodies == 3


def test_extreme_values_that_are_allowed_build():
    for spec in ("kepler:a=1e30,m1=1e-30,m2=0", "kepler:a=1e-30,m1=1e30,m2=1e30", "kepler:e=0.9999999999999999"):
        assert initial_conditions(spec).period > 0


def test_a_file_without_a_suffix_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "bodies.npy", [[1.0, 0, 0, 0, 0], [1.0, 1, 0, 0, 0]])
    (tmp_path / "bodies.npy").rename(tmp_path / "bodies")
    assert initial_conditions("bodies").n_bodies == 2


def test_the_description_shows_every_name_option_and_default():
    lines = describe_systems().splitlines()
    for name, source in SOURCES.items():
        start = next(i for i, line in enumerate(lines) if line.startswith(name + " "))
        shown = lines[start + 1 : start + 1 + len(source.options)]
        assert [line.split()[0].split("=")[0] for line in shown] == [option.name for option in source.options]
    assert "  e=0.6 " in describe_systems()
    assert max(map(len, lines)) < 200


def test_initial_conditions_load_neither_torch_nor_the_optional_libraries():
    code = (
        "import sys; from aitimestepper.systems.catalogue import initial_conditions; initial_conditions('plummer');"
        "print([m for m in ('torch', 'numba', 'h5py', 'astropy', 'rebound', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
