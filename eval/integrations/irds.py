"""Datasets of the catalogue of ``ir_datasets`` (MacAvaney et al. 2021), by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.corpus.corpus import Corpus
from rag.errors import DataError, MissingExtraError, did_you_mean
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import joined
from rag.eval.datasets.qrels import Judgments
from rag.types import Document, Query

__all__ = ["read_irds"]

_SPLITS = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}


def read_irds(name: str) -> Dataset:
    """Read ``irds:ID``.

    An id with judgments (``irds:beir/scifact/test``) gives one split, called by its last part where that is the name
    of one, else ``test``. An id that only groups others (``irds:beir/scifact``) gives a split for each that has
    judgments.

    The package downloads what it needs into its own folder (``IR_DATASETS_HOME``) and says so itself.

    Raises:
        MissingExtraError: ir_datasets is not installed.
        DataError: There is no such id, it has no documents or judgments, or it cannot be downloaded.
    """
    try:
        import ir_datasets
    except ImportError:
        raise MissingExtraError(f"'{name}'", package="ir_datasets", extra="ir-datasets") from None
    id = name.removeprefix("irds:")
    whole = _load(ir_datasets, id)
    if whole.has_qrels():
        parts = {_SPLITS.get(id.rpartition("/")[2], "test"): whole}
    else:
        below = (one for one in sorted(ir_datasets.registry) if one.rpartition("/")[0] == id)
        parts = {_SPLITS.get(one.rpartition("/")[2], one.rpartition("/")[2]): _load(ir_datasets, one) for one in below}
        parts = {split: one for split, one in parts.items() if one.has_qrels() and one.has_queries()}
    if not whole.has_docs() or not parts:
        raise DataError(f"{name}: has no {'judgments' if whole.has_docs() else 'documents'}: nothing to measure on")
    try:
        corpus = Corpus.from_documents(_document(one) for one in whole.docs_iter())
        read = {}
        for split, part in parts.items():
            judgments = Judgments()
            for number, one in enumerate(part.qrels_iter()):
                judgments.add(one.query_id, one.doc_id, one.relevance, f"{name}: {split} judgment {number}")
            read[split] = (list(_queries(part)), judgments)
    except DataError:
        raise
    except Exception as error:  # downloads and parsers raise many kinds
        first = str(error.args[0] if error.args else error).strip() or type(error).__name__
        reason = first.splitlines()[0][:200]
        raise DataError(f"{name}: cannot be read: {reason}") from error
    return joined(id, corpus, read)


def _load(library: Any, id: str) -> Any:
    try:
        return library.load(id)
    except KeyError:
        near = [one for one in library.registry if one.partition("/")[0] == id.partition("/")[0]]
        hint = did_you_mean(id, near) if near else "; see https://ir-datasets.com"
        raise DataError(f"irds:{id}: ir_datasets has no such id{hint}") from None


def _document(one: Any) -> Document:
    """A document; its title, where it has one, stands before the text as everywhere here."""
    fields = one._asdict()
    title, text = fields.get("title"), fields.get("text")
    if isinstance(title, str) and isinstance(text, str):
        text = f"{title}\n{text}" if title and text else title or text
    else:
        text = one.default_text()
    kept = {k: v for k, v in fields.items() if isinstance(v, (str, int, float)) and v not in ("", text)}
    nested = fields.get("metadata")
    metadata = (nested if isinstance(nested, dict) else {}) | kept
    for name in ("doc_id", "text"):
        metadata.pop(name, None)
    return Document(one.doc_id, text, metadata)


def _queries(part: Any) -> Iterator[Query]:
    for one in part.queries_iter():
        text = one.default_text()
        fields = one._asdict()
        metadata = {
            k: v for k, v in fields.items() if k != "query_id" and isinstance(v, (str, int, float)) and v != text
        }
        yield Query(one.query_id, text, metadata)
