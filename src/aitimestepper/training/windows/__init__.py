"""Calibrated weights: the same two phases, with windows of many steps in place of single ones."""
