"""Units, quantities and particle sets with the interface of AMUSE that the adapter uses, and nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """A factor, and the powers of mass, length and time."""

    factor: float
    powers: tuple[float, float, float]
    __array_priority__ = 100  # so that `array | unit` asks the unit

    def __mul__(self, other: Unit) -> Unit:
        return Unit(self.factor * other.factor, tuple(np.add(self.powers, other.powers)))

    def __truediv__(self, other: Unit) -> Unit:
        return self * other**-1

    def __pow__(self, power: float) -> Unit:
        return Unit(self.factor**power, tuple(np.multiply(self.powers, power)))

    def __ror__(self, number: object) -> Quantity:
        return Quantity(np.asarray(number, dtype=float), self)


@dataclass(frozen=True, eq=False)
class Quantity:
    number: np.ndarray
    unit: Unit
    __array_priority__ = 101

    def value_in(self, unit: Unit) -> np.ndarray:
        if self.unit.powers != unit.powers:
            raise TypeError(f"cannot express {self.unit} in {unit}")
        return self.number * (self.unit.factor / unit.factor)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.number - other.value_in(self.unit), self.unit)


class Particles:
    """A set of particles, with attributes as quantities for all of them."""

    def __init__(self, mass: Quantity, position: Quantity, velocity: Quantity) -> None:
        self.mass, self.position, self.velocity = mass, position, velocity


kg, m, s = (Unit(1.0, tuple(row)) for row in np.eye(3))
MSun, AU, yr = Unit(1.98847e30, kg.powers), Unit(1.495978707e11, m.powers), Unit(3.15576e7, s.powers)
kms = Unit(1000.0, m.powers) / s
G = 6.6743e-11 | m**3 * kg**-1 * s**-2
