"""A model as one header and one source file in C99.

The texts in the folder `c` are the engine's functions once more (`description`, `invariant` and `summary` of
`engine.features`, and `engine.networks`), written to be read beside them; the tests hold both together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.engine.features.description import CONCENTRATION, ROUNDING
from aitimestepper.engine.networks import Network
from aitimestepper.engine.run.governor import HIGHEST_DEMAND, LONGEST_ETA, LONGEST_FICTITIOUS, LOWEST_DEMAND
from aitimestepper.errors import InputError, OutputError, OutputExistsError
from aitimestepper.outputs import write_atomically
from aitimestepper.weights.compiled import network_of, with_ranges
from aitimestepper.weights.file import ModelFile

DEFAULT_PREFIX = "ait"


def export_c(
    model: ModelFile, directory: Path | str, *, prefix: str = DEFAULT_PREFIX, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write `<prefix>_timestep.h` and `.c`, whose function `<prefix>_timestep` gives the step of a state.

    Args:
        model: calibrated weights, or a network that sees the present state alone.
        directory: made if it is not there.
        prefix: before all names, so that several models can be linked into one program.
        overwrite: whether files of these names may be replaced.

    Returns:
        The header and the source.

    Raises:
        InputError: the network looks back, which needs a history that a function of the state does not have; or the
            prefix is no name in C.
        OutputExistsError: a file is there already.
        OutputError: the directory cannot be written to.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix):
        raise InputError(f"prefix = {prefix!r} is no name in C: letters, digits and underscores, a letter first")
    texts = _sources(model, prefix)
    folder = Path(directory)
    paths = tuple(folder / f"{prefix}_timestep{suffix}" for suffix in (".h", ".c"))
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} exists already: choose another directory, or set overwrite to replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the directory {folder}: {error.strerror}") from None
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text.encode())
    return paths[0], paths[1]


def _sources(model: ModelFile, prefix: str) -> tuple[str, str]:
    config = model.config
    if config.history_len:
        raise InputError(
            f"this network sees {config.history_len} past states, which a function of the present state alone does not "
            "know: train one with history_len = 0"
        )
    kind = "calibrated" if model.calibrated else "learned"
    words = {
        "PREFIX": prefix,
        "UPPER": prefix.upper(),
        "GUARD": f"{prefix.upper()}_TIMESTEP_H",
        "VERSION": __version__,
        "SOURCE": _provenance(model),
        "THRESHOLD": f"{config.energy_threshold:g}",
    }
    header = _filled("header.h", {**words, "DECLARATIONS": _filled(f"{kind}_declarations.h", words)})
    pieces = [_filled("common.c", words)]
    if model.calibrated:
        assert model.scales is not None
        low, high = np.array(model.scales).reshape(2, TRAITS)
        network = with_ranges(network_of(model), low, high)
        constants = {"TRAITS": TRAITS, "ROUNDING": ROUNDING}
        tables = {"lowest": low, "highest": high}
        limits = {"LOWEST_DEMAND": LOWEST_DEMAND, "HIGHEST_DEMAND": HIGHEST_DEMAND, "CONCENTRATION": CONCENTRATION}
        limits |= {"LONGEST_FICTITIOUS": LONGEST_FICTITIOUS, "LONGEST_ETA": LONGEST_ETA}
        words |= {name: repr(value) for name, value in limits.items()}
        pieces += [_data(network, constants, tables), _read("invariant.c"), _read("network.c")]
    else:
        features = "invariant" if config.feature_type == "invariant" else "summary"
        words["FILL"] = "invariant(&s, free_fall, units)" if features == "invariant" else "summary(&s, units)"
        pieces += [_data(network_of(model), _sight(model), {}), _read(f"{features}.c"), _read("network.c")]
    pieces.append(_filled(f"{kind}.c", words))
    return header, "".join(pieces)


def _provenance(model: ModelFile) -> str:
    about, config = model.about, model.config
    kind = "calibrated weights" if model.calibrated else f"a network on {config.feature_type} features"
    seen = f"trained on {about['ic']}" if "ic" in about else "trained"
    commit = f", commit {str(about['commit'])[:12]}" if about.get("commit") else ""
    # What stands in a comment may not end it.
    return f"{kind}, {seen}, {about.get('epoch', '?')} epochs{commit}".replace("*/", "* /")


def _sight(model: ModelFile) -> dict[str, float | int]:
    """What the features of a learned network need to know.

    Raises:
        InputError: scales that a run would have to measure first.
    """
    config = model.config
    scales: Iterable[float] = (1.0, 1.0, 1.0, 1.0)
    if config.normalize_inputs and config.feature_type != "invariant":
        if model.scales is None:
            raise InputError(
                "the scales of this network's features are those of a run's first state: it cannot be exported"
            )
        scales = model.scales
    length, speed, acceleration, _ = (float(scale) for scale in scales)
    return {
        "DIMENSIONS": _dimensions(config),
        "RICH": int(config.feature_type == "rich"),
        "LENGTH_SCALE": length,
        "SPEED_SCALE": speed,
        "ACCELERATION_SCALE": acceleration,
        "PHYSICAL": int(config.output_scale == "physical"),
        "THRESHOLD": config.energy_threshold,
    }


def _dimensions(config: Config) -> int:
    """Of the systems of the training, which some features count; what `ic` names may have any, so 3 stands for them."""
    return config.dim if config.ic is None else 3


def _data(network: Network, constants: Mapping[str, float | int], tables: Mapping[str, Floats]) -> str:
    """Sizes, weights and other numbers, the floats to the last bit."""
    n_features, n_frequencies, *widths = (int(width) for width in network.widths)
    whole = {
        "FEATURES": n_features,
        "FREQUENCIES": n_frequencies,
        "LAYERS": len(widths) - 1,
        "WIDEST": max(widths),
        "ACTIVATION": int(network.activation),
    }
    lines = ["", *(f"#define {name} {_number(value)}" for name, value in (whole | dict(constants)).items()), ""]
    lines.append(f"static const int widths[] = {{{', '.join(map(str, widths))}}};")
    for name, values in {**tables, "weights": network.weights}.items():
        lines += [f"static const double {name}[] = {{", *_rows(values), "};"]
    return "\n".join(lines) + "\n"


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else value.hex()


def _rows(values: Floats, in_a_row: int = 4) -> Iterable[str]:
    texts = [f"{float(value).hex()}," for value in values]
    for start in range(0, len(texts), in_a_row):
        yield "    " + " ".join(texts[start : start + in_a_row])


def _read(name: str) -> str:
    return (files("aitimestepper.exporting") / "c" / name).read_text(encoding="utf-8")


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = _read(name)
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
