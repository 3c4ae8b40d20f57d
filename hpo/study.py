"""The trials of a sweep in Optuna's storage: the next one, what came of it, and going on after a kill."""

from __future__ import annotations

import base64
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.errors import ArtifactError, ConfigError
from rag.hpo.samplers.random import Random
from rag.hpo.space import point_key
from rag.hpo.storage import Worker, locked, open_storage
from rag.hpo.sweep import Sweep
from rag.hpo.trial import Bench, Measured
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["Asked", "Finished", "SweepStudy"]

_REPEATS = 200
"""Configurations in a row that are not new, until nothing is taken to be left."""
_STUCK = 5
"""Configurations in a row that are not new, after which one is drawn at random: samplers that model the scores, a
Gaussian process above all, come back to their favourite for ever when a repetition tells them nothing.
"""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A trial to run."""

    trial: optuna.Trial
    point: Mapping[str, Any]
    pipeline: Pipeline


@dataclass(frozen=True)
class Finished:
    """A trial that was run.

    Args:
        number: In the storage.
        state: ``complete``, ``stopped`` (early), ``failed``, or ``repeated`` (of another trial).
        point: Value by parameter.
        metrics: What was measured; of a stopped one on the queries searched.
        values: Value by query by measure.
        n_queries: Searched.
        seconds: It took.
        alone: It would have taken without the store.
        reason: Why it failed.
        excess: By how much it breaks each bound; 0 or below is within.
    """

    number: int
    state: str
    point: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Floats] = field(default_factory=dict)
    n_queries: int = 0
    seconds: float = 0.0
    alone: float = 0.0
    reason: str = ""
    excess: Mapping[str, float] = field(default_factory=dict)
    reused: Sequence[str] = ()

    @property
    def feasible(self) -> bool:
        """Complete, and within all bounds."""
        return self.state == "complete" and all(one <= 0 for one in self.excess.values())


class SweepStudy:
    """The trials of one sweep.

    Args:
        sweep: The sweep.
        bench: What it is tuned on; part of its identity.
        folder: Where locks are, and the journal by default.

    Raises:
        ArtifactError: The storage holds another sweep of this name, or cannot be used.
    """

    def __init__(self, sweep: Sweep, bench: Bench, folder: Path) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep, self.space, self.folder = sweep, sweep.space, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.worker = Worker(folder)
        storage = open_storage(_absolute(sweep), folder)
        identity = _identity(sweep, bench)
        name = f"{sweep.name} {self.space.fingerprint[:12]}"
        with self._alone(), _Explained(storage):
            known = {one.study_name: one for one in optuna.get_all_study_summaries(storage)}
            others = [one for one in known.values() if one.study_name.rpartition(" ")[0] == sweep.name]
            for other in others:
                _check_identity(dict(other.user_attrs.get("sweep", {})), identity, sweep.name)
            if name in known:
                self.study = optuna.load_study(study_name=name, storage=storage)
            else:
                directions = [one.direction for one in sweep.goals]
                self.study = optuna.create_study(study_name=name, storage=storage, directions=directions)
                self.study.set_user_attr("sweep", identity)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    self.study.set_metric_names([one.metric for one in sweep.goals])  # for dashboards
                for point in sweep.enqueued():
                    self.study.enqueue_trial(point)
                for other in others:
                    self._carry_over(optuna.load_study(study_name=other.study_name, storage=storage))

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
                if self.n_counted >= self.sweep.n_trials:
                    return None
                trials = self._trials()
                waiting = any(one.state.name == "WAITING" for one in trials)
                if not waiting and self.sweep.sampler.exhausted(self.space, self.study, seed=self.sweep.seed):
                    return None
                asked = self._ask_once(trials)
                if asked is not None:
                    return asked
        return None

    @property
    def n_counted(self) -> int:
        """Trials that count: run, stopped, failed, or running."""
        return sum(
            one.state.name != "WAITING" and one.user_attrs.get("counts", True) and not one.user_attrs.get("died")
            for one in self._trials()
        )

    def _ask_once(self, trials: Sequence[FrozenTrial]) -> Asked | None:
        number = sum(not one.user_attrs.get("died") and one.state.name != "WAITING" for one in trials)
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
            self.fail(trial, str(error.mistakes[0].message))
            return None
        # Parameters may make the same pipeline in two ways.
        config = fingerprint(pipeline.spec.to_config())
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
            self._skip(trial, f"the same as trial {same[0].number}")
            return None
        self._sign(trial)
        return Asked(trial, point, pipeline)

    def _sign(self, trial: optuna.Trial) -> None:
        trial.set_user_attr("host", self.worker.host)
        trial.set_user_attr("worker", self.worker.id)

    def _skip(self, trial: optuna.Trial, reason: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr("counts", False)
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.PRUNED)

    def _repeat(self, trial: optuna.Trial, other: FrozenTrial) -> None:
        trial.set_user_attr("counts", False)
        trial.set_user_attr("repeats", other.number)
        for name, value in other.constraints.items():
            trial.set_constraint(name, value)
        self.study.tell(trial, other.values)

    # -- telling ----------------------------------------------------------------------------------------------------

    def tell(self, trial: optuna.Trial, measured: Measured) -> None:
        """Keep what was measured."""
        from optuna.trial import TrialState

        about = {
            "metrics": measured.metrics,
            "values": {name: _packed(values) for name, values in measured.values.items()},
            "n_queries": max((len(values) for values in measured.values.values()), default=0),
            "seconds": measured.seconds,
            "alone": measured.alone,
            "reused": list(measured.reused),
        }
        trial.set_user_attr("measured", about)
        if measured.stopped:
            if len(self.sweep.goals) == 1:
                trial.report(measured.metrics[self.sweep.goals[0].metric], about["n_queries"])  # type: ignore[arg-type]
            self.study.tell(trial, state=TrialState.PRUNED)
            return
        for bound in self.sweep.bounds:
            trial.set_constraint(str(bound), bound.excess(measured.metrics[bound.metric]))
        self.study.tell(trial, [measured.metrics[one.metric] for one in self.sweep.goals])

    def fail(self, trial: optuna.Trial, reason: str) -> None:
        """Keep why a trial could not be run."""
        from optuna.trial import TrialState

        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def give_up(self, trial: optuna.Trial) -> None:
        """A trial was interrupted: it is run again when the sweep goes on."""
        with self._alone():
            frozen = next(one for one in self._trials() if one.number == trial.number)
            self._bury_one(frozen)

    # -- reading ----------------------------------------------------------------------------------------------------

    def finished(self) -> list[Finished]:
        """Every trial that is over, in the order they were begun."""
        found = []
        for one in self._trials():
            if one.state.name in ("RUNNING", "WAITING") or one.user_attrs.get("died"):
                continue
            state = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}[one.state.name]
            if not one.user_attrs.get("counts", True):
                if "repeats" not in one.user_attrs:
                    continue
                state = "repeated"
            found.append(_finished(one, state, self.space.written(one.params)))
        return found

    def running(self) -> int:
        """Trials that other workers run."""
        return sum(one.state.name == "RUNNING" for one in self._trials())

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    # -- after a kill, and after a change ---------------------------------------------------------------------------

    def _bury(self) -> None:
        for one in self._trials():
            if one.state.name == "RUNNING" and self.worker.has_died(one):
                self._bury_one(one)

    def _bury_one(self, dead: FrozenTrial) -> None:
        """Take a trial whose process is gone out of the count, and have its configuration run again."""
        from optuna.trial import TrialState

        storage = self.study._storage
        storage.set_trial_user_attr(dead._trial_id, "died", True)
        storage.set_trial_state_values(dead._trial_id, TrialState.FAIL)
        fixed: dict[str, Any] | None = dead.system_attrs.get("fixed_params")
        # One that had not been signed would be drawn again as it was, unless it had been ordered.
        again = dict(dead.params) if "worker" in dead.user_attrs else fixed
        if again:
            self.study.enqueue_trial(again)

    def _carry_over(self, other: optuna.Study) -> None:
        """Trials of the space as it was before the sweep was changed, where they are points of the new one."""
        from optuna.trial import TrialState, create_trial

        known = {point_key(self.space.written(one.params)) for one in self._trials()}
        for old in other.get_trials(deepcopy=False):
            if old.state != TrialState.COMPLETE or "measured" not in old.user_attrs:
                continue
            point = self.space.written(old.params)
            if point_key(point) in known or not self.space.contains(point):
                continue
            try:
                pipeline = self.space.pipeline(point)
            except ConfigError:
                continue
            if fingerprint(pipeline.spec.to_config()) != old.user_attrs.get("config") or not self.space.allows(point):
                continue
            known.add(point_key(point))
            parameters = {one.name: one.distribution.optuna() for one in self.space.existing(point)}
            self.study.add_trial(
                create_trial(
                    params=point,
                    distributions=parameters,
                    values=old.values,
                    user_attrs=dict(old.user_attrs) | {"carried": True},
                    system_attrs={k: v for k, v in old.system_attrs.items() if k != "fixed_params"},
                )
            )

    def _alone(self) -> Any:
        return locked(self.folder / "study.lock")


def _is_stuck(trials: Sequence[FrozenTrial]) -> bool:
    begun = [one for one in trials if one.state.name != "WAITING" and not one.user_attrs.get("died")]
    return len(begun) >= _STUCK and not any(one.user_attrs.get("counts", True) for one in begun[-_STUCK:])


def _finished(trial: FrozenTrial, state: str, point: Mapping[str, Any]) -> Finished:
    about = trial.user_attrs.get("measured", {})
    return Finished(
        trial.number,
        state,
        point,
        about.get("metrics", {}),
        {name: _unpacked(text) for name, text in about.get("values", {}).items()},
        about.get("n_queries", 0),
        about.get("seconds", 0.0),
        about.get("alone", 0.0),
        trial.user_attrs.get("reason", ""),
        dict(trial.constraints) if state == "complete" else {},
        about.get("reused", ()),
    )


def _packed(values: Floats) -> str:
    """Numbers to the last digit in few letters: databases bound the length of a text."""
    return base64.b64encode(zlib.compress(values.astype("<f8").tobytes())).decode()


def _unpacked(text: str) -> Floats:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f8")


def _identity(sweep: Sweep, bench: Bench) -> dict[str, Any]:
    """What makes trials comparable. The sampler and the number of trials may change as one goes on."""
    return {
        "objectives": [str(one) for one in sweep.goals],
        "bounds": [str(one) for one in sweep.bounds],
        "dataset": bench.dataset.name,
        "split": bench.split_name,
        "queries": bench.fingerprint,
        "seed": sweep.seed,
        "folds": sweep.folds,
        "ignore_identical_ids": sweep.ignore_identical_ids,
        "early_stopping": sweep.early_stopping,
    }


def _check_identity(theirs: Mapping[str, Any], ours: Mapping[str, Any], name: str) -> None:
    for what, value in ours.items():
        if theirs.get(what) == value:
            continue
        if what == "queries":
            raise ArtifactError(
                f"the storage holds another sweep called '{name}', tuned on other queries or documents; give this one "
                "another --out folder, name or storage"
            )
        raise ArtifactError(
            f"the storage holds another sweep called '{name}': its {what.replace('_', ' ')} is "
            f"{theirs.get(what)!r}, not {value!r}; give this one another --out folder, name or storage"
        )


def _absolute(sweep: Sweep) -> str | None:
    url = sweep.storage
    if url is not None and url.startswith("journal:"):
        path = Path(url.removeprefix("journal:").removeprefix("//")).expanduser()
        return f"journal:{path if path.is_absolute() else sweep.folder / path}"
    return url


class _Explained:
    """What goes wrong in a storage as one message."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from optuna.exceptions import OptunaError

        if isinstance(error, (OptunaError, KeyError, ValueError, AssertionError)):
            raise ArtifactError(f"the sweep's storage cannot be read: {error}") from None
