"""Orbital elements of the bodies of a run, at every state."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats


class OrbitalElements(NamedTuple):
    """Osculating elements, each (S, N); angles in degrees; not a number where there is no orbit.

    Attributes:
        semi_major_axis: below 0 on a hyperbola.
        eccentricity: of 1e-16 and less where it is 0.
        inclination: 0 to 180.
        node: longitude of the ascending node, from x; 0 where the orbit lies in the plane of x and y.
        pericentre: argument of the pericentre, from the node.
        mean_anomaly: -180 to 180 on an ellipse.
        period: not a number on a hyperbola.
    """

    semi_major_axis: Floats
    eccentricity: Floats
    inclination: Floats
    node: Floats
    pericentre: Floats
    mean_anomaly: Floats
    period: Floats


def elements_of(
    masses: Floats, position: Floats, velocity: Floats, G: float, primary: int | None, gone: NDArray[np.bool_]
) -> OrbitalElements:
    """Elements of each body about another one, or about all before it (Jacobi coordinates).

    Args:
        masses: (S, N), at each state.
        position, velocity: (S, N, D).
        G: gravitational constant.
        primary: index of the body about which all others move; None for the centre of mass of those before each.
        gone: (S, N), bodies that have gone into another one, without mass: they have no orbit.

    Source: Murray & Dermott 1999, Solar System Dynamics, section 2.8.
    """
    gap = [(0, 0), (0, 0), (0, 3 - position.shape[2])]
    x, v = np.pad(position, gap), np.pad(velocity, gap)
    if primary is None:
        inside = np.concatenate([np.full((len(x), 1), np.nan), np.cumsum(masses, axis=1)[:, :-1]], axis=1)
        centre = [np.cumsum(masses[..., None] * one, axis=1)[:, :-1] for one in (x, v)]
        nothing = np.full((len(x), 1, 3), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            x, v = (
                one - np.concatenate([nothing, of / inside[:, 1:, None]], axis=1)
                for one, of in zip((x, v), centre, strict=True)
            )
        total = inside + masses
    else:
        x, v = x - x[:, primary : primary + 1], v - v[:, primary : primary + 1]
        total = masses[:, primary : primary + 1] + np.where(np.arange(len(masses[0])) == primary, np.nan, masses)
        gone = gone | gone[:, primary : primary + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return _osculating(np.where(gone[..., None], np.nan, x), v, G * total)


def _osculating(x: Floats, v: Floats, attraction: Floats) -> OrbitalElements:
    """Elements from relative positions and velocities (S, N, 3) and G M (S, N)."""
    distance, speed_squared = np.linalg.norm(x, axis=-1), (v * v).sum(-1)
    axis = 1.0 / (2.0 / distance - speed_squared / attraction)
    momentum = np.cross(x, v)
    vector = np.cross(v, momentum) / attraction[..., None] - x / distance[..., None]
    eccentricity = np.linalg.norm(vector, axis=-1)
    size = np.linalg.norm(momentum, axis=-1)
    inclination = np.arctan2(np.hypot(momentum[..., 0], momentum[..., 1]), momentum[..., 2])
    flat = np.hypot(momentum[..., 0], momentum[..., 1]) <= 1e-15 * size
    node = np.where(flat, 0.0, np.arctan2(momentum[..., 0], -momentum[..., 1]))
    # Two axes of the plane of the orbit: towards the node, and at right angles to it in the sense of the motion.
    first = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=-1)
    second = np.cross(momentum / size[..., None], first)
    pericentre = np.arctan2((vector * second).sum(-1), (vector * first).sum(-1))
    along = (x * v).sum(-1)
    bound = axis > 0.0
    scale = np.sqrt(attraction * np.abs(axis))
    ellipse = np.arctan2(along / scale, 1.0 - distance / axis)
    hyperbola = np.arcsinh(along / (eccentricity * scale))
    mean = np.where(bound, ellipse - along / scale, eccentricity * np.sinh(np.where(bound, 0.0, hyperbola)) - hyperbola)
    period = np.where(bound, math.tau * np.sqrt(np.abs(axis) ** 3 / attraction), np.nan)
    inclination, node, pericentre, mean = np.degrees([inclination, node, pericentre, mean])
    return OrbitalElements(axis, eccentricity, inclination, node, pericentre, mean, period)
