"""Runs to compare: a run folder of ours, or any TREC run file with judgements."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from rag.arguments import refuses_unknown
from rag.corpus.readers import iter_lines
from rag.errors import ArtifactError, ConfigError, DataError
from rag.eval.datasets.base import Qrels
from rag.eval.diagnostics.remarks import nothing_relevant
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query, short_lists
from rag.eval.runs.settings import read_settings

__all__ = ["RunValues", "read_run_values", "read_trec"]

_OF_QUERIES = ("queries_without_text", "nothing_relevant")
"""Remarks of a run that hold for whatever is compared on its queries."""


@dataclass(frozen=True)
class RunValues:
    """What a run has on every query.

    Args:
        name: What it is called in comparisons.
        values: Value by query id by measure name.
        notes: What a reader should know, one line each.
        dataset: What was measured, such as ``scifact / test``; empty where that is not known.
        texts: What was asked, by query id; a run file does not know it.
        queries: Fingerprint of queries and judgements; empty where it is not known.
        documents: Fingerprint of the documents; empty likewise.
        costs: What a query costs, by name with its unit; nothing where that is not known.
        pipeline: Its configuration as plain values; empty where it is not known.
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


@refuses_unknown
def read_run_values(
    source: Path, *, name: str | None = None, measures: Sequence[str] = (), qrels: Qrels | None = None
) -> RunValues:
    """The values of a run.

    Args:
        source: A run folder, or a TREC run file.
        name: What to call it. None takes the folder's or file's name.
        measures: Names as ir_measures spells them, or of measures of answers that every query has. None given takes
            those of the folder, or nDCG@10 for a file.
        qrels: Judgements to measure by. A folder has its measured values and needs none for those.

    Raises:
        ArtifactError: There is no run.
        ConfigError: A measure that the folder does not have, and there are no judgements to compute it from.
        DataError: A line of the file is wrong, or it names no query that is judged.
    """
    if not source.exists():
        raise ArtifactError(f"{source}: there is no run: name a run folder or a TREC run file")
    found = name or source.name
    pipeline: Mapping[str, Any] = {}
    if source.is_dir():
        if qrels is None:
            return _of_folder(source, found, measures)
        pipeline, source = read_settings(source / "config.yaml"), source / "run.trec"
    if qrels is None:
        raise ConfigError(f"{source} is a run file: give judgements (--qrels FILE or --dataset)", parameter="qrels")
    parsed = parse_measures(list(measures) or ["nDCG@10"])
    run = read_trec(source, known={*qrels, *(document for judged in qrels.values() for document in judged)})
    judged = {query: scores for query, scores in run.items() if query in qrels}
    if not judged:
        raise DataError(f"{source}: none of its {len(run)} queries is judged: are these its judgements?")
    notes = []
    if len(judged) < len(run):
        notes.append(f"{found}: {len(run) - len(judged)} queries of the run are not judged and do not count")
    if empty := sum(query not in judged for query, grades in qrels.items() if grades):
        notes.append(f"{found}: {empty} of {len(qrels)} judged queries are not in the run file and count 0")
    if not any(document in qrels[query] for query, scores in judged.items() for document in scores):
        notes.append(f"{found}: none of the documents it lists is judged for its query: are these its judgements?")
    notes += [remark.message for remark in nothing_relevant(qrels, "judgements")]
    notes += [f"{found}: {note}" for note in short_lists(parsed, judged)]
    return RunValues(found, per_query(parsed, qrels, judged), notes, pipeline=pipeline)


