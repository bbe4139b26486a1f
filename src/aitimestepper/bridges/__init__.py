"""Bridges to other N-body programs; the packages that they need are imported inside functions."""
