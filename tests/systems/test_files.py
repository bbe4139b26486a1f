import os
import stat
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aitimestepper import InitialConditionsError, OutputError, OutputExistsError
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.files_out import rows_from_bodies, text_from_bodies, write_initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.tables import bodies_from_rows, bodies_from_text

SUFFIXES = [".npy", ".txt", ".csv", ".h5"]
PAIR = "1,0,0,0,0\n0.5,1,0,0,1.5\n"


def assert_same_bodies(one, other):
    for name in ("mass", "position", "velocity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def refused(path, message, **options):
    """The reader's one sentence names the file and matches."""
    with pytest.raises(InitialConditionsError, match=message) as caught:
        read_initial_conditions(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- round trips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("spec", ["kepler:e=0.9,m2=0.3,argp=17", "random:n=7,dim=3", "pythagorean", "halley"])
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path, suffix, spec):
    system = initial_conditions(spec, seed=3)
    path = tmp_path / f"bodies{suffix}"
    write_initial_conditions(path, system)
    assert_same_bodies(initial_conditions(str(path)), system)


@given(arrays(float, (3, 5), elements=st.floats(-1e50, 1e50)))
def test_text_keeps_every_bit_of_any_number(rows):
    rows[:, 0] = np.abs(rows[:, 0]) + 1e-50
    system = bodies_from_rows(rows)
    for separator, mark in ((",", ""), (" ", "# ")):
        assert_same_bodies(bodies_from_text(text_from_bodies(system, separator, mark)), system)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ,#\"'"), min_size=1)
        .map(str.strip)
        .filter(bool),
        min_size=3,
        max_size=3,
        unique=True,
    )
)
def test_text_keeps_names_whatever_is_in_them(names):
    system = InitialConditions([1.0, 2.0, 3.0], np.eye(3), np.zeros((3, 3)), names=names)
    for separator, mark in ((",", ""), (" ", "# ")):
        assert bodies_from_text(text_from_bodies(system, separator, mark)).names == tuple(names)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_number_of_columns_tells_the_dimensions(dims):
    system = InitialConditions([1.0, 1.0], [[-1.0] * dims, [1.0] * dims], np.zeros((2, dims)))
    assert_same_bodies(bodies_from_rows(rows_from_bodies(system)), system)


def test_hdf5_keeps_period_time_names_and_note(tmp_path):
    system = InitialConditions([1, 1], [[-1, 0], [1, 0]], [[0, 0], [0, 0]], 6.0, 2.5, ("a", "b"), "au, years")
    write_initial_conditions(tmp_path / "x.h5", system, G=2.0)
    read = read_initial_conditions(tmp_path / "x.h5", G=2.0)
    assert (read.period, read.time, read.names, read.note) == (6.0, 2.5, ("a", "b"), "au, years")
    refused(tmp_path / "x.h5", r"made with G = 2.0, not 1.0: pass --G 2.0")


def test_a_file_outside_the_centre_of_mass_frame_is_shifted(tmp_path):
    (tmp_path / "pair.csv").write_text(PAIR)
    system = read_initial_conditions(tmp_path / "pair.csv")
    assert np.abs(system.mass @ system.velocity).max() < 1e-16
    np.testing.assert_allclose(system.velocity[1] - system.velocity[0], [0.0, 1.5], rtol=1e-15)


