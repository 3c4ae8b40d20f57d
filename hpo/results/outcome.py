"""The outcome of a sweep as data, from which files and reports are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from rag.display import Interval, Part, Shown, Table, brief, count
from rag.errors import ConfigError
from rag.hpo.execution.trials import Finished
from rag.hpo.results.tested import Retested, Tested, intervals_of
from rag.hpo.results.verdict import sentence
from rag.hpo.results.win import Win
from rag.hpo.sweep import Sweep
from rag.pipeline import Pipeline

__all__ = ["SweepOutcome"]

_SHOWN = 10
"""Trials shown in a notebook."""


@dataclass(frozen=True, repr=False)
class SweepOutcome(Shown):
    """The result of :func:`rag.hpo.tune`.

    Args:
        sweep: The sweep that was run.
        dataset: Name of the dataset, its splits and their numbers of queries.
        trials: The finished trials, in order.
        best: The chosen trial; with several objectives the one on the front with the best first objective. None if
            none could be chosen.
        tested: The chosen trial on the test queries; with several objectives the whole front.
        baseline: The baseline on the test queries.
        progress: Trial number, mean on the tuning queries and mean on the test queries, of each trial that was the best
            when it ended. Only for the figure: nothing is chosen by it.
        retested: The best few on the queries set aside, if requested.
        notes: Cautions for the reader, one sentence each.
        problem: The reason why nothing was chosen; empty if there is a choice.
        win: The gain on the test queries, its changes and latency; only for a sweep by ``moves``.
    """

    sweep: Sweep
    dataset: Mapping[str, Any]
    trials: Sequence[Finished]
    best: Finished | None
    tested: Sequence[Tested]
    baseline: Tested | None
    progress: Sequence[tuple[int, float, float]] = ()
    retested: Sequence[Retested] = ()
    notes: Sequence[str] = ()
    problem: str = ""
    win: Win | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The chosen pipeline, fitted on the dataset's documents."""
        return self.tested[0].pipeline

    @property
    def front(self) -> list[Finished]:
        """The trials that were tested."""
        numbers = {tested.trial for tested in self.tested}
        return [trial for trial in self.trials if trial.number in numbers and trial.state != "repeated"]

    @property
    def verdict(self) -> str:
        """The choice compared with the baseline in a sentence, by the rule of :class:`rag.eval.Verdict`."""
        if not self.tested or self.baseline is None:
            return self.problem
        if self.win is not None:
            return self.win.sentence
        return sentence(self.sweep, self.tested[0], self.baseline)

    def _summary(self) -> list[str]:
        ran = [trial for trial in self.trials if trial.state != "repeated"]
        title = f"SweepResult on {self.dataset['name']}: {count(len(ran), 'trial')}, by {self.sweep.first.metric}"
        changed = [] if self.best is None else [f"best: {brief(dict(self.best.point), 140)}"]
        return [title, self.verdict, *changed, *self.notes]

    def _details(self) -> list[Part]:
        metric = self.sweep.first.metric
        measured = [*([self.baseline] if self.baseline else []), *self.tested]
        tests = [[tested.name, _interval(tested, metric), *tested.metrics.values()] for tested in measured]
        sign = self.sweep.first.sign
        done = [trial for trial in self.trials if trial.state == "complete"]
        best = sorted(done, key=lambda trial: -sign * trial.metrics[metric])[:_SHOWN]
        trials = [[trial.number, trial.metrics[metric], brief(dict(trial.point), 160)] for trial in best]
        metrics = list(measured[0].metrics) if measured else []
        return [
            Table([self.verdict], [[note] for note in self.notes]),
            Table(["on the test queries", f"{metric} and 95 % interval", *metrics], tests),
            Table(["trial", f"{metric}, tuning queries", "parameters"], trials, more=len(done) - len(best)),
        ]

    def checked(self) -> Self:
        """Return this result if it has a choice.

        Raises:
            ConfigError: Nothing could be chosen.
        """
        if self.problem:
            raise ConfigError(self.problem)
        return self


def _interval(tested: Tested, metric: str) -> Interval | float:
    bounds = intervals_of(tested.evaluation).get(metric, {}).get("ci95")
    return Interval(tested.metrics[metric], *bounds) if bounds else tested.metrics[metric]
