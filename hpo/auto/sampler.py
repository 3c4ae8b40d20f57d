"""The sampler behind ``rag tune --auto``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from rag.errors import ConfigError
from rag.hpo.auto.walk import Guesses, Walk, walk
from rag.hpo.execution.trials import Finished, read_finished
from rag.hpo.objectives import COSTS, Objective
from rag.hpo.samplers.base import Sampler
from rag.hpo.space.point import Point, PointKey, point_key
from rag.hpo.space.space import Space
from rag.progress import duration

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from rag.hpo.auto.opening import Cost

__all__ = ["TRIALS_SHARE", "Moves"]

TRIALS_SHARE = 0.8
"""Share of a budget for trials; the rest is for the test questions."""

_TRIALS_EACH = 3
"""Trials of a parameter, for what a larger budget would have to be."""


class Moves(Sampler):
    """One change at a time from the baseline, the largest expected gain a second first; a change is kept only where it
    wins by a one-sided paired t-test at 5 % on the tuning queries. What it comes to is the sweep's choice, so the
    choice is never worse there than the baseline. One process, one objective, a measure.

    Args:
        gains: Expected gain of tuning a parameter, by name; those left out count .003.
        costs: What a trial does anew after a parameter has changed, by name: ``learn``, ``encode``, ``score``; those
            left out only search.
        budget: Seconds that all trials may take together: a change whose trial is expected to take longer than what is
            left is not tried. None tries everything.
        left_out: Changes left out of the space, with reasons; goes into the notes.
    """

    type = "moves"
    objectives: ClassVar[int | None] = 1
    ends: ClassVar[bool] = True

    def __init__(
        self,
        *,
        gains: dict[str, float] | None = None,
        costs: dict[str, str] | None = None,
        budget: Annotated[float, Field(gt=0)] | None = None,
        left_out: dict[str, str] | None = None,
    ) -> None:
        self.gains = gains
        self.costs = costs
        self.budget = budget
        self.left_out = left_out
        wrong = sorted(
            {cost for cost in (self.costs or {}).values() if cost not in ("search", "learn", "encode", "score")}
        )
        if wrong:
            raise ConfigError(f"must be search, learn, encode or score, got '{wrong[0]}'", parameter="costs")

    def check(self, space: Space, n_objectives: int) -> None:
        super().check(space, n_objectives)
        if space.start is None:
            raise ConfigError("'moves' begins with the point of all defaults, which violates the constraints")

    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        from rag.hpo.samplers.point_sampler import PointSampler

        class Walking(PointSampler):
            def before_trial(self, study: Study, trial: FrozenTrial) -> None:
                self.propose = lambda history: sampler._next(space, study)
                super().before_trial(study, trial)

        sampler = self
        return Walking(lambda history: None, space, seed)

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        return self._next(space, study) is None

    def walked(self, space: Space, goal: Objective, trials: Sequence[Finished]) -> Walk:
        """Replay the walk over these trials."""
        numbered = {trial.number: trial for trial in trials if trial.state != "repeated"}
        by_point: dict[PointKey, Finished | None] = {}
        for trial in trials:
            original = numbered.get(trial.number, trial)
            by_point.setdefault(point_key(trial.point), original if original is trial else _at(original, trial.point))
        return self._walk(space, goal, by_point)

    def told(self, space: Space, goal: Objective, trials: Sequence[Finished]) -> list[str]:
        done = self.walked(space, goal, trials)
        notes = [
            f"{step.name} {_said(step.before)} -> {_said(step.after)}: failed, or breaks a bound; left as it was"
            if step.gain == -math.inf
            else f"{step.name} {_said(step.before)} -> {_said(step.after)}: {step.gain:+.4f} on the tuning queries, "
            f"standard error {step.error:.4f}, {'kept' if step.kept else 'left as it was'} ({step.trials} "
            f"{'trial' if step.trials == 1 else 'trials'}, {step.seconds:.1f} s)"
            for step in done.steps
        ]
        notes += [f"left out: {name}: {reason}" for name, reason in (self.left_out or {}).items()]
        tried = {step.name for step in done.steps}
        late = [f"{name} ({seconds:.0f} s)" for name, seconds in done.skipped.items() if name not in tried]
        if late:
            seconds = sum(took for name, took in done.skipped.items() if name not in tried)
            enough = duration(((self.budget or 0.0) + _TRIALS_EACH * seconds) / TRIALS_SHARE)
            notes.append(f"left out: no time was left for a trial of {', '.join(late)}; a budget of {enough} would do")
        elif done.following is not None:
            notes.append("the time limit came before the last trial; with the same --out and a longer one it goes on")
        return notes

    def plan(self, space: Space) -> list[tuple[str, list[Any], float, str]]:
        """Name, values, expected gain and what is done anew, of each parameter in the order expected before anything is
        timed.
        """
        times = {"search": 1.0, "learn": 30.0, "encode": 30.0, "score": 50.0}
        rows = [
            (
                parameter.name,
                parameter.distribution.values(8) or [],
                (self.gains or {}).get(parameter.name, 0.003),
                (self.costs or {}).get(parameter.name, "search"),
            )
            for parameter in space.parameters
        ]
        return sorted(rows, key=lambda row: -row[2] / (times[row[3]] * min(max(len(row[1]) - 1, 1), 3)))

    def _walk(self, space: Space, goal: Objective, trials: Mapping[PointKey, Finished | None]) -> Walk:
        costs: dict[str, Cost] = {n: cost for n, cost in (self.costs or {}).items() if cost != "search"}  # type: ignore[misc]
        return walk(space, Guesses(self.gains or {}, costs), goal, trials, self.budget)

    def _next(self, space: Space, study: Study) -> Point | None:
        from optuna.study import StudyDirection

        metric = (study.metric_names or [""])[0]
        if not metric or metric in COSTS:
            raise ConfigError(f"'moves' compares query by query: the objective must be a measure, not {metric}")
        goal = Objective(metric, "minimize" if study.directions[0] == StudyDirection.MINIMIZE else "maximize")
        return self._walk(space, goal, _trials(space, study)).following


def _at(trial: Finished, point: Point) -> Finished:
    from dataclasses import replace

    return replace(trial, point=point, seconds=0.0)


def _said(value: Any) -> str:
    words = {True: "on", False: "off", None: "none"}
    return words[value] if value is None or isinstance(value, bool) else f"{value}"


def _trials(space: Space, study: Study) -> dict[PointKey, Finished | None]:
    """Trials by point; None for a running trial."""
    states = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}
    stored = study.get_trials(deepcopy=False)
    results: dict[PointKey, Finished | None] = {}
    for trial in stored:
        if trial.state.name == "WAITING" or trial.user_attrs.get("died") or not trial.params:
            continue
        point = space.written(trial.params)
        state = states.get(trial.state.name)
        told = trial
        if "repeats" in trial.user_attrs:
            told = stored[int(trial.user_attrs["repeats"])]
        finished = None if state is None else read_finished(told, state, point)
        if finished is not None and told is not trial:
            finished = _at(finished, point)
        results.setdefault(point_key(point), finished)
    return results
