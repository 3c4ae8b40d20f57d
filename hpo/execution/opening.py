"""Open a sweep's study: the one of an earlier start, or a new one that takes over the trials that are still valid."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag.hpo.execution.identity import check_identity
from rag.hpo.execution.recovery import Again, again, inherit, points_of
from rag.hpo.execution.storage import Worker
from rag.hpo.execution.trials import counts, is_numbered, number_of
from rag.hpo.optuna_private import fixed_params
from rag.hpo.space.point import point_key
from rag.hpo.sweep import Sweep
from rag.remarks import Remarks

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

__all__ = ["Opening"]


class Opening:
    """Opens the study of a sweep, while no other process uses its storage.

    Args:
        sweep: The sweep.
        storage: The storage.
        worker: This process, which recognizes dead trials.
        remarks: Receives a remark for each group of trials taken over or run again.
    """

    def __init__(self, sweep: Sweep, storage: BaseStorage, worker: Worker, remarks: Remarks) -> None:
        self.sweep, self.storage, self.worker, self.remarks = sweep, storage, worker, remarks

    def open(self, identity: Mapping[str, Any], *, retry_failed: bool) -> optuna.Study:
        """Open the study to continue: the newest of this space if all its trials are valid, otherwise a new one that
        takes over the valid ones.

        Args:
            identity: See :func:`~rag.hpo.execution.identity.identity_of`.
            retry_failed: Whether to run failed trials again.

        Raises:
            ArtifactError: The storage holds another sweep of this name.
        """
        import optuna

        summaries = optuna.get_all_study_summaries(self.storage)
        others = [study for study in summaries if study.study_name.rpartition(" ")[0] == self.sweep.name]
        others.sort(key=lambda study: int(study.user_attrs.get("generation", 0)))
        for other in others:
            check_identity(dict(other.user_attrs.get("sweep", {})), identity, self.sweep.name)
        own = f"{self.sweep.name} {self.sweep.space.fingerprint[:12]}"
        names = [study.study_name for study in others]
        ours = [name for name in names if name == own or name.startswith(f"{own}.")]
        old = [optuna.load_study(study_name=name, storage=self.storage) for name in (ours[-1:] or names[::-1])]
        leave = [again(self.sweep, study.get_trials(deepcopy=False), retry_failed=retry_failed) for study in old]
        if ours and not leave[0]:
            self._enqueue_later(old[0])
            return old[0]
        generation = 1 + max((int(study.user_attrs.get("generation", 0)) for study in others), default=-1)
        study = self._create(own if not ours else f"{own}.{generation}", identity, generation)
        study.set_user_attr("numbers_from", self._next_number(others))
        self._take_over(study, list(zip(old, leave, strict=True)), changed_space=not ours)
        return study

    def _create(self, name: str, identity: Mapping[str, Any], generation: int) -> optuna.Study:
        import optuna

        directions = [goal.direction for goal in self.sweep.goals]
        study = optuna.create_study(study_name=name, storage=self.storage, directions=directions)
        study.set_user_attr("sweep", identity)
        study.set_user_attr("generation", generation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([goal.metric for goal in self.sweep.goals])  # for dashboards
        return study

    def _take_over(
        self, study: optuna.Study, old: Sequence[tuple[optuna.Study, Again]], *, changed_space: bool
    ) -> None:
        n = sum(inherit(self.sweep, study, earlier, leave=leave, changed_space=changed_space) for earlier, leave in old)
        if changed_space:
            if old:
                message = (
                    f"the space has changed: {n} earlier {_trials(n)} still {'lies' if n == 1 else 'lie'} in it and "
                    f"{'is' if n == 1 else 'are'} taken over; up to {self.sweep.n_trials} new ones are tried (n_trials)"
                )
                self.remarks.add("trials_taken_over", message, count=n)
        else:
            for _, leave in old:
                for trial, _ in leave.trials:
                    attributes = {} if counts(trial) else {"extra": True}
                    study.enqueue_trial(dict(trial.params), user_attrs=attributes)
                for sentence in leave.sentences:
                    self.remarks.add("trials_again", sentence, count=len(leave.trials))
            for trial in old[0][0].get_trials(deepcopy=False):
                if trial.state.name == "WAITING":
                    study.enqueue_trial(dict(fixed_params(trial) or {}), user_attrs=dict(trial.user_attrs))
                elif trial.state.name == "RUNNING" and self.worker.has_died(trial) and trial.params:
                    study.enqueue_trial(dict(trial.params))
        tried = points_of(self.sweep, study)
        for point in self.sweep.enqueued():
            if point_key(point) not in tried:
                study.enqueue_trial(point, user_attrs={} if changed_space else {"extra": True})

    def _enqueue_later(self, study: optuna.Study) -> None:
        """Queue the points that were added to the sweep after its start; they do not count in ``n_trials``."""
        tried = points_of(self.sweep, study)
        new = [point for point in self.sweep.enqueued() if point_key(point) not in tried]
        for point in new:
            study.enqueue_trial(point, user_attrs={"extra": True})
        if new:
            n = len(new)
            message = f"{n} {'point' if n == 1 else 'points'} added to 'enqueue' {'is' if n == 1 else 'are'} tried next"
            self.remarks.add("points_added", message, count=n)

    def _next_number(self, summaries: Sequence[Any]) -> int:
        """The first number that is free in all of these studies."""
        import optuna

        trials = [
            trial
            for study in summaries
            for trial in optuna.load_study(study_name=study.study_name, storage=self.storage).get_trials(deepcopy=False)
        ]
        return 1 + max((number_of(trial) for trial in trials if is_numbered(trial)), default=-1)


def _trials(n: int) -> str:
    return "trial" if n == 1 else "trials"