def test_two_bound_bodies_get_a_period_whatever_file_they_come_from(tmp_path):
    for suffix in (".csv", ".npy"):
        path = tmp_path / f"orbit{suffix}"
        write_initial_conditions(path, initial_conditions("kepler:e=0.5,a=2,m2=0.1", G=3.0))
        expected = initial_conditions("kepler:e=0.5,a=2,m2=0.1", G=3.0).period
        assert initial_conditions(str(path), G=3.0).period == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        PAIR,
        "m,x,y,vx,vy\n" + PAIR,
        "M, X, Y, VX, VY\n" + PAIR,
        "\ufeffm,x,y,vx,vy\r\n1,0,0,0,0\r\n0.5,1,0,0,1.5\r\n",
        "# two bodies\n\n1 0 0 0 0  # the heavy one\n  0.5 1 0 0 1.5",
        "1\t0\t0\t0\t0\n5e-1\t1\t0\t0\t1.5\n",
    ],
)
def test_text_may_have_a_header_comments_blanks_or_commas(tmp_path, text):
    (tmp_path / "pair.txt").write_text(text, encoding="utf-8")
    system = read_initial_conditions(tmp_path / "pair.txt")
    assert_same_bodies(system, bodies_from_rows(np.array([[1, 0, 0, 0, 0], [0.5, 1, 0, 0, 1.5]])))


STAR_AND_PLANET = np.array([[1.0, 0, 0, 0, 0, 0, 0], [1e-3, 1, 2, 0.5, 0, 1, 0.25]])


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("named.csv", "Sun,1,0,0,0,0,0,0\nProxima b,1e-3,1,2,.5,0,1,.25\n", ("Sun", "Proxima b")),
        ("nbabel", "0 1 0 0 0 0 0 0\n1 1e-3 1 2 0.5 0 1 0.25\n", ("0", "1")),
        ("petar.txt", "1 1 0 0 0 0 0 0\n2 1e-3 1 2 0.5 0 1 0.25\n", ("1", "2")),
        ("savetxt.dat", "0.0e+00 1 0 0 0 0 0 0\n1.0e+00 1e-3 1 2 0.5 0 1 0.25\n", ("0.0e+00", "1.0e+00")),
        ("dat.10", "  1.0D+00 0 0 0 0 0 0\n  0.1d-02 1 2 5.0D-01 0 +1. 2.5D-1\n", ()),
        ("nemo.tab", "# from snapprint\n#\n1 0 0 0 0 0 0\n0.001 1 2 0.5 0 1 0.25\n", ()),
        ("header.csv", "mass,x,y,z,vx,vy,vz\n1,0,0,0,0,0,0\n1e-3,1,2,.5,0,1,.25\n", ()),
        ("order.csv", "x,y,z,vx,vy,vz,m\n0,0,0,0,0,0,1\n1,2,.5,0,1,.25,1e-3\n", ()),
        ("amuse.csv", "ID,mass,vx,vy,vz,x,y,z\n7,1,0,0,0,0,0,0\n9,1e-3,0,1,.25,1,2,.5\n", ("7", "9")),
        ("numpy.txt", "# x y z vx vy vz m\n0 0 0 0 0 0 1\n1 2 .5 0 1 .25 1e-3\n", ()),
        ("words.txt", "# columns: x y z vx vy vz m\n0 0 0 0 0 0 1\n1 2 .5 0 1 .25 1e-3\n", ()),
        ("last.tsv", "m\tx\ty\tz\tvx\tvy\tvz\tname\n1\t0\t0\t0\t0\t0\t0\ta\n1e-3\t1\t2\t.5\t0\t1\t.25\tb", ("a", "b")),
        ("sdar", "2\n1 0 0 0 0 0 0\n1e-3 1 2 0.5 0 1 0.25\n1 0 2 0 1\n", ()),
        ("counted", "2\nm x y z vx vy vz\n1 0 0 0 0 0 0\n1e-3 1 2 0.5 0 1 0.25\n", ()),
    ],
)
def test_tables_as_other_programs_write_them(tmp_path, name, text, names):
    (tmp_path / name).write_text(text)
    system = initial_conditions(str(tmp_path / name))
    assert_same_bodies(system, bodies_from_rows(STAR_AND_PLANET))
    assert system.names == names


def test_a_table_without_a_header_says_how_its_columns_were_read():
    assert bodies_from_text("0 1 0 0 0 0 0 0").note == "no header: columns read as name, m, x, y, z, vx, vy, vz"
    assert bodies_from_text("m x vx\n1 0 0").note == ""


