"""`aitimestepper` and `python -m aitimestepper`: signals are answered before anything that takes time is loaded."""

import importlib
import sys

from aitimestepper.cli.interrupt import heard


def main() -> int:
    """Run the command line; returns its exit code."""
    heard.listen()
    return int(importlib.import_module("aitimestepper.cli.main").main())


if __name__ == "__main__":
    sys.exit(main())
