"""One attempt at a step, its gate and its loss; what is kept of it."""