# --- bad text and arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no body in it"),
        ("# nothing\n", "no body in it"),
        ("m,x,y,vx,vy\n", "no body in it"),
        ("1,0,0,0\n", "line 1: 4 columns, but a body has 3, 5 or 7 numbers"),
        ("1 0 0 0 0 0\n0 1 0 0 0 1\n", "line 1: 6 columns, .* let a first line name the columns, in any order"),
        ("3 1 0 0 0 0 0 0\n7 1 1 0 0 0 0 1\n", "line 1: 8 columns, .* the number of a body .* and these; let"),
        ("0 1 0 0 0 0 0 0\n1 1 1 0 0 0 0 1\n", "line 1: 8 columns"),
        ("1 2 3 4 5 6 7 8 9\n", "line 1: 9 columns"),
        ("a,1,0,0,0,0\na,1,1,0,0,0\n", "names must be printable, no two alike, got 'a' twice"),
        ("a,1,0,0,0,0\n,1,1,0,0,0\n", "names must be printable, no two alike, got ''"),
        ("name,1,0,0,0,zero\n", "line 1: 'zero' is not a number"),
        ("3\n1 0 0 0 0\n1 1 0 0 0\n", "line 1 says 3 bodies, but there are 2 lines behind it"),
        ("1\n1 0 0 0 0\n1 1 0 0 0\n", "line 1 says 1 bodies, but there are 2 lines behind it"),
        ("1\n1 0 0 0 0\n1 1 0 0\n1.5\n", "line 4: it stands behind the 1 bodies of line 1"),
        ("m,x,y,vx,vy\n1,0,0,0\n", "line 2: 4 columns, but the header has 5"),
        ("m,x,y,vx,vy,spin\n1,0,0,0,0,1\n", "line 1: . columns named .*, and 'spin' is none of m, x, y"),
        ("m,mass,x,vx,vy\n1,0,0,0,0\n", "line 1: . columns named .*, where m is there twice"),
        ("x,y,z,vx,vy,vz\n1,0,0,0,0,0\n", "line 1: . columns named .*, but a body has m,x,vx or"),
        ("# x y vx vy m spin\n1,0,0,0,0,1\n", "line 1: . columns named .*, and 'spin' is none of"),
        ("m,x,y,vx,vy,radius\n1,0,0,0,0,-1\n", "radius of body 0 .* must be >= 0"),
        ("m[Msun],x[pc],vx[km/s],radius\n1,0,0,1\n", "column radius needs a unit"),
        ("m[Msun],x[pc],vx[km/s],radius[yr]\n1,0,0,1\n", "yr is no unit of length"),
        ("1_0,0,0\n", "line 1: '1_0' is not a number"),
        ("1,0,0,0,0\n1,2,3\n", "line 2: 3 columns, but the lines above have 5"),
        ("m,x,y,vx,vy\n1,0,0,0,0\n1,1,0,zero,0\n", "line 3: 'zero' is not a number"),
        ("1,0,0,0,0\n1,1,0,nan,0\n", "line 2: 'nan' is not a finite number"),
        ("1,0,0,0,0\n1,1,0,inf,0\n", "line 2: 'inf' is not a finite number"),
        ("1,0,0,0,0\n1,,0,0,0\n", "line 2: '' is not a number"),
        ("1,0,0,0,0\n-2,1,0,0,0\n", "mass of body 1 .* must be >= 0, got -2"),
        ("1,0,0,0,0\n1,1e300,0,0,0\n", "position of body 1"),
    ],
)
def test_bad_text_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "bodies.csv"
    path.write_text(text)
    refused(path, message)


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("trapped",))


def test_a_pickle_in_an_array_file_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    refused(tmp_path / "trap.npy", "not a NumPy array of plain numbers")
    (tmp_path / "raw.npy").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00")
    refused(tmp_path / "raw.npy", "not a NumPy array of plain numbers")
    assert not (tmp_path / "trapped").exists()


