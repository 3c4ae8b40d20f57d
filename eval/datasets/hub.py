"""Reader of retrieval datasets on the Hugging Face Hub, in the layouts of MTEB and BEIR."""

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
    """Read ``hf:owner/name``: configurations ``corpus`` and ``queries``, with judgments in ``default`` or ``qrels``
    (MTEB) or in a repository with the suffix ``-qrels`` (BEIR). ``hf:owner/name@de`` reads ``de-corpus``,
    ``de-queries`` and ``de-qrels``, as in MTEB's multilingual datasets.

    Raises:
        DataError: The dataset cannot be loaded or has another layout.
    """
    repository, _, subset = name.removeprefix("hf:").partition("@")
    before = f"{subset}-" if subset else ""
    corpus = read_corpus(_rows(repository, f"{before}corpus"))
    queries = []
    for row_number, row in enumerate(_rows(repository, f"{before}queries")):
        location, id = f"{name}: queries row {row_number}", "_id" if "_id" in row else "id"
        others = [column for column in row if column not in ("_id", "id", "text", "title")]
        queries.append(query_of(row, row_id(row, id, location), location, others=others))
    parts = {}
    for split, rows in _judgments(repository, before).items():
        judgments = Judgments()
        for row_number, row in enumerate(rows):
            location = f"{name}: {split} row {row_number}"
            document = "" if row.get("corpus-id") == "" else row_id(row, "corpus-id", location)
            judgments.add(row_id(row, "query-id", location), document, grade_of(row.get("score"), location), location)
        parts[split] = (queries, judgments)
    return joined(f"{repository}@{subset}" if subset else repository, corpus, parts)


def _rows(repository: str, config: str) -> Any:
    loaded = _load(repository, config)
    if len(loaded) != 1:
        raise DataError(
            f"hf:{repository}: configuration '{config}' has splits {', '.join(loaded)}; expected exactly one"
        )
    return next(iter(loaded.values()))


def _judgments(repository: str, before: str) -> dict[str, Iterable[dict[str, Any]]]:
    places: list[tuple[str, str | None]] = [(repository, f"{before}qrels")]
    if not before:
        places = [(repository, "default"), *places, (f"{repository}-qrels", None)]
    for attempt, (name, config) in enumerate(places, 1):
        try:
            loaded = _load(name, config)
        except DataError:
            if attempt == len(places):
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
