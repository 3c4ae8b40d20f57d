"""Compare evaluations, run folders and run files in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rag.arguments import refuses_unknown
from rag.eval.comparison.compared import Compared
from rag.eval.comparison.comparing import compare_runs
from rag.eval.comparison.significance import Correction, Test
from rag.eval.datasets.base import Qrels
from rag.eval.outcome import Outcome
from rag.eval.runs.reading import RunValues, read_run_values, values_of_evaluation

__all__ = ["Comparable", "compare"]

Comparable = Outcome | RunValues | str | Path
"""An evaluation, the path of a run folder or TREC run file, or values already read from one."""


@refuses_unknown
def compare(
    runs: Sequence[Comparable] | Mapping[str, Comparable],
    *,
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
        qrels: Judgments to measure run files by. Evaluations and run folders keep their values.
        baseline: The run that all others are compared with. None compares all pairs.
        test: The paired test.
        correction: Correction for the number of pairs of one measure.
        strict: Refuse runs on different queries; otherwise compare the queries they share and note the difference.
        seed: Seed of the test and the intervals.

    Raises:
        ConfigError: Fewer than two runs, two of one name, an unknown baseline, no measure in common, or a run file
            without judgments.
        ArtifactError: A path holds no run.
        DataError: No query in common, or with ``strict`` different ones.

    Example:
        .. code-block:: python

            compared = compare({"bm25": evaluation, "hybrid": "runs/hybrid"}, baseline="bm25")
            compared.verdict
    """
    named = list(runs.items()) if isinstance(runs, Mapping) else list(zip(_names(runs), runs, strict=True))
    values = [_values(run, name, qrels) for name, run in named]
    return compare_runs(values, baseline=baseline, test=test, correction=correction, strict=strict, seed=seed)


def _names(runs: Sequence[Comparable]) -> list[str]:
    """A name for each run; evaluations of the same name are numbered from the second on."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for run in runs:
        if isinstance(run, Outcome):
            pipeline = run.pipeline
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
    path = Path(run)
    return read_run_values(path, name=name, qrels=None if path.is_dir() else qrels)
