"""Files of recordings: what is in them, and what a kill, a full disk or a foreign file does to them."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from aitimestepper import InputError, OutputError, OutputExistsError, Recording
from aitimestepper.outputs import Reservation
from aitimestepper.recordings import growing, layout, tables
from aitimestepper.recordings.parts import UNFINISHED, Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.tables import Extent
from aitimestepper.recordings.writer import RecordingWriter

INFO = RunInfo(mass=np.ones(2), names=("a", "b"), settings={"timestep": "fixed"})


def counting_frames(start: int, count: int) -> Frames:
    """Frames in which every number is the number of the frame."""
    number = np.arange(start, start + count, dtype=float)
    vectors = np.broadcast_to(number[:, None, None], (count, 2, 2))
    return Frames(number, number, vectors, vectors, *[number] * 5)


def summary_of(frames: int, outcome: str = UNFINISHED) -> Summary:
    return Summary(frames - 1, frames, 0, frames - 1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, outcome)


def extent_of(frames: int, slot: int) -> Extent:
    return Extent({"frames": frames, "history": frames - 1}, {"frames": 0, "history": 0}, slot)


def write(path, *, blocks: int = 3, size: int = 4, overwrite: bool = False) -> None:
    with RecordingWriter(path, INFO, counting_frames(0, 1), summary_of(1), overwrite=overwrite) as writer:
        for block in range(blocks):
            frames = 1 + block * size
            writer.append(counting_frames(frames, size), summary_of(frames + size))


def assert_whole(recording, at_least: int) -> None:
    """Every frame is what it was, none is missing in between."""
    frames = len(recording.time)
    assert frames >= at_least
    for name in Frames._fields:
        array = getattr(recording, name).reshape(frames, -1)
        np.testing.assert_array_equal(array, np.arange(frames)[:, None] * np.ones(array.shape[1]))
    assert recording.summary.steps == frames - 1


def test_a_growing_file_can_be_read(tmp_path):
    path = tmp_path / "run.h5"
    with RecordingWriter(path, INFO, counting_frames(0, 1), summary_of(1)) as writer:
        assert_whole(Recording.load(path), 1)
        writer.append(counting_frames(1, 5), summary_of(6))
        growing = Recording.load(path)
        assert_whole(growing, 6)
        assert growing.summary.outcome == UNFINISHED
        writer.append(counting_frames(6, 0), summary_of(6, "finished"))
    assert Recording.load(path).summary.outcome == "finished"
    assert os.listdir(tmp_path) == ["run.h5"]


def test_plain_hdf5_tools_find_the_arrays_by_name(tmp_path):
    write(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["position"].shape == (13, 2, 2)
        assert file["time"][-1] == 12.0
        assert file.attrs["format"] == "aitimestepper-recording"
        assert list(file["names"].asstr()) == ["a", "b"]


def test_chunks_grow_so_that_their_index_never_splits(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "_CHUNK_BYTES", 64)  # two frames
    path = tmp_path / "run.h5"
    write(path, blocks=40, size=30)
    assert_whole(Recording.load(path), 1201)
    with h5py.File(path) as file:
        assert file["time"].chunks == (128,)
        assert all(file[name].id.get_num_chunks() <= growing.MAX_CHUNKS for name in Frames._fields)
    assert os.listdir(tmp_path) == ["run.h5"]


def test_without_room_for_a_copy_the_file_grows_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "_CHUNK_BYTES", 64)
    path = tmp_path / "run.h5"
    with RecordingWriter(path, INFO, counting_frames(0, 1), summary_of(1)) as writer:

        def full(output, content):
            raise OutputError("disk full")

        monkeypatch.setattr(Reservation, "write", full)
        writer.append(counting_frames(1, 200), summary_of(201))
    assert_whole(Recording.load(path), 201)


class _Tape(io.BytesIO):
    """A file that remembers every write."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(content)
        self.writes: list[tuple[int, bytes | None]] = []

    def write(self, data) -> int:
        self.writes.append((self.tell(), bytes(data)))
        return super().write(data)

    def truncate(self, size=None) -> int:
        self.writes.append((self.tell() if size is None else size, None))
        return super().truncate(size)


def test_a_kill_between_any_two_writes_leaves_every_committed_block(tmp_path):
    frames, steps, state = Frames._fields, layout.STEP_DATASETS, np.arange(5.0)
    with tables.hdf5_file(io.BytesIO(), "w") as file:
        like = {"frames": counting_frames(0, 1), "history": StepHistory.none(), **layout.LATER_TABLES}
        tables.create_tables(file, layout.TABLES, like, dict.fromkeys(layout.TABLES, 4))
        layout.write_rest(file, INFO, {}, state_size=5, state_layout="")
        tables.append_rows(file, frames, 0, counting_frames(0, 1))
        tables.commit(file, extent_of(1, 0), layout.values_of(summary_of(1)))
        file.flush()
        created = file.id.get_file_image()
    tape, committed = _Tape(created), {0: 1}
    with tables.hdf5_file(tape, "r+") as file:
        for number, start in enumerate(range(1, 4 * growing.MAX_CHUNKS - 30, 25)):
            tables.append_rows(file, frames, start, counting_frames(start, 25))
            tables.append_rows(file, steps, start - 1, [np.arange(start - 1.0, start + 24.0)] * 3)
            slot = (number + 1) % 2
            file["state"][slot] = state + start + 25
            file.flush()
            tables.commit(file, extent_of(start + 25, slot), layout.values_of(summary_of(start + 25)))
            committed[len(tape.writes)] = start + 25
    disk, at_least = bytearray(created), 1
    for done, (place, data) in enumerate(tape.writes):
        at_least = committed.get(done, at_least)
        (tmp_path / "killed.h5").write_bytes(disk)
        recording = Recording.load(tmp_path / "killed.h5")
        assert_whole(recording, at_least)
        with h5py.File(tmp_path / "killed.h5") as file:
            np.testing.assert_array_equal(recording.step_history.dt, np.arange(len(recording.time) - 1))
            extent = layout.recorded_extent(json.loads(file["summary"][()]))
            count = extent.rows["frames"]
            if count > 1:
                np.testing.assert_array_equal(file["state"][extent.slot], state + count)
        end = place + len(data or b"")
        disk.extend(bytes(max(0, end - len(disk))))
        if data is None:
            del disk[place:]
        else:
            disk[place:end] = data
    assert len(tape.writes) > 100


