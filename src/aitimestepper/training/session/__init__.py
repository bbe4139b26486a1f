"""Epochs, runs and sessions of a training, and those who watch."""
