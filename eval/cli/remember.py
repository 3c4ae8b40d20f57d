"""``rag remember``: judgments, clicks and values of questions for a saved pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import FolderArgument, JsonOption, KeepOption

if TYPE_CHECKING:
    from rag.learning.remembered import RememberedValue
    from rag.learning.training import Training

__all__ = ["remember"]


def remember(
    folder: FolderArgument,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSONL file of questions: _id and text, as in a dataset.")
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of their relevant documents: query-id, corpus-id and score, separated by tabs."
        ),
    ] = None,
    weight: Annotated[
        float,
        typer.Option(metavar="W", help="Weight of a judgment beside a training judgment: less than 1 for clicks."),
    ] = 1.0,
    values: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSONL file of values (answers, labels, actions) by question: query and value, source and metadata "
            "optional; the value null forgets a question.",
        ),
    ] = None,
    keep: KeepOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a saved pipeline remember more judged questions (with a query_memory), or values of questions, at once:
    nothing is fitted anew.
    """
    from rag.cli.console import echo, print_json
    from rag.errors import ConfigError, DataError
    from rag.pipeline import Pipeline

    if (queries is None) != (qrels is None) or (qrels is None and values is None):
        raise ConfigError("give --queries with --qrels, or --values, or all three")
    judged = _judged(queries, qrels) if queries is not None and qrels is not None else None
    kept = [] if values is None else _values(values)
    changed, there = 0, dict[str, bool]()
    with Pipeline.editing(folder, keep=keep) as pipeline:
        if judged is not None:
            ids = {id for grades in judged.qrels.values() for id in grades if id}
            there = {id: pipeline.corpus.position(id) is not None for id in ids}
            if not any(there.values()):
                raise DataError(f"{qrels}: none of its {len(there)} documents are in {folder}")
            changed = pipeline.add_qrels(judged, weight=weight)
        n_values = pipeline.remember(kept)
    missing, n_queries = sum(not here for here in there.values()), len(judged.queries) if judged is not None else 0
    if as_json:
        said = {"changed": changed, "queries": n_queries, "documents_missing": missing, "values": n_values}
        print_json({"folder": str(folder), **said})
        return
    if judged is not None:
        lacking = f"; {missing} of {len(there)} documents are not in the index, and count once they are added"
        echo(f"{changed} judgments of {n_queries} questions are new or changed{lacking if missing else ''}")
    if values is not None:
        echo(f"{n_values} of {len(kept)} values are new, changed or forgotten")


def _judged(queries: Path, qrels: Path) -> Training:
    from rag.errors import DataError
    from rag.eval.datasets.qrels import read_qrels
    from rag.eval.datasets.queries import read_queries
    from rag.learning.training import Training

    judgments = read_qrels(qrels)
    asked = read_queries(queries)
    known = {query.id for query in asked}
    unknown = [id for id in judgments if id not in known]
    if unknown:
        raise DataError(
            f"{qrels}: {len(unknown)} of {len(judgments)} judged queries, such as '{unknown[0]}', are not in {queries}"
        )
    return Training([query for query in asked if query.text.strip() and query.id in judgments], judgments)


def _values(file: Path) -> list[RememberedValue]:
    import json

    from rag.errors import DataError, system_message
    from rag.learning.remembered import RememberedValue

    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {system_message(error)}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: it is no text in UTF-8") from None
    values = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            source, metadata = row.get("source", ""), row.get("metadata", {})
            if not (isinstance(row["query"], str) and isinstance(source, str) and isinstance(metadata, dict)):
                raise TypeError
            values.append(RememberedValue(row["query"], row["value"], source, metadata))
        except DataError as error:
            raise DataError(f"{file}:{number}: {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(
                f"{file}:{number}: expected an object with query (a text) and value, and at most source (a text) and "
                "metadata (an object)"
            ) from None
    return values
