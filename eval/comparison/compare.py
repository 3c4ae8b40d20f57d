"""Compare evaluations, run folders and run files in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.errors import ConfigError
from rag.eval.comparison.comparing import compare_runs
from rag.eval.comparison.result import Compared
from rag.eval.comparison.significance import Correction, Test
from rag.eval.datasets.base import Dataset, Qrels
from rag.eval.evaluation import evaluate
from rag.eval.measures.names import DEFAULT_MEASURES
from rag.eval.outcome import Outcome
from rag.eval.runs.reading import RunValues, read_run_values, values_of_evaluation
from rag.pipeline import Pipeline
from rag.store.store import Store

__all__ = ["Comparable", "compare"]

Comparable = Outcome | RunValues | Pipeline | str | Path
"""An evaluation, a pipeline to evaluate, the path of a run folder or TREC run file, or values read from one."""


@refuses_unknown
def compare(
    runs: Sequence[Comparable] | Mapping[str, Comparable],
    dataset: Dataset | None = None,
    *,
    split: str = "test",
    measures: Sequence[Any] = DEFAULT_MEASURES,
    store: Store | None = None,
    qrels: Qrels | None = None,
    baseline: str | None = None,
    test: Test = "randomization",
    correction: Correction = "holm",
    strict: bool = False,
    seed: int = 0,
) -> Compared:
    """Compare runs: which is better, by how much, and how certain that is.

    Args:
        runs: At least two runs, by name. Without names an evaluation is named after the types of its pipeline's steps,
            such as ``hybrid + rerank``, and a folder or file after itself.
        dataset: Documents and judged queries that pipelines among the runs are evaluated on.
        split: The split of the dataset that pipelines are evaluated on.
        measures: Measures of pipelines; the first one decides.
        store: Cache for evaluating pipelines; None caches nothing.
        qrels: Judgments to measure run files by. Evaluations and run folders keep their values.
        baseline: The run that all others are compared with. None compares all pairs.
        test: The paired test.
        correction: Correction for the number of pairs of one measure.
        strict: Refuse runs on different queries; otherwise compare the queries they share and note the difference.
        seed: Seed of the test and the intervals.

    Raises:
        ConfigError: Fewer than two runs, two of one name, an unknown baseline, no measure in common, a run file
            without judgments, or a pipeline without a dataset.
        ArtifactError: A path holds no run.
        DataError: No query in common, or with ``strict`` different ones.

    Example:
        .. code-block:: python

            compared = compare({"bm25": evaluation, "hybrid": "runs/hybrid"}, baseline="bm25")
            compared.verdict
    """
    named = list(runs.items()) if isinstance(runs, Mapping) else list(zip(_names(runs), runs, strict=True))
    outcomes = {
        name: evaluate(run, _given(dataset), split=split, measures=measures, store=store, seed=seed)
        for name, run in named
        if isinstance(run, Pipeline)
    }
    values = [_values(outcomes.get(name, run), name, qrels) for name, run in named]
    return compare_runs(values, baseline=baseline, test=test, correction=correction, strict=strict, seed=seed)


def _given(dataset: Dataset | None) -> Dataset:
    if dataset is None:
        raise ConfigError("must be given to compare pipelines", parameter="dataset")
    return dataset


def _names(runs: Sequence[Comparable]) -> list[str]:
    """A name for each run; evaluations of the same name are numbered from the second on."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for run in runs:
        if isinstance(run, (Outcome, Pipeline)):
            pipeline = run if isinstance(run, Pipeline) else run.pipeline
            name = " + ".join([pipeline.retriever.type, *(stage.type for stage in pipeline.stages)])
            seen[name] += 1
            names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
        else:
            names.append(run.name if isinstance(run, RunValues) else Path(run).name)
    return names


def _values(run: Comparable, name: str, qrels: Qrels | None) -> RunValues:
    if isinstance(run, Outcome):
        return values_of_evaluation(run, name)
    if isinstance(run, RunValues):
        return replace(run, name=name)
    assert not isinstance(run, Pipeline)
    path = Path(run)
    return read_run_values(path, name=name, qrels=None if path.is_dir() else qrels)
