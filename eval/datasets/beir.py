"""Folders in the layout of BEIR."""

from __future__ import annotations

from pathlib import Path

from rag.corpus.readers import read_corpus
from rag.errors import DataError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.qrels import join, read_qrels
from rag.eval.datasets.queries import read_queries
from rag.eval.datasets.write import about_of

__all__ = ["read_beir"]

_SUFFIXES = (".tsv", ".txt", ".qrels", ".trec")


def read_beir(folder: Path, *, qrels: Path | None = None) -> Dataset:
    """Read ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv`` (or ``.txt``, ``.qrels``, ``.trec``).

    The notes of a ``dataset.json`` that ``rag datasets`` wrote come along.

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
    return Dataset(
        folder.resolve().name, corpus, splits, tuple(dict.fromkeys([*about_of(folder).get("notes", ()), *notes]))
    )
