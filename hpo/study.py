"""The trials of a sweep in Optuna's storage: the next one, what came of it, and going on after a kill or a change."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ArtifactError, ConfigError
from rag.hpo.identity import check_identity, identity_of
from rag.hpo.parameter import point_key
from rag.hpo.recovery import Again, again, config_of, content_of, failure_of, inherit, points_of
from rag.hpo.samplers.random import Random
from rag.hpo.storage import Explained, Worker, absolute, locked, open_storage
from rag.hpo.sweep import Sweep
from rag.hpo.trial import Bench, Measured
from rag.hpo.trials import Asked, Finished, about_measured, counts, has_begun, is_extra, number_of, read_finished
from rag.remarks import Remarks

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["SweepStudy"]

_REPEATS = 200
"""Configurations in a row that are not new, until nothing is taken to be left."""
_STUCK = 5
"""Configurations in a row that are not new, after which one is drawn at random: samplers that model the scores, a
Gaussian process above all, come back to their favourite for ever when a repetition tells them nothing.
"""


class SweepStudy:
    """The trials of one sweep.

    Opened at a start, it finds what earlier starts have left: trials that hold are kept, those that do not are put into
    the queue again, and :attr:`remarks` says so.

    Args:
        sweep: The sweep.
        bench: What it is tuned on; part of its identity.
        folder: Where locks are, and the journal by default.
        name: In the storage, of a study that another process has opened. None opens it.
        worker: Id of this process among the workers; None makes one.
        retry_failed: Whether failed trials are run again.

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
                self.study = self._open(identity_of(sweep, bench), retry_failed)

    @property
    def name(self) -> str:
        """Of the study in the storage."""
        return str(self.study.study_name)

    # -- opening ----------------------------------------------------------------------------------------------------

    def _open(self, identity: Mapping[str, Any], retry_failed: bool) -> optuna.Study:
        """The study to go on with: the newest of this space when all its trials hold, else a new one that takes over
        those that do.
        """
        import optuna

        summaries = optuna.get_all_study_summaries(self.storage)
        others = [one for one in summaries if one.study_name.rpartition(" ")[0] == self.sweep.name]
        others.sort(key=lambda one: int(one.user_attrs.get("generation", 0)))
        for other in others:
            check_identity(dict(other.user_attrs.get("sweep", {})), identity, self.sweep.name)
        own = f"{self.sweep.name} {self.space.fingerprint[:12]}"
        names = [one.study_name for one in others]
        ours = [name for name in names if name == own or name.startswith(f"{own}.")]
        old = [optuna.load_study(study_name=name, storage=self.storage) for name in (ours[-1:] or names[::-1])]
        leave = [again(self.sweep, one.get_trials(deepcopy=False), retry_failed=retry_failed) for one in old]
        if ours and not leave[0]:
            self._enqueue_later(old[0])
            return old[0]
        generation = 1 + max((int(one.user_attrs.get("generation", 0)) for one in others), default=-1)
        study = self._create(own if not ours else f"{own}.{generation}", identity, generation)
        study.set_user_attr("numbers_from", self._next_number(others))
        self._take_over(study, list(zip(old, leave, strict=True)), changed_space=not ours)
        return study

    def _create(self, name: str, identity: Mapping[str, Any], generation: int) -> optuna.Study:
        import optuna

        directions = [one.direction for one in self.sweep.goals]
        study = optuna.create_study(study_name=name, storage=self.storage, directions=directions)
        study.set_user_attr("sweep", identity)
        study.set_user_attr("generation", generation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([one.metric for one in self.sweep.goals])  # for dashboards
        return study

    def _take_over(
        self, study: optuna.Study, old: Sequence[tuple[optuna.Study, Again]], *, changed_space: bool
    ) -> None:
        n = sum(inherit(self.sweep, study, one, leave=leave, changed_space=changed_space) for one, leave in old)
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
                    about = {} if counts(trial) else {"extra": True}
                    study.enqueue_trial(dict(trial.params), user_attrs=about)
                for sentence in leave.sentences:
                    self.remarks.add("trials_again", sentence, count=len(leave.trials))
            for trial in old[0][0].get_trials(deepcopy=False):
                if trial.state.name == "WAITING":
                    study.enqueue_trial(
                        dict(trial.system_attrs.get("fixed_params", {})), user_attrs=dict(trial.user_attrs)
                    )
                elif trial.state.name == "RUNNING" and self.worker.has_died(trial) and trial.params:
                    study.enqueue_trial(dict(trial.params))
        known = points_of(self.sweep, study)
        for point in self.sweep.enqueued():
            if point_key(point) not in known:
                study.enqueue_trial(point, user_attrs={} if changed_space else {"extra": True})

    def _enqueue_later(self, study: optuna.Study) -> None:
        """Points that were written into the sweep after it had begun are tried next, besides its ``n_trials``."""
        known = points_of(self.sweep, study)
        new = [point for point in self.sweep.enqueued() if point_key(point) not in known]
        for point in new:
            study.enqueue_trial(point, user_attrs={"extra": True})
        if new:
            n = len(new)
            message = f"{n} {'point' if n == 1 else 'points'} added to 'enqueue' {'is' if n == 1 else 'are'} tried next"
            self.remarks.add("points_added", message, count=n)

    def _next_number(self, summaries: Sequence[Any]) -> int:
        """The first number that no trial of these studies has."""
        import optuna

        trials = [
            trial
            for one in summaries
            for trial in optuna.load_study(study_name=one.study_name, storage=self.storage).get_trials(deepcopy=False)
        ]
        return 1 + max((number_of(one) for one in trials if _is_numbered(one)), default=-1)

    def close(self) -> None:
        self.worker.close()

    # -- asking -----------------------------------------------------------------------------------------------------

    def ask(self) -> Asked | None:
        """The next configuration to run; None when there were enough, or nothing is left to try.

        What breaks a constraint between parameters is not run, and what was run before is given the same result;
        neither counts.
        """
        with self._alone():
            self._bury()
            for _ in range(_REPEATS):
                trials = self._trials()
                waiting = [one for one in trials if one.state.name == "WAITING"]
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
        """Trials that count: run, stopped, failed, or running."""
        return sum(map(counts, self._trials()))

    def _ask_once(self, trials: Sequence[FrozenTrial]) -> Asked | None:
        number = sum(map(has_begun, trials))
        sampler = Random() if _is_stuck(trials) else self.sweep.sampler
        self.study.sampler = sampler.optuna(self.space, seed=self.sweep.seed, number=number)
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
            one
            for one in trials
            if one.user_attrs.get("config") == config and one.number != trial.number and not one.user_attrs.get("died")
        ]
        complete = [one for one in same if one.state.name == "COMPLETE"]
        if complete:
            self._repeat(trial, complete[0])
            return None
        if same:
            self._skip(trial, f"the same as trial {number_of(same[0])}")
            return None
        trial.set_user_attr("content", content_of(pipeline))
        return Asked(trial, point, pipeline, self._sign(trial))

    def _sign(self, trial: optuna.Trial) -> int:
        """Have it run by this worker, under the next number."""
        ran = [number_of(one) for one in self._trials() if _is_numbered(one) and one.number != trial.number]
        number = max([*(one + 1 for one in ran), int(self.study.user_attrs.get("numbers_from", 0))])
        trial.set_user_attr("ran", number)
        trial.set_user_attr("began", time.time())
        trial.set_user_attr("host", self.worker.host)
        trial.set_user_attr("worker", self.worker.id)
        return number

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
        """Keep what was measured."""
        from optuna.trial import TrialState

        about = about_measured(measured)
        trial.set_user_attr("measured", about)
        if measured.stopped:
            if len(self.sweep.goals) == 1:
                trial.report(measured.metrics[self.sweep.goals[0].metric], about["n_queries"])
            self.study.tell(trial, state=TrialState.PRUNED)
            return
        for bound in self.sweep.bounds:
            trial.set_constraint(str(bound), bound.excess(measured.metrics[bound.metric]))
        self.study.tell(trial, [measured.metrics[one.metric] for one in self.sweep.goals])

    def fail(self, trial: optuna.Trial | FrozenTrial, reason: str, error: BaseException) -> None:
        """Keep why a trial could not be run, and what tells whether the reason is gone.

        Args:
            trial: One that is running, here or in a process that is no more.
            reason: For people.
            error: The cause.
        """
        from optuna.trial import TrialState

        self.storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        self.storage.set_trial_user_attr(trial._trial_id, "failure", failure_of(error, self.sweep))
        self.study.tell(trial.number, state=TrialState.FAIL)

    def give_up(self, trial: optuna.Trial) -> None:
        """A trial was interrupted: it is run again when the sweep goes on."""
        with self._alone():
            frozen = next(one for one in self._trials() if one.number == trial.number)
            self._bury_one(frozen)

    # -- reading ----------------------------------------------------------------------------------------------------

    def finished(self) -> list[Finished]:
        """Every trial that is over, in the order they ran; repeated ones after those they repeat."""
        found = []
        for one in self._trials():
            if one.state.name == "RUNNING" or not has_begun(one):
                continue
            state = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}[one.state.name]
            if not one.user_attrs.get("counts", True):
                if "repeats" not in one.user_attrs:
                    continue
                state = "repeated"
            found.append(read_finished(one, state, self.space.written(one.params)))
        return sorted(found, key=lambda one: one.number)

    def running(self, worker: str | None = None) -> list[FrozenTrial]:
        """Trials that are being run, by anyone or by one worker."""
        trials = [one for one in self._trials() if one.state.name == "RUNNING"]
        return [one for one in trials if worker is None or one.user_attrs.get("worker") == worker]

    def waiting(self) -> bool:
        """Whether the queue has anything that would be run."""
        waiting = [one for one in self._trials() if one.state.name == "WAITING"]
        return bool(waiting) and (self.n_counted < self.sweep.n_trials or any(map(is_extra, waiting)))

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    # -- after a kill, and after a change ---------------------------------------------------------------------------

    def _bury(self) -> None:
        for one in self._trials():
            if one.state.name == "RUNNING" and self.worker.has_died(one):
                self._bury_one(one)

    def lost(self, worker: str, how: str) -> list[int]:
        """A worker died by itself: its trial is run again, once; the second process that dies of one fails it.

        Args:
            worker: Its id.
            how: What is known of its end.

        Returns:
            The numbers of the trials that are run again.
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
        """Take a trial whose process is gone out of the count, and have its configuration run again."""
        from optuna.trial import TrialState

        storage = self.storage
        storage.set_trial_user_attr(dead._trial_id, "died", True)
        storage.set_trial_state_values(dead._trial_id, TrialState.FAIL)
        fixed: dict[str, Any] | None = dead.system_attrs.get("fixed_params")
        # One that had not been signed would be drawn again as it was, unless it had been ordered.
        once_more = dict(dead.params) if "worker" in dead.user_attrs else fixed
        if once_more:
            about = {"deaths": deaths or dead.user_attrs.get("deaths"), "extra": is_extra(dead)}
            self.study.enqueue_trial(once_more, user_attrs={name: value for name, value in about.items() if value})

    def _alone(self) -> Any:
        return locked(self.folder / "study.lock")


def _is_stuck(trials: Sequence[FrozenTrial]) -> bool:
    begun = [one for one in trials if has_begun(one)]
    return len(begun) >= _STUCK and not any(one.user_attrs.get("counts", True) for one in begun[-_STUCK:])


def _is_numbered(trial: FrozenTrial) -> bool:
    """Whether it has run under a number of its own."""
    return has_begun(trial) and trial.user_attrs.get("counts", True)


def _trials(n: int) -> str:
    return "trial" if n == 1 else "trials"
