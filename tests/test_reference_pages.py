"""The reference of the documentation names modules that there are."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from reference_pages import MODULES


@pytest.mark.parametrize("module", [module for modules in MODULES.values() for module in modules])
def test_every_module_of_the_reference_exists_and_says_what_it_is(module):
    assert importlib.import_module(f"aitimestepper.{module}").__doc__
