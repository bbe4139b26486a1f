"""Films: how many frames, at which times, what they show."""

from __future__ import annotations

import numpy as np
import pytest
from tests.views.recordings import circling, drifting

from aitimestepper import InputError, OutputError, OutputExistsError
from aitimestepper.views import encoding
from aitimestepper.views.framing import view_box, within
from aitimestepper.views.movie import movie
from aitimestepper.views.page import COLOURS

pytest.importorskip("matplotlib")
imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

SMALL = {"size": (160, 120), "fps": 10.0, "seconds": 1.2}
UNEVEN = np.concatenate([np.linspace(0.0, 0.1, 50), np.linspace(0.2, 4.0, 7)])


def frames_of(path) -> np.ndarray:
    """(K, height, width, 3)."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return np.array([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def blue(frames: np.ndarray) -> np.ndarray:
    """Horizontal position of the blue body, the first, in each frame."""
    red, _, blue = (frames[..., k].astype(int) for k in range(3))
    strong = (blue - red > 120)[:, :, :300]  # further right are names
    return np.array([np.nonzero(frame)[1].mean() for frame in strong])


def test_frames_are_as_many_as_asked_and_uniform_in_time(tmp_path):
    shown = movie(drifting(UNEVEN), tmp_path / "f.mp4", trail=0.0, size=(400, 300), fps=10.0, seconds=1.2)
    frames = frames_of(tmp_path / "f.mp4")
    assert frames.shape == (12, 300, 400, 3)
    np.testing.assert_allclose(np.diff(shown.times), 4.0 / 11)
    # 50 of 57 states are in the first fortieth of the time; the body goes with one speed all the same.
    steps = np.diff(blue(frames))
    assert steps.mean() > 15.0
    assert np.ptp(steps) < 3.0


def test_the_length_of_the_movie_is_the_one_asked_for(tmp_path):
    movie(circling(UNEVEN), tmp_path / "f.mp4", **SMALL)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "f.mp4"))
    assert (count, seconds) == (12, pytest.approx(1.2, abs=0.05))


@pytest.mark.parametrize(("n_dims", "dim"), [(1, None), (2, 2), (3, 2), (3, None)])
@pytest.mark.parametrize("n_bodies", [1, 300])
def test_every_number_of_bodies_and_dimensions_has_a_movie(tmp_path, n_dims, dim, n_bodies):
    settings = SMALL | {"seconds": 0.2}
    movie(circling(np.linspace(0, 1, 5), n_dims, n_bodies), tmp_path / "f.gif", dim=dim, **settings)
    assert (tmp_path / "f.gif").read_bytes().startswith(b"GIF89a")


def test_a_gif_has_its_frames_and_a_rate_that_it_can_have(tmp_path):
    from PIL import Image

    shown = movie(circling(UNEVEN), tmp_path / "f.gif", fps=30.0, seconds=0.9, size=(161, 121))
    assert shown.fps == pytest.approx(100 / 3)
    with Image.open(tmp_path / "f.gif") as picture:
        assert (picture.size, picture.n_frames, picture.info["duration"]) == ((162, 122), 30, 30)


def test_a_gif_keeps_the_colours_of_the_bodies(tmp_path):
    from PIL import Image

    movie(circling(UNEVEN, n_bodies=len(COLOURS)), tmp_path / "f.gif", size=(400, 300), fps=10.0, seconds=0.3)
    with Image.open(tmp_path / "f.gif") as picture:
        found = dict(reversed(entry) for entry in picture.convert("RGB").getcolors(10_000))
    assert max(found, key=found.__getitem__) == (255, 255, 255)
    assert {tuple(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in COLOURS} <= set(found)


def test_a_run_of_one_state_has_a_movie(tmp_path):
    shown = movie(circling(np.array([3.0])), tmp_path / "f.gif", **SMALL)
    assert set(shown.times) == {3.0}


def test_a_passage_that_was_not_recorded_is_reported(tmp_path):
    sparse = circling(np.arange(0.0, 60.0, 6.0))
    assert movie(sparse, tmp_path / "f.gif", **SMALL | {"seconds": 0.2}).cut == 1.0
    assert movie(circling(UNEVEN[:50]), tmp_path / "g.gif", **SMALL | {"seconds": 0.2}).cut == 0.0


def test_a_body_that_is_thrown_out_leaves_the_picture():
    positions = circling(np.linspace(0, 60, 400), n_bodies=2).position
    far = np.where(np.arange(400)[:, None] > 390, 1000.0 * np.ones((400, 2)), 0.0)
    with_escaper = np.concatenate([positions, far[:, None]], axis=1)
    assert view_box(with_escaper)[1] < 2.0
    centre, half = view_box(positions)
    np.testing.assert_allclose(centre, 0.0, atol=0.05)
    assert 1.0 < half < 1.2
    # An eccentric orbit stays in the picture, although its pericentre is passed quickly.
    assert view_box(np.zeros((5, 1, 2)))[1] == 1.0


def test_in_space_what_lies_outside_is_not_drawn():
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.5]])
    np.testing.assert_array_equal(within(positions, np.zeros(3), 1.0), [[0.0] * 3, [np.nan] * 3])


def test_progress_is_told_for_each_frame(tmp_path):
    told: list[float] = []
    movie(circling(UNEVEN), tmp_path / "f.gif", progress=told.append, **SMALL)
    assert told == pytest.approx(np.arange(1, 13) / 12)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_an_interrupted_movie_leaves_nothing(tmp_path, suffix):
    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        movie(circling(UNEVEN), tmp_path / f"f{suffix}", progress=stop, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_CODEC", "h264_nonsense")
    monkeypatch.setattr(encoding, "find_ffmpeg", imageio_ffmpeg.get_ffmpeg_exe)
    with pytest.raises(OutputError, match=r"ffmpeg says: .*h264_nonsense"):
        movie(circling(UNEVEN), tmp_path / "f.mp4", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_ffmpeg_of_the_system_comes_first_if_it_has_h264(tmp_path, monkeypatch):
    system = tmp_path / "ffmpeg"
    for listed, found in (("V..... libx264 ", str(system)), ("nothing", imageio_ffmpeg.get_ffmpeg_exe())):
        system.write_text(f"#!/bin/sh\necho '{listed}'\n")
        system.chmod(0o755)
        monkeypatch.setattr(encoding.shutil, "which", lambda name: str(system))
        assert encoding.find_ffmpeg() == found


def test_without_ffmpeg_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_candidates", lambda: iter(()))
    with pytest.raises(InputError, match=r"pip install 'aitimestepper\[plot\]', or give the movie the suffix \.gif"):
        movie(circling(UNEVEN), tmp_path / "f.mp4", **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0.0}, "fps must be > 0, got 0"),
        ({"seconds": float("inf")}, "seconds must be > 0, got inf"),
        ({"trail": -1.0}, "trail must be >= 0, got -1"),
        ({"size": (10, 100)}, "size must be 100 to 8000 pixels either way, got 10 x 100"),
        ({"dim": 3}, r"the run has 2 dimensions: it cannot be shown in space \(dim = 3\)"),
    ],
)
def test_what_cannot_be_shown_as_a_movie_is_refused(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        movie(circling(UNEVEN), tmp_path / "f.gif", **SMALL | wrong)
    with pytest.raises(InputError, match="suffix must be one of"):
        movie(circling(UNEVEN), tmp_path / "f.avi", **SMALL)
    (tmp_path / "f.gif").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"f\.gif exists already"):
        movie(circling(UNEVEN), tmp_path / "f.gif", **SMALL)
