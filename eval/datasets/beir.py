"""Folders in the layout of BEIR."""

from __future__ import annotations

import json
from pathlib import Path

from eval.datasets.base import Dataset
from eval.datasets.qrels import join, read_qrels
from rag.conversation import render, turns_of
from rag.corpus.readers import iter_jsonl, read_corpus, row_id
from rag.errors import DataError
from rag.types import Query

__all__ = ["read_beir", "read_queries"]

_SUFFIXES = (".tsv", ".txt", ".qrels", ".trec")


def read_beir(folder: Path, *, qrels: Path | None = None) -> Dataset:
    """Read ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv`` (or ``.txt``, ``.qrels``, ``.trec``).

    Args:
        folder: Where they are.
        qrels: A judgement file to use instead of those in the folder: one split, ``test``.

    Raises:
        DataError: A file is missing or wrong.
    """
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: a dataset folder has a {name}, this one does not")
    if qrels is not None:
        files = {"test": qrels}
    else:
        files = {p.stem: p for p in sorted((folder / "qrels").glob("*")) if p.suffix in _SUFFIXES}
        if not files:
            raise DataError(f"{folder}: there are no judgements (qrels/SPLIT.tsv)")
    corpus = read_corpus(folder)
    queries = read_queries(folder / "queries.jsonl")
    known = set(corpus.ids())
    notes: list[str] = []
    splits = {name: join(queries, read_qrels(path), known, name, notes) for name, path in files.items()}
    return Dataset(folder.resolve().name, corpus, splits, tuple(notes))


def read_queries(path: Path) -> list[Query]:
    """Queries of a JSONL file with ``_id``, ``text`` or the ``turns`` of a conversation, and perhaps ``metadata``.

    Raises:
        DataError: A line is wrong, two queries have one id, or there are none.
    """
    queries: dict[str, Query] = {}
    for where, row in iter_jsonl(path):
        id = row_id(row, "_id" if "_id" in row else "id", where)
        try:
            turns = turns_of(row["turns"]) if row.get("turns") else ()
        except DataError as error:
            raise DataError(f"{where}: query '{id}': {error}") from None
        text = row.get("text", render(turns))
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: query '{id}' has no text")
        if id in queries:
            raise DataError(f"{where}: two queries have the id '{id}'")
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(f"{where}: query '{id!a}' holds a lone surrogate, which is no text") from None
        metadata = row.get("metadata")
        queries[id] = Query(id, text, metadata if isinstance(metadata, dict) else {}, turns=turns)
    if not queries:
        raise DataError(f"{path}: there are no queries")
    return list(queries.values())
