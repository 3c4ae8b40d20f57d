"""The parts of Optuna that it does not document, each used here and nowhere else in the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import FileLock
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

__all__ = ["FIXED", "contains", "fail_trial", "fixed_params", "journal_lock", "set_attribute"]

FIXED = "fixed_params"
"""System attribute in which :meth:`optuna.Study.enqueue_trial` keeps the enqueued values."""


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution contains a value.

    Args:
        distribution: An Optuna distribution.
        value: A value of any type.
    """
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def fixed_params(trial: FrozenTrial) -> dict[str, Any] | None:
    """The values a trial was enqueued with; None for a trial that the sampler drew."""
    attributes: Mapping[str, Any] = trial.system_attrs
    return attributes.get(FIXED)


def set_attribute(storage: BaseStorage, trial: Trial | FrozenTrial, name: str, value: Any) -> None:
    """Set a user attribute of a trial that may be run by another process.

    Args:
        storage: The storage of the trial's study.
        trial: The trial, live or frozen.
        name: The name of the attribute.
        value: A JSON value.
    """
    storage.set_trial_user_attr(trial._trial_id, name, value)


def fail_trial(storage: BaseStorage, trial: FrozenTrial) -> None:
    """Set the state of a running trial to FAIL, without the callbacks of :meth:`optuna.Study.tell`."""
    from optuna.trial import TrialState

    storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def journal_lock(lock: FileLock) -> Any:
    """A file lock as the lock of a journal backend.

    The operating system frees it when its holder dies; Optuna's own lock files would block others for half a minute.
    """
    from optuna.storages.journal._file import BaseJournalFileLock

    class Lock(BaseJournalFileLock):
        def acquire(self) -> bool:
            lock.acquire()
            return True

        def release(self) -> None:
            lock.release()

    return Lock()
