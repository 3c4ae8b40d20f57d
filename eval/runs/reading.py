"""Read runs for comparison: run folders, or any TREC run files with judgments."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.corpus.readers.run_file import read_run
from rag.display import Shown, count
from rag.errors import ArtifactError, ConfigError, DataError, first_line
from rag.eval.datasets.base import Qrels
from rag.eval.diagnostics.remarks import nothing_relevant
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query, short_lists
from rag.eval.metrics import Metrics, read_metrics
from rag.eval.outcome import Outcome
from rag.eval.runs.settings import read_settings

__all__ = ["RunValues", "read_run_values", "read_trec", "values_of_evaluation"]

_OF_QUERIES = ("queries_without_text", "nothing_relevant")
"""Codes of remarks that also hold for comparisons on the same queries."""


@dataclass(frozen=True, repr=False)
class RunValues(Shown):
    """A run's values for every query.

    Args:
        name: Name of the run in comparisons.
        values: Value by query id by measure name.
        notes: Remarks for the reader, one line each.
        dataset: Dataset and split, such as ``scifact / test``; empty if unknown.
        texts: Texts of the queries by id; a run file has none.
        queries: Fingerprint of queries and judgments; empty if unknown.
        documents: Fingerprint of the documents; empty if unknown.
        costs: Costs per query, by name with unit; empty if unknown.
        pipeline: The pipeline's configuration as plain values; empty if unknown.
    """

    name: str
    values: Mapping[str, Mapping[str, float]]
    notes: Sequence[str] = ()
    dataset: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    queries: str = ""
    documents: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)
    pipeline: Mapping[str, Any] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        measures = [f"{name}: {count(len(values), 'query', 'queries')}" for name, values in self.values.items()]
        return [f"RunValues of {self.name}{f' on {self.dataset}' if self.dataset else ''}", *measures]


@refuses_unknown
def read_run_values(
    source: Path, *, name: str | None = None, measures: Sequence[str] = (), qrels: Qrels | None = None
) -> RunValues:
    """Read the values of a run.

    Args:
        source: A run folder, or a TREC run file.
        name: Name of the run. None takes the name of the folder or file.
        measures: Names in the spelling of ir_measures, or of answer measures that every query has. None given takes
            those of the folder, or nDCG@10 for a file.
        qrels: Judgments to measure by. A folder needs none for the measures it has.

    Raises:
        ArtifactError: There is no run.
        ConfigError: The folder lacks a measure, and there are no judgments to compute it.
        DataError: A line of the file is malformed, or it has no judged query.
    """
    if not source.exists():
        raise ArtifactError(f"{source}: no run there: name a run folder or a TREC run file")
    run_name = name or source.name
    pipeline: Mapping[str, Any] = {}
    if source.is_dir():
        if qrels is None:
            return _of_folder(source, run_name, measures)
        pipeline, source = read_settings(source / "config.yaml"), source / "run.trec"
    if qrels is None:
        raise ConfigError(f"{source} is a run file: give judgments (--qrels FILE or --dataset)", parameter="qrels")
    parsed = parse_measures(list(measures) or ["nDCG@10"])
    run = read_trec(source, literal_ids={*qrels, *(document for judged in qrels.values() for document in judged)})
    judged = {query: scores for query, scores in run.items() if query in qrels}
    if not judged:
        raise DataError(f"{source}: none of its {len(run)} queries is judged: are these its judgments?")
    notes = []
    if len(judged) < len(run):
        notes.append(f"{run_name}: {len(run) - len(judged)} queries of the run are not judged and do not count")
    if empty := sum(query not in judged for query, grades in qrels.items() if grades):
        notes.append(f"{run_name}: {empty} of {len(qrels)} judged queries are not in the run file and count 0")
    if not any(document in qrels[query] for query, scores in judged.items() for document in scores):
        notes.append(f"{run_name}: none of the documents it lists is judged for its query: are these its judgments?")
    notes += [remark.message for remark in nothing_relevant(qrels, "judgments")]
    notes += [f"{run_name}: {note}" for note in short_lists(parsed, judged)]
    return RunValues(run_name, per_query(parsed, qrels, judged), notes, pipeline=pipeline)


def read_trec(path: Path, *, literal_ids: Container[str] = ()) -> dict[str, dict[str, float]]:
    """Read the order of documents by query from a run file: see :func:`rag.corpus.readers.run_file.read_run`.

    The returned scores only encode that order, so that every measure sees the same one.

    Raises:
        DataError: The file is unreadable or empty, or a line is malformed; the message names the line.
    """
    return {
        query: {document: -float(rank) for rank, (document, _) in enumerate(listed)}
        for query, listed in read_run(path, literal_ids=literal_ids).items()
    }


def values_of_evaluation(evaluation: Outcome, name: str) -> RunValues:
    """The values of an evaluation, equal to those of its run folder.

    Args:
        evaluation: An evaluation of any pipeline.
        name: Name of the run in comparisons.
    """
    record = evaluation.record
    answers = {measure: _complete(evaluation.answers[measure]) for measure in _answer_measures(record)}
    texts = {result.query.id: result.query.text for result in evaluation.results}
    return _described(name, record, {**evaluation.values, **answers}, texts, evaluation.pipeline.spec.to_config())


def _complete(values: Mapping[str, float | None]) -> dict[str, float]:
    return {query: value for query, value in values.items() if value is not None}


def _of_folder(folder: Path, name: str, measures: Sequence[str]) -> RunValues:
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = read_metrics(folder)
    try:
        available = [*record.measures, *_answer_measures(record)]
        chosen = (
            [measure if measure in available else str(parse_measures([measure])[0]) for measure in measures]
            if measures
            else available
        )
        if missing := [measure for measure in chosen if measure not in available]:
            raise ConfigError(
                f"{folder} has no {', '.join(missing)} (it has {', '.join(available)}): give judgments to compute it",
                parameter="measures",
            )
        table = pq.read_table(folder / "per_query.parquet", columns=["query_id", "query", *chosen])
        ids = table["query_id"].to_pylist()
        values = {measure: dict(zip(ids, table[measure].to_pylist(), strict=True)) for measure in chosen}
        texts = dict(zip(ids, table["query"].to_pylist(), strict=True))
        return _described(name, record, values, texts, read_settings(folder / "config.yaml"))
    except (OSError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        reason = first_line(error)
        raise ArtifactError(f"{folder}: is not a run folder, or is damaged: {reason}") from None


def _described(
    name: str,
    record: Metrics,
    values: Mapping[str, Mapping[str, float]],
    texts: Mapping[str, str],
    pipeline: Mapping[str, Any],
) -> RunValues:
    return RunValues(
        name,
        values,
        [remark["message"] for remark in record.remarks if remark["code"] in _OF_QUERIES],
        dataset=f"{record.dataset} / {record.split}",
        texts=texts,
        queries=record.queries_fingerprint,
        documents=record.corpus.fingerprint,
        costs=_costs(record),
        pipeline=pipeline,
    )


def _answer_measures(record: Metrics) -> list[str]:
    """Measures of answers for which higher is better and every query has a value, so that all can be paired."""
    answers = record.answers
    if not answers:
        return []
    means = dict(answers["measures"])
    for judge in answers["judges"]:
        means |= {f"{name} ({judge['name']})": mean for name, mean in judge["measures"].items()}
    n = record.n_queries
    return [name for name, mean in means.items() if mean and mean["n_queries"] == n and name != "abstained"]


def _costs(record: Metrics) -> dict[str, float]:
    """Costs per query by name with unit; counters of 0 are left out."""
    latency, spent, n = record.latency_ms, record.costs, record.n_queries
    costs = {"latency p50, ms": latency.p50, "latency p95, ms": latency.p95} if latency else {}
    counters = {"scorer calls": spent.scorer_calls, "LLM calls": spent.llm_calls, "LLM tokens": spent.llm_tokens}
    return costs | {words: count / n for words, count in counters.items() if count}
