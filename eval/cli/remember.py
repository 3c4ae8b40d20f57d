"""``rag remember``: judgments and clicks for a kept pipeline that remembers judged questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.options import FolderArgument, JsonOption, KeepOption

__all__ = ["remember"]


def remember(
    folder: FolderArgument,
    queries: Annotated[
        Path, typer.Option(metavar="FILE", help="JSONL file of questions: _id and text, as in a dataset.")
    ],
    qrels: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="File of their relevant documents: query-id, corpus-id and score, separated by tabs."
        ),
    ],
    weight: Annotated[
        float,
        typer.Option(metavar="W", help="Weight of a judgment beside a training judgment: less than 1 for clicks."),
    ] = 1.0,
    keep: KeepOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a kept pipeline with a query_memory remember more judged questions, at once: nothing is fitted anew."""
    from rag.cli.console import echo, print_json
    from rag.errors import DataError
    from rag.eval.datasets.qrels import read_qrels
    from rag.eval.datasets.queries import read_queries
    from rag.learning.training import Training
    from rag.pipeline import Pipeline

    judgments = read_qrels(qrels)
    asked = read_queries(queries)
    known = {query.id for query in asked}
    unknown = [id for id in judgments if id not in known]
    if unknown:
        raise DataError(
            f"{qrels}: {len(unknown)} of {len(judgments)} judged queries, such as '{unknown[0]}', are not in {queries}"
        )
    useful = [query for query in asked if query.text.strip() and query.id in judgments]
    with Pipeline.editing(folder, keep=keep) as pipeline:
        there = {id: pipeline.corpus.position(id) is not None for judged in judgments.values() for id in judged if id}
        if not any(there.values()):
            raise DataError(f"{qrels}: none of its {len(there)} documents are in {folder}")
        changed = pipeline.add_qrels(Training(useful, judgments), weight=weight)
    missing = sum(not here for here in there.values())
    if as_json:
        print_json({"folder": str(folder), "changed": changed, "queries": len(useful), "documents_missing": missing})
        return
    said = f"{changed} judgments of {len(useful)} questions are new or changed"
    echo(
        said
        + (
            f"; {missing} of {len(there)} documents are not in the index, and count once they are added"
            if missing
            else ""
        )
    )
