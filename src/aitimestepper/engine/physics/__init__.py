"""Gravity, Omega, conserved quantities, integrators and step criteria: twins of `physics`."""
