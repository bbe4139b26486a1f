"""A run: its state, one step, the loops over steps, and what governs calibrated ones."""
