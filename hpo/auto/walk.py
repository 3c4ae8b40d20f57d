"""Walk from a pipeline to a better one by single changes; each is kept only if its gain is certain enough."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.hpo.auto.opening import Cost
from rag.hpo.execution.trials import Finished
from rag.hpo.objectives import Objective
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.point import Point, PointKey, point_key
from rag.hpo.space.space import Space

__all__ = ["Guesses", "Step", "Walk", "walk"]

_PAIRS = 30.0
"""Pairs that a scorer scores a second, until one was timed; a small cross-encoder on one core."""

_LEARNING = 30.0
"""Times that a search takes longer where a ranking is learned, until that was timed."""

_FITTING = 0.5
"""Seconds of fitting where everything that takes long is in the store, until that was timed."""

_LEVEL = 0.05
"""Probability that a change worth nothing is kept, if it is the only one tried."""

_ROUNDS = 3
"""How often a parameter gets its turn at most; again only when something else has changed since."""


@dataclass(frozen=True)
class Guesses:
    """Prior estimates for parameters that have not been tried.

    Args:
        gains: Expected gain of tuning each, by name.
        costs: Work that a trial repeats, by name; ``search`` is left out.
        default_gain: Gain of parameters without their own.
    """

    gains: Mapping[str, float]
    costs: Mapping[str, Cost]
    default_gain: float = 0.003


@dataclass(frozen=True)
class Step:
    """A parameter that had its turn.

    Args:
        name: Name of the parameter.
        before: Its value.
        after: The best other value.
        gain: Mean paired difference to what was best before, positive is better.
        error: Standard error of that.
        kept: Whether the change was kept.
        seconds: All its trials took.
        trials: Number of trials.
    """

    name: str
    before: Any
    after: Any
    gain: float
    error: float
    kept: bool
    seconds: float
    trials: int


@dataclass
class Walk:
    """State of a walk.

    Args:
        following: The next point to try; None at the end.
        best: The trial that it has come to; None before the first is known.
        steps: Decisions, in order.
        skipped: Seconds that a trial was expected to take, by parameter that no time was left for.
    """

    following: Point | None = None
    best: Finished | None = None
    steps: list[Step] = field(default_factory=list)
    skipped: dict[str, float] = field(default_factory=dict)


def walk(
    space: Space, guesses: Guesses, goal: Objective, trials: Mapping[PointKey, Finished | None], budget: float | None
) -> Walk:
    """Go over the trials so far, in the order in which they were proposed, up to the first that is missing.

    The parameter with the largest expected gain a second comes next: the gain is what such a parameter usually brings,
    the time that of trials that changed it, before any of those that did as much. Values that have an order are climbed
    in both directions from the present one, others are all tried. The best is kept when it is better than what there
    was by a one-sided paired t-test at 5 %, so that what is simpler stays where nobody can tell. (One standard error
    is a level of 16 %, and a dozen of changes are tried.)

    Args:
        space: The parameters to change; the walk begins at its start.
        guesses: Gains and costs.
        goal: The objective, a measure by query.
        trials: Trials by point; None for a trial that runs elsewhere.
        budget: Seconds that all trials may take together; None for no end.
    """
    result = Walk()
    point = dict(space.start or {})
    if point_key(point) not in trials:
        result.following = point
        return result
    first = trials[point_key(point)]
    if first is None or first.state != "complete":
        return result
    result.best = best = first
    clock = _Clock(first, goal)
    critical = _critical_value(len(first.values[goal.metric]))
    spent = sum(run.seconds for run in trials.values() if run is not None)
    turns: dict[str, int] = {}
    decided: dict[str, int] = {}
    changes = 0
    while True:
        waiting = [
            run
            for run in space.existing(point)
            if turns.get(run.name, 0) < _ROUNDS and decided.get(run.name, -1) < changes
        ]
        waiting.sort(key=lambda run: (turns.get(run.name, 0), -_worth(run, guesses, clock)))
        result.skipped = {}
        for parameter in waiting:
            steps = _climb(space, point, parameter)
            tried: list[Finished] = []
            proposed = next(steps, None)
            seconds = clock.expected(parameter.name, guesses)
            while proposed is not None:
                key = point_key(proposed)
                if key not in trials and budget is not None and spent + seconds > budget:
                    result.skipped[parameter.name] = seconds
                    break
                if key not in trials:
                    result.following = proposed
                    return result
                trial = trials[key]
                if trial is not None:
                    tried.append(trial)
                score = -np.inf if trial is None else _gain(trial, best, goal)[0]
                try:
                    proposed = steps.send((point_key(proposed), score))
                except StopIteration:
                    proposed = None
            if parameter.name in result.skipped and not tried:
                continue  # something cheaper may fit
            turns[parameter.name] = turns.get(parameter.name, 0) + 1
            decided[parameter.name] = changes
            clock.add(parameter.name, tried)
            if not tried:
                continue
            winner = max(tried, key=lambda run: _gain(run, best, goal)[0])
            gain, error = _gain(winner, best, goal)
            wins = gain > critical * error
            before, after = point.get(parameter.name), winner.point.get(parameter.name)
            took = sum(run.seconds for run in tried)
            result.steps.append(Step(parameter.name, before, after, gain, error, wins, took, len(tried)))
            if wins:
                point, best, changes = dict(winner.point), winner, changes + 1
                decided[parameter.name] = changes
                result.best = best
            break
        else:
            return result


def _worth(parameter: Parameter, guesses: Guesses, clock: _Clock) -> float:
    n = min(len(parameter.distribution.values(8) or [0, 0]) - 1, 3)
    gain = guesses.gains.get(parameter.name, guesses.default_gain)
    return gain / (max(n, 1) * clock.expected(parameter.name, guesses))


def _gain(trial: Finished, best: Finished, goal: Objective) -> tuple[float, float]:
    """Mean paired difference and its standard error; minus infinity for a trial that failed or breaks a bound."""
    if not trial.feasible:
        return -np.inf, 0.0
    if not best.feasible:
        return np.inf, 0.0
    difference = goal.sign * (np.asarray(trial.values[goal.metric]) - np.asarray(best.values[goal.metric]))
    n = len(difference)
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def _critical_value(n: int) -> float:
    """Standard errors that the mean of ``n`` paired differences has to be above 0, by Student's t at ``_LEVEL``."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 1 - _LEVEL)) if n > 1 else 0.0


