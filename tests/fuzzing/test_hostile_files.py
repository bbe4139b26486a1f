"""Files that were made to do harm: each was once a traceback, a hang, gigabytes, or a number that is none."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.builders import untrained

from aitimestepper import Config, EnsembleResult, InputError, simulate, train
from aitimestepper.cli.main import main
from aitimestepper.ensembles.ensemble import simulate_ensemble
from aitimestepper.weights.file import DEFAULT_MODEL

STEPS = ["--timestep", "fixed", "--dt", "0.01", "--steps", "3"]


def refused(capsys, *words, saying=""):
    """The command ends with exit code 2 and one line."""
    capsys.readouterr()
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert len(lines[0]) < 2100
    assert saying in lines[0]


# --- HDF5 -------------------------------------------------------------------------------------------------------


def sound(file):
    file["mass"], file["position"], file["velocity"] = np.ones(2), [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2))


def hostile_mass(file, **how):
    file["position"], file["velocity"] = [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2))
    file.create_dataset("mass", **how)


def huge_mass(file):
    hostile_mass(file, shape=(300_000_000,), dtype="f8", chunks=(1000,))


def many_bodies(file):
    for name, rest in (("mass", ()), ("position", (2,)), ("velocity", (2,))):
        file.create_dataset(name, (100_000_000, *rest), "f8", chunks=(1000, *rest))


def many_names(file):
    sound(file)
    file.create_dataset("names", (200_000_000,), "S8", chunks=(1000,))


def large_chunk(file):
    hostile_mass(file, shape=(2,), maxshape=(None,), chunks=(30_000_000,), dtype="f8", compression="gzip")


def zeros(file):
    for name, rest in (("mass", ()), ("position", (2,)), ("velocity", (2,))):
        file.create_dataset(name, (2_000_000, *rest), "f8", chunks=(100_000, *rest), compression="gzip")
        file[name][:1] = 1.0


def elsewhere(link):
    def make(file):
        file["position"], file["velocity"] = [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2))
        file["mass"] = link

    return make


def in_a_device(file):
    hostile_mass(file, shape=(2,), dtype="f8", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    hostile = h5py.VirtualLayout(shape=(2,), dtype="f8")
    hostile[:] = h5py.VirtualSource("other.h5", "mass", shape=(2,))
    file["position"], file["velocity"] = [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2))
    file.create_virtual_dataset("mass", hostile)


BODIES = {
    "a mass of 3e8 numbers in 2 kB": (huge_mass, "larger than"),
    "a mass too many": (lambda file: hostile_mass(file, data=np.ones(3)), "do not fit"),
    "1e8 bodies in 2 kB": (many_bodies, "larger than"),
    "2e8 names in 4 kB": (many_names, "larger than"),
    "a chunk of 240 MB": (large_chunk, "larger than"),
    "zeros that were packed a thousandfold": (zeros, "larger than"),
    "a link to a FIFO": (elsewhere(h5py.ExternalLink("fifo", "/mass")), "link to elsewhere"),
    "a link to a device": (elsewhere(h5py.ExternalLink("/dev/zero", "/mass")), "link to elsewhere"),
    "a soft link": (elsewhere(h5py.SoftLink("/position")), "link to elsewhere"),
    "an array in a device": (in_a_device, "another file"),
    "an array of another file": (virtual, "another file"),
    "records": (lambda file: hostile_mass(file, shape=(2,), dtype=[("a", "f8"), ("b", "i4")]), "numbers or text"),
    "arrays of any length": (lambda file: hostile_mass(file, shape=(2,), dtype=h5py.vlen_dtype("f8")), "numbers or"),
    "nothing": (lambda file: hostile_mass(file, data=h5py.Empty("f8")), "empty"),
    "a group": (lambda file: file.create_group("mass"), "dataset"),
}


@pytest.mark.parametrize(("make", "saying"), BODIES.values(), ids=BODIES)
def test_bodies_that_take_gigabytes_or_stand_elsewhere(make, saying, capsys):
    os.mkfifo("fifo")
    with h5py.File("bodies.h5", "w") as file:
        make(file)
    refused(capsys, "simulate", "--ic", "bodies.h5", *STEPS, saying=saying)


@pytest.mark.parametrize("suffix", ["h5", "csv", "npy", "bin", "txt", "toml", "safetensors"])
def test_a_file_that_is_long_by_a_hole(suffix, tmp_path, capsys):
    name = tmp_path / f"hole.{suffix}"
    if suffix == "h5":
        with h5py.File(name, "w") as file:
            huge_mass(file)
    elif suffix == "npy":
        np.save(name, np.ones((2, 5)))
        name.write_bytes(name.read_bytes().replace(b"(2, 5), }         ", b"(400000000, 5), } "))
    else:
        name.touch()
    os.truncate(name, 20_000_000_000)
    if suffix in ("toml", "safetensors"):
        words = {"toml": ["--config"], "safetensors": ["--ic", "kepler", "--tolerance", "1e-4", "--model"]}[suffix]
        refused(capsys, "simulate", "--steps", "3", *words, str(name), saying="it has more than")
    else:
        saying = "than what is stored of it" if suffix == "h5" else "it has more than"
        refused(capsys, "simulate", "--ic", str(name), *STEPS, saying=saying)


def test_a_damaged_heap_of_texts_ended_never(tmp_path):
    """HDF5 goes round in it for ever: 16 bytes of zeros are free space of no size."""
    config = Config(ic="random:n=3", timestep="fixed", dt=0.01, steps=2, count=4)
    simulate_ensemble(config=config).save("e.h5")
    content = bytearray((tmp_path / "e.h5").read_bytes())
    heap = content.index(b"GCOL")
    for begin, end in ((heap + 16, heap + 32), (heap + 24, heap + 32), (heap + 8, heap + 16)):
        broken = bytearray(content)
        broken[begin:end] = bytes(end - begin)
        (tmp_path / "broken.h5").write_bytes(broken)
        with pytest.raises(InputError, match="a text in it is damaged"):
            EnsembleResult.load("broken.h5")


def test_a_text_of_any_length_is_read_where_the_heap_is_sound(tmp_path):
    with h5py.File("bodies.h5", "w") as file:
        sound(file)
        file["names"] = ["Sun" * 500, "Mönd"]
    assert main(["simulate", "--ic", "bodies.h5", *STEPS]) == 0


@pytest.mark.parametrize("path", ["/dev/zero", "fifo", "."])
@pytest.mark.parametrize(
    "words",
    [
        ["simulate", *STEPS, "--ic"],
        ["simulate", "--config"],
        ["simulate", "--resume"],
        ["plot"],
        ["simulate", "--ic", "kepler", "--steps", "3", "--timestep", "learned", "--model"],
        ["train", "--resume"],
        ["sweep", "--config"],
    ],
    ids=lambda words: " ".join(words[:1] + words[-1:]),
)
def test_what_is_no_regular_file_is_not_opened(words, path, capsys):
    os.mkfifo("fifo")
    refused(capsys, *words, path)


def test_a_damaged_object_in_a_recording_is_said_by_plot(tmp_path, capsys):
    simulate(config=Config(ic="kepler", timestep="fixed", dt=0.01, steps=3, output="run.h5"))
    content = bytearray((tmp_path / "run.h5").read_bytes())
    with h5py.File("run.h5") as file:
        place = h5py.h5o.get_info(file["energy"].id).addr
    content[place : place + 16] = bytes(16)
    (tmp_path / "run.h5").write_bytes(content)
    refused(capsys, "plot", "run.h5", saying="run.h5")


# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("a." * 60_000 + "a = 1", "a key of 60000 parts"),
        ("a = " + "[" * 100_000, "too deep"),
        ("seed = " + "9" * 10_000, "not valid TOML"),
        ("seed = 0x" + "f" * 10_000, "64 bits"),
        ("#" * 1_100_000, "more than 1 MB"),
        ("timestep = '" + "s" * 900_000 + "'", "timestep = 'sss"),
        ("s" * 900_000 + " = 1", "unknown key"),
    ],
    ids=["parts", "depth", "digits", "bits", "size", "value", "key"],
)
def test_a_configuration_that_has_no_end(text, saying, tmp_path, capsys):
    (tmp_path / "c.toml").write_text(text + "\n")
    refused(capsys, "simulate", "--config", "c.toml", saying=saying)


@pytest.mark.parametrize(
    "space", ["seed = {low = 0, high = 9000000000000000000}", "lr = {low = 1e-3, high = 1e-2, step = 1e-300}",
              f"lr = {[1e-3 + 1e-6 * k for k in range(400)]}\nseed = {list(range(400))}"]
)  # fmt: skip
def test_a_grid_is_counted_before_it_is_made(space, tmp_path, capsys):
    (tmp_path / "c.toml").write_text(f"[sweep]\nsampler = 'grid'\n[sweep.space]\n{space}\n")
    refused(capsys, "sweep", "--config", "c.toml", saying="has more than 100000")


@pytest.mark.parametrize("cell", ["1_0", "١", "１"])
def test_only_plain_digits_are_numbers(cell, tmp_path, capsys):
    (tmp_path / "b.csv").write_text(f"m,x,vx\n1,0,0\n{cell},1,0\n", encoding="utf-8")
    refused(capsys, "simulate", "--ic", "b.csv", *STEPS, saying="line 3")


@pytest.mark.parametrize("size", ["1e149", "1e99"])
@pytest.mark.parametrize("how", [STEPS, ["--tolerance", "1e-6", "--steps", "3"]], ids=["fixed", "calibrated"])
def test_numbers_whose_forces_overflow(size, how, tmp_path, capsys):
    (tmp_path / "b.csv").write_text(f"{size},-{size},0,0,0\n{size},{size},{size},0,0\n")
    if size == "1e149":
        refused(capsys, "simulate", "--ic", "b.csv", *how, saying="must be finite and at most 1e+100")
    else:
        assert main(["simulate", "--ic", "b.csv", *how]) in (0, 2, 3)


@pytest.mark.parametrize(
    "words",
    [
        ["--softening", "1e300"],
        ["--softening", "1e99"],
        ["--G", "1e300"],
        ["--G", "1e-300"],
        ["--external-field-mass", "1e300", "--external-field-position", "1e200,1e200"],
        ["--external-field-mass", "1e-300", "--external-field-position", "1e-200,0"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("how", [STEPS, ["--tolerance", "1e-6", "--steps", "3"]], ids=["fixed", "calibrated"])
def test_physics_of_absurd_sizes_has_no_traceback(words, how, capsys):
    assert main(["simulate", "--ic", "kepler", *words, *how]) in (0, 2, 3)
    assert "Warning" not in capsys.readouterr().err


def test_a_softening_in_a_file_whose_square_overflows(capsys):
    with h5py.File("bodies.h5", "w") as file:
        sound(file)
        file.attrs["softening"] = 1e300
    refused(capsys, "simulate", "--ic", "bodies.h5", *STEPS, saying="softening must be")


@pytest.mark.parametrize("count", ["9" * 28, "9" * 5000])
def test_a_number_of_steps_beyond_64_bits(count, capsys):
    refused(capsys, "simulate", "--ic", "kepler", *STEPS[:-1], count, saying="steps = ")


# --- models and checkpoints -------------------------------------------------------------------------------------


def rewritten(path, change_arrays=None, **texts):
    """A model file with other arrays or texts in its header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"] | texts
    arrays = load_file(path)
    save_file(change_arrays(arrays) if change_arrays else arrays, path, header)


