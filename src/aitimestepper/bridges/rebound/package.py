"""The package rebound itself, if it is there and of a version that this one knows."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from aitimestepper.errors import InputError

_KNOWN = (5, 2), (6, 0)
"""The first version that is known, and the first one that is not."""


def require_rebound() -> Any:
    """The module.

    Raises:
        InputError: it is not installed, or of a version that nothing is known of.
    """
    if importlib.util.find_spec("rebound") is None:
        raise InputError("this needs the package rebound: pip install 'aitimestepper[rebound]'")
    import rebound

    found = tuple(int(number) for number in re.findall(r"\d+", rebound.__version__)[:2])
    if not _KNOWN[0] <= found < _KNOWN[1]:
        raise InputError(
            f"rebound {rebound.__version__} is not a version that this package can work with (5.2 or newer, before 6): "
            "pip install 'rebound>=5.2,<6'"
        )
    return rebound
