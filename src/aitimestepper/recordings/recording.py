"""`Recording`: the arrays and the summary of one run, NumPy only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError, RunError
from aitimestepper.names import nearest
from aitimestepper.recordings.bodies import Bodies
from aitimestepper.recordings.elements import OrbitalElements, elements_of
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.reading import read_parts
from aitimestepper.recordings.shown import Rows, Shown, cost_row, merger_rows, method_of, promise_rows
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.recordings.writer import RecordingWriter
from aitimestepper.systems.units import DIMENSIONS, Units


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Shown):
    """One run: S frames of N bodies in D dimensions, and its summary.

    Attributes: those of `RunInfo` and of `Frames`, one by one, and
        summary: the run in numbers.
        step_history: every step, if it was asked for.
        step_events: what a calibrated run did to its steps, if every step was asked for.
        mergers: bodies that became one, with its position and velocity from there on; see `masses`.
    """

    mass: Floats
    time: Floats
    dt: Floats
    position: Floats
    velocity: Floats
    energy: Floats
    angular_momentum: Floats
    dt_min: Floats
    dt_max: Floats
    error_max: Floats
    summary: Summary
    names: tuple[str, ...] = ()
    period: float = 0.0
    G: float = 1.0
    softening: float = 0.0
    energy_scale: float = 1.0
    note: str = ""
    units: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    radius: Floats = field(default_factory=lambda: np.zeros(0))
    step_history: StepHistory = field(default_factory=StepHistory.none)
    step_events: StepEvents = field(default_factory=StepEvents.none)
    mergers: Mergers = field(default_factory=Mergers.none)

    @classmethod
    def of(
        cls,
        info: RunInfo,
        frames: Frames,
        summary: Summary,
        history: StepHistory | None = None,
        events: StepEvents | None = None,
        mergers: Mergers | None = None,
    ) -> Self:
        """Put the parts together."""
        return cls(
            **vars(info),
            **frames._asdict(),
            summary=summary,
            step_history=history or StepHistory.none(),
            step_events=events or StepEvents.none(),
            mergers=mergers or Mergers.none(),
        )

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Read a recording, also one whose run is still going on or was killed.

        Raises:
            InputError: the file is missing, damaged, or no recording.
        """
        return cls.of(*read_parts(path))

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write the recording to an HDF5 file.

        Raises:
            OutputExistsError: the file exists and `overwrite` is False.
            OutputError: the place cannot be written to.
        """
        with RecordingWriter(path, self.info, self.frames, self.summary, overwrite=overwrite) as writer:
            if len(self.step_history.time) or len(self.step_events.time) or len(self.mergers.time):
                nothing = Frames(*(array[:0] for array in self.frames))
                steps, events, mergers = self.step_history, self.step_events, self.mergers
                writer.append(nothing, self.summary, history=steps, events=events, mergers=mergers)

    @property
    def info(self) -> RunInfo:
        """What was known before the run."""
        return RunInfo(**{entry.name: getattr(self, entry.name) for entry in fields(RunInfo)})

    @property
    def frames(self) -> Frames:
        """The arrays that have an entry for each frame."""
        return Frames(*(getattr(self, name) for name in Frames._fields))

    @property
    def energy_error(self) -> Floats:
        """(S,): |E - E_initial| over the energy scale; of states after a merger both are those of the merged bodies."""
        return self.relative_energy_error(self.energy, self.mergers.done_at(self.time))

    def relative_energy_error(self, energy: Floats, mergers: NDArray[np.int64]) -> Floats:
        """Errors (K,) of energies (K,) behind so many mergers each (K,)."""
        begun = np.array([self.summary.energy_initial, *self.mergers.energy_after])[mergers]
        return np.abs(energy - begun) / np.array([self.energy_scale, *self.mergers.energy_scale])[mergers]

    @property
    def masses(self) -> Floats:
        """(S, N): masses at every state, 0 of a body that has gone into another one."""
        return self.mergers.masses(self.mass, self.time)

    @property
    def bodies(self) -> Bodies:
        """The bodies one by one: `run.bodies["Earth"].position`, (S, D)."""
        return Bodies(self.names, self.mass, self.position, self.velocity)

    def elements(self, primary: int | str | None = None) -> OrbitalElements:
        """Osculating orbital elements of every body at every state, each (S, N); angles in degrees.

        Args:
            primary: name or number of the body about which the others move; None for Jacobi coordinates, in which each
                body moves about the centre of mass of those before it.

        Raises:
            InputError: there is no such body.
        """
        about = None if primary is None else self.bodies.index(primary)
        gone = self.mergers.gone(len(self.mass), self.time)
        return elements_of(self.masses, self.position, self.velocity, self.G, about, gone)

    def quantity(self, name: str, unit: str | None = None) -> Any:
        """An array of the run as a quantity of astropy: `run.quantity("velocity", "km/s")`.

        Args:
            name: time, dt, position, velocity, energy, angular_momentum, mass, radius, period or softening.
            unit: a unit of astropy to convert to; None for that of the run.

        Raises:
            InputError: the run has no units, or astropy is not installed.
        """
        units = Units.from_text(self.units)
        if units is None:
            raise InputError("the run has no units: give its bodies some, InitialConditions(..., units=(...))")
        if name not in DIMENSIONS:
            raise InputError(f"{name!r} has no unit{nearest(name, DIMENSIONS)}: one of {', '.join(DIMENSIONS)} has")
        quantity = units.quantity(getattr(self, name), DIMENSIONS[name])
        return quantity if unit is None else quantity.to(unit)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each body at each state, indexed by time and body.

        Raises:
            InputError: pandas is not installed.
        """
        pandas = _package("pandas")
        axes = "xyz"[: self.position.shape[2]]
        index = pandas.MultiIndex.from_product([self.time, self._labels], names=("time", "body"))
        columns: dict[str, Any] = {"mass": self.masses.ravel()}
        columns |= {axis: self.position[..., k].ravel() for k, axis in enumerate(axes)}
        columns |= {f"v{axis}": self.velocity[..., k].ravel() for k, axis in enumerate(axes)}
        return pandas.DataFrame(columns, index=index)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` with the dimensions time, body and axis.

        Raises:
            InputError: xarray is not installed.
        """
        xarray = _package("xarray")
        vectors = ("time", "body", "axis")
        return xarray.Dataset(
            {
                "position": (vectors, self.position),
                "velocity": (vectors, self.velocity),
                "mass": (("time", "body"), self.masses) if len(self.mergers.time) else ("body", self.mass),
                "dt": ("time", self.dt),
                "energy": ("time", self.energy),
                "energy_error": ("time", self.energy_error),
            },
            coords={"time": self.time, "body": self._labels, "axis": list("xyz"[: self.position.shape[2]])},
            attrs={"G": self.G, "softening": self.softening, "units": self.units, "note": self.note},
        )

    @property
    def _labels(self) -> list[str] | list[int]:
        """Names of the bodies, or their numbers."""
        return list(self.names) or list(range(len(self.mass)))

    def _shown(self) -> tuple[str, Rows]:
        bodies = f"{len(self.mass)} {'body' if len(self.mass) == 1 else 'bodies'}"
        numbers = self.summary.as_dict()
        unit = Units.from_text(self.units)
        return f"Recording of {bodies}, {method_of(self.settings)}", [
            ("time", f"{self.time[0]:.9g} to {self.time[-1]:.9g}{'' if unit is None else ' ' + unit.time}"),
            ("states", f"{len(self.time):,}"),
            *promise_rows(numbers),
            cost_row(numbers),
            *merger_rows(numbers),
            *([] if unit is None else [("units", str(unit))]),
            ("outcome", self.summary.outcome),
        ]


def _package(name: str) -> Any:
    """A package that only one way out of a recording needs.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"this needs {name}: pip install {name}") from None


class _Reached(BaseException):
    """What a run had come to when it ended before its end.

    Attributes:
        summary: the run up to there.
        info: what was known of it before its first step.
        time: simulated time of that state.
    """

    def __init__(self, summary: Summary, info: RunInfo, recording: Callable[[], Recording]) -> None:
        self.summary, self.info, self.time = summary, info, summary.time
        self._recording = recording
        super().__init__(summary.outcome)

    @property
    def recording(self) -> Recording:
        """Everything up to that state."""
        return self._recording()


class SimulationError(_Reached, RunError):
    """A simulation that could not go on; carries what it has reached."""


class Interrupted(_Reached, KeyboardInterrupt):
    """A simulation that was interrupted by Ctrl-C; carries what it has reached.

    In a notebook or at a prompt it is `sys.last_value`, so that `sys.last_value.recording` has the states.
    """
