"""Which of several runs is better, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ConfigError, DataError, did_you_mean
from rag.eval.measures import interval
from rag.eval.runs import RunValues
from rag.eval.significance import TESTS, Correction, Test, corrected, detectable, effect_size, randomisation_test

__all__ = ["Compared", "Pair", "compare_runs"]

Floats = npt.NDArray[np.float64]

_LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two runs on one measure.

    Args:
        run: The run.
        baseline: What it is compared with.
        measure: By what.
        n_queries: Queries that both have.
        mean: Of the run.
        baseline_mean: Of the baseline.
        difference: Mean over the queries, run minus baseline.
        ci95: Bootstrap interval of that mean; None with one query, or where all differ alike.
        p_value: Two-sided, of the paired test.
        p_corrected: The same, corrected for the number of pairs that this measure compares.
        effect_size: Mean difference in standard deviations of the differences.
        detectable: The least difference that so many queries would show 4 times in 5; None with one query.
        wins: Queries on which the run is better.
        ties: Queries on which they are alike.
        losses: Queries on which it is worse.
        adjusted: Whether a correction was made; without one ``p_corrected`` is ``p_value``.
    """

    run: str
    baseline: str
    measure: str
    n_queries: int
    mean: float
    baseline_mean: float
    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    p_corrected: float
    effect_size: float
    detectable: float | None
    wins: int
    ties: int
    losses: int
    adjusted: bool = True

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below .05."""
        return self.p_corrected < _LEVEL

    @property
    def sentence(self) -> str:
        """What may be said, in one sentence."""
        bounds = f" [{_signed(self.ci95[0])}, {_signed(self.ci95[1])}]" if self.ci95 else " (one query: no interval)"
        p = "p < .001" if self.p_corrected < 0.001 else f"p = {_short(self.p_corrected)}"
        p += " corrected" if self.adjusted else ""
        power = (
            f"; {self.n_queries} queries can detect {_short(self.detectable)}" if self.detectable is not None else ""
        )
        if self.significant:
            better, worse = (self.run, self.baseline) if self.difference > 0 else (self.baseline, self.run)
            flipped = f" [{_signed(-self.ci95[1])}, {_signed(-self.ci95[0])}]" if self.ci95 else bounds
            return (
                f"{better} beats {worse} on {self.measure} by {_short(abs(self.difference))}"
                f"{bounds if self.difference > 0 else flipped}, {p}{power}."
            )
        return (
            f"{self.run} and {self.baseline} are not shown to differ on {self.measure}: "
            f"{_signed(self.difference)}{bounds}, {p}{power}."
        )


@dataclass(frozen=True)
class Compared:
    """Runs on the same queries, all pairs or all against a baseline.

    Args:
        runs: Names, in the order they were given.
        measures: Names.
        means: Mean by run by measure.
        ci95: Bootstrap interval of it; None with one query.
        n_queries: Queries that all runs have.
        pairs: Every comparison, by measure and then by pair.
        test: Which test.
        correction: Which correction, over the pairs of one measure.
        seed: Of everything random.
        notes: What a reader should know, one line each.
        queries: (id, text) of the queries that were compared; the text is the id where no run knows it.
        values: Their values by run by measure, in that order.
        costs: What a query costs by name by run, of those runs that know it.
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

    @property
    def verdict(self) -> str:
        """The answer in a sentence or two, by the first measure."""
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
            said = f"{named} has the highest {measure}, {_short(self.means[named][measure])}; it"
        beaten: list[str] = []
        better: list[str] = []
        alike: list[str] = []
        for pair in pairs:
            if named not in (pair.run, pair.baseline):
                continue
            other = pair.run if pair.baseline == named else pair.baseline
            ahead = (pair.difference > 0) == (pair.run == named)
            (alike if not pair.significant else beaten if ahead else better).append(other)
        parts = (("beaten by", better), ("better than", beaten), ("not shown to differ from", alike))
        return f"{said} is {', '.join(f'{words} {_listed(names)}' for words, names in parts if names)}."

    def to_json(self) -> dict[str, Any]:
        """Everything but the queries one by one, as JSON takes it."""
        found = asdict(replace(self, queries=(), values={}))
        del found["queries"], found["values"]
        found["verdict"] = self.verdict
        for one, pair in zip(found["pairs"], self.pairs, strict=True):
            one["sentence"] = pair.sentence
            if not math.isfinite(one["effect_size"]):
                one["effect_size"] = None
        return found


