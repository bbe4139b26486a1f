"""Units: G from them, quantities in and out, headers of tables; numbers against astropy's own and REBOUND's."""

import numpy as np
import pytest

from aitimestepper import (
    Config,
    InitialConditions,
    InputError,
    ParticleTorch,
    Recording,
    initial_conditions,
    simulate,
    simulate_ensemble,
)
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.files_out import text_from_bodies, write_initial_conditions
from aitimestepper.systems.tables import bodies_from_text
from aitimestepper.systems.units import Units

MASS, POSITION, VELOCITY = [1000.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 2.07]]
CLUSTER = ("pc", "km/s", "Msun")


def pair(units=CLUSTER):
    return InitialConditions(MASS, POSITION, VELOCITY, names=("heavy", "light"), units=units)


@pytest.mark.parametrize(
    ("names", "G"),
    [
        (CLUSTER, 0.00430091727),  # the value of galactic dynamics
        (("au", "yr", "Msun"), 39.476926408897626),  # REBOUND's
        (("yr/2pi", "Msun", "au"), 1.0),
        (("au", "d", "Msun"), 0.01720209895**2),  # the square of the Gaussian constant
        (("m", "s", "kg"), 6.6743e-11),
        (("km", "km/s", "Mearth"), 398600.4),
    ],
)
def test_gravity_follows_from_the_units(names, G):
    assert pytest.approx(G, rel=2e-9 if "d" not in names else 1e-8) == Units.of(names).G


def test_gravity_is_that_of_rebound():
    rebound = pytest.importorskip("rebound")

    simulation = rebound.Simulation()
    for ours, theirs in ((("au", "yr", "Msun"), ("yr", "au", "msun")), (("pc", "Myr", "Msun"), ("myr", "pc", "msun"))):
        simulation.units = theirs
        assert pytest.approx(simulation.G, rel=1e-6) == Units.of(ours).G


def test_a_unit_of_velocity_over_a_unit_with_a_stroke_in_it_has_brackets():
    units = Units.of(("au", "yr/2pi", "Msun"))
    assert units.velocity == "au/(yr/2pi)"
    assert "velocities in au/(yr/2pi), masses" in str(units)
    for name in ("au/(yr/2pi)", "au/yr/2pi", "AU / (yr2pi)"):  # with brackets, and as files have had it
        again = Units.of(("au", name, "Msun"))
        assert again.velocity == "au/(yr/2pi)"
        assert pytest.approx(1.0, rel=1e-14) == again.G
        assert Units.from_text(again.text) == again


def test_tables_with_such_a_unit_come_back():
    system = InitialConditions([1.0, 1e-3], [[0, 0], [1, 0]], [[0, 0], [0, 1]], units=("au", "yr/2pi", "Msun"))
    text = text_from_bodies(system, ",")
    assert "[au/(yr/2pi)]" in text
    for each in (text, text.replace("(yr/2pi)", "yr/2pi")):
        units = bodies_from_text(each).units
        assert (units.length, units.velocity, units.mass) == ("au", "au/(yr/2pi)", "Msun")
        assert pytest.approx(1.0, rel=1e-14) == units.G


def test_units_are_said_in_a_line():
    said = str(Units.of(CLUSTER))
    assert "velocities in km/s" in said
    assert "time in pc/(km/s) = 0.977792 Myr" in said
    assert said.endswith("G = 0.00430091727")
    assert str(Units.of(("AU", "year", "solMass"))).startswith("lengths in au, velocities in au/yr, masses in Msun")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("pc", "Msun"), "three names"),
        ("pc", "three names"),
        (("pc", "au", "Msun"), "pc and au say the same"),
        (("pc", "km/s", "yr"), "say the same"),
        (("pc", "km/s", "Msunn"), "unknown unit 'Msunn'; did you mean Msun"),
        (("pc", "pc/Msun", "Msun"), "unknown unit 'pc/Msun'"),
    ],
)
def test_units_that_make_no_sense_are_refused(names, said):
    with pytest.raises(InitialConditionsError, match=said):
        pair(names)


