"""Work done by Ray: one actor for each core or GPU, blocks that are given again when a worker dies."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from rag.cluster.task import RayTask
from rag.errors import ConfigError, MissingExtraError, ServerError, first_line, system_message
from rag.execution import Call, Execution

if TYPE_CHECKING:
    from rag.component import Component

__all__ = ["Ray"]

logger = logging.getLogger("rag.cluster")

_STARTS = 3
"""Times that a cluster on this machine is tried to be started: under load its parts wait too short for each other."""

_ATTEMPTS = 5
"""Times that a block is given to a worker."""

_SECONDS = 300.0
"""How long to wait for a worker to come, or to come back, when none is there."""


class Ray(Execution):
    """A Ray cluster; ``pip install 'rag-pipelines[ray]'``, here and on its machines, in the same version.

    Actors stay as long as this is open, since loading a model costs more than most blocks. Used as a context manager,
    or closed by :meth:`close`.

    Args:
        address: ``ray://HOST:PORT`` of a head's client port, ``HOST:PORT`` of its own port on a machine of the cluster,
            or ``local``: a cluster on this machine, which ends with this.
        workers: Actors for each component; None takes one for each GPU, or for each core where there is none.
    """

    def __init__(self, address: str = "local", *, workers: int | None = None) -> None:
        if workers is not None and (not isinstance(workers, int) or workers < 1):
            raise ConfigError(f"must be a whole number of at least 1, got {workers!r}", parameter="workers")
        self.address = address
        self.workers = workers
        self._actors: dict[str, list[Any]] = {}
        self._there: set[int] = set()
        self._ray: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether there was work for the cluster: it is only asked then."""
        return self._ray is not None

    def close(self) -> None:
        """Let the actors go, and end a cluster of our own."""
        if self._ray is not None:
            for actor in (actor for actors in self._actors.values() for actor in actors):
                with contextlib.suppress(Exception):
                    self._ray.kill(actor)
            self._ray.shutdown()
        self._actors, self._there, self._ray = {}, set(), None

    def done(self, component: Component, calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        ray = self._connected()
        actors = self._actors_of(component)
        waiting = deque(range(len(calls)))
        attempts = [0] * len(calls)
        # Blocks go only to workers that have answered: one that finds no core, or whose machine is gone, gets none.
        idle = deque(sorted(self._there))
        busy: dict[Any, tuple[int, int | None]] = {
            actor.ready.remote(): (worker, None) for worker, actor in enumerate(actors) if worker not in self._there
        }
        left = len(calls)
        while left:
            while waiting and idle:
                number, worker = waiting.popleft(), idle.popleft()
                method, arguments = calls[number]
                busy[getattr(actors[worker], method).remote(*arguments)] = worker, number
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=_SECONDS)
            if not ready:
                raise ServerError(f"{self}: no worker answered for {_SECONDS:g} s")
            worker, done = busy.pop(ready[0])
            try:
                value = ray.get(ready[0])
            except ray.exceptions.RayTaskError as error:
                raise ServerError(f"{self}: {component.spec.label} failed on a worker: {_reason(error)}") from None
            except ray.exceptions.RayError as error:  # the worker, or its machine, is gone
                self._there.discard(worker)
                if done is None:
                    if not busy and not idle:
                        raise ServerError(f"{self}: no worker is left: {_reason(error)}") from None
                    continue
                attempts[done] += 1
                if attempts[done] >= _ATTEMPTS:
                    raise ServerError(
                        f"{self}: a block of {component.spec.label} failed {_ATTEMPTS} times: {_reason(error)}"
                    ) from None
                logger.warning("a worker of %s was lost, its block is given to another", component.spec.label)
                waiting.appendleft(done)
                busy[actors[worker].ready.remote()] = worker, None
                continue
            self._there.add(worker)
            idle.append(worker)
            if done is not None:
                left -= 1
                yield done, value

    def start(self, function: Callable[..., object], *arguments: Any) -> RayTask:
        """Call a function on a worker, which has a core (or a GPU, where there are some) for it. It is not repeated.

        Raises:
            ServerError: The cluster cannot be reached.
        """
        ray = self._connected()
        needs = {"num_gpus": 1} if int(ray.cluster_resources().get("GPU", 0)) else {"num_cpus": 1}
        return RayTask(ray, ray.remote(max_retries=0, **needs)(function).remote(*arguments))

    @property
    def size(self) -> int:
        """GPUs of the cluster, or cores where there is none.

        Raises:
            ServerError: The cluster cannot be reached.
        """
        there = self._connected().cluster_resources()
        return int(there.get("GPU", 0)) or max(1, int(there.get("CPU", 1)))

    def __str__(self) -> str:
        return f"Ray at {self.address}"

    # -- within -------------------------------------------------------------------------------------------------------

    def _connected(self) -> Any:
        if self._ray is None:
            self._check_there()
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
            try:
                import ray
            except ImportError:
                raise MissingExtraError("work on a Ray cluster", package="ray", extra="ray") from None
            if ray.is_initialized():
                raise ServerError(f"{self}: this process is connected to a Ray cluster already: use one at a time")
            self._start(ray)
            self._ray = ray
        return self._ray

    def _check_there(self) -> None:
        """Refuse an address where nobody listens: Ray itself would try for minutes."""
        if self.address == "local":
            return
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdecimal():
            raise ConfigError(f"must be local, HOST:PORT or ray://HOST:PORT, got '{self.address}'", parameter="address")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ServerError(f"{self}: cannot be reached: {system_message(error)}") from None

    def _start(self, ray: Any) -> None:
        # Never without an address: Ray would join whatever cluster was started last.
        options: dict[str, Any] = {"address": self.address, "log_to_driver": False, "logging_level": logging.ERROR}
        if self.address == "local":
            options["include_dashboard"] = False
        for left in reversed(range(_STARTS if self.address == "local" else 1)):
            try:
                ray.init(**options)
                _without_reports()
                return
            except Exception as error:  # of many kinds
                with contextlib.suppress(Exception):
                    ray.shutdown()
                if not left:
                    raise ServerError(f"{self}: cannot be reached: {first_line(error)}") from None
                logger.warning("Ray did not start (%s), trying again", first_line(error))

    def _actors_of(self, component: Component) -> list[Any]:
        key = component.spec.cache_key
        if key not in self._actors:
            from rag.cluster.work import Work

            ray = self._ray
            gpus = int(ray.cluster_resources().get("GPU", 0))
            n = self.workers or self.size
            resources = {"num_gpus": 1} if gpus else {"num_cpus": 1}
            actor = ray.remote(max_restarts=-1, max_task_retries=0, **resources)(Work)
            for others in self._actors.values():  # they hold the cores
                for other in others:
                    ray.kill(other)
            self._there = set()
            self._actors = {key: [actor.remote(component.kind, component.spec.to_config()) for _ in range(n)]}
        return self._actors[key]


def _without_reports() -> None:
    """Have what nodes report, such as a worker that was killed, go to the log: Ray prints it to stdout, where results
    go, and has no option for it.
    """
    module: Any = sys.modules.get("ray._private.worker")
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda data, **_: logger.debug("%s", "\n".join(data["lines"]))


def _reason(error: BaseException) -> str:
    """What happened on the worker: the last line of its traceback, or the first of what Ray says."""
    cause = getattr(error, "cause", None)
    lines = str(cause if cause is not None else error).strip().splitlines()
    text = lines[-1] if cause is None and lines else first_line(cause or error)
    return re.sub(r"^rag\.errors\.\w+: ", "", text)
