"""Part 1, Part 2, epochs and sessions: physics and learning; who watches is the affair of observers."""
