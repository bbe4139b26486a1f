"""External fields: what acts on the bodies beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from aitimestepper.errors import InputError


@runtime_checkable
class ExternalField(Protocol):
    """Anything with an acceleration and its potential; users bring their own.

    Both take positions (..., N, D) and the time of each system (...). The acceleration must be minus the gradient
    of the potential, or the energy is not conserved.
    """

    def acceleration(self, position: Tensor, time: Tensor) -> Tensor:
        """(..., N, D)."""
        ...

    def potential(self, position: Tensor, time: Tensor) -> Tensor:
        """(..., N), energy for each unit of mass."""
        ...


class PointMassTidalField:
    """Tide of a distant point mass at R, relative to the origin, which falls freely towards it.

    a(x) = G M [ (R-x)/|R-x|^3 - R/|R|^3 ], Phi(x) = -G M [ 1/|R-x| - 1/|R| - x.R/|R|^3 ], so that a = -grad Phi.
    With softening, |.|^2 is |.|^2 + eps^2 throughout.

    Args:
        M: mass of the perturber, > 0.
        R0: its fixed position, (D,); not the origin.
        R_of_t: its position as a function of time instead: (...) -> (..., D).
        G: gravitational constant.
        softening: Plummer length of the perturber, >= 0.

    Raises:
        InputError: M, G or softening is out of range, R0 is the origin, or not exactly one of R0 and R_of_t is given.

    Source: Binney & Tremaine, Galactic Dynamics (2008), section 8.2.1 (distant-tide problem, before the expansion).
    """

    def __init__(
        self,
        M: float,
        R0: Any = None,
        R_of_t: Callable[[Tensor], Tensor] | None = None,
        G: float = 1.0,
        softening: float = 0.0,
    ) -> None:
        if not M > 0 or not G > 0 or not softening >= 0:
            raise InputError(f"M and G must be > 0 and softening >= 0, got M={M}, G={G}, softening={softening}")
        if (R0 is None) == (R_of_t is None):
            raise InputError("give either R0, the fixed position of the perturber, or R_of_t, its position over time")
        if R0 is not None:
            R0 = torch.as_tensor(R0, dtype=torch.float64)
            if not torch.isfinite(R0).all() or not R0.any():
                raise InputError(f"R0 must be finite and not the origin, got {R0.tolist()}")
        self.M, self.G, self.softening = M, G, softening
        self.R0: Tensor | None = R0
        self.R_of_t = R_of_t

    def _perturber(self, position: Tensor, time: Tensor) -> Tensor:
        """(..., 1, D)."""
        perturber = self.R0 if self.R_of_t is None else self.R_of_t(time)
        assert perturber is not None
        if perturber.shape[-1] != position.shape[-1]:
            raise InputError(
                f"the external field stands in {perturber.shape[-1]} dimensions, "
                f"the bodies move in {position.shape[-1]}"
            )
        return perturber.to(position)[..., None, :]

    def acceleration(self, position: Tensor, time: Tensor) -> Tensor:
        """Tidal acceleration, (..., N, D), of bodies at `position` (..., N, D) at `time` (...)."""
        perturber = self._perturber(position, time)
        towards = perturber - position
        near = ((towards * towards).sum(-1, keepdim=True) + self.softening**2) ** -1.5
        far = ((perturber * perturber).sum(-1, keepdim=True) + self.softening**2) ** -1.5
        return self.G * self.M * (towards * near - perturber * far)

    def potential(self, position: Tensor, time: Tensor) -> Tensor:
        """Tidal potential, (..., N), of bodies at `position` (..., N, D) at `time` (...)."""
        perturber = self._perturber(position, time)
        towards = perturber - position
        near = ((towards * towards).sum(-1) + self.softening**2) ** -0.5
        squared = (perturber * perturber).sum(-1) + self.softening**2
        along = (position * perturber).sum(-1)
        return -self.G * self.M * (near - squared**-0.5 - along * squared**-1.5)
