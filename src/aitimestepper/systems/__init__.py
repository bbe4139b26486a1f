"""Initial conditions: built from a name and options, drawn at random, or read from a file. NumPy only."""
