"""`ParticleTorch`: the mutable shell over the physics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.features.build import state_features
from aitimestepper.features.scales import NormScales
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.physics import conserved, leapfrog
from aitimestepper.physics.bodies import Bodies, agreed_bodies, per_system
from aitimestepper.physics.gravity import shortest_pair_time
from aitimestepper.physics.leapfrog import Law
from aitimestepper.physics.tides import ExternalField
from aitimestepper.systems.quantities import is_quantity


class _Force(NamedTuple):
    """An acceleration and what it was computed from, so that a stale one is never used."""

    acceleration: Tensor
    G: float
    key: tuple[Any, ...]


class ParticleTorch:
    """One system of N bodies, or a batch of B systems that advance independently.

    Attributes:
        mass: (..., N), >= 0, at least one > 0 in each system.
        position, velocity: (..., N, D), D = 1, 2 or 3; the leading dimensions are the batch.
        dt, current_time, period: (...), one for each system.
        softening: Plummer length, the same in force and energy.
        external_field: added to force and energy, or None.
        G: gravitational constant; methods that take one use this one unless they are given another.

    The constructor copies what it is given and cuts it from any graph: use `from_tensors` where gradients are to flow
    back to masses, positions or velocities.

    The acceleration that closes a step opens the next one: n steps cost n + 1 evaluations of the force. It is
    computed anew only when something that it depends on has been changed.
    """

    def __init__(
        self,
        mass: Any,
        position: Any,
        velocity: Any,
        dt: Any = 0.0,
        softening: float = 0.0,
        current_time: Any = 0.0,
        period: Any = 0.0,
        external_field: ExternalField | None = None,
        *,
        G: float = 1.0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        position, velocity, mass = (_tensor(x, dtype, device) for x in (position, velocity, mass))
        bodies = agreed_bodies(mass, position, velocity)
        self._assign(bodies._replace(mass=bodies.mass.clone()), dt, softening, current_time, period)
        self.external_field = external_field
        self.G = G

    @classmethod
    def from_tensors(
        cls,
        mass: Tensor,
        position: Tensor,
        velocity: Tensor,
        dt: Any = 0.0,
        softening: float = 0.0,
        current_time: Any = 0.0,
        period: Any = 0.0,
        external_field: ExternalField | None = None,
        *,
        G: float = 1.0,
    ) -> ParticleTorch:
        """The tensors as they are: gradients flow through them. Arguments as for the constructor."""
        particle = cls.__new__(cls)
        particle._assign(agreed_bodies(mass, position, velocity), dt, softening, current_time, period)
        particle.external_field = external_field
        particle.G = G
        return particle

    def _assign(self, bodies: Bodies, dt: Any, softening: float, current_time: Any, period: Any) -> None:
        if not softening >= 0:
            raise InputError(f"softening must be >= 0, got {softening}")
        self.mass, self.position, self.velocity = bodies
        self.softening = float(softening)
        self._force: _Force | None = None
        self.dt = self._per_system(dt, "dt")
        self.current_time = self._per_system(current_time, "current_time")
        self.period = self._per_system(period, "period")

    def _per_system(self, value: Any, name: str) -> Tensor:
        return per_system(value, self.batch_shape, self.position, name)

    def __repr__(self) -> str:
        return f"ParticleTorch(batch={tuple(self.batch_shape)}, n_bodies={self.n_bodies}, n_dims={self.n_dims})"

    @property
    def batch_shape(self) -> torch.Size:
        """Leading dimensions: () for one system."""
        return self.position.shape[:-2]

    @property
    def n_bodies(self) -> int:
        """N."""
        return self.position.shape[-2]

    @property
    def n_dims(self) -> int:
        """D."""
        return self.position.shape[-1]

    @property
    def bodies(self) -> Bodies:
        """Mass, position and velocity as a value."""
        return Bodies(self.mass, self.position, self.velocity)

    def law(self, G: float | None = None) -> Law:
        """What moves these bodies."""
        return Law(self.softening, self.G if G is None else G, self.external_field)

    def snapshot(self) -> Snapshot:
        """The state as the features see it."""
        return Snapshot(*self.bodies, self.get_acceleration(), self.dt)

    # -- force and motion

    def get_acceleration(self, G: float | None = None) -> Tensor:
        """Total acceleration (..., N, D) at this state; evaluated once and kept until the state changes."""
        G = self.G if G is None else G
        key = self._force_key()
        if self._force is None or self._force.G != G or not _same(self._force.key, key):
            self._force = _Force(leapfrog.acceleration(self.bodies, self.current_time, self.law(G)), G, key)
        return self._force.acceleration

    @property
    def acceleration(self) -> Tensor:
        """Total acceleration (..., N, D) with the gravitational constant of the last step."""
        return self.get_acceleration()

    def _force_key(self) -> tuple[Any, ...]:
        # Tensors are compared by identity and version: an assignment and a change in place are both seen.
        tensors = (self.mass, self.position)
        moving = (self.current_time, self.current_time._version) if self.external_field is not None else ()
        return (*tensors, *(t._version for t in tensors), self.softening, self.external_field, *moving)

    def update_dt(self, dt: Any) -> None:
        """Set the next step: a number for all systems, or (...), one for each; a tensor keeps its graph."""
        self.dt = self._per_system(dt, "dt")

    def evolve(self, G: float | None = None) -> None:
        """One kick-drift-kick leapfrog step of size `dt`, for one system; a `G` that is given stays the system's."""
        self.evolve_batch(G)

    def evolve_batch(self, G: float | None = None) -> None:
        """One kick-drift-kick leapfrog step, each system by its own `dt`; replaces the state and the time.

        A `G` that is given stays the one of the systems. The time keeps its graph: an external field that moves makes
        the energy depend on it.
        """
        G = self.G if G is None else G
        bodies, closing = leapfrog.leapfrog_step(
            self.bodies, self.get_acceleration(G), self.dt, time=self.current_time, law=self.law(G)
        )
        self.mass, self.position, self.velocity = bodies
        self.current_time = self.current_time + self.dt
        self.G = G
        self.keep_acceleration(closing)

    def set_external_field(self, field: ExternalField | None) -> None:
        """Let `field` act from now on; None removes it."""
        self.external_field = field

    # -- what is conserved

    def total_energy(self, G: float | None = None) -> Tensor:
        """Kinetic + potential energy, the external field included: a scalar for one system."""
        return self.total_energy_batch(G)

    def total_energy_batch(self, G: float | None = None) -> Tensor:
        """Kinetic + potential energy, the external field included: (B,) for a batch, a scalar for one system."""
        return leapfrog.total_energy(self.bodies, self.current_time, self.law(G))

    def kinetic_energy(self) -> Tensor:
        """Kinetic energy (...)."""
        return conserved.kinetic_energy(self.bodies)

    def momentum(self) -> Tensor:
        """Total momentum (..., D)."""
        return conserved.momentum(self.bodies)

    def angular_momentum(self) -> Tensor:
        """Total angular momentum: (...) in 2-D, (..., 3) in 3-D."""
        return conserved.angular_momentum(self.bodies)

    def shortest_pair_time(self, G: float | None = None) -> Tensor:
        """min sqrt(r^3 / G (m_i + m_j)) over the pairs, (...)."""
        return shortest_pair_time(self.mass, self.position, softening=self.softening, G=self.G if G is None else G)

    def system_features(self, mode: str, norm_scales: NormScales | None = None) -> Tensor:
        """Features of this state alone: (F,) for one system, (B, F) for a batch; `mode` is a feature type."""
        return state_features(
            self.snapshot(), mode, scales=norm_scales or NormScales(), softening=self.softening, G=self.G
        )

    # -- copies

    def clone_detached(self) -> ParticleTorch:
        """An independent copy, cut from the graph, with softening, time, period, dt and the external field."""
        twin, force = self._each(lambda tensor: tensor.detach().clone()), self._force
        if force is not None and _same(force.key, self._force_key()):
            twin._force = _Force(force.acceleration.detach().clone(), force.G, twin._force_key())
        return twin

    def select(self, index: Tensor | int) -> ParticleTorch:
        """The systems of a batch at `index`: (S,) gives a batch of S, an int one system. The acceleration comes too."""
        twin = self._each(lambda tensor: tensor[index])
        twin.keep_acceleration(self.get_acceleration()[index])
        return twin

    def with_state(
        self, bodies: Bodies, dt: Tensor, current_time: Tensor, period: Tensor, acceleration: Tensor
    ) -> ParticleTorch:
        """Another state under the same law, with the acceleration that belongs to it."""
        twin = self.like(bodies, dt, current_time, period)
        twin.keep_acceleration(acceleration)
        return twin

    def as_batch(self) -> ParticleTorch:
        """The same state as a batch: a single system becomes a batch of one, a batch stays as it is."""
        if self.batch_shape:
            return self
        twin = self._each(lambda tensor: torch.stack([tensor]))
        if self._force is not None:
            twin.keep_acceleration(torch.stack([self.get_acceleration()]))
        return twin

    def assign_at(self, index: Tensor, other: ParticleTorch) -> None:
        """Replace the systems at `index` (S,) by those of the batch `other` (S, ...), acceleration included."""
        closing = self.get_acceleration(other.G).clone()
        for name in ("position", "velocity", "dt", "current_time"):
            changed = getattr(self, name).clone()
            changed[index] = getattr(other, name)
            setattr(self, name, changed)
        closing[index] = other.get_acceleration(other.G)
        self.G = other.G
        self.keep_acceleration(closing)

    def _each(self, change: Callable[[Tensor], Tensor]) -> ParticleTorch:
        """Another batch under the same law, of tensors that are changed alike."""
        mass, position, velocity = map(change, self.bodies)
        return self.like(
            Bodies(mass, position, velocity), change(self.dt), change(self.current_time), change(self.period)
        )

    def keep_acceleration(self, acceleration: Tensor) -> None:
        """Take (..., N, D) for the total acceleration at this state, with the G of the last step."""
        self._force = _Force(acceleration, self.G, self._force_key())

    @property
    def has_acceleration(self) -> bool:
        """Whether an acceleration has been evaluated, if perhaps of an earlier state."""
        return self._force is not None

    def like(self, bodies: Bodies, dt: Tensor, time: Tensor, period: Tensor) -> ParticleTorch:
        """Another state under the same law, whose acceleration is not known yet."""
        twin = ParticleTorch.__new__(ParticleTorch)
        twin.mass, twin.position, twin.velocity = bodies
        twin.dt, twin.current_time, twin.period = dt, time, period
        twin.softening, twin.external_field, twin.G = self.softening, self.external_field, self.G
        twin._force = None
        return twin


def _tensor(values: Any, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
    """An independent tensor of any array-like; what has a unit is refused."""
    if is_quantity(values):
        raise InputError("what has a unit is no tensor: pass bare numbers, and the G of their units")
    if not isinstance(values, Tensor):
        values = torch.from_numpy(np.array(values, dtype=np.float64))
    return values.detach().clone().to(dtype=dtype, device=device)


def _same(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    return len(first) == len(second) and all(
        a is b or (not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b)
        for a, b in zip(first, second, strict=True)
    )
