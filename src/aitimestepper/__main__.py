"""`python -m aitimestepper`."""

import sys

from aitimestepper.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