def _climb(space: Space, point: Point, parameter: Parameter) -> Generator[dict[str, Any], tuple[PointKey, float], None]:
    """Points that differ in one parameter; is sent the key and the gain of each, over the present one, in turn."""
    values = list(parameter.distribution.values(8) or [])
    here = point[parameter.name]

    def at(value: Any) -> dict[str, Any] | None:
        changed = space.complete({**point, parameter.name: value})
        return changed if space.allows(changed) else None

    if not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in values):
        for value in values:
            if value != here and (changed := at(value)) is not None:
                yield changed
        return
    if here not in values:
        values = sorted([*values, here])
    start = values.index(here)
    for way in (range(start + 1, len(values)), range(start - 1, -1, -1)):
        highest = 0.0
        for position in way:
            changed = at(values[position])
            if changed is None:
                continue
            _, gain = yield changed
            if gain < highest:
                break
            highest = gain


class _Clock:
    """Seconds that trials take, by the kind of work they repeat."""

    def __init__(self, first: Finished, goal: Objective) -> None:
        self.first, self.n = first, len(first.values[goal.metric])
        self.by_name: dict[str, list[float]] = {}

    def add(self, name: str, trials: Sequence[Finished]) -> None:
        self.by_name.setdefault(name, []).extend(max(trial.seconds, 0.01) for trial in trials)

    def expected(self, name: str, guesses: Guesses) -> float:
        own = self.by_name.get(name)
        if own:
            return float(np.mean(own))
        cost = guesses.costs.get(name, "search")
        alike = [
            seconds
            for other, all_seconds in self.by_name.items()
            if guesses.costs.get(other, "search") == cost
            for seconds in all_seconds
        ]
        if alike:
            return float(np.mean(alike))
        searching = list(
            itertools.chain(*(all for other, all in self.by_name.items() if guesses.costs.get(other) is None))
        )
        once = self.first.metrics.get("search_ms", 0.0) * self.n / 1e3  # the first trial has also built everything
        search = float(np.mean(searching)) if searching else once + _FITTING
        if cost == "learn":
            return _LEARNING * search
        if cost == "encode":
            return max(self.first.alone, search)
        return search + 50 * self.n / _PAIRS if cost == "score" else search
