"""The result of a sweep: the choice, how sure it is, and how it does on queries it was not chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.errors import ConfigError
from rag.hpo.execution.trials import Finished
from rag.hpo.results.tested import Retested, Tested
from rag.hpo.results.verdict import sentence
from rag.hpo.results.win import Win
from rag.hpo.sweep import Sweep
from rag.pipeline import Pipeline

__all__ = ["SweepResult"]


@dataclass(frozen=True)
class SweepResult:
    """The result of :func:`rag.hpo.tune`.

    Args:
        sweep: The sweep that was run.
        dataset: The name of the dataset, its splits and the number of queries in each.
        trials: The trials that are over, in order.
        best: The chosen trial; with several objectives the one of the front that is best in the first. None when none
            could be chosen.
        tested: The chosen trial on the test queries; with several objectives the whole front.
        baseline: The baseline on the test queries.
        progress: Trial number, mean on the tuning queries, mean on the test queries, of each trial that was the best
            when it ended. For the picture only: nothing is chosen by it.
        retested: The best few on the queries set aside, when that was asked.
        notes: Cautions for the reader, a sentence each.
        problem: The reason why nothing was chosen; empty when there is a choice.
        win: What was won on the test queries, by what, at what latency; of a sweep by ``moves``.
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
        """The choice against the baseline in a sentence, by the rule of all comparisons (:class:`rag.eval.Verdict`)."""
        if not self.tested or self.baseline is None:
            return self.problem
        if self.win is not None:
            return self.win.sentence
        return sentence(self.sweep, self.tested[0], self.baseline)

    def checked(self) -> SweepResult:
        """This result, when it has a choice.

        Raises:
            ConfigError: Nothing could be chosen.
        """
        if self.problem:
            raise ConfigError(self.problem)
        return self
