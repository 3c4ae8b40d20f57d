"""Compare runs query by query: which is better, by how much, and how certain that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

from rag.arguments import refuses_unknown
from rag.errors import ConfigError, DataError, did_you_mean
from rag.eval.comparison.pairs import Pair
from rag.eval.comparison.result import Compared
from rag.eval.comparison.significance import (
    TESTS,
    Correction,
    Test,
    corrected,
    detectable,
    effect_size,
    randomization_test,
)
from rag.eval.measures.interval import interval
from rag.eval.runs.reading import RunValues
from rag.eval.runs.settings import differing_settings

__all__ = ["compare_runs"]

Floats = npt.NDArray[np.float64]


@refuses_unknown
def compare_runs(
    runs: Sequence[RunValues],
    *,
    baseline: str | None = None,
    test: Test = "randomization",
    correction: Correction = "holm",
    strict: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
) -> Compared:
    """Compare runs query by query, on the measures that all of them have.

    Args:
        runs: At least two runs with different names.
        baseline: The run that all others are compared with. None compares all pairs.
        test: The paired test. ``randomization`` is exact for few queries and assumes nothing about the differences.
        correction: Correction for the number of pairs of one measure. Several measures are not corrected for: they are
            strongly correlated, and one of them should decide.
        strict: Refuse runs on different queries; otherwise compare the queries they share and note the difference.
        resamples: Number of resamples of the randomization test.
        seed: Seed of the test and the intervals.

    Raises:
        ConfigError: Fewer than two runs, two of one name, an unknown baseline, or no measure in common.
        DataError: No query in common, or with ``strict`` different ones.
    """
    names = [run.name for run in runs]
    if len(names) < 2:
        raise ConfigError(f"at least two runs are needed, got {len(names)}", parameter="runs")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two runs are called '{min(twice)}': name them with NAME=PATH", parameter="runs")
    if baseline is not None and baseline not in names:
        raise ConfigError(f"no run is called '{baseline}'{did_you_mean(baseline, names)}", parameter="baseline")
    measures = [measure for measure in runs[0].values if all(measure in run.values for run in runs)]
    if not measures:
        offered = "; ".join(f"{run.name}: {', '.join(run.values)}" for run in runs)
        raise ConfigError(f"the runs have no measure in common ({offered})", parameter="measures")
    notes = list(dict.fromkeys(note for run in runs for note in run.notes))
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
    run_test = partial(randomization_test, resamples=resamples, seed=seed) if test == "randomization" else TESTS[test]
    p_values = run_test(flat).reshape(len(measures), -1)
    effects, least = (f(flat).reshape(len(measures), -1) for f in (effect_size, detectable))
    bounds = interval(flat, seed=seed)
    pairs = []
    for m, measure in enumerate(measures):
        adjusted = corrected(p_values[m], correction)
        for column_index, (first_run, other) in enumerate(indices):
            column = differences[:, m, column_index]
            pairs.append(
                Pair(
                    run=names[other],
                    baseline=names[first_run],
                    measure=measure,
                    n_queries=len(queries),
                    mean=float(values[other, m].mean()),
                    baseline_mean=float(values[first_run, m].mean()),
                    difference=float(column.mean()),
                    ci95=bounds[m * len(indices) + column_index] if bounds else None,
                    p_value=float(p_values[m, column_index]),
                    p_corrected=float(adjusted[column_index]),
                    effect_size=float(effects[m, column_index]),
                    detectable=float(least[m, column_index])
                    if least[m, column_index] > 0
                    else None,  # nan: one query; 0: all differences equal
                    wins=int((column > 0).sum()),
                    ties=int((column == 0).sum()),
                    losses=int((column < 0).sum()),
                    adjusted=correction != "none" and len(indices) > 1,
                    tests=len(indices),
                )
            )
    pipelines = {run.name: run.pipeline for run in runs if run.pipeline}
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
        differing_settings(pipelines) if len(pipelines) > 1 else None,
    )


def _common(runs: Sequence[RunValues], measure: str, strict: bool, notes: list[str]) -> list[str]:
    """The queries that all runs have, in the order of the first."""
    if len({run.dataset for run in runs if run.dataset}) > 1:
        note = "the runs are on different datasets: " + ", ".join(
            f"{run.name} on {run.dataset}" for run in runs if run.dataset
        )
        if strict:
            raise DataError(note)
        notes.append(note)
    elif changed := [
        part
        for part, seen in (
            ("queries or judgments", {run.queries for run in runs if run.queries}),
            ("documents", {run.documents for run in runs if run.documents}),
        )
        if len(seen) > 1
    ]:
        note = f"the runs are on one dataset, but its {' and '.join(changed)} differ between them"
        if strict:
            raise DataError(note)
        notes.append(note)
    each = [set(run.values[measure]) for run in runs]
    shared = set.intersection(*each)
    for run, own in zip(runs, each, strict=True):
        if extra := len(own - shared):
            note = f"{run.name}: {extra} of its {len(own)} queries are not in every run"
            if strict:
                raise DataError(f"{note}: the runs are on different queries")
            notes.append(f"{note} and are left out")
    if not shared:
        raise DataError("the runs have no query in common")
    return [query for query in runs[0].values[measure] if query in shared]
