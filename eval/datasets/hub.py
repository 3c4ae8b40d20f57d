"""Retrieval datasets on the Hugging Face Hub, in the layouts of MTEB and BEIR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rag.corpus.readers import read_corpus, row_id
from rag.errors import DataError, first_line
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import joined
from rag.eval.datasets.qrels import Judgments, grade_of
from rag.eval.datasets.queries import query_of

__all__ = ["read_hub"]


def read_hub(name: str) -> Dataset:
    """Read ``hf:owner/name``: configurations ``corpus`` and ``queries``, judgments in ``default`` or ``qrels`` (MTEB)
    or in a repository of the same name with ``-qrels`` behind it (BEIR). ``hf:owner/name@de`` reads ``de-corpus``,
    ``de-queries`` and ``de-qrels``, as MTEB's sets in several languages have them.

    Raises:
        DataError: It cannot be loaded or has another layout.
    """
    repository, _, subset = name.removeprefix("hf:").partition("@")
    before = f"{subset}-" if subset else ""
    corpus = read_corpus(_rows(repository, f"{before}corpus"))
    queries = []
    for number, row in enumerate(_rows(repository, f"{before}queries")):
        where, id = f"{name}: queries row {number}", "_id" if "_id" in row else "id"
        others = [column for column in row if column not in ("_id", "id", "text", "title")]
        queries.append(query_of(row, row_id(row, id, where), where, others=others))
    parts = {}
    for split, rows in _judgments(repository, before).items():
        judgments = Judgments()
        for number, row in enumerate(rows):
            where = f"{name}: {split} row {number}"
            document = "" if row.get("corpus-id") == "" else row_id(row, "corpus-id", where)
            judgments.add(row_id(row, "query-id", where), document, grade_of(row.get("score"), where), where)
        parts[split] = (queries, judgments)
    return joined(f"{repository}@{subset}" if subset else repository, corpus, parts)


def _rows(repository: str, config: str) -> Any:
    loaded = _load(repository, config)
    if len(loaded) != 1:
        raise DataError(f"hf:{repository}: configuration '{config}' has splits {', '.join(loaded)}; expected one")
    return next(iter(loaded.values()))


def _judgments(repository: str, before: str) -> dict[str, Iterable[dict[str, Any]]]:
    places: list[tuple[str, str | None]] = [(repository, f"{before}qrels")]
    if not before:
        places = [(repository, "default"), *places, (f"{repository}-qrels", None)]
    for number, (one, config) in enumerate(places, 1):
        try:
            loaded = _load(one, config)
        except DataError:
            if number == len(places):
                raise
            continue
        break
    return {"dev" if split == "validation" else str(split): rows for split, rows in loaded.items()}


def _load(repository: str, config: str | None) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(repository, config)
    except Exception as error:  # the Hub's client raises many kinds
        reason = first_line(error)
        raise DataError(f"hf:{repository}: cannot load '{config or 'default'}': {reason}") from error
