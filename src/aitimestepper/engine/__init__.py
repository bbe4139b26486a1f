"""The running path: compiled loops over arrays, NumPy and numba only.

The formulas are twins of those in `physics`, `features` and `networks`, held together by tests.
"""
