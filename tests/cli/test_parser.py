"""Flags are derived from the configuration: which exist, how they are written, what their values become."""

from __future__ import annotations

import pytest

from aitimestepper import Config, InputError
from aitimestepper.cli.commands import COMMANDS as SUBCOMMANDS
from aitimestepper.cli.commands import flag_of
from aitimestepper.cli.parser import CommandParser
from aitimestepper.config.schema import all_keys, fields_of

COMMANDS = ("train", "simulate", "ensemble", "compare", "both")


def parser(command: str = "train") -> CommandParser:
    return CommandParser(command, usage="", epilog="")


def keys(*words: str, command: str = "train") -> dict:
    return parser(command).parse(words).keys


def example_of(key: str) -> list[str]:
    """A flag with a value that its type allows."""
    field = Config.model_fields.get(key) or fields_of("simulate")[key]
    if field.annotation in (bool, bool | None):
        return [flag_of(key)]
    return [flag_of(key), "1"]


@pytest.mark.parametrize("key", all_keys())
@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_exists_for_exactly_the_commands_that_use_its_key(command, key):
    used = {name: key in fields_of(name) for name in ("train", "simulate", "ensemble", "compare")}
    used["both"] = key not in ("model", "dt", "h", "eta") and (used["train"] or used["simulate"])
    if used[command]:
        assert set(keys(*example_of(key), command=command)) == {key}
    else:
        with pytest.raises(InputError, match=f"^{example_of(key)[0]} is a flag of .*, not of '{command}'$"):
            keys(*example_of(key), command=command)


def test_every_key_belongs_to_some_command():
    assert set(all_keys()) == {key for command in COMMANDS for key in SUBCOMMANDS[command].keys}


@pytest.mark.parametrize(
    "words",
    [
        ["--energy-threshold", "1e-3"],
        ["--energy_threshold", "1e-3"],
        ["--energy-threshold=1e-3"],
        ["--energy_threshold=1e-3"],
    ],
)
def test_hyphens_underscores_and_equals_signs_mean_the_same(words):
    assert keys(*words) == {"energy_threshold": 1e-3}


def test_capital_letters_of_a_key_are_kept():
    assert keys("--E_lower", "1e-7", "--norm-L0=2", "--G", "39.478") == {"E_lower": 1e-7, "norm_L0": 2.0, "G": 39.478}


@pytest.mark.parametrize("value", ["-1e-3", "-1", "-.5", "-2.5E+10", "-inf", "-nan"])
def test_a_negative_number_is_a_value_and_no_flag(value):
    (given,) = keys("--lr", value).values()
    assert str(given) == str(float(value)) or str(given) == value


@pytest.mark.parametrize(
    "words",
    [
        ["--external-field-position", "-1e-3", "2", "-3"],
        ["--external-field-position=-1e-3,2,-3"],
        ["--external-field-position", "-1e-3,2,", "-3"],
    ],
)
def test_a_list_is_written_with_blanks_or_commas(words):
    assert keys(*words) == {"external_field_position": [-1e-3, 2.0, -3.0]}


def test_numbers_are_read_as_in_a_file():
    given = keys("--epochs", "1e3", "--seed", str(2**62 + 1), "--hidden-dims", "32", "16")
    assert given == {"epochs": 1000.0, "seed": 2**62 + 1, "hidden_dims": [32, 16]}
    assert Config(**given).epochs == 1000


def test_none_unsets_an_optional_value_and_only_such_a_one():
    unset = keys("--max-retrain-iterations", "none", "--ic", "None", "--external-field-position", "none")
    assert unset == {"max_retrain_iterations": None, "ic": None, "external_field_position": None}
    assert keys("--save-name", "none", "--lr", "none") == {"save_name": "none", "lr": "none"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("--tensorboard", True),
        ("--no-tensorboard", False),
        ("--tensorboard=true", True),
        ("--tensorboard=False", False),
    ],
)
def test_switches(word, value):
    assert keys(word) == {"tensorboard": value}


def test_a_switch_takes_true_or_false_only():
    with pytest.raises(InputError, match=r"^--tensorboard = 'maybe' is not allowed: it should be true or false$"):
        keys("--tensorboard=maybe")


def test_only_what_was_given_is_in_the_request():
    assert parser().parse([]) == ({}, {})
    assert parser().parse(["--config", "a.toml", "--lr", "1"]) == ({"lr": 1}, {"config": "a.toml"})


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("train", ["--energy-treshold", "1"], "unknown flag --energy-treshold; did you mean --energy-threshold?"),
        ("train", ["--energy_treshold=1"], "unknown flag --energy-treshold; did you mean --energy-threshold?"),
        ("train", ["--xyzzy"], "unknown flag --xyzzy"),
        ("train", ["--epoch", "3"], "unknown flag --epoch; did you mean --epochs?"),
        ("train", ["--dt", "0.1"], "--dt is a flag of 'simulate' and 'ensemble', not of 'train'"),
        (
            "train",
            ["--periods=3"],
            "--periods is a flag of 'simulate', 'ensemble', 'compare' and 'both', not of 'train'",
        ),
        ("simulate", ["--lr", "1"], "--lr is a flag of 'train', 'sweep' and 'both', not of 'simulate'"),
        (
            "simulate",
            ["--no-tensorboard"],
            "--no-tensorboard is a flag of 'train', 'sweep' and 'both', not of 'simulate'",
        ),
        ("both", ["--resume", "runs/a"], "--resume is a flag of 'train', 'simulate' and 'ensemble', not of 'both'"),
        ("both", ["--model", "m"], "--model is a flag of 'simulate' and 'ensemble', not of 'both'"),
        ("train", ["first"], "unexpected argument 'first'; see 'aitimestepper train --help'"),
        ("train", ["-x"], "unexpected argument '-x'; see 'aitimestepper train --help'"),
        ("train", ["--lr"], "--lr: expected one argument; see 'aitimestepper train --help'"),
        ("train", ["--hidden-dims"], "--hidden-dims: expected at least one argument; see 'aitimestepper train --help'"),
    ],
)
def test_a_mistake_is_explained_in_one_line(command, words, message):
    with pytest.raises(InputError) as caught:
        parser(command).parse(words)
    assert str(caught.value) == message


def test_the_help_shows_default_and_bounds_of_every_key():
    text = " ".join(parser().format_help().split())
    for key, field in SUBCOMMANDS["train"].keys.items():
        assert f"{flag_of(key)}" in text
        assert field.description in text
    assert "[> 0, default: 0.0002]" in text
    assert "[>= 0 and < 1, default: 0.9]" in text
    assert "{tanh,relu,silu,sigmoid}" in text