def npy_header(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a NumPy array"),
        (b"1,0,0,0,0\n", "not a NumPy array"),
        (npy_header((10**13, 5)) + bytes(80), "not a NumPy array"),
        (npy_header("(2,") + bytes(80), "not a NumPy array"),
        (npy_header((2, 4)) + bytes(64), r"\(N, 3\), \(N, 5\) or \(N, 7\), .* got \(2, 4\)"),
        (npy_header((10,)) + bytes(80), r"got \(10,\)"),
    ],
)
def test_bad_array_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bodies.npy"
    path.write_bytes(content)
    refused(path, message)


def test_arrays_of_other_things_are_refused(tmp_path):
    np.save(tmp_path / "words.npy", np.array([["a"] * 5] * 2))
    refused(tmp_path / "words.npy", "real numbers")
    with (tmp_path / "many.npy").open("wb") as stream:
        np.savez(stream, a=np.ones((2, 5)), b=np.ones((2, 5)))
    refused(tmp_path / "many.npy", "several arrays")


def test_files_that_are_not_there_or_no_files(tmp_path):
    refused(tmp_path / "missing.csv", "No such file")
    refused(tmp_path, "not a regular file")
    (tmp_path / "bodies.docx").write_bytes(b"PK\x03\x04\x14\x00")
    refused(tmp_path / "bodies.docx", "its kind is not known; the suffix must be one of .txt, .csv")
    (tmp_path / "latin.txt").write_bytes(b"# caf\xe9\n1 0 0\n")
    refused(tmp_path / "latin.txt", "UTF-8")
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "not a regular file")


# --- HDF5 -------------------------------------------------------------------------------------------------------


def hdf5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def test_of_a_recording_the_last_frame_is_taken(tmp_path):
    position = np.random.default_rng(1).normal(size=(3, 4, 2))
    path = hdf5(tmp_path / "run.h5", mass=np.ones(4), position=position, velocity=-position, time=[0.0, 1.0, 2.0])
    system = read_initial_conditions(path)
    np.testing.assert_allclose(system.position, position[-1] - position[-1].mean(axis=0))
    assert system.time == 2.0


def test_rows_that_a_recording_does_not_count_are_not_taken(tmp_path):
    position = np.random.default_rng(1).normal(size=(3, 4, 2))
    bodies = {"mass": np.ones(4), "position": position, "velocity": position[:2], "time": [0.0, 1.0, 2.0]}
    system = read_initial_conditions(hdf5(tmp_path / "run.h5", **bodies, summary=b'{"frames": 2, "steps": 40}'))
    np.testing.assert_allclose(system.position, position[1] - position[1].mean(axis=0))
    assert system.time == 1.0


def test_bad_hdf5_is_refused(tmp_path):
    x = np.zeros((2, 2))
    refused(hdf5(tmp_path / "a.h5", mass=[1, 1], position=x), "no dataset 'velocity'")
    refused(hdf5(tmp_path / "b.h5", mass=[1, 1], position=np.zeros((0, 2, 2)), velocity=x), r"got \(0, 2, 2\)")
    refused(hdf5(tmp_path / "c.h5", mass=[1, 1], position=x, velocity=x + np.nan), "velocity of body 0")
    refused(hdf5(tmp_path / "d.h5", mass=["a", "b"], position=x, velocity=x), "real numbers")
    refused(hdf5(tmp_path / "e.h5", mass=[1, 1], position=x, velocity=x, period="long"), "period .* must be a number")
    (tmp_path / "f.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(tmp_path / "f.h5", "not a readable HDF5 file")


# --- REBOUND ----------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path):
    rebound = pytest.importorskip("rebound")
    path = tmp_path / "système.bin"
    simulation = rebound.Simulation()
    simulation.G = 39.5
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0, e=0.1, inc=0.2)
    simulation.add_variation()
    simulation.move_to_com()
    for end in (0.0, 0.5):
        simulation.integrate(end)
        buffer = tmp_path / "plain.bin"
        simulation.save_to_file(str(buffer))
    buffer.rename(path)
    return path, simulation


