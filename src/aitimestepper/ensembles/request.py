"""What the members of an ensemble have in common, and what each of them is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from aitimestepper.ensembles.members import MemberResult
from aitimestepper.simulation.request import Settings
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions


@dataclass(frozen=True, eq=False)
class Member:
    """One system to simulate.

    Attributes:
        index: which one.
        seed: that it is drawn with; NO_SEED if it is given.
        system: given, or None if it is to be drawn.
    """

    index: int
    seed: int
    system: InitialConditions | None


class EnsembleRequest(NamedTuple):
    """What all members have in common.

    Attributes:
        settings: of each run.
        spec: what is drawn, without a seed; None if the systems are given.
    """

    settings: Settings
    spec: str | None

    def system_of(self, member: Member) -> InitialConditions:
        """The bodies of a member.

        Raises:
            InitialConditionsError: they cannot be drawn.
        """
        if member.system is not None:
            return member.system
        assert self.spec is not None
        config = self.settings.config
        return initial_conditions(self.spec, G=config.G, softening=config.given("softening"), seed=max(member.seed, 0))


def origin_of(request: EnsembleRequest, members: Sequence[Member]) -> dict[str, str]:
    """What an ensemble must find again to go on: its weights, and the bodies that are given or drawn first."""
    digest = sha256()
    for member in members if request.spec is None else members[:1]:
        system = request.system_of(member)
        radii = [system.radius] if system.radius.any() else []
        for array in (system.mass, system.position, system.velocity, *radii):
            digest.update(repr(array.shape).encode() + array.tobytes())
    model = request.settings.model
    return {"model": "" if model is None else model.digest, "bodies": digest.hexdigest()}


class Watch:
    """What the threads tell, and are told: how far each of them is, and whether to stop."""

    def __init__(self) -> None:
        self.stopped = False
        self._parts: dict[int, float] = {}

    def moved(self, part: float) -> None:
        """The calling thread is this far with its member."""
        self._parts[threading.get_ident()] = part

    def fraction(self, n_done: int, count: int) -> float:
        """The part of all members that is done."""
        return min((n_done + sum(list(self._parts.values()))) / count, 1.0)


def never_begun(member: Member, outcome: str, system: InitialConditions | None = None) -> MemberResult:
    """The result of a member that has not made a step; without bodies if it is not known which."""
    system = system or member.system
    if system is None:
        return MemberResult(member.index, member.seed, outcome, None, np.empty(0), np.empty((0, 1)), np.empty((0, 1)))
    return MemberResult(
        member.index, member.seed, outcome, None, system.mass.copy(), system.position.copy(), system.velocity.copy()
    )
