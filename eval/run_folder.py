"""The run folder: an evaluation as files that other tools read.

===================== ==============================================================================================
``config.yaml``       the pipeline, every default written out; runs as it is
``run.trec``          what was returned, in TREC's six columns
``per_query.parquet`` a row a judged query: its values, what was returned and what was expected
``metrics.json``      means with intervals, latency, costs, versions
``report.html``       the same for people, one self-contained file
===================== ==============================================================================================
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eval.answer_rows import answer_row, answer_type
from eval.evaluation import Evaluation
from eval.measures import Run
from rag.errors import ArtifactError
from rag.types import Document, SearchResult

__all__ = ["first_line", "write_run"]

_FILES = {"config.yaml", "metrics.json", "per_query.parquet", "report.html", "run.trec"}


def write_run(evaluation: Evaluation, folder: Path) -> Path:
    """Write the run folder in one step: it is there completely or not at all. A run that was there is replaced.

    Raises:
        ArtifactError: The folder holds something else, or cannot be written.
    """
    from eval.report import write_report

    folder = folder.resolve()
    check_target(folder)
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        aside.mkdir(parents=True)
        (aside / "config.yaml").write_text(evaluation.pipeline.to_yaml(), encoding="utf-8")
        (aside / "run.trec").write_text(_trec(evaluation.run), encoding="utf-8")
        (aside / "metrics.json").write_text(
            json.dumps(evaluation.metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        _write_queries(evaluation, aside / "per_query.parquet")
        write_report(aside)
        old = folder.with_name(f".{folder.name}.old.{uuid.uuid4().hex[:8]}")
        if folder.exists():
            folder.rename(old)
        aside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def check_target(folder: Path) -> None:
    """Refuse to write a run where something else is.

    Raises:
        ArtifactError: It is a file, or a folder that holds other things than a run.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file: name a folder to write the run to")
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if inside and ("metrics.json" not in inside or not inside <= _FILES):
        raise ArtifactError(f"{folder} is not empty and holds other things than a run: choose a new folder")


def first_line(document: Document) -> str:
    """What a document is called: its title, or its first line with text."""
    title = document.metadata.get("title")
    if isinstance(title, str) and title.strip():
        return title.strip()
    return next((line.strip() for line in document.text.splitlines() if line.strip()), "")


def _trec(run: Run) -> str:
    lines = []
    for query, scores in run.items():
        # Ids go in as they are, except that columns are separated by white space.
        for rank, (document, score) in enumerate(scores.items(), 1):
            lines.append(f"{_token(query)} Q0 {_token(document)} {rank} {score!r} rag\n")
    return "".join(lines)


def _token(id: str) -> str:
    return quote(id, safe="".join(c for c in id if not c.isspace() and c != "%")) if _has_space(id) else id


def _has_space(id: str) -> bool:
    return any(c.isspace() for c in id)


def _write_queries(evaluation: Evaluation, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    qrels = evaluation.split.qrels
    corpus = evaluation.pipeline.corpus
    wanted = {id for judged in qrels.values() for id, grade in judged.items() if grade > 0}
    positions = {id: place for id in wanted if (place := corpus.position(id)) is not None}
    documents = corpus.documents(list(positions.values()))
    titles = {document.id: first_line(document) for document in documents}
    rows = [
        _row(result, list(evaluation.run[result.query.id]), qrels[result.query.id], titles, evaluation.lost_at)
        for result in evaluation.results
    ]
    for name, values in (*evaluation.values.items(), *evaluation.answers.items()):
        for row in rows:
            row[name] = values[row["query_id"]]
    if evaluation.answers:
        for row, result in zip(rows, evaluation.results, strict=True):
            row["answer"] = answer_row(result, evaluation.judged)
    hit = pa.struct(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("passage", pa.string()),
            ("score", pa.float64()),
            ("grade", pa.int64()),
        ]
    )
    due = pa.struct(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("grade", pa.int64()),
            ("rank", pa.int64()),
            ("lost_at", pa.string()),
        ]
    )
    schema = pa.schema(
        [
            ("query_id", pa.string()),
            ("query", pa.string()),
            ("metadata", pa.string()),
            ("n_relevant", pa.int64()),
            ("n_returned", pa.int64()),
            *((name, pa.float64()) for name in evaluation.values),
            ("returned", pa.list_(hit)),
            ("expected", pa.list_(due)),
            *((name, pa.float64()) for name in evaluation.answers),
            *([("answer", answer_type())] if evaluation.answers else []),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _row(
    result: SearchResult,
    found: list[str],
    judged: Mapping[str, int],
    titles: Mapping[str, str],
    lost_at: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    ranks = {id: rank for rank, id in enumerate(found, 1)}
    relevant = sorted(((id, grade) for id, grade in judged.items() if grade > 0), key=lambda one: (-one[1], one[0]))
    return {
        "query_id": result.query.id,
        "query": result.query.text,
        "metadata": json.dumps(dict(result.query.metadata), ensure_ascii=False),
        "n_relevant": len(relevant),
        "n_returned": len(found),
        "returned": [
            {
                "id": hit.document.id,
                "title": first_line(hit.document),
                "passage": hit.passage[:600],
                "score": hit.score,
                "grade": judged.get(hit.document.id),
            }
            for hit in result
        ],
        "expected": [
            {
                "id": id,
                "title": titles.get(id, ""),
                "grade": grade,
                "rank": ranks.get(id),
                "lost_at": lost_at.get((result.query.id, id)),
            }
            for id, grade in relevant
        ],
    }
