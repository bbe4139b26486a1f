"""How the steps of a network over an orbit change while it is trained: as a figure, and as a movie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.names import STEPS_FILE
from aitimestepper.outputs import Reservation
from aitimestepper.views.encoding import Picture, encode, frame_rate
from aitimestepper.views.movie import DEFAULT_SIZE, check_movie
from aitimestepper.views.page import BLACK, COLOURS, PAGE_WIDTH, STYLE, figure_file, page_style, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = 6
"""Epochs in a figure, the first and the last among them; chosen by eye."""
_BAND = "0.88"
_EARLIER = "0.75"
_ROW = 2.35  # inches


class Orbit(NamedTuple):
    """States (S,) of one system over a period, in the order of time.

    Attributes:
        n_bodies: of the system.
        period: 0 if it has none.
        time: since the first state.
        separation: of the closest pair.
        largest: the largest step that passes the gate, before the first that does not.
    """

    n_bodies: int
    period: float
    time: Floats
    separation: Floats
    largest: Floats


class OrbitSteps(NamedTuple):
    """What a training has noted of the steps over its first B orbits.

    Attributes:
        threshold, band: energy errors that a step must stay below, and is driven to.
        orbits: B of them.
        epochs: (E,), ascending; 0 is before the training.
        dt, error: (E, B, S), the predicted steps and their relative energy errors; NaN where they were not finite.
    """

    threshold: float
    band: tuple[float, float]
    orbits: list[Orbit]
    epochs: Floats
    dt: Floats
    error: Floats


def read_orbit_steps(path: Path | str) -> OrbitSteps:
    """Read what a training has noted; the last line may have been cut by a kill.

    Args:
        path: the file, or the run directory that holds it.

    Raises:
        InputError: it is missing, damaged, or of no epoch.
    """
    path = Path(path)
    path = path / STEPS_FILE if path.is_dir() else path
    try:
        first, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        known, noted = json.loads(first), [json.loads(line) for line in lines]
        orbits = [Orbit(int(o["n_bodies"]), float(o["period"]), *map(_floats, _columns(o))) for o in known["systems"]]
        found = OrbitSteps(
            float(known["energy_threshold"]),
            (float(known["E_lower"]), float(known["E_upper"])),
            orbits,
            *(_floats([line[key] for line in noted]) for key in ("epoch", "dt", "error")),
        )
    except OSError as error:
        raise InputError(f"cannot read the steps of a training {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"cannot read the steps of a training {path}: it is damaged, or holds something else"
        ) from None
    shape = (len(found.epochs), len(orbits), len(orbits[0].time) if orbits else 0)
    sizes = {len(column) for orbit in orbits for column in orbit[2:]}
    if 0 in shape or sizes != {shape[2]} or not found.dt.shape == found.error.shape == shape:
        raise InputError(f"cannot read the steps of a training {path}: what is in it does not fit together")
    return found


def _columns(orbit: dict[str, Any]) -> list[Any]:
    return [orbit["time"], orbit["separation"], orbit["largest"]]


def _floats(values: Any) -> Floats:
    return np.array(values, dtype=np.float64)


def plot_orbit_steps(
    steps_path: Path | str, path: Path | str | None = None, *, title: str = "", overwrite: bool = False
) -> Figure:
    """Steps over the orbits of a training and their energy errors, after some of its epochs.

    A row for each of up to three systems: the step beside the largest one that passes the gate, and the error beside
    threshold and band; against the separation of a pair, otherwise against time.

    Args:
        steps_path: steps.jsonl of a training, or the run directory that holds it.
        path: .png, .pdf or .svg; None to write nothing.
        title: over the figure.
        overwrite: whether a file of the name may be replaced.

    Returns:
        The figure of matplotlib, to be edited and saved.

    Raises:
        InputError: the steps cannot be read, a suffix is not known, or the file cannot be written.
    """
    steps = read_orbit_steps(steps_path)
    with figure_file(path, overwrite) as output, page_style():
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE_WIDTH, _ROW * len(steps.orbits) + 0.5), layout="constrained")
        panels = _panels(figure, steps)
        chosen = _some_epochs(steps.epochs)
        # From light to dark, evenly in lightness: epochs are told apart without colours too.
        shades = colormaps["viridis"](np.linspace(0.88, 0.0, len(chosen)))
        # Each thinner than the one before: curves that coincide are both seen.
        widths = np.linspace(2.2, 1.0, len(chosen))
        for shade, width, index in zip(shades, widths, chosen, strict=True):
            line = {"color": shade, "label": _epoch(steps.epochs[index]), "linewidth": width}
            for row, pair in enumerate(panels):
                _draw(pair, steps, index, row, line)
        _legend(figure, panels, title)
        save_figure(figure, output)
    return figure


def _some_epochs(epochs: Floats) -> list[int]:
    """Indices of the first epoch, the last, and some that are evenly spread in their logarithm between them."""
    wanted = np.geomspace(1.0, max(epochs[-1], 1.0), _CURVES - 1)
    return sorted({0, *(int(np.abs(np.log(epochs[1:] / epoch)).argmin()) + 1 for epoch in wanted if len(epochs) > 1)})


def _epoch(epoch: float) -> str:
    return "before" if epoch == 0 else f"epoch {epoch:.0f}"


def _panels(figure: Any, steps: OrbitSteps) -> list[tuple[Any, Any]]:
    """Panels of step and error for each orbit, with all that does not change in them."""
    axes = figure.subplots(len(steps.orbits), 2, squeeze=False)
    for (step, error), orbit in zip(axes, steps.orbits, strict=True):
        against, label, scale = _abscissa(orbit)
        step.plot(against, orbit.largest, color=BLACK, linestyle="--", label="largest that passes", zorder=3)
        step.set(ylabel="step [code units]", yscale="log")
        error.axhspan(*steps.band, color=_BAND, linewidth=0, zorder=0, label="band of the training")
        error.axhline(steps.threshold, color=BLACK, linestyle=":", label="threshold of the gate", zorder=3)
        error.set(ylabel=r"$|\Delta E| \, / \, |E|$ of one step", yscale="log")
        for axis in (step, error):
            axis.set(xlabel=label, xscale=scale)
            axis.margins(x=0.02)
            _number(axis, against, scale)
        step.set_title(_name(orbit), fontsize=STYLE["legend.fontsize"], loc="left")
        _limit(step, error, steps, orbit)
    return [tuple(pair) for pair in axes]


def _abscissa(orbit: Orbit) -> tuple[Floats, str, str]:
    """What steps are drawn against, its label and its scale."""
    if orbit.n_bodies == 2 and orbit.separation.max() > 1.05 * orbit.separation.min():
        return orbit.separation, "separation [code units]", "log"
    return orbit.time, "time [code units]", "linear"


def _name(orbit: Orbit) -> str:
    if orbit.n_bodies > 2:
        return f"{orbit.n_bodies} bodies"
    far, near = orbit.separation.max(), orbit.separation.min()
    return f"eccentricity {(far - near) / (far + near):.2f}" if orbit.period else "two bodies"


def _number(axis: Any, values: Floats, scale: str) -> None:
    """Numbers at 1, 2 and 5 on a logarithmic axis of few decades, which otherwise might have none."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale == "log":
        few = values.max() < 30 * values.min()
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())


