"""One ensemble, from a checked request to its end: those who integrate its members, and what keeps them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aitimestepper.cores import available_cores
from aitimestepper.ensembles.cluster import integrate_on_cluster
from aitimestepper.ensembles.file import INTERRUPTED, EnsembleInfo, EnsembleWriter, StoredEnsemble
from aitimestepper.ensembles.members import MemberResult
from aitimestepper.ensembles.request import EnsembleRequest, Member, origin_of
from aitimestepper.ensembles.result import EnsembleResult
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation
from aitimestepper.simulation.progress import Progress

_SHARE_OF_WRITING = 0.2
"""Part of the time that writing may take: a block costs 10 ms, however small it is, most of it in HDF5, beside which
members are integrated. So what has ended is on file within a tenth of a second, or, on a busy machine, some. Chosen."""


class Keeper:
    """The results of an ensemble, in memory and, if wanted, on file as they come.

    Attributes:
        kept: results that were on file already.
        done: results by index, in the order in which they come; who integrates puts them there.
    """

    def __init__(
        self,
        output: Reservation | None,
        request: EnsembleRequest,
        members: Sequence[Member],
        stored: StoredEnsemble | None = None,
    ) -> None:
        """Begin, or go on with what is in the file."""
        config = request.settings.config
        self.info = EnsembleInfo(
            len(members), config.G, config.softening, config.explicit(), origin_of(request, members) if output else {}
        )
        self._output, self._stored = output, stored
        self._writer: EnsembleWriter | None = None
        self.kept = [] if stored is None else list(stored.members[: stored.sure])
        self.done: dict[int, MemberResult] = {}
        self._n_written = 0
        self._began = time.perf_counter() - (0.0 if stored is None else stored.wall_seconds)
        self._next_write = 0.0

    @property
    def wall_seconds(self) -> float:
        """Real time of the whole so far."""
        return time.perf_counter() - self._began

    def look(self) -> None:
        """Write what is new; the file begins here, when members are being integrated."""
        if self._output is None or time.perf_counter() < self._next_write:
            return
        writer, began = self._opened(), time.perf_counter()
        self._append(writer, list(self.done.values())[self._n_written :])
        now = time.perf_counter()
        self._next_write = now + (now - began) * (1.0 / _SHARE_OF_WRITING - 1.0)

    def _opened(self) -> EnsembleWriter:
        assert self._output is not None
        if self._writer is None:
            if self._stored is None:
                self._writer = EnsembleWriter(self._output, self.info)
            else:
                self._writer = EnsembleWriter.reopened(self._output, self.info, self.wall_seconds)
        return self._writer

    def _append(self, writer: EnsembleWriter, ended: list[MemberResult]) -> None:
        if ended:
            writer.append(ended, self.wall_seconds)
            self._n_written += len(ended)

    def interrupt(self) -> None:
        """Write what there is, that of members that were stopped half-way too."""
        if self._output is not None:
            writer, new = self._opened(), list(self.done.values())[self._n_written :]
            self._append(writer, [member for member in new if not member.outcome.startswith(INTERRUPTED)])
            stopped = [member for member in new if member.outcome.startswith(INTERRUPTED)]
            writer.interrupt(stopped, self.wall_seconds)

    def finish(self) -> EnsembleResult:
        """The whole, in the order of the members; the file too.

        Raises:
            InputError: no member began; there is no file then.
        """
        members = sorted([*self.kept, *self.done.values()], key=lambda member: member.index)
        if all(member.summary is None for member in members):
            if self._writer is not None:
                self._writer.discard()
            raise InputError(members[0].outcome)
        wall_seconds = self.wall_seconds
        if self._output is not None:
            self._opened().finish(members, wall_seconds)
        return EnsembleResult.of(
            members,
            G=self.info.G,
            softening=self.info.softening,
            wall_seconds=wall_seconds,
            settings=self.info.settings,
        )

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def carry_out(request: EnsembleRequest, members: Sequence[Member], keeper: Keeper, show: Progress) -> EnsembleResult:
    """Integrate the members whose results are not kept yet.

    Raises:
        InputError: the request cannot be carried out, or no member began.
        KeyboardInterrupt: Ctrl-C; what was done is on file.
    """
    config, count, n_before = request.settings.config, len(members), len(keeper.kept)
    there = {member.index for member in keeper.kept}
    left = [member for member in members if member.index not in there]

    def look(fraction: float) -> None:
        keeper.look()
        show((n_before + fraction * len(left)) / count)

    try:
        show(n_before / count)
        if config.scheduler is not None:
            integrate_on_cluster(config.scheduler, request, left, keeper.done, look)
        else:
            from aitimestepper.ensembles.threads import integrate_in_threads

            integrate_in_threads(config.threads or available_cores(), request, left, keeper.done, look)
        result = keeper.finish()
    except KeyboardInterrupt:
        keeper.interrupt()
        raise
    finally:
        keeper.close()
    show(1.0)
    return result
