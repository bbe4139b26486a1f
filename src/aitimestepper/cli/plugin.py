"""`--plugin FILE.py`: a user's own criteria, registered before anything is validated."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from aitimestepper.errors import InputError


def run_plugin(own: dict[str, Any]) -> None:
    """Run the file that was named, if one was.

    Raises:
        InputError: it is missing, or fails.
    """
    path = own.get("plugin")
    if path is None:
        return
    if not Path(path).is_file():
        raise InputError(f"cannot run the plugin {path}: there is no such file")
    try:
        runpy.run_path(path)
    except Exception as error:
        raise InputError(f"the plugin {path} failed: {type(error).__name__}: {error}") from error
