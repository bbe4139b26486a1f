"""What the files that a user names are: recordings, archives, ensembles, comparisons, directories with a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from aitimestepper.arrays import Floats
from aitimestepper.comparison.result import Comparison
from aitimestepper.ensembles.result import EnsembleResult
from aitimestepper.errors import InputError
from aitimestepper.hdf5 import DAMAGED, opened
from aitimestepper.inputs import RECORDS, TEXT, content_of
from aitimestepper.names import CONFIG_FILE, ENSEMBLE_FORMAT, METRICS_FILE, STEPS_FILE
from aitimestepper.recordings.layout import FORMAT as RECORDING
from aitimestepper.recordings.recording import Recording
from aitimestepper.systems.archives import FIRST_BYTES
from aitimestepper.views.metrics import read_metrics


class Training(NamedTuple):
    """A training: its metrics by name, and its configuration as TOML; empty if there is none."""

    metrics: dict[str, Floats]
    config: str


class Source(NamedTuple):
    """Something that can be shown, and the file or directory that it came from."""

    path: Path
    content: Recording | EnsembleResult | Comparison | Training


def read_source(path: Path | str) -> Source:
    """Read a file, or the training in a run directory.

    Raises:
        InputError: it is missing, damaged, or nothing that can be shown.
    """
    path = Path(path)
    if path.is_dir() or path.name in (METRICS_FILE, STEPS_FILE):
        return Source(path, _training(path))
    if not path.is_file():
        raise InputError(f"cannot read {path}: there is no such file or directory")
    if path.suffix.lower() == ".json":
        return Source(path, _comparison(path))
    if _is_archive(path):
        from aitimestepper.recordings.snapshots import recording_of_archive

        return Source(path, recording_of_archive(path))
    kind = _hdf5_format(path)
    if kind == RECORDING:
        return Source(path, Recording.load(path))
    if kind == ENSEMBLE_FORMAT:
        return Source(path, EnsembleResult.load(path))
    raise InputError(
        f"cannot show {path}: it is neither a recording (simulate --output), an archive of REBOUND, an ensemble "
        "(ensemble --output), a comparison (compare --output F.json) nor the run directory of a training"
    )


def read_sources(path: Path | str) -> list[Source]:
    """The same; of a directory, its training and all recordings, ensembles and comparisons in it.

    Raises:
        InputError: as for `read_source`; nothing in the directory can be shown.
    """
    path = Path(path)
    if not path.is_dir():
        return [read_source(path)]
    found = [path] if (path / METRICS_FILE).is_file() else []
    found += [file for file in sorted(path.glob("*.h5")) if _hdf5_format(file) in (RECORDING, ENSEMBLE_FORMAT)]
    found += [file for file in sorted(path.glob("*.json")) if _is_comparison(file)]
    if not found:
        raise InputError(
            f"cannot show {path}: the directory has no {METRICS_FILE} of a training, no recording or ensemble (.h5) "
            "and no comparison (.json)"
        )
    return [read_source(file) for file in found]


def _training(path: Path) -> Training:
    directory = path if path.is_dir() else path.parent
    try:
        config = content_of(directory / CONFIG_FILE, TEXT).decode()
    except (OSError, UnicodeDecodeError):
        config = ""
    return Training(read_metrics(directory if path.name == STEPS_FILE else path), config)


def _comparison(path: Path) -> Comparison:
    try:
        return Comparison.from_dict(json.loads(content_of(path, RECORDS)))
    except OSError as error:
        raise InputError(f"cannot read the comparison {path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"cannot read the comparison {path}: it is not what compare --output writes") from None


def _is_comparison(path: Path) -> bool:
    try:
        _comparison(path)
    except InputError:
        return False
    return True


def _is_archive(path: Path) -> bool:
    """Whether it is an archive of REBOUND, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(FIRST_BYTES)) == FIRST_BYTES


def _hdf5_format(path: Path) -> str:
    """What a file says of itself; empty if it says nothing."""
    try:
        with opened(path) as file:
            return str(file.attrs.get("format", ""))
    except DAMAGED:
        return ""
