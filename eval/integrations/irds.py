"""Datasets from the catalog of ``ir_datasets`` (MacAvaney et al. 2021), by id."""

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

    An id with judgments (``irds:beir/scifact/test``) gives one split, named after its last part if that is a split's
    name, else ``test``. An id that only groups others (``irds:beir/scifact``) gives a split for each id below it with
    judgments.

    The package downloads files into its own folder (``IR_DATASETS_HOME``) and reports that itself.

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
        below = (dataset_id for dataset_id in sorted(ir_datasets.registry) if dataset_id.rpartition("/")[0] == id)
        parts = {
            _SPLITS.get(dataset_id.rpartition("/")[2], dataset_id.rpartition("/")[2]): _load(ir_datasets, dataset_id)
            for dataset_id in below
        }
        parts = {split: part for split, part in parts.items() if part.has_qrels() and part.has_queries()}
    if not whole.has_docs() or not parts:
        raise DataError(f"{name}: has no {'judgments' if whole.has_docs() else 'documents'}: nothing to measure on")
    try:
        corpus = Corpus.from_documents(_document(record) for record in whole.docs_iter())
        read = {}
        for split, part in parts.items():
            judgments = Judgments()
            for index, qrel in enumerate(part.qrels_iter()):
                judgments.add(qrel.query_id, qrel.doc_id, qrel.relevance, f"{name}: {split} judgment {index}")
            read[split] = (list(_queries(part)), judgments)
    except DataError:
        raise
    except Exception as error:  # downloads and parsers raise many kinds of errors
        first = str(error.args[0] if error.args else error).strip() or type(error).__name__
        reason = first.splitlines()[0][:200]
        raise DataError(f"{name}: cannot be read: {reason}") from error
    return joined(id, corpus, read)


def _load(library: Any, id: str) -> Any:
    try:
        return library.load(id)
    except KeyError:
        near = [dataset_id for dataset_id in library.registry if dataset_id.partition("/")[0] == id.partition("/")[0]]
        hint = did_you_mean(id, near) if near else "; see https://ir-datasets.com"
        raise DataError(f"irds:{id}: no such id in ir_datasets{hint}") from None


def _document(record: Any) -> Document:
    """Convert a document; its title, if any, is put before the text as everywhere in this package."""
    fields = record._asdict()
    title, text = fields.get("title"), fields.get("text")
    if isinstance(title, str) and isinstance(text, str):
        text = f"{title}\n{text}" if title and text else title or text
    else:
        text = record.default_text()
    scalars = {k: v for k, v in fields.items() if isinstance(v, (str, int, float)) and v not in ("", text)}
    nested = fields.get("metadata")
    metadata = (nested if isinstance(nested, dict) else {}) | scalars
    for name in ("doc_id", "text"):
        metadata.pop(name, None)
    return Document(record.doc_id, text, metadata)


def _queries(part: Any) -> Iterator[Query]:
    for record in part.queries_iter():
        text = record.default_text()
        fields = record._asdict()
        metadata = {
            k: v for k, v in fields.items() if k != "query_id" and isinstance(v, (str, int, float)) and v != text
        }
        yield Query(record.query_id, text, metadata)