def test_the_last_snapshot_of_a_rebound_archive_is_read(archive):
    path, simulation = archive
    system = read_initial_conditions(path, G=39.5)
    assert (system.n_bodies, system.n_dims, system.time) == (2, 3, simulation.t)
    np.testing.assert_allclose(system.position, [p.xyz for p in simulation.particles[:2]], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(system.mass, [1.0, 1e-3])
    assert "snapshot 2 of 2" in system.note
    assert initial_conditions(str(path), G=39.5).period == pytest.approx(simulation.particles[1].P, rel=1e-3)


def test_a_rebound_archive_under_another_constant_names_the_flag(archive):
    refused(archive[0], r"made with G = 39.5, not 1.0: pass --G 39.5")


def test_archives_are_known_by_their_first_bytes(archive):
    path = archive[0].rename(archive[0].with_suffix(".sa"))
    assert read_initial_conditions(path, G=39.5).n_bodies == 2


def test_a_cut_archive_gives_its_last_whole_snapshot_and_says_so(archive):
    path = archive[0]
    path.write_bytes(path.read_bytes()[:-40])
    system = read_initial_conditions(path, G=39.5)
    assert system.time == 0.0
    assert "corrupted" in system.note


def test_a_foreign_archive_is_refused(tmp_path):
    pytest.importorskip("rebound")
    (tmp_path / "noise.bin").write_bytes(b"noise" * 100)
    refused(tmp_path / "noise.bin", "not a readable REBOUND archive")


@pytest.mark.parametrize("program", ["import os; os.abort()", "print('{')"])
def test_an_archive_that_crashes_rebound_is_refused(archive, tmp_path, monkeypatch, program):
    package = tmp_path / "crash"
    package.mkdir()
    (package / "rebound.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(package))
    refused(archive[0], "it is damaged: REBOUND fails over it")


def test_without_rebound_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rebound", None)
    (tmp_path / "a.archive").write_bytes(b"x")
    refused(tmp_path / "a.archive", r"pip install 'aitimestepper\[rebound\]'")


# --- writing ----------------------------------------------------------------------------------------------------


@pytest.fixture
def pair():
    return initial_conditions("kepler")


def test_an_existing_file_is_only_replaced_when_asked(tmp_path, pair):
    path = tmp_path / "pair.csv"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"pair.csv exists already: .* set overwrite"):
        write_initial_conditions(path, pair)
    assert path.read_text() == "precious"
    write_initial_conditions(path, pair, overwrite=True)
    assert_same_bodies(read_initial_conditions(path), pair)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/pair.csv", "cannot write .*missing/pair.csv: there is no directory .*missing"),
        ("file/pair.csv", "cannot write .*: there is no directory .*file"),
        ("pair.docx", "suffix must be one of .npy, .txt, .csv, .h5"),
        ("pair", "suffix must be one of"),
    ],
)
def test_paths_that_cannot_be_written_to(tmp_path, pair, path, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=message):
        write_initial_conditions(tmp_path / path, pair)


def test_a_directory_is_not_replaced(tmp_path, pair):
    (tmp_path / "pair.csv").mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        write_initial_conditions(tmp_path / "pair.csv", pair, overwrite=True)
    assert os.listdir(tmp_path) == ["pair.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_reported(tmp_path, pair):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="Permission denied"):
        write_initial_conditions(tmp_path / "pair.csv", pair)


def test_a_full_disk_leaves_the_old_file_and_no_remains(tmp_path, pair, monkeypatch):
    path = tmp_path / "pair.csv"
    path.write_text("precious")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_initial_conditions(path, pair, overwrite=True)
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["pair.csv"]
