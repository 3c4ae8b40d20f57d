"""The trials of a sweep in Optuna's storage: ask for the next, tell results, and resume after a kill or a change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import ArtifactError, ConfigError
from rag.hpo.execution.identity import identity_of
from rag.hpo.execution.opening import Opening
from rag.hpo.execution.recovery import config_of, content_of, failure_of
from rag.hpo.execution.storage import Explained, Worker, locked, locked_storage, open_storage
from rag.hpo.execution.trial import Bench, Measured
from rag.hpo.execution.trials import (
    Asked,
    Finished,
    about_measured,
    counts,
    has_begun,
    is_extra,
    is_numbered,
    number_of,
    read_finished,
)
from rag.hpo.optuna_private import fail_trial, fixed_params, set_attribute
from rag.hpo.samplers.random import Random
from rag.hpo.storage_url import absolute
from rag.hpo.sweep import Sweep
from rag.remarks import Remarks

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["SweepStudy"]

_REPEATS = 200
"""Repeated configurations in a row after which the space counts as exhausted."""
_STUCK = 5
"""Repeated configurations in a row after which one is drawn at random: samplers that model the scores, especially
Gaussian processes, would otherwise return to their favorite forever, since a repetition adds no information.
"""


class SweepStudy:
    """The trials of one sweep.

    Valid trials of earlier starts are kept, invalid ones are queued again, with a sentence in :attr:`remarks`.

    Args:
        sweep: The sweep.
        bench: The tuning data, which is part of the sweep's identity.
        folder: Folder of the locks, and by default of the journal.
        name: Name in the storage of a study that another process has opened. None opens the sweep's study.
        worker: Id of this process among the workers; None generates one.
        retry_failed: Whether to run failed trials again.

    Raises:
        ArtifactError: The storage holds another sweep of this name, or cannot be used.
    """

    def __init__(
        self,
        sweep: Sweep,
        bench: Bench,
        folder: Path,
        *,
        name: str | None = None,
        worker: str | None = None,
        retry_failed: bool = False,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep, self.space, self.folder = sweep, sweep.space, folder
        self.remarks = Remarks()
        folder.mkdir(parents=True, exist_ok=True)
        self.worker = Worker(folder, worker)
        self.storage = open_storage(absolute(sweep.storage, sweep.folder), folder)
        with self._alone(), Explained():
            if name is not None:
                self.study = optuna.load_study(study_name=name, storage=self.storage)
            else:
                opening = Opening(sweep, self.storage, self.worker, self.remarks)
                self.study = opening.open(identity_of(sweep, bench), retry_failed=retry_failed)

    @property
    def name(self) -> str:
        """Name of the study in the storage."""
        return str(self.study.study_name)

    def close(self) -> None:
        self.worker.close()

    # -- asking -----------------------------------------------------------------------------------------------------

    def ask(self) -> Asked | None:
        """The next configuration to run; None when the sweep is complete or nothing is left to try.

        Points that break a constraint between parameters are skipped, and repeated ones get the earlier result; neither
        counts.
        """
        with self._alone():
            self._bury()
            for _ in range(_REPEATS):
                trials = self._trials()
                waiting = [trial for trial in trials if trial.state.name == "WAITING"]
                if self.n_counted >= self.sweep.n_trials and not any(map(is_extra, waiting)):
                    return None
                if not waiting and self.sweep.sampler.exhausted(self.space, self.study, seed=self.sweep.seed):
                    return None
                asked = self._ask_once(trials)
                if asked is not None:
                    return asked
        return None

    @property
    def n_counted(self) -> int:
        """Number of trials that count: complete, stopped, failed or running."""
        return sum(map(counts, self._trials()))

    def _ask_once(self, trials: Sequence[FrozenTrial]) -> Asked | None:
        n_begun = sum(map(has_begun, trials))
        sampler = Random() if _is_stuck(trials) else self.sweep.sampler
        self.study.sampler = sampler.optuna(self.space, seed=self.sweep.seed, n_begun=n_begun)
        trial = self.study.ask()
        point = self.space.suggest(trial)
        broken = self.space.broken(point)
        if broken:
            self._skip(trial, f"breaks {'; '.join(broken)}")
            return None
        try:
            pipeline = self.space.pipeline(point)
        except ConfigError as error:
            self._sign(trial)
            self.fail(trial, str(error.mistakes[0].message), error)
            return None
        config = config_of(pipeline)
        trial.set_user_attr("config", config)
        same = [
            other
            for other in trials
            if other.user_attrs.get("config") == config
            and other.number != trial.number
            and not other.user_attrs.get("died")
        ]
        complete = [other for other in same if other.state.name == "COMPLETE"]
        if complete:
            self._repeat(trial, complete[0])
            return None
        if same:
            self._skip(trial, f"the same as trial {number_of(same[0])}")
            return None
        trial.set_user_attr("content", content_of(pipeline))
        return Asked(trial, point, pipeline, self._sign(trial))

    def _sign(self, trial: optuna.Trial) -> int:
        """Assign a trial to this worker, under the next number; returns the number."""
        ran = [number_of(other) for other in self._trials() if is_numbered(other) and other.number != trial.number]
        ran_as = max([*(n + 1 for n in ran), int(self.study.user_attrs.get("numbers_from", 0))])
        trial.set_user_attr("ran", ran_as)
        trial.set_user_attr("began", time.time())
        trial.set_user_attr("host", self.worker.host)
        trial.set_user_attr("worker", self.worker.id)
        return ran_as

    def _skip(self, trial: optuna.Trial, reason: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr("counts", False)
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.PRUNED)

    def _repeat(self, trial: optuna.Trial, other: FrozenTrial) -> None:
        trial.set_user_attr("counts", False)
        trial.set_user_attr("repeats", other.number)
        trial.set_user_attr("ran", number_of(other))
        for name, value in other.constraints.items():
            trial.set_constraint(name, value)
        self.study.tell(trial, other.values)

    # -- telling ----------------------------------------------------------------------------------------------------

    def tell(self, trial: optuna.Trial, measured: Measured) -> None:
        """Record the measurements of a trial."""
        from optuna.trial import TrialState

        attributes = about_measured(measured)
        trial.set_user_attr("measured", attributes)
        if measured.stopped:
            if len(self.sweep.goals) == 1:
                trial.report(measured.metrics[self.sweep.goals[0].metric], attributes["n_queries"])
            self.study.tell(trial, state=TrialState.PRUNED)
            return
        for bound in self.sweep.bounds:
            trial.set_constraint(str(bound), bound.excess(measured.metrics[bound.metric]))
        self.study.tell(trial, [measured.metrics[goal.metric] for goal in self.sweep.goals])

    def fail(self, trial: optuna.Trial | FrozenTrial, reason: str, error: BaseException) -> None:
        """Record why a trial failed, in a form from which the next start can tell whether the reason has gone.

        Args:
            trial: A running trial, of this process or of one that has ended.
            reason: The reason in words.
            error: The error.
        """
        from optuna.trial import TrialState

        set_attribute(self.storage, trial, "reason", reason)
        set_attribute(self.storage, trial, "failure", failure_of(error, self.sweep))
        self.study.tell(trial.number, state=TrialState.FAIL)

    def give_up(self, trial: optuna.Trial) -> None:
        """Release an interrupted trial, so that it is run again when the sweep resumes."""
        with self._alone():
            frozen = next(frozen for frozen in self._trials() if frozen.number == trial.number)
            self._bury_one(frozen)

    # -- reading ----------------------------------------------------------------------------------------------------

    def finished(self) -> list[Finished]:
        """All finished trials, in the order they ran; repeated ones after those they repeat."""
        finished = []
        for trial in self._trials():
            if trial.state.name == "RUNNING" or not has_begun(trial):
                continue
            state = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}[trial.state.name]
            if not trial.user_attrs.get("counts", True):
                if "repeats" not in trial.user_attrs:
                    continue
                state = "repeated"
            finished.append(read_finished(trial, state, self.space.written(trial.params)))
        return sorted(finished, key=lambda trial: trial.number)

    def running(self, worker: str | None = None) -> list[FrozenTrial]:
        """The running trials, of all workers or of one."""
        trials = [trial for trial in self._trials() if trial.state.name == "RUNNING"]
        return [trial for trial in trials if worker is None or trial.user_attrs.get("worker") == worker]

    def waiting(self) -> bool:
        """Whether the queue holds a trial that would be run."""
        waiting = [trial for trial in self._trials() if trial.state.name == "WAITING"]
        return bool(waiting) and (self.n_counted < self.sweep.n_trials or any(map(is_extra, waiting)))

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    # -- after a kill, and after a change ---------------------------------------------------------------------------

    def _bury(self) -> None:
        for trial in self._trials():
            if trial.state.name == "RUNNING" and self.worker.has_died(trial):
                self._bury_one(trial)

    def lost(self, worker: str, how: str) -> list[int]:
        """Handle a worker's death: its trial is run again once; it fails when a second process dies of it.

        Args:
            worker: Id of the worker.
            how: Its signal or exit code.

        Returns:
            Numbers of the trials to run again.
        """
        retried = []
        with self._alone():
            for trial in self.running(worker):
                if trial.user_attrs.get("deaths"):
                    self.fail(trial, f"its process died twice ({how}): out of memory?", ArtifactError(how))
                    continue
                self._bury_one(trial, deaths=1)
                retried.append(number_of(trial))
        return retried

    def _bury_one(self, dead: FrozenTrial, *, deaths: int | None = None) -> None:
        """Take a trial whose process is gone out of the count, and queue its configuration again."""
        set_attribute(self.storage, dead, "died", True)
        fail_trial(self.storage, dead)
        # An unsigned trial would be drawn again anyway, unless it was enqueued.
        once_more = dict(dead.params) if "worker" in dead.user_attrs else fixed_params(dead)
        if once_more:
            attributes = {"deaths": deaths or dead.user_attrs.get("deaths"), "extra": is_extra(dead)}
            self.study.enqueue_trial(once_more, user_attrs={name: value for name, value in attributes.items() if value})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self.folder / "study.lock"), locked_storage(self.storage, self.sweep.name):
            yield


def _is_stuck(trials: Sequence[FrozenTrial]) -> bool:
    begun = [trial for trial in trials if has_begun(trial)]
    return len(begun) >= _STUCK and not any(trial.user_attrs.get("counts", True) for trial in begun[-_STUCK:])
