"""Report the progress of a sweep every few seconds, however long its trials take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rag.hpo.execution.study import SweepStudy
from rag.hpo.execution.trials import Finished

__all__ = ["Status", "reporting", "status_line"]

Status = Callable[[], AbstractContextManager[Callable[[str], None]]]
"""Context manager that yields a function for lines, such as :func:`rag.cli.console.status`."""

_EVERY = 5.0
"""Seconds between two lines."""


@contextmanager
def reporting(
    study: SweepStudy, status: Status | None, deadline: float | None, every: float = _EVERY
) -> Iterator[None]:
    """Report the progress of a sweep while other code runs its trials.

    Args:
        study: The study.
        status: Receives the lines; None reports nothing.
        deadline: Time after which no trial is started, by :func:`time.monotonic`.
        every: Seconds between two lines.
    """
    if status is None:
        yield
        return
    over = threading.Event()
    before, start = study.n_counted, time.monotonic()

    def speak(say: Callable[[str], None]) -> None:
        while not over.wait(every):
            seconds = time.monotonic() - start
            limit = None if deadline is None else max(0.0, deadline - time.monotonic())
            n = study.n_counted - len(study.running())
            say(status_line(study, study.finished(), done=n, new=n - before, seconds=seconds, limit=limit))

    with status() as say:
        thread = threading.Thread(target=speak, args=(say,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def status_line(
    study: SweepStudy, trials: list[Finished], *, done: int, new: int, seconds: float, limit: float | None
) -> str:
    """Trials, the best so far and the time left in one line.

    Args:
        study: The study.
        trials: The finished trials.
        done: Trials that count and are over.
        new: The trials among them run by this start, from which the time left is estimated.
        seconds: Time that the new trials took.
        limit: Seconds until no trial is started, or None.
    """
    goal, n = study.sweep.goals[0], study.sweep.n_trials
    usable = [trial for trial in trials if trial.feasible]
    parts = [f"{done} trials" if study.sweep.sampler.ends else f"{done} of {n} trials"]
    if usable:
        best = max(usable, key=lambda trial: goal.sign * trial.metrics[goal.metric])
        parts.append(f"best {goal.metric} {best.metrics[goal.metric]:.4g} (trial {best.number})")
    else:
        complete = any(trial.state == "complete" for trial in trials)
        parts.append("none meets the constraints" if complete else "none is complete")
    left = seconds / new * max(n - done, 0) if new > 0 else None
    if limit is not None and (left is None or limit < left):
        parts.append(f"time limit in {_duration(limit)}")
    elif left is not None:
        parts.append(f"about {_duration(left)} left")
    else:
        parts.append(f"{_duration(seconds)} so far")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
