"""Every name on the page for users of the research code exists, and its commands and files are taken."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

import aitimestepper
from aitimestepper import Config, ConfigError, names, read_config
from aitimestepper.cli.commands import COMMANDS, flags_of
from aitimestepper.config.schema import all_keys

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "research-code.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """Cells of the table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def fences(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def test_the_page_has_its_tables():
    assert [len(rows(title)) > 4 for title in ("Commands", "Keys and flags", "Functions", "Files")] == [True] * 4
    assert "howto/research-code" in (Path(__file__).parents[1] / "docs" / "index.md").read_text(encoding="utf-8")


def test_every_command_and_flag_exists():
    everywhere = set().union(*map(flags_of, COMMANDS))
    found = [word for _, here in rows("Commands") for text in words(here) for word in text.split()]
    assert all(word in everywhere for word in found if word.startswith("--"))
    commands = re.findall(r"(?<!from )aitimestepper ([a-z]+)", PAGE)
    assert set(commands) >= {"train", "simulate", "both", "ensemble", "movie", "plot"}
    assert set(commands) <= set(COMMANDS)


def test_the_commands_that_are_written_out_are_taken():
    lines = [line for text in fences("text") for line in text.splitlines() if line.startswith("aitimestepper ")]
    assert len(lines) == 2
    for line in lines:
        _, command, *given = shlex.split(line)
        parsed = importlib.import_module(f"aitimestepper.cli.{command}").parser().parse(given)
        assert Config(**parsed.keys).ic


def test_every_key_exists_and_the_old_ones_do_not():
    for there, here, *_ in rows("Keys and flags"):
        assert all(word in all_keys() for word in words(here)), here
        for old in words(there):
            if not old.startswith("--"):
                assert old not in all_keys(), old
    assert {"replay_steps", "replay_patience", "max_step_fraction", "energy_threshold", "n_steps"} <= set(all_keys())


def test_an_old_file_is_refused_at_its_old_names_and_the_new_one_is_taken():
    (old,) = (text for text in fences("text") if "Nperiod" in text)
    Path("old.toml").write_text(old)
    with pytest.raises(ConfigError, match="unknown key 'max_retrain_steps'; did you mean max_retrain_iterations"):
        read_config("old.toml", "train")
    (new,) = fences("toml")
    assert set(tomllib.loads(new)["train"]) & set(tomllib.loads(old)["train"]) >= {"energy_threshold", "E_lower"}
    Path("new.toml").write_text(new)
    assert read_config("new.toml", "train").max_retrain_iterations == 10**6
    assert read_config("new.toml", "simulate").periods == 3


def test_every_function_exists():
    for _, here in rows("Functions"):
        named = [word for word in words(here) if re.fullmatch(r"[A-Za-z_]+", word)]
        known = {*aitimestepper.__all__, *all_keys(), "save_dir"}
        assert all(word in known for word in named), here


def test_every_file_is_one_that_a_run_directory_has():
    assert {names.MODEL_FILE, names.RESUME_FILE, names.SYSTEMS_FILE, names.STEPS_FILE} <= {
        word for _, here in rows("Files") for word in words(here)
    }


def test_what_the_page_says_is_refused_is_refused():
    with pytest.raises(ConfigError, match="must be < energy_threshold"):
        Config(E_upper=3e-4, energy_threshold=2e-4)
    with pytest.raises(ConfigError, match="epochs = 0"):
        Config(epochs=0)
    np.save("zero.npy", [[1.0, -0.5, 0, 0, -1.0], [1.0, 0.5, 0, 0, 1.0]])
    with pytest.raises(aitimestepper.InputError, match="relative errors of energies"):
        aitimestepper.train(config=Config(ic="zero.npy"))
    assert "--duration" not in flags_of("train")