def with_nan(arrays):
    arrays["layers.0.weight"][0, 0] = np.nan
    return arrays


DEEP = "[" * 100_000
MODELS = {
    "NaN": (with_nan, {}),
    "whole numbers": (lambda arrays: {name: array.astype(np.int64) for name, array in arrays.items()}, {}),
    "truths": (lambda arrays: {name: array > 0 for name, array in arrays.items()}, {}),
    "halves": (lambda arrays: {name: array.astype(np.float16) for name, array in arrays.items()}, {}),
    "one more array": (lambda arrays: arrays | {"other": np.ones(3)}, {}),
    "one more bias": (lambda arrays: arrays | {"layers.9.bias": np.ones(3)}, {}),
    "one array less": (lambda arrays: {name: a for name, a in arrays.items() if name != "layers.0.bias"}, {}),
    **{f"config {text[:9]}": (None, {"config": text}) for text in ("[]", "null", "3", '"x"', DEEP)},
    **{f"scales {text[:9]}": (None, {"scales": text}) for text in ("[0, 0, 0, 0]", "[1, 1, 1, NaN]", "3", DEEP)},
    "scales that are texts": (None, {"scales": '["a", "b", "c", "d"]'}),
    **{f"about {text[:9]}": (None, {"about": text}) for text in ("[]", "null", DEEP)},
}