def test_a_run_takes_its_gravity_from_the_units():
    run = simulate(pair(), duration=3.0, tolerance=1e-8)
    assert run.G == Units.of(CLUSTER).G
    assert run.units == "pc, km/s, Msun"
    bare = simulate(pair(None), duration=3.0, tolerance=1e-8, G=Units.of(CLUSTER).G)
    np.testing.assert_array_equal(run.position, bare.position)
    assert bare.units == ""


def test_another_gravity_than_that_of_the_units_is_refused():
    with pytest.raises(InputError, match=r"its units have G = 0.0043009.*, not 1.0: leave G out"):
        simulate(pair(), duration=1.0, tolerance=1e-6, G=1.0)
    assert simulate(pair(), duration=1.0, tolerance=1e-6, G=0.0043009).G == 0.0043009


def test_an_ensemble_has_one_set_of_units():
    result = simulate_ensemble([pair(), pair()], duration=1.0, tolerance=1e-6)
    assert result.settings["G"] == Units.of(CLUSTER).G
    with pytest.raises(InputError, match="different units"):
        simulate_ensemble([pair(), pair(("pc", "Myr", "Msun"))], duration=1.0, tolerance=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".h5"])
def test_files_keep_units(tmp_path, suffix):
    path = tmp_path / f"bodies{suffix}"
    write_initial_conditions(path, pair())
    again = read_initial_conditions(path)
    assert again.units == Units.of(CLUSTER)
    np.testing.assert_array_equal(again.velocity, pair().velocity)
    assert initial_conditions(str(path)).period == pytest.approx(3.006873, rel=1e-6)


def test_a_recording_keeps_units_and_gives_them_on(tmp_path):
    path = str(tmp_path / "run.h5")
    simulate(pair(), duration=1.0, tolerance=1e-6, output=path)
    assert Recording.load(path).units == "pc, km/s, Msun"
    assert initial_conditions(path).units == Units.of(CLUSTER)
    assert simulate(path, duration=1.0, tolerance=1e-6).G == Units.of(CLUSTER).G


@pytest.mark.parametrize(
    "header",
    [
        "name,m [Msun],x [pc],y [pc],vx [km/s],vy [km/s]",
        "# name m[Msun] x[pc] y[pc] vx[km/s] vy[km/s]",
        "# name m [solMass] x (parsec) y (parsec) vx [km/s] vy [km/s]",
    ],
)
def test_headers_of_tables_may_have_units(tmp_path, header):
    separator = "," if "," in header else " "
    rows = [["a", 1000.0, 0.0, 0.0, 0.0, 0.0], ["b", 1.0, 1.0, 0.0, 0.0, 2.07]]
    path = tmp_path / "bodies.txt"
    path.write_text("\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n")
    assert read_initial_conditions(path).units == Units.of(CLUSTER)


def test_columns_without_a_unit_beside_others_are_refused(tmp_path):
    path = tmp_path / "bodies.csv"
    path.write_text("m [Msun],x [pc],y,vx [km/s],vy [km/s]\n1,0,0,0,0\n1,1,0,0,1\n")
    with pytest.raises(InitialConditionsError, match="columns x, y need one unit, got 'pc', 'none'"):
        read_initial_conditions(path)


def test_a_table_of_astropy_keeps_its_units(tmp_path):
    table, units = pytest.importorskip("astropy.table"), pytest.importorskip("astropy.units")
    columns = [[1000.0, 1.0] * units.Msun, [0.0, 1.0] * units.pc, [0.0, 2.0] * units.km / units.s]
    path = tmp_path / "bodies.ecsv"
    table.QTable(columns, names=("m", "x", "vx")).write(path)
    assert read_initial_conditions(path).units == Units.of(CLUSTER)


