"""Model files and calibrated weights, without torch."""
