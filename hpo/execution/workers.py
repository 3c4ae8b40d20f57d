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
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from rag.errors import ArtifactError, RagError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.hpo.execution.recovery import TrialTimeoutError
from rag.hpo.execution.storage import Worker
from rag.hpo.execution.study import SweepStudy
from rag.hpo.execution.trial import Bench
from rag.hpo.sweep import Sweep
from rag.models.threads import usable_cores
from rag.store.store import Mode, Store

__all__ = ["Job", "supervise"]

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
        store: Folder of the store; None without a store.
        mode: Mode of the store.
        deadline: Time after which no trial is started, by :func:`time.monotonic`, shared by all processes of a machine.
        study: Name of the study in the storage.
        run: Function that runs trials until the sweep is complete.
    """

    sweep: Sweep
    dataset: Dataset | str | Path
    folder: Path
    store: Path | None
    mode: Mode
    deadline: float | None
    study: str
    run: Callable[[SweepStudy, Bench, float | None], None]


def supervise(study: SweepStudy, job: Job, n: int, tick: Callable[[], None]) -> None:
    """Have workers run trials until the sweep is complete.

    Args:
        study: The study that they work on.
        job: The task of each worker.
        n: Number of workers at a time.
        tick: Called several times per second.

    Raises:
        ArtifactError: Workers die before taking a trial.
    """
    with _Team(study, job, n) as team, _terminated():
        while team.look():
            tick()
            time.sleep(_LOOK_EVERY)
        tick()


class _Team:
    """The live workers, by id."""

    def __init__(self, study: SweepStudy, job: Job, n: int) -> None:
        self.study, self.job, self.n = study, job, n
        self.workers: dict[str, BaseProcess] = {}
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
                    self._died(id, process.exitcode)
        self._end_long_trials()
        if not self.workers and self._in_time() and self.study.waiting():
            self._start()  # for trials queued after the last worker ended
        return bool(self.workers)

    def _start(self) -> None:
        id = Worker.new_id()
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(self.job, id))
        with _threads(max(1, usable_cores() // self.n)):
            process.start()
        self.workers[id] = process

    def _died(self, id: str, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
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
        with ExitStack() as stack, suppress(KeyboardInterrupt):
            data = job.dataset if isinstance(job.dataset, Dataset) else load_dataset(job.dataset)
            store = None if job.store is None else stack.enter_context(Store(job.store, mode=job.mode))
            bench = Bench(job.sweep, data, store)
            study = SweepStudy(job.sweep, bench, job.folder, name=job.study, worker=id)
            stack.callback(study.close)
            job.run(study, bench, job.deadline)
    except RagError as error:
        logger.error("%s", error)  # noqa: TRY400 - no traceback: it is for people
        raise SystemExit(2) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)  # at any moment: its trial is run again, and all writes are atomic

    threading.Thread(target=watch, daemon=True).start()