@pytest.mark.parametrize(("change", "texts"), MODELS.values(), ids=MODELS)
def test_a_model_that_is_none(change, texts, tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    untrained(path)
    rewritten(path, change, **texts)
    if texts.get("about") in ("[]",):  # an empty list of pairs is an empty table
        return
    words = ["--timestep", "learned", "--model", str(path)]
    refused(capsys, "simulate", "--ic", "kepler", "--steps", "3", *words, saying="m.safetensors" if not change else "")
    refused(capsys, "export", "--format", "c", "--model", str(path), "--output", "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("scales", [[0.0] * 44, [float("nan")] * 44, ["a"] * 44, None])
def test_calibrated_weights_without_ranges(scales, tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    shutil.copy(DEFAULT_MODEL, path)
    rewritten(path, scales=json.dumps(scales))
    refused(capsys, "simulate", "--ic", "kepler", "--steps", "3", "--tolerance", "1e-4", "--model", str(path))


class Greedy:
    def __reduce__(self):
        return bytearray, (50_000_000_000,)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    keys = {"hidden_dims": (4,), "output_scale": "physical", "replay_steps": 2, "tensorboard": False}
    train(config=Config(epochs=1, runs_dir=str(folder), **keys))
    return folder / "run"


def without(key):
    return lambda contents: {name: value for name, value in contents.items() if name != key}


def replaced(key, value):
    return lambda contents: contents | {key: value}


def longer_moments(contents):
    import torch

    for moments in contents["optimizer"]["state"].values():
        moments["exp_avg"] = torch.zeros(100_000)
    return contents


CHECKPOINTS = {
    **{f"no {key}": without(key) for key in ("model", "optimizer", "parts", "counters", "scales", "config")},
    **{f"{key} {value!r}": replaced(key, value) for key in ("model", "optimizer", "parts", "counters", "config")
       for value in (None, 3, "x", [], {})},
    "scales of texts": replaced("scales", ["a"] * 4),
    "moments of other weights": longer_moments,
}  # fmt: skip


@pytest.mark.parametrize("change", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_with_odd_parts(change, trained, tmp_path, capsys):
    import torch

    shutil.copytree(trained, tmp_path / "run")
    contents = torch.load(trained / "resume.pt", weights_only=True)
    torch.save(change(contents), tmp_path / "run" / "resume.pt")
    refused(capsys, "train", "--resume", str(tmp_path / "run"), "--epochs", "2", saying="")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_that_asks_for_50_gigabytes(zipped, trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "resume.pt"
    content = pickle.dumps(Greedy(), protocol=2)
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("resume/data.pkl", content)
            archive.writestr("resume/version", "3\n")
    else:
        path.write_bytes(content)
    refused(capsys, "train", "--resume", str(tmp_path / "run"), saying="damaged, or no checkpoint")


def test_a_journal_with_a_broken_line_is_not_touched(tmp_path, capsys):
    settings = "epochs = 1\nreplay_steps = 2\noutput_scale = 'physical'\ntensorboard = false\nsave_name = 's'\n"
    (tmp_path / "c.toml").write_text(f"{settings}[sweep]\ntrials = 1\n[sweep.space]\nhidden_dims = [[4], [6]]\n")
    assert main(["sweep", "--config", "c.toml"]) == 0
    journal = tmp_path / "runs" / "s" / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    last = next(k for k, line in enumerate(lines) if b'"values":[' in line)
    texts = lines[last].replace(b'"values":[', b'"values":["x"],"more":[')
    for number, broken in (
        (1, b"\xd5" + lines[1][1:]),
        (2, b"{\n"),
        (1, b"[]\n"),
        (3, lines[3][:9]),
        (0, b""),
        (last, texts),
    ):
        content = b"".join([*lines[:number], broken, *lines[number + 1 :]])
        journal.write_bytes(content)
        refused(capsys, "sweep", "--config", "c.toml", saying="is damaged, or no study")
        assert journal.read_bytes() == content


# --- names and streams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.png", "a.json"])
@pytest.mark.parametrize("command", ["simulate", "ensemble"])
def test_a_name_that_says_something_else_than_is_written(command, name, capsys):
    refused(capsys, command, "--ic", "random:n=3", *STEPS, "--output", name, saying="what is written is HDF5")


def test_a_name_of_a_directory(tmp_path, capsys):
    refused(capsys, "simulate", "--ic", "kepler", *STEPS, "--output", "sub/", saying="names a directory")
    assert not (tmp_path / "sub").exists()


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_costs_no_result(streams, tmp_path):
    words = f"{sys.executable} -m aitimestepper simulate --ic kepler {' '.join(STEPS)} --output a.h5 --json {streams}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert h5py.is_hdf5("a.h5")
    if streams == "2>&-":
        assert json.loads(done.stdout)["outcome"] == "finished"


@pytest.mark.parametrize(
    ("name", "encoding"), [(b"caf\xe9", "utf-8"), (b"caf\xe9", "ascii"), ("café".encode(), "ascii")]
)
def test_a_name_that_cannot_be_printed_costs_no_result(name, encoding, tmp_path):
    table = os.path.join(os.fsencode(tmp_path), name + b".csv")
    with open(table, "w") as stream:
        stream.write("1,-1,0,0,-0.4\n1,1,0,0,0.4\n")
    words = [sys.executable, "-m", "aitimestepper", "simulate", "--ic", table, *STEPS, "--output", name + b".h5"]
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=surroundings, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "finished" in done.stdout
