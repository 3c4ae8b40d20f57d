"""Continue a sweep: find which of its earlier trials are still valid, and run the others again.

A trial is valid for its point, for the pipeline built from it and for the content behind that: models, files. A study
with trials is never changed: if some are no longer valid, a new study takes over the others and queues those. The same
happens when the space changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rag.errors import ConfigError, IncompleteError, MissingExtraError, RagError
from rag.hpo.execution.trials import has_begun
from rag.hpo.optuna_private import FIXED, fixed_params
from rag.hpo.space.point import point_key
from rag.hpo.sweep import Sweep
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["Again", "TrialTimeoutError", "again", "config_of", "content_of", "failure_of", "inherit", "points_of"]

_WHY = {
    "changed": "files or models they name have changed since",
    "there": "something they lacked may exist now",
    "calls": "calls of a language model had failed",
    "package": "a package they lacked is installed now",
    "timeout": "trial_timeout was raised",
    "asked": "--retry-failed",
}
"""Reasons for running trials again, in words."""


class TrialTimeoutError(RagError):
    """A trial took longer than the sweep's ``trial_timeout``."""


def config_of(pipeline: Pipeline) -> str:
    """Identity of the pipeline's configuration: different points may build the same pipeline."""
    return fingerprint(pipeline.spec.to_config())


def content_of(pipeline: Pipeline) -> dict[str, Any]:
    """Identity of the models and files named by the pipeline's arguments, and of the versions of its components; with
    ``lacks`` if any is missing.
    """
    contents: list[Any] = [pipeline.fingerprint]
    lacks = ""
    for path, part in pipeline.spec.walk():
        try:
            contents.append([path, part._model_digest()])
        except (RagError, OSError) as error:
            contents.append([path, "lacking"])
            lacks = lacks or str(error)
    return {"key": fingerprint(contents), "lacks": bool(lacks)}


def failure_of(error: BaseException, sweep: Sweep) -> dict[str, Any]:
    """A failure as JSON values from which the next start can tell whether its reason has gone."""
    if isinstance(error, IncompleteError):
        return {"kind": "calls"}
    if isinstance(error, MissingExtraError):
        return {"kind": "package", "package": error.package}
    if isinstance(error, TrialTimeoutError):
        return {"kind": "timeout", "limit": sweep.trial_timeout}
    return {"kind": "error"}


@dataclass(frozen=True)
class Again:
    """Trials to run again.

    Args:
        trials: Each trial with its reason.
    """

    trials: Sequence[tuple[FrozenTrial, str]]

    def __bool__(self) -> bool:
        return bool(self.trials)

    @property
    def sentences(self) -> list[str]:
        """A sentence for each reason."""
        said = []
        for reason, why in _WHY.items():
            n = sum(trial_reason == reason for _, trial_reason in self.trials)
            which = f"{n} {'trial' if n == 1 else 'trials'}{'' if reason == 'changed' else ' that failed'}"
            if n:
                said.append(f"{which} {'is' if n == 1 else 'are'} run again: {why}")
        return said


def again(sweep: Sweep, trials: Iterable[FrozenTrial], *, retry_failed: bool) -> Again:
    """The invalid trials of a study, in the order they ran."""
    repeated = []
    for trial in trials:
        if not has_begun(trial) or trial.state.name == "RUNNING" or not trial.user_attrs.get("counts", True):
            continue
        content = _current(sweep, sweep.space.written(trial.params))
        reason = _reason(sweep, trial, content, retry_failed)
        if reason:
            repeated.append((trial, reason))
    return Again(sorted(repeated, key=lambda pair: int(pair[0].user_attrs.get("ran", pair[0].number))))


def _reason(sweep: Sweep, trial: FrozenTrial, content: Mapping[str, Any] | None, retry_failed: bool) -> str:
    """The reason for running a trial again; empty when it is valid."""
    failed = trial.state.name == "FAIL"
    before = trial.user_attrs.get("content")
    if content is None or before is None or content["lacks"]:
        pass  # unknown
    elif content["key"] != before["key"]:
        return "there" if failed else "changed"
    if not failed:
        return ""
    failure = trial.user_attrs.get("failure", {})
    if failure.get("kind") == "calls":
        return "calls"
    if failure.get("kind") == "package" and _is_installed(failure["package"]):
        return "package"
    limit = sweep.trial_timeout
    if failure.get("kind") == "timeout" and (limit is None or limit > failure["limit"]):
        return "timeout"
    return "asked" if retry_failed else ""


def inherit(sweep: Sweep, study: optuna.Study, old: optuna.Study, *, leave: Again, changed_space: bool) -> int:
    """Take over the valid trials of another study: points of the space that build the same pipeline.

    Args:
        sweep: The current sweep.
        study: The new study.
        old: The other study.
        leave: Trials to run again, which are not taken over.
        changed_space: Whether the other study has another space; then its trials do not count.

    Returns:
        Number of trials taken over.
    """
    space = sweep.space
    tried = points_of(sweep, study)
    left = {trial.number for trial, _ in leave.trials}
    n = 0
    for trial in old.get_trials(deepcopy=False):
        over = has_begun(trial) and trial.state.name != "RUNNING" and trial.user_attrs.get("counts", True)
        point = space.written(trial.params)
        if not over or trial.number in left or point_key(point) in tried:
            continue
        if not space.contains(point) or not space.allows(point):
            continue
        try:
            same = config_of(space.pipeline(point)) == trial.user_attrs.get("config")
        except ConfigError:
            same = trial.state.name == "FAIL"
        if not same:
            continue
        tried.add(point_key(point))
        _copy(sweep, study, trial, point, taken_over=changed_space)
        n += 1
    return n


def _copy(sweep: Sweep, study: optuna.Study, old: FrozenTrial, point: Mapping[str, Any], *, taken_over: bool) -> None:
    from optuna.trial import create_trial

    attributes = dict(old.user_attrs) | {"ran": old.user_attrs.get("ran", old.number)}
    if taken_over:
        attributes["taken_over"] = True
    trial = create_trial(
        state=old.state,
        params=dict(point),
        distributions={parameter.name: parameter.distribution.optuna() for parameter in sweep.space.existing(point)},
        values=old.values if old.state.name == "COMPLETE" else None,
        user_attrs=attributes,
        system_attrs={name: value for name, value in old.system_attrs.items() if name != FIXED},
        intermediate_values=old.intermediate_values,
    )
    trial.datetime_start, trial.datetime_complete = old.datetime_start, old.datetime_complete
    study.add_trial(trial)


def points_of(sweep: Sweep, study: optuna.Study) -> set[Any]:
    """Identity of every point in a study: finished, running or queued."""
    points = set()
    for trial in study.get_trials(deepcopy=False):
        params = trial.params if trial.state.name != "WAITING" else fixed_params(trial)
        if params and not trial.user_attrs.get("died"):
            points.add(point_key(sweep.space.written(params)))
    return points


def _current(sweep: Sweep, point: Mapping[str, Any]) -> dict[str, Any] | None:
    """The current content behind a point; None where it builds no pipeline, or is not in the space."""
    if not sweep.space.contains(point):
        return None
    try:
        return content_of(sweep.space.pipeline(point))
    except ConfigError:
        return None


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package.replace("-", "_")) is not None
    except (ImportError, ValueError):
        return False
