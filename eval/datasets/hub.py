"""Retrieval datasets on the Hugging Face Hub, in the layouts of MTEB and BEIR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eval.datasets.base import Dataset
from eval.datasets.qrels import grade_of, join
from rag.corpus.readers import read_corpus, row_id
from rag.errors import DataError
from rag.types import Query

__all__ = ["read_hub"]


def read_hub(name: str) -> Dataset:
    """Read ``hf:owner/name``: configurations ``corpus`` and ``queries``, judgements in ``default`` (MTEB) or in a
    repository of the same name with ``-qrels`` behind it (BEIR).

    Raises:
        DataError: It cannot be loaded or has another layout.
    """
    repository = name.removeprefix("hf:")
    corpus = read_corpus(_rows(repository, "corpus"))
    queries = [_query(row, f"{name}: queries row {n}") for n, row in enumerate(_rows(repository, "queries"))]
    known = set(corpus.ids())
    notes: list[str] = []
    splits = {}
    for split, rows in _judgements(repository).items():
        qrels: dict[str, dict[str, int]] = {}
        for number, row in enumerate(rows):
            where = f"{name}: {split} row {number}"
            document = row_id(row, "corpus-id", where)
            qrels.setdefault(row_id(row, "query-id", where), {})[document] = grade_of(row["score"], where)
        splits[split] = join(queries, qrels, known, split, notes)
    return Dataset(repository, corpus, splits, tuple(notes))


def _rows(repository: str, config: str) -> Any:
    loaded = _load(repository, config)
    if len(loaded) != 1:
        raise DataError(f"hf:{repository}: configuration '{config}' has splits {', '.join(loaded)}; expected one")
    return next(iter(loaded.values()))


def _judgements(repository: str) -> dict[str, Iterable[dict[str, Any]]]:
    try:
        loaded = _load(repository, "default")
    except DataError:
        loaded = _load(f"{repository}-qrels", None)
    return {"dev" if split == "validation" else str(split): rows for split, rows in loaded.items()}


def _load(repository: str, config: str | None) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(repository, config)
    except Exception as error:  # the Hub's client raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"hf:{repository}: cannot load '{config or 'default'}': {reason}") from error


def _query(row: dict[str, Any], where: str) -> Query:
    text = row.get("text")
    id = row_id(row, "_id" if "_id" in row else "id", where)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: query '{id}' has no text")
    return Query(id, text)