def compare_runs(
    runs: Sequence[RunValues],
    *,
    baseline: str | None = None,
    test: Test = "randomisation",
    correction: Correction = "holm",
    strict: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
) -> Compared:
    """Compare runs query by query, on the measures that all of them have.

    Args:
        runs: At least two, of different names.
        baseline: The run that all others are compared with. None compares all pairs.
        test: The paired test. ``randomisation`` is exact for few queries and assumes nothing about the differences.
        correction: For the number of pairs of one measure. Measures are not corrected for: they say nearly the same,
            and one of them should be the one that decides.
        strict: Refuse runs on different queries; else the queries that all have are compared, and that is said.
        resamples: Of the randomisation test.
        seed: Of the test and the intervals.

    Raises:
        ConfigError: Fewer than two runs, two of one name, an unknown baseline, or no measure in common.
        DataError: No query in common, or with ``strict`` different ones.
    """
    names = [run.name for run in runs]
    if len(names) < 2:
        raise ConfigError(f"at least two are needed, got {len(names)}", parameter="runs")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two are called '{min(twice)}': give names, NAME=PATH", parameter="runs")
    if baseline is not None and baseline not in names:
        raise ConfigError(f"no run is called '{baseline}'{did_you_mean(baseline, names)}", parameter="baseline")
    measures = [one for one in runs[0].values if all(one in run.values for run in runs)]
    if not measures:
        offered = "; ".join(f"{run.name}: {', '.join(run.values)}" for run in runs)
        raise ConfigError(f"the runs have none in common ({offered})", parameter="measures")
    notes = [note for run in runs for note in run.notes]
    queries = _common(runs, measures[0], strict, notes)
    texts = {query: text for run in runs for query, text in run.texts.items()}
    values = np.asarray([[[run.values[m][q] for q in queries] for m in measures] for run in runs])  # [r, m, n]
    indices = (
        [(names.index(baseline), other) for other in range(len(names)) if names[other] != baseline]
        if baseline is not None
        else list(combinations(range(len(names)), 2))
    )
    first, second = np.asarray(indices).T
    differences = (values[second] - values[first]).transpose(2, 1, 0)  # [n, m, pairs]
    flat = differences.reshape(len(queries), -1)
    run_test = partial(randomisation_test, resamples=resamples, seed=seed) if test == "randomisation" else TESTS[test]
    p_values = run_test(flat).reshape(len(measures), -1)
    effects, least = (f(flat).reshape(len(measures), -1) for f in (effect_size, detectable))
    bounds = interval(flat, seed=seed)
    pairs = []
    for m, measure in enumerate(measures):
        adjusted = corrected(p_values[m], correction)
        for number, (one, other) in enumerate(indices):
            column = differences[:, m, number]
            pairs.append(
                Pair(
                    run=names[other],
                    baseline=names[one],
                    measure=measure,
                    n_queries=len(queries),
                    mean=float(values[other, m].mean()),
                    baseline_mean=float(values[one, m].mean()),
                    difference=float(column.mean()),
                    ci95=bounds[m * len(indices) + number] if bounds else None,
                    p_value=float(p_values[m, number]),
                    p_corrected=float(adjusted[number]),
                    effect_size=float(effects[m, number]),
                    detectable=float(least[m, number])
                    if least[m, number] > 0
                    else None,  # nan: one query; 0: all alike
                    wins=int((column > 0).sum()),
                    ties=int((column == 0).sum()),
                    losses=int((column < 0).sum()),
                    adjusted=correction != "none",
                )
            )
    own = interval(values.reshape(-1, len(queries)).T, seed=seed)
    return Compared(
        names,
        measures,
        {name: {m: float(values[r, i].mean()) for i, m in enumerate(measures)} for r, name in enumerate(names)},
        {
            name: {m: own[r * len(measures) + i] if own else None for i, m in enumerate(measures)}
            for r, name in enumerate(names)
        },
        len(queries),
        pairs,
        test,
        correction,
        seed,
        notes,
        [(query, texts.get(query, query)) for query in queries],
        {name: {m: values[r, i].tolist() for i, m in enumerate(measures)} for r, name in enumerate(names)},
        {run.name: dict(run.costs) for run in runs if run.costs},
    )


def _common(runs: Sequence[RunValues], measure: str, strict: bool, notes: list[str]) -> list[str]:
    """The queries that all runs have, in the order of the first."""
    if len({run.dataset for run in runs if run.dataset}) > 1:
        note = "the runs are of different datasets: " + ", ".join(
            f"{run.name} of {run.dataset}" for run in runs if run.dataset
        )
        if strict:
            raise DataError(note)
        notes.append(note)
    elif changed := [
        what
        for what, seen in (
            ("queries or judgements", {run.queries for run in runs if run.queries}),
            ("documents", {run.documents for run in runs if run.documents}),
        )
        if len(seen) > 1
    ]:
        note = f"the runs are of one dataset, but its {' and '.join(changed)} are not the same in all of them"
        if strict:
            raise DataError(note)
        notes.append(note)
    each = [set(run.values[measure]) for run in runs]
    shared = set.intersection(*each)
    for run, own in zip(runs, each, strict=True):
        if extra := len(own - shared):
            note = f"{run.name}: {extra} of its {len(own)} queries are not in every run"
            if strict:
                raise DataError(f"{note}: the runs are of different queries")
            notes.append(f"{note} and are left out")
    if not shared:
        raise DataError("the runs have no query in common")
    return [query for query in runs[0].values[measure] if query in shared]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _short(value: float) -> str:
    """Three decimals without the 0 before the point, as p-values are written."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "-") + _short(abs(value))
