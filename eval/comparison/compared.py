"""The result of comparing runs, as data from which reports are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from rag.display import Backend, Interval, Part, Shown, Table, count, frame
from rag.eval.comparison.pairs import Pair, short
from rag.eval.comparison.significance import Correction, Test

__all__ = ["ComparedRuns", "listed"]

_RELATIONS = {
    (True, -1): "beaten by",
    (False, -1): "probably beaten (not proven) by",
    (True, 1): "better than",
    (False, 1): "probably better (not proven) than",
    (False, 0): "without a sign of a difference to",
}
"""The wording of a relation, by whether it is proven and by the sign of the difference."""


@dataclass(frozen=True, repr=False)
class ComparedRuns(Shown):
    """Runs compared on the same queries: all pairs, or all against a baseline.

    Args:
        runs: Names of the runs, in the order given.
        measures: Names of the measures.
        means: Mean value by run by measure.
        ci95: Bootstrap interval of each mean; None with one query.
        n_queries: Number of queries that all runs have.
        pairs: All comparisons, by measure and then by pair.
        test: Name of the paired test.
        correction: Name of the correction, over the pairs of one measure.
        seed: Seed of all random draws.
        notes: Remarks for the reader, one line each.
        queries: (id, text) of the queries compared; the text is the id where no run has the text.
        values: Values of those queries by run by measure, in the same order.
        costs: Costs per query by name by run, for the runs that report them.
        settings: Values by run, by path, of the settings in which the runs' pipelines differ; None where fewer than two
            runs have a description of their pipeline.
    """

    runs: Sequence[str]
    measures: Sequence[str]
    means: dict[str, dict[str, float]]
    ci95: dict[str, dict[str, tuple[float, float] | None]]
    n_queries: int
    pairs: Sequence[Pair]
    test: Test
    correction: Correction
    seed: int
    notes: Sequence[str]
    queries: Sequence[tuple[str, str]]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def verdict(self) -> str:
        """A summary in a sentence or two, by the first measure."""
        measure = self.measures[0]
        pairs = [pair for pair in self.pairs if pair.measure == measure]
        if len(pairs) == 1:
            return pairs[0].sentence
        baselines = {pair.baseline for pair in pairs}
        if len(baselines) == 1:
            named = baselines.pop()
            said = f"By {measure} the baseline {named}"
        else:
            named = max(self.runs, key=lambda name: self.means[name][measure])
            said = f"{named} has the highest {measure}, {short(self.means[named][measure])}; it"
        others: dict[str, list[str]] = {}
        for pair in pairs:
            if named in (pair.run, pair.baseline):
                ahead = 1 if pair.run == named else -1
                words = _RELATIONS[pair.verdict.proven, ahead * pair.verdict.direction]
                others.setdefault(words, []).append(pair.baseline if pair.run == named else pair.run)
        parts = (f"{words} {listed(others[words])}" for words in _RELATIONS.values() if words in others)
        return f"{said} is {', '.join(parts)}."

    @property
    def losses(self) -> list[str]:
        """Sentences about runs that are better by the first measure, proven or probably, but worse by another one."""
        winners = {
            (pair.run, pair.baseline): pair.verdict.direction
            for pair in self.pairs
            if pair.measure == self.measures[0] and pair.verdict.direction
        }
        return [
            f"The gain in {self.measures[0]} has a price: {pair.sentence}"
            for pair in self.pairs
            if pair.verdict.direction and pair.verdict.direction == -winners.get((pair.run, pair.baseline), 0)
        ]

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """A data frame with a row for each pair of runs and each measure; columns as in :class:`Pair`, and the verdict.

        Args:
            backend: ``pandas``, ``polars`` or ``pyarrow``.
        """
        import pyarrow as pa

        return frame(pa.Table.from_pylist([pair.to_dict() for pair in self.pairs]), backend)

    def _summary(self) -> list[str]:
        return [
            f"Compared: {count(len(self.runs), 'run')}, {count(self.n_queries, 'query', 'queries')}",
            self.verdict,
            *self.losses,
            *self.notes,
        ]

    def _details(self) -> list[Part]:
        means = [
            [name, *(Interval(self.means[name][m], *(self.ci95[name][m] or (None, None))) for m in self.measures)]
            for name in self.runs
        ]
        pairs = [
            [f"{pair.run} - {pair.baseline}", pair.measure, pair.difference, pair.p_corrected, pair.verdict.words]
            for pair in self.pairs
        ]
        return [
            Table([self.verdict], [[note] for note in (*self.losses, *self.notes)]),
            Table(["run", *self.measures], means),
            Table(["pair", "measure", "difference", "p", "verdict"], pairs),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All fields except the values by query, as JSON-compatible objects."""
        without = ("pairs", "queries", "values")
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in without}
        return own | {
            "pairs": [pair.to_dict() for pair in self.pairs],
            "verdict": self.verdict,
            "losses": self.losses,
        }


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