def _limit(step: Any, error: Any, steps: OrbitSteps, orbit: Orbit) -> None:
    """Ranges that hold the reference and what the network gives, but no error far below the band."""
    row = next(k for k, other in enumerate(steps.orbits) if other is orbit)
    dt = steps.dt[:, row]
    known = np.concatenate([dt[np.isfinite(dt)], orbit.largest])
    step.set_ylim(max(known.min(), 1e-3 * orbit.largest.min()) / 1.5, min(known.max(), 1e2 * orbit.largest.max()) * 1.5)
    errors = steps.error[:, row]
    high = max(errors[np.isfinite(errors)].max(initial=0.0), 3.0 * steps.threshold)
    error.set_ylim(0.03 * steps.band[0], min(3.0 * high, 3.0))


def _draw(pair: tuple[Any, Any], steps: OrbitSteps, index: int, row: int, line: dict[str, Any]) -> list[Any]:
    against = _abscissa(steps.orbits[row])[0]
    return [
        axis.plot(against, values[index, row], **line)[0]
        for axis, values in zip(pair, (steps.dt, steps.error), strict=True)
    ]


def _legend(figure: Any, panels: list[tuple[Any, Any]], title: str) -> None:
    named = {
        label: handle for axis in panels[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    epochs = [label for label in named if label.startswith(("before", "epoch"))]
    labels = [*epochs, *(label for label in named if label not in epochs)]
    figure.legend(
        [named[label] for label in labels],
        labels,
        title=title or None,
        title_fontsize=STYLE["axes.titlesize"],
        loc="outside upper center",
        ncols=5,
        frameon=False,
    )


def orbit_steps_movie(
    steps_path: Path | str,
    path: Path | str,
    *,
    fps: float = 30.0,
    seconds: float = 10.0,
    size: tuple[int, int] = DEFAULT_SIZE,
    title: str = "",
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> None:
    """The panels of `plot_orbit_steps` as a movie: every noted epoch for an equal time, earlier ones in grey.

    Args:
        steps_path: as for `plot_orbit_steps`.
        path: .mp4 or .gif.
        fps, seconds, size, title, overwrite, progress: as for `movie`.

    Raises:
        InputError: the steps cannot be read, or as for `movie`.
    """
    check_movie(path, overwrite, fps=fps, seconds=seconds, trail=0.0, size=size)
    steps, fps = read_orbit_steps(steps_path), frame_rate(path, fps)
    count = max(round(seconds * fps), 1)
    shown = np.minimum(np.linspace(0, len(steps.epochs), count).astype(int), len(steps.epochs) - 1)
    pictures = _pictures(steps, shown, size, title, progress)
    suffix = Path(path).suffix.lower()
    with Reservation(path, overwrite) as output:
        output.write(lambda temporary: encode(pictures, temporary, fps, suffix))


def _pictures(
    steps: OrbitSteps, shown: Any, size: tuple[int, int], title: str, progress: Callable[[float], None] | None
) -> Iterator[Picture]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = (pixels + pixels % 2 for pixels in size)
    dpi = width / PAGE_WIDTH
    with page_style():
        figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = _panels(figure, steps)
        words = panels[0][1].set_title(_epoch(steps.epochs[-1]), loc="left")
        _legend(figure, panels, title)
        canvas.draw()
        figure.set_layout_engine("none")
        lines: list[Any] = []
        picture: Picture | None = None
        for number, index in enumerate(shown, start=1):
            if picture is None or index != shown[number - 2]:
                for line in lines:
                    line.set(color=_EARLIER, linewidth=0.6, zorder=1)
                now = {"color": COLOURS[0], "linewidth": 1.6, "zorder": 4}
                lines = [line for row, pair in enumerate(panels) for line in _draw(pair, steps, index, row, now)]
                words.set_text(_epoch(steps.epochs[index]))
                canvas.draw()
                picture = np.array(canvas.buffer_rgba())
            yield picture
            if progress is not None:
                progress(number / len(shown))
