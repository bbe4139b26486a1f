"""What a network sees of a state: twins of `features`, and the description for calibrated weights."""
