"""What the command line returns to the shell."""

SUCCESS = 0
BAD_INPUT = 2
"""The request cannot be carried out: one line on standard error says why."""
RUN_FAILED = 3
"""The run began and could not be finished; what was reached is kept."""
EXCEEDED = 4
"""The run came to its end, and did not keep what was asked of it; the result says what."""
INTERRUPTED = 130
"""Ctrl-C: 128 and the number of its signal, as shells have it; of SIGTERM `main` makes 143."""