def read_trec(path: Path, *, known: Container[str] = ()) -> dict[str, dict[str, float]]:
    """Score by document by query of a run file: ``query Q0 document rank score tag``.

    Documents are in trec_eval's order: by score, as float32, then by id, both falling; ranks are not read. The scores
    that come back only stand for that order, so that every measure sees the same one.

    Args:
        path: The file.
        known: Ids that are taken as they stand. In others, white space that a run folder's file has percent-encoded is
            decoded, and nothing else.

    Raises:
        DataError: Unreadable, no line at all, or a line that is wrong; the message says which.
    """
    rows: dict[str, list[tuple[float, bytes]]] = {}
    seen: set[tuple[str, str]] = set()
    for where, line in iter_lines(path):
        fields = line.split()
        if len(fields) != 6:
            raise DataError(f"{where}: expected 6 columns (query Q0 document rank score tag), got {len(fields)}")
        query, _, document, _, score, _ = fields
        try:
            value = float(np.float32(score))
        except ValueError:
            raise DataError(f"{where}: the score must be a number, got '{score}'") from None
        if not math.isfinite(value):
            raise DataError(f"{where}: the score must be a finite float32, got '{score}'")
        if (query, document) in seen:
            raise DataError(f"{where}: document '{document}' is listed a second time for query '{query}'")
        seen.add((query, document))
        rows.setdefault(_id(query, known), []).append((value, document.encode()))
    if not rows:
        raise DataError(f"{path}: is empty: no run")
    return {
        query: {
            _id(document.decode(), known): -float(place)
            for place, (_, document) in enumerate(sorted(one, reverse=True))
        }
        for query, one in rows.items()
    }


def _id(token: str, known: Container[str]) -> str:
    """What a run folder wrote as this token."""
    decoded = unquote(token)
    return decoded if token not in known and any(c.isspace() for c in decoded) else token


def _of_folder(folder: Path, name: str, measures: Sequence[str]) -> RunValues:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not (folder / "metrics.json").is_file():
        raise ArtifactError(f"{folder}: there is no run (no metrics.json)")
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        known = [*metrics["measures"], *_of_answers(metrics)]
        wanted = [one if one in known else str(parse_measures([one])[0]) for one in measures] if measures else known
        if missing := [one for one in wanted if one not in known]:
            raise ConfigError(
                f"{folder} has no {', '.join(missing)} (it has {', '.join(known)}): give judgements to compute it from",
                parameter="measures",
            )
        costs, documents = _costs(metrics), str(metrics.get("corpus", {}).get("fingerprint", ""))
        table = pq.read_table(folder / "per_query.parquet", columns=["query_id", "query", *wanted])
    except (OSError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{folder}: is no run folder, or damaged: {reason}") from None
    ids = table["query_id"].to_pylist()
    values = {one: dict(zip(ids, table[one].to_pylist(), strict=True)) for one in wanted}
    about = " / ".join(str(metrics[one]) for one in ("dataset", "split") if one in metrics)
    texts = dict(zip(ids, table["query"].to_pylist(), strict=True))
    notes = [one["message"] for one in metrics.get("remarks", ()) if one["code"] in _OF_QUERIES]
    return RunValues(
        name,
        values,
        notes,
        dataset=about,
        texts=texts,
        queries=str(metrics.get("queries_fingerprint", "")),
        documents=documents,
        costs=costs,
        pipeline=read_settings(folder / "config.yaml"),
    )


def _of_answers(metrics: Mapping[str, Any]) -> list[str]:
    """Measures of written answers of which more is better and which every query has, so that all can be paired."""
    answers = metrics.get("answers")
    if not answers:
        return []
    means = dict(answers["measures"])
    for judge in answers["judges"]:
        means |= {f"{name} ({judge['name']})": mean for name, mean in judge["measures"].items()}
    n = metrics["n_queries"]
    return [name for name, mean in means.items() if mean and mean["n_queries"] == n and name != "abstained"]


def _costs(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What one query costs; counters that are 0 are left out."""
    latency = metrics.get("latency_ms") or {}
    costs = {f"latency {which}, ms": latency[which] for which in ("p50", "p95") if which in latency}
    spent, n = metrics.get("costs", {}), metrics["n_queries"]
    counters = {"scorer_calls": "scorer calls", "llm_calls": "LLM calls", "llm_tokens": "LLM tokens"}
    return costs | {words: spent[key] / n for key, words in counters.items() if spent.get(key)}
