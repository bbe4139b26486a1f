"""The members of an ensemble on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aitimestepper._version import __version__
from aitimestepper.config.own_criteria import criterion_named, register_criterion
from aitimestepper.config.schema import Config
from aitimestepper.ensembles.members import MemberResult
from aitimestepper.ensembles.request import EnsembleRequest, Member, Watch, never_begun
from aitimestepper.errors import InputError
from aitimestepper.names import TIMESTEPS
from aitimestepper.simulation.progress import Progress
from aitimestepper.simulation.request import Settings

if TYPE_CHECKING:
    from aitimestepper.ensembles.threads import Integrators

SECONDS_TO_CONNECT = 10.0
SECONDS_WITHOUT_WORKERS = 60.0
"""After this long without any worker the members that are left are given up."""

_SECONDS_OF_A_LOOK = 0.05
_SECONDS_BETWEEN_COUNTS = 2.0
_SECONDS_TO_FETCH = 5.0
_CHUNKS_OF_A_THREAD = 8
_LARGEST_CHUNK = 64


def integrate_on_cluster(
    address: str, request: EnsembleRequest, members: Sequence[Member], done: dict[int, MemberResult], show: Progress
) -> None:
    """Integrate members on the workers of a Dask scheduler, in chunks.

    The workers need this package, in this version, and nothing else: weights and a criterion of the user's own are
    sent to them. What a lost worker was doing is done again by another.

    Args:
        address: of the scheduler.
        request, members, done, show: as for `threads.integrate_in_threads`.

    Raises:
        InputError: the scheduler cannot be reached or has no workers, or these cannot carry out the request.
        KeyboardInterrupt: Ctrl-C; the chunks that were complete are in `done`.
    """
    job = _job(request)
    client = _connected(address)
    try:
        _Chunks(client, job, members, done).integrate(show)
    finally:
        client.close(timeout=SECONDS_TO_CONNECT)


def _connected(address: str) -> Any:
    """A client of the scheduler, which has at least one worker."""
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        raise InputError("scheduler needs the package distributed: pip install 'aitimestepper[cluster]'") from None
    try:
        get_address_host_port(address)  # a client that is told nonsense does not end cleanly
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TimeoutError is an OSError
        reason = str(error) or type(error).__name__
        raise InputError(f"cannot reach a Dask scheduler at {address}: {reason}") from None
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except OSError:
        client.close()
        raise InputError(
            f"the Dask scheduler at {address} has had no workers for {SECONDS_TO_CONNECT:g} s: start some with "
            "'dask worker ADDRESS'"
        ) from None
    return client


class _Chunks:
    """The members as tasks of a cluster, and what came of them."""

    def __init__(self, client: Any, job: bytes, members: Sequence[Member], done: dict[int, MemberResult]) -> None:
        self._client, self._job, self._done = client, job, done
        self._count = len(members)
        n_chunks = _CHUNKS_OF_A_THREAD * sum(client.nthreads().values())
        size = min(max(self._count // max(n_chunks, 1), 1), _LARGEST_CHUNK)
        self._tasks: dict[Any, Sequence[Member]] = {}
        self._submit(members[start : start + size] for start in range(0, self._count, size))
        self._counted = self._with_workers = time.monotonic()

    def _submit(self, chunks: Iterable[Sequence[Member]]) -> None:
        for chunk in chunks:
            # Not pure: two members may be the same and have results of their own all the same.
            self._tasks[self._client.submit(integrate_chunk, self._job, list(chunk), pure=False)] = chunk

    def integrate(self, show: Progress) -> None:
        """Take results as they come, until there are no tasks left."""
        try:
            while self._tasks:
                for task in [task for task in self._tasks if task.done()]:
                    self._take(task)
                show(len(self._done) / self._count)
                self._count_workers()
                if self._tasks:
                    time.sleep(_SECONDS_OF_A_LOOK)
        finally:
            self._client.cancel(list(self._tasks))

    def _take(self, task: Any) -> None:
        from distributed.scheduler import KilledWorker

        chunk = self._tasks[task]
        if task.status == "finished":
            try:
                results = task.result(timeout=_SECONDS_TO_FETCH)
            except TimeoutError:  # its worker was lost with the result: it is being made again
                return
            self._done.update((result.index, result) for result in results)
        elif task.status != "error":
            self._give_up(chunk, "lost: the connection to the Dask scheduler broke")
        else:
            error = task.exception()
            if isinstance(error, InputError):
                raise error
            if not isinstance(error, KilledWorker):
                reason = f"{type(error).__name__}: {error}"
                raise InputError(f"the Dask workers cannot integrate, do they have this package? {reason}")
            if len(chunk) == 1:
                self._give_up(chunk, "lost: the Dask workers that integrated it died, again and again")
            else:
                self._submit([member] for member in chunk)
        del self._tasks[task]

    def _give_up(self, chunk: Iterable[Member], outcome: str) -> None:
        self._done.update((member.index, never_begun(member, outcome)) for member in chunk)

    def _count_workers(self) -> None:
        """Give up what is left where there has been nobody to do it for long."""
        now = time.monotonic()
        if now - self._counted < _SECONDS_BETWEEN_COUNTS:
            return
        self._counted = now
        with contextlib.suppress(OSError):  # the scheduler may be gone too
            self._with_workers = now if self._client.nthreads() else self._with_workers
        if now - self._with_workers > SECONDS_WITHOUT_WORKERS:
            for chunk in self._tasks.values():
                self._give_up(chunk, f"lost: there have been no Dask workers for {SECONDS_WITHOUT_WORKERS:g} s")
            self._client.cancel(list(self._tasks))
            self._tasks.clear()


def _job(request: EnsembleRequest) -> bytes:
    """All that workers need, beside members: a criterion goes as code, since its file may not be where they are."""
    from distributed.protocol.pickle import dumps

    timestep = str(request.settings.config.timestep)
    criterion = None if timestep in TIMESTEPS else criterion_named(timestep)
    # numba's own functions are compiled anew over there.
    criterion = getattr(criterion, "py_func", criterion)
    config, model = request.settings
    return dumps((__version__, config.explicit(), request.spec, model, criterion))


def integrate_chunk(job: bytes, members: Sequence[Member]) -> list[MemberResult]:
    """What a worker does.

    Raises:
        InputError: it has another version of this package; the request cannot be carried out.
    """
    integrators, watch = _integrators(job), Watch()
    return [integrators.result_of(member, watch) for member in members]


@lru_cache(maxsize=4)
def _integrators(job: bytes) -> Integrators:
    from aitimestepper.ensembles.threads import Integrators

    version, settings, spec, model, criterion = pickle.loads(job)
    if version != __version__:
        raise InputError(f"a Dask worker has version {__version__} of this package, and {version} is needed")
    if criterion is not None:
        register_criterion(settings["timestep"], criterion)
    return Integrators(EnsembleRequest(Settings(Config(**settings), model), spec))
