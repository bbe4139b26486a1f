"""Pictures into a movie: MP4 through ffmpeg, wherever that comes from, or an animated GIF."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aitimestepper.errors import InputError, OutputError
from aitimestepper.views.page import COLOURS

Picture = NDArray[np.uint8]
"""(height, width, 4): red, green, blue, and an alpha that is not used."""

MOVIE_SUFFIXES = (".mp4", ".gif")

_CODEC = "libx264"
_GIF_TICK = 0.01
"""A GIF counts in hundredths of a second."""


def find_ffmpeg() -> str | None:
    """An ffmpeg that writes H.264: the one of the system, or that of the package imageio-ffmpeg."""
    for program in _candidates():
        listed = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False)
        if _CODEC in listed.stdout:
            return program
    return None


def _candidates() -> Iterator[str]:
    system = shutil.which("ffmpeg")
    if system is not None:
        yield system
    try:
        import imageio_ffmpeg

        yield imageio_ffmpeg.get_ffmpeg_exe()
    except (ModuleNotFoundError, RuntimeError):
        return


def check_encoder(path: Path | str) -> None:
    """Refuse a movie that could not be written in this format here.

    Raises:
        InputError: an unknown suffix, or no ffmpeg for an MP4.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MOVIE_SUFFIXES:
        raise InputError(f"cannot write a movie as {path}: its suffix must be one of {', '.join(MOVIE_SUFFIXES)}")
    if suffix == ".mp4" and find_ffmpeg() is None:
        raise InputError(
            f"cannot write {path}: there is no ffmpeg with H.264 here; pip install 'aitimestepper[plot]', "
            "or give the movie the suffix .gif"
        )


def frame_rate(path: Path | str, fps: float) -> float:
    """The rate that the format can have which is nearest to the one wanted."""
    if Path(path).suffix.lower() == ".gif":
        return 1.0 / (_GIF_TICK * max(2, round(1.0 / (fps * _GIF_TICK))))
    return fps


def encode(pictures: Iterable[Picture], path: Path, fps: float, suffix: str) -> None:
    """Write a movie; all pictures have one size, even both ways.

    Args:
        pictures: made one by one, as they are needed.
        path: where to.
        fps: as `frame_rate` gave it.
        suffix: the format; the path may have another.

    Raises:
        OutputError: the encoder failed.
    """
    (_encode_gif if suffix == ".gif" else _encode_mp4)(pictures, path, fps)


def _encode_mp4(pictures: Iterable[Picture], path: Path, fps: float) -> None:
    program, frames = find_ffmpeg(), iter(pictures)
    first = next(frames)
    height, width, _ = first.shape
    # yuv420p and faststart: what browsers and presentation programs play.
    command = [
        *(str(program), "-loglevel", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{width}x{height}", "-r", f"{fps:.6f}", "-i", "-"),
        *("-an", "-c:v", _CODEC, "-crf", "18", "-preset", "fast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
        *("-f", "mp4", str(path)),
    ]
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(first.tobytes())
                for picture in frames:
                    process.stdin.write(picture.tobytes())
            except BrokenPipeError:
                pass  # its own words say more
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            complaints.seek(0)
            reason = complaints.read().decode(errors="replace").strip() or f"exit code {process.returncode}"
            raise OutputError(f"cannot write the movie: ffmpeg says: {reason}")


def _encode_gif(pictures: Iterable[Picture], path: Path, fps: float) -> None:
    from PIL import Image

    # One palette for all frames: chosen for each, colours of small bodies would flicker.
    palette = Image.new("P", (1, 1))
    palette.putpalette(_shades())
    first, *rest = (
        Image.fromarray(np.ascontiguousarray(picture[..., :3])).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    )
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def _shades() -> list[int]:
    """Red, green and blue of white, and of the colours of figures, each in steps towards it."""
    count = 255 // len(COLOURS)
    pure = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in COLOURS])
    # Not close to white: the ground would take a tint, since a palette is searched roughly.
    towards_white = np.linspace(0.0, 0.92, count)[:, None, None]
    shades = pure * (1 - towards_white) + 255.0 * towards_white
    return [255, 255, 255, *(int(value) for value in shades.round().ravel())]