def test_the_summary_lies_within_one_page(tmp_path):
    write(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["summary"].id.get_offset() % 4096 + file["summary"].dtype.itemsize <= 4096


_ENDLESS_WRITER = """
import sys
sys.path.insert(0, {tests!r})
from tests.recordings.test_writer import INFO, counting_frames, summary_of, RecordingWriter
with RecordingWriter("run.h5", INFO, counting_frames(0, 1), summary_of(1)) as writer:
    frames = 1
    while True:
        writer.append(counting_frames(frames, 50), summary_of(frames + 50))
        frames += 50
        print(frames, flush=True)
"""


def test_a_killed_run_leaves_its_frames(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    writer = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS_WRITER.format(tests=root)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        written = [int(writer.stdout.readline()) for _ in range(60)][-1]
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    killed = Recording.load(tmp_path / "run.h5")
    assert_whole(killed, written)
    assert killed.summary.outcome.startswith("unfinished")


_FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from tests.recordings.test_writer import write
from aitimestepper import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    write("run.h5", blocks=1000, size=100)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "kept"), [(1000, 0), (400_000, 1000)])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, limit, kept):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK.format(tests=root, limit=limit)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    # HDF5 itself prints its stack and crashes when a write fails.
    assert (done.returncode, done.stderr) == (0, "")
    assert "run.h5: File too large" in done.stdout
    if kept:
        assert_whole(Recording.load(tmp_path / "run.h5"), kept)
    else:
        assert os.listdir(tmp_path) == []


def test_an_existing_file_is_not_replaced(tmp_path):
    path = tmp_path / "run.h5"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"run\.h5 exists already.*set overwrite"):
        write(path)
    assert path.read_text() == "precious"
    write(path, overwrite=True)
    assert_whole(Recording.load(path), 13)


def test_an_old_file_stays_until_the_new_one_is_there(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    path.write_text("precious")

    def full(output, content):
        raise OutputError(f"cannot write {output.path}: No space left on device")

    monkeypatch.setattr(Reservation, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        write(path, overwrite=True)
    assert path.read_text() == "precious"


def test_a_link_keeps_pointing_to_the_file_that_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    write(tmp_path / "disk" / "run.h5", blocks=1)
    (tmp_path / "link.h5").symlink_to(tmp_path / "disk" / "run.h5")
    write(tmp_path / "link.h5", blocks=2, overwrite=True)
    assert (tmp_path / "link.h5").is_symlink()
    assert_whole(Recording.load(tmp_path / "disk" / "run.h5"), 9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/run.h5", "there is no directory"),
        ("file/run.h5", "there is no directory"),
        (".", "not a regular file"),
    ],
)
def test_a_place_that_cannot_be_written_to(tmp_path, name, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=message):
        write(tmp_path / name, overwrite=True)


def test_a_read_only_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OutputError, match="read-only"):
        write(tmp_path / "run.h5")


def test_no_cut_file_is_more_than_one_clear_error(tmp_path):
    write(tmp_path / "run.h5")
    content = (tmp_path / "run.h5").read_bytes()
    for size in range(0, len(content) - 1, len(content) // 15):
        (tmp_path / "cut.h5").write_bytes(content[:size])
        with pytest.raises(InputError, match=r"cannot read the recording .*cut\.h5"):
            Recording.load(tmp_path / "cut.h5")


def test_files_that_are_no_recordings(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        Recording.load(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="no HDF5 file"):
        Recording.load(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["mass"] = [1.0]
    with pytest.raises(InputError, match="no recording of this package"):
        Recording.load(tmp_path / "foreign.h5")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.attrs.update({"version": 99}), "format version is 99, this package reads 5"),
        (lambda file: file.__delitem__("velocity"), "damaged or incomplete"),
        (lambda file: file["time"].resize(3, axis=0), "fewer rows than the 13"),
        (lambda file: file["summary"].__setitem__((), b"{]"), "damaged or incomplete"),
    ],
)
def test_a_recording_with_something_missing(tmp_path, damage, message):
    write(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message):
        Recording.load(tmp_path / "run.h5")


def test_a_summary_with_all_its_numbers_and_a_long_outcome_fits(tmp_path):
    number, text = (
        -1.2345678901234567e-100,
        {"confirm_outcome": "not confirmed: the second run did not come to its end"},
    )
    numbers = {
        entry.name: number if "float" in str(entry.type) else 123456789
        for entry in dataclasses.fields(Summary)
        if "str" not in str(entry.type)
    }
    summary = Summary(**numbers, **text, outcome="stopped by ü" + "ü" * 3000)
    with RecordingWriter(tmp_path / "run.h5", INFO, counting_frames(0, 1), summary) as writer:
        writer.append(counting_frames(1, 200), summary)
    read = Recording.load(tmp_path / "run.h5").summary
    assert read.outcome.startswith("stopped by ü")
    assert dataclasses.replace(read, outcome="") == dataclasses.replace(summary, outcome="")
