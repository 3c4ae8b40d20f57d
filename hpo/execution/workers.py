"""Worker processes that run the trials of a sweep, and their supervisor.

The parent runs no trial itself, so that it can always act: it ends trials that take too long, replaces workers that
have died, and ends all of them when terminated. A worker ends immediately when its parent is gone for any reason,
because the system closes the pipe between them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from rag.errors import ArtifactError, Mistakes, RagError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.hpo.execution.recovery import TrialTimeoutError
from rag.hpo.execution.storage import Worker
from rag.hpo.execution.study import SweepStudy
from rag.hpo.execution.trial import Bench
from rag.hpo.sweep import Sweep
from rag.models.threads import usable_cores
from rag.store.opening import store_at
from rag.store.store import Mode

if TYPE_CHECKING:
    from rag.cluster import Ray

__all__ = ["Job", "started_by", "supervise"]

logger = logging.getLogger("rag.tune")

_LOOK_EVERY = 0.2
"""Seconds between two checks of the workers."""
_GRACE = 3.0
"""Seconds that a worker has to end before it is killed."""
_STARTS = 3
"""Workers in a row that may die before taking a trial."""


@dataclass(frozen=True)
class Job:
    """The task of a worker.

    Args:
        sweep: The sweep.
        dataset: The dataset, or its folder, file or name.
        folder: Folder of the sweep.
        store: Folder or URL of the store; None without a store.
        mode: Mode of the store.
        deadline: Time after which no trial is started, by :func:`time.monotonic`, shared by all processes of a machine.
        study: Name of the study in the storage.
        run: Function that runs trials until the sweep is complete.
    """

    sweep: Sweep
    dataset: Dataset | str | Path
    folder: Path
    store: str | None
    mode: Mode
    deadline: float | None
    study: str
    run: Callable[[SweepStudy, Bench, float | None], None]


class Process(Protocol):
    """A worker, as :mod:`multiprocessing` has it, here or on another machine."""

    @property
    def exitcode(self) -> int | None:
        """0 when it has ended well, None while it has not ended."""

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


def supervise(
    study: SweepStudy, job: Job, n: int, tick: Callable[[], None], start: Callable[[Job, str], Process] | None = None
) -> None:
    """Have workers run trials until the sweep is complete.

    Args:
        study: The study that they work on.
        job: The task of each worker.
        n: Number of workers at a time.
        tick: Called several times per second.
        start: Starts a worker with an id; by default as a process of this machine.

    Raises:
        ArtifactError: Workers die before taking a trial.
    """
    with _Team(study, job, n, start or partial(_spawned, n=n)) as team, _terminated():
        while team.look():
            tick()
            time.sleep(_LOOK_EVERY)
        tick()


class _Team:
    """The live workers, by id."""

    def __init__(self, study: SweepStudy, job: Job, n: int, start: Callable[[Job, str], Process]) -> None:
        self.study, self.job, self.n, self.start = study, job, n, start
        self.workers: dict[str, Process] = {}
        self.stillborn = 0
        self._checked = 0.0

    def __enter__(self) -> _Team:
        for _ in range(self.n):
            self._start()
        return self

    def __exit__(self, *error: object) -> None:
        """End all remaining workers; normally there are none."""
        for process in self.workers.values():
            process.terminate()
        end = time.monotonic() + _GRACE
        for process in self.workers.values():
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def look(self) -> bool:
        """Check each worker; returns whether any is left."""
        for id, process in list(self.workers.items()):
            if not process.is_alive():
                process.join()
                del self.workers[id]
                if process.exitcode:
                    self._died(id, process.exitcode, getattr(process, "reason", ""))
        self._end_long_trials()
        if not self.workers and self._in_time() and self.study.waiting():
            self._start()  # for trials queued after the last worker ended
        return bool(self.workers)

    def _start(self) -> None:
        id = Worker.new_id()
        self.workers[id] = self.start(self.job, id)

    def _died(self, id: str, code: int, reason: str) -> None:
        how = reason or (f"signal {-code}" if code < 0 else f"exit code {code}")
        busy = self.study.running(id)
        again = self.study.lost(id, how)
        said = f"; trial {again[0]} is run again" if again else ""
        logger.warning("a worker died (%s)%s", how, said)
        self.stillborn = 0 if busy else self.stillborn + 1
        if self.stillborn >= _STARTS:
            raise ArtifactError(f"workers cannot be started: {_STARTS} of them died ({how}) before they took a trial")
        if self._in_time():
            self._start()

    def _end_long_trials(self) -> None:
        limit = self.job.sweep.trial_timeout
        if limit is None or time.monotonic() - self._checked < min(1.0, limit / 5):
            return
        self._checked = time.monotonic()
        for id, process in list(self.workers.items()):
            late = [
                trial for trial in self.study.running(id) if time.time() - trial.user_attrs.get("began", 1e300) > limit
            ]
            if not late:
                continue
            process.kill()
            process.join()
            del self.workers[id]
            for trial in self.study.running(id):  # empty if it has just finished
                error = TrialTimeoutError(f"took longer than trial_timeout, {limit:g} s")
                self.study.fail(trial, str(error), error)
                logger.warning("trial %d %s: it was ended", trial.user_attrs.get("ran", trial.number), error)
            if self._in_time():
                self._start()

    def _in_time(self) -> bool:
        return self.job.deadline is None or time.monotonic() < self.job.deadline


def _spawned(job: Job, id: str, *, n: int) -> Process:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(job, id))
    with _threads(max(1, usable_cores() // n)):
        process.start()
    return process


def started_by(ray: Ray, job: Job) -> Callable[[Job, str], Process]:
    """What starts workers on a Ray cluster.

    Args:
        ray: The cluster.
        job: Their task.

    Raises:
        ConfigError: Its machines cannot reach the trials, or a store in a folder of this one.
    """
    mistakes = Mistakes()
    storage = job.sweep.storage or "journal:"
    if ray.address != "local":
        if not storage.startswith(("postgresql", "mysql")):
            mistakes.add("must be a server's that all machines reach, such as postgresql://... (--storage)", "storage")
        if job.store is not None and "://" not in job.store:
            mistakes.add(
                f"the folder {job.store} is on this machine only: name a bucket (--store s3://BUCKET/PREFIX), or "
                "--store off",
                "store",
            )
    mistakes.check()

    def start(job: Job, id: str) -> Process:
        left = None if job.deadline is None else max(0.0, job.deadline - time.monotonic())
        return ray.start(_work_there, job, id, left, ray.address == "local")

    return start


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Limit the arithmetic threads of processes started inside."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(n)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM end this process through its ``finally`` blocks, if in the main thread, which receives signals."""
    if threading.current_thread() is not threading.main_thread():
        yield  # the default kills this process, which its workers notice
        return

    def end(signal_number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signal_number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# -- in a worker ------------------------------------------------------------------------------------------------------


def _work(job: Job, id: str) -> None:
    _end_with_parent()
    try:
        _run_trials(job, id)
    except RagError as error:
        logger.error("%s", error)  # noqa: TRY400 - no traceback: it is for people
        raise SystemExit(2) from None


def _work_there(job: Job, id: str, left: float | None, same_machine: bool) -> None:
    """The same on a worker of a cluster, with so many seconds left, and without this machine's folders."""
    deadline = None if left is None else time.monotonic() + left
    with ExitStack() as stack:
        folder = job.folder if same_machine else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _run_trials(replace(job, deadline=deadline, folder=folder), id, supervised=not same_machine)


def _run_trials(job: Job, id: str, *, supervised: bool = False) -> None:
    """Run trials until the sweep is complete. Whether a worker is alive that is ``supervised`` on another machine only
    its supervisor says, since nobody else sees the lock that it holds.
    """
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        store = None if job.store is None else stack.enter_context(store_at(job.store, mode=job.mode))
        data = job.dataset if isinstance(job.dataset, Dataset) else load_dataset(job.dataset, store=store)
        bench = Bench(job.sweep, data, store)
        study = SweepStudy(job.sweep, bench, job.folder, name=job.study, worker=id)
        stack.callback(study.close)
        if supervised:
            study.worker.host = id
        job.run(study, bench, job.deadline)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)  # at any moment: its trial is run again, and all writes are atomic

    threading.Thread(target=watch, daemon=True).start()