def earth(u, **keys):
    return InitialConditions(
        [1.0, 3e-6] * u.Msun,
        [[0.0, 0.0], [1.0, 0.0]] * u.au,
        [[0.0, 0.0], [0.0, 29.7847]] * u.km / u.s,
        **keys,
    )


def test_quantities_are_never_stripped():
    u = pytest.importorskip("astropy.units")
    run = simulate(earth(u), duration=1 * u.yr, tolerance=1e-8, samples=4)
    assert run.units == "au, km/s, Msun"
    np.testing.assert_allclose(run.position[-1], run.position[0], atol=1e-3)
    assert earth(u, units=("au", "yr", "Msun")).velocity[1, 1] == pytest.approx(2 * np.pi, rel=1e-4)
    with pytest.raises(InitialConditionsError, match="has a unit, and mass is a bare number"):
        InitialConditions([1.0, 1.0], [[0.0], [1.0]] * u.au, [[0.0], [1.0]] * u.km / u.s)
    with pytest.raises(InitialConditionsError, match="velocity has the unit AU, which is none of speed"):
        InitialConditions([1.0, 1.0] * u.Msun, [[0.0], [1.0]] * u.au, [[0.0], [1.0]] * u.au, units=("au", "yr", "Msun"))
    with pytest.raises(InputError, match="has no units"):
        simulate("figure-eight", duration=1 * u.yr, tolerance=1e-3)
    with pytest.raises(InputError, match="duration has the unit pc, which is none of time"):
        simulate(earth(u), duration=1 * u.pc, tolerance=1e-3)


def test_quantities_need_bodies_with_units_whoever_names_them():
    u = pytest.importorskip("astropy.units")
    by_config = simulate(config=Config(ic="halley"), duration=1 * u.yr, tolerance=1e-3)
    assert by_config.time[-1] == simulate("halley", duration=1 * u.yr, tolerance=1e-3).time[-1]
    with pytest.raises(InputError, match="needs initial conditions: set ic"):
        simulate(duration=1 * u.yr, tolerance=1e-3)
    with pytest.raises(InputError, match="no Config: write config="):
        simulate(Config(ic="halley"), duration=1 * u.yr, tolerance=1e-3)
    with pytest.raises(InputError, match="has no units"):  # with another G its numbers are in no unit that has a name
        simulate("halley", duration=1 * u.yr, tolerance=1e-3, G=2.0)


def test_tensors_have_no_units():
    u = pytest.importorskip("astropy.units")
    with pytest.raises(InputError, match="what has a unit is no tensor"):
        ParticleTorch([1.0, 1.0] * u.Msun, [[0.0], [1.0]], [[0.0], [1.0]])


def test_quantities_of_others_are_refused():
    class Pint:
        units, magnitude = "au", 1.0

    with pytest.raises(InitialConditionsError, match="no quantity of astropy"):
        InitialConditions(Pint(), Pint(), Pint(), units=CLUSTER)


def test_a_run_gives_quantities_back():
    u = pytest.importorskip("astropy.units")
    run = simulate(earth(u, units=("au", "yr", "Msun")), duration=0.25, tolerance=1e-8, samples=4)
    assert run.quantity("position").to_value(u.km)[0, 1, 0] == pytest.approx(1.495974e8, rel=1e-6)
    assert run.quantity("velocity", "km/s").value[0, 1, 1] == pytest.approx(29.7846, rel=1e-5)
    assert run.quantity("time").unit == u.yr
    assert run.quantity("energy", "J").value[0] < -1e33
    own = simulate("halley", duration=1.0, tolerance=1e-6)
    assert own.quantity("time").to_value("yr")[-1] == pytest.approx(0.159155, rel=2e-5)
    with pytest.raises(InputError, match="has no units"):
        simulate("figure-eight", duration=1.0, tolerance=1e-3).quantity("time")
