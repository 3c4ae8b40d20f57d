"""The table of queries in a run folder: a row per judged query, with its values and the results of every stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.eval.outcome import Outcome
from rag.eval.runs.answer_rows import answer_row, answer_type
from rag.origin import Origin, origin_of
from rag.types import Document, SearchResult

if TYPE_CHECKING:
    import pyarrow as pa

    from rag.eval.diagnostics.stage_tops import StageTop
    from rag.pipeline import Pipeline

__all__ = ["first_line", "query_table", "query_values"]

_PASSAGE = 600
"""Characters stored of a returned passage."""
_PASSAGE_BETWEEN = 300
"""Characters stored of a passage in the list of a stage."""


def query_table(evaluation: Outcome) -> pa.Table:
    """The table in ``per_query.parquet``; see ``docs/run-folder.md``."""
    import pyarrow as pa

    corpus = evaluation.pipeline.corpus
    relevant = {id for judged in evaluation.split.qrels.values() for id, grade in judged.items() if grade > 0}
    positions = [position for id in relevant if (position := corpus.position(id)) is not None]
    titles = {
        document.id: (first_line(document), origin_of(document.metadata, {}).link)
        for document in corpus.documents(positions)
    }
    stages = zip(*(_stage(stage, evaluation.pipeline) for stage in evaluation.stages), strict=True)
    rows = [_row(evaluation, result, titles, after) for result, after in zip(evaluation.results, stages, strict=True)]
    for name, values in (*evaluation.values.items(), *evaluation.answers.items()):
        for row in rows:
            row[name] = values[row["query_id"]]
    if evaluation.answers:
        for row, result in zip(rows, evaluation.results, strict=True):
            row["answer"] = answer_row(result, evaluation.judged)
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    named = [("id", text), ("title", text), ("link", text)]
    hit = pa.struct([*named, ("passage", text), ("score", real), ("grade", whole)])
    due = [*named, ("grade", whole), ("rank", whole), ("ranks", pa.list_(whole))]
    schema = pa.schema(
        [
            ("query_id", text),
            ("query", text),
            ("metadata", text),
            ("n_relevant", whole),
            ("n_returned", whole),
            *((name, real) for name in evaluation.values),
            ("returned", pa.list_(hit)),
            ("expected", pa.list_(pa.struct([*due, ("lost_at", text)]))),
            ("stages", pa.list_(pa.struct([("name", text), ("candidates", whole), ("best", pa.list_(hit))]))),
            (
                "failures",
                pa.list_(pa.struct([("mode", text), ("stage", text), ("documents", whole), ("loss", real)])),
            ),
            *((name, real) for name in evaluation.answers),
            *([("answer", answer_type())] if evaluation.answers else []),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def query_values(evaluation: Outcome) -> pa.Table:
    """The columns with a single text or number per query, for :meth:`rag.eval.Evaluation.to_dataframe`."""
    names = ("query_id", "query", "n_relevant", "n_returned", *evaluation.values, *evaluation.answers)
    return query_table(evaluation).select(names)


def first_line(document: Document) -> str:
    """A label of a document: its title, or its first nonempty line."""
    title = document.metadata.get("title")
    if isinstance(title, str) and title.strip():
        return title.strip()
    return next((line.strip() for line in document.text.splitlines() if line.strip()), "")


def _row(
    evaluation: Outcome,
    result: SearchResult,
    titles: Mapping[str, tuple[str, str]],
    stages: tuple[dict[str, Any], ...],
) -> dict[str, Any]:
    query = result.query.id
    judged, returned = evaluation.split.qrels[query], list(evaluation.run[query])
    rank_of = {id: rank for rank, id in enumerate(returned, 1)}
    relevant = sorted(((id, grade) for id, grade in judged.items() if grade > 0), key=lambda item: (-item[1], item[0]))
    for stage in stages:
        for hit in stage["best"]:
            hit["grade"] = judged.get(hit["id"])
    return {
        "query_id": query,
        "query": result.query.text,
        "metadata": json.dumps(dict(result.query.metadata), ensure_ascii=False),
        "n_relevant": len(relevant),
        "n_returned": len(returned),
        "returned": [
            {
                "id": hit.document.id,
                "title": _placed(first_line(hit.document), hit.origin),
                "link": hit.origin.link,
                "passage": hit.passage[:_PASSAGE],
                "score": hit.score,
                "grade": judged.get(hit.document.id),
            }
            for hit in result
        ],
        "expected": [
            {
                "id": id,
                "title": titles.get(id, ("", ""))[0],
                "link": titles.get(id, ("", ""))[1],
                "grade": grade,
                "rank": rank_of.get(id),
                "ranks": evaluation.ranks.get((query, id)),
                "lost_at": evaluation.lost_at.get((query, id)),
            }
            for id, grade in relevant
        ],
        "stages": stages,
        "failures": evaluation.failures.get(query, []),
    }


def _placed(title: str, origin: Origin) -> str:
    """A title, with the page and the nearest heading of the passage, where there are any."""
    page = "" if origin.page is None else f"p. {origin.page}"
    heading = origin.headings[-1] if origin.headings and origin.headings[-1] != title else ""
    return " \u00b7 ".join(part for part in (title, page, heading) if part)


def _stage(stage: StageTop, pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """The results of a stage for each query; the grades are filled in later."""
    table, passages = stage.best, pipeline.passages
    documents, index_of = np.unique(table.documents[table.mask], return_inverse=True)
    objects = pipeline.corpus.documents(documents)
    titles = [first_line(document) for document in objects]
    spans = table.passages[table.mask]
    hits = zip(
        index_of.tolist(),
        table.scores[table.mask].tolist(),
        spans.tolist(),
        passages.start[spans].tolist(),
        np.minimum(passages.end[spans], passages.start[spans] + _PASSAGE_BETWEEN).tolist(),
        strict=True,
    )
    for candidates, shown in zip(stage.counts.tolist(), table.counts.tolist(), strict=True):
        best = []
        for _, (n, score, passage, start, end) in zip(range(shown), hits, strict=False):
            origin = origin_of(objects[n].metadata, passages.metadata.get(passage, {}))
            text = objects[n].text[start:end]
            title = _placed(titles[n], origin)
            best.append({"id": objects[n].id, "title": title, "link": origin.link, "passage": text, "score": score})
        yield {"name": stage.name, "candidates": candidates, "best": best}
