"""Settings as keywords: what an editor can offer, and what is refused."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from aitimestepper import Config, ConfigError, InputError, compare, simulate, simulate_ensemble, train
from aitimestepper.config.schema import fields_of


@pytest.mark.parametrize(
    ("function", "command", "without"),
    [
        (simulate, "simulate", {"ic", "json"}),
        (simulate_ensemble, "ensemble", {"ic", "json"}),
        (compare, "compare", {"ic", "json", "figure"}),
        (train, "train", {"ic", "json"}),
    ],
)
def test_signatures_have_the_keys_of_a_command(function, command, without):
    parameters = inspect.signature(function).parameters
    assert set(fields_of(command)) - without <= set(parameters)
    assert list(parameters)[1] == "config"
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in list(parameters.values())[2:])
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def test_config_has_its_keys_from_the_start():
    script = "import inspect; from aitimestepper import Config; print(*inspect.signature(Config).parameters)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"tolerance", "ic", "epochs"} <= set(shown)


def test_keywords_go_over_a_configuration():
    shared = Config(tolerance=1e-3, duration=1.0)
    run = simulate("figure-eight", shared, tolerance=1e-5)
    assert run.summary.energy_error_asked == 1e-5
    assert run.settings["ic"] == "figure-eight"


def test_what_is_wrong_is_said_before_anything_runs():
    with pytest.raises(ConfigError, match="unknown key 'tolernace'; did you mean tolerance"):
        simulate("figure-eight", duration=1.0, tolernace=1e-3)
    with pytest.raises(InputError, match="no Config: write config="):
        simulate(Config(ic="figure-eight", duration=1.0, tolerance=1e-3))
    with pytest.raises(InputError, match="named twice, 'halley' and ic = 'figure-eight'"):
        simulate("halley", Config(ic="figure-eight", duration=1.0, tolerance=1e-3))
    with pytest.raises(ConfigError, match="tolernace"):
        Config().model_copy(update={"tolernace": 1})
    assert Config().model_copy(update={"tolerance": 1e-3}).tolerance == 1e-3


def test_paths_are_texts(tmp_path):
    path = tmp_path / "run.h5"
    run = simulate("figure-eight", duration=0.1, tolerance=1e-3, output=path)
    assert path.is_file()
    assert run.settings["output"] == str(path)
    assert Config(ic=Path("a.csv")).ic == "a.csv"
    again = simulate(path, duration=0.1, tolerance=1e-3)
    assert again.mass.tolist() == run.mass.tolist()
