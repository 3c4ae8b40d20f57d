"""Reader of folders in BEIR's layout."""

from __future__ import annotations

from pathlib import Path

from rag.corpus.readers import read_corpus
from rag.errors import DataError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import joined
from rag.eval.datasets.qrels import read_qrels
from rag.eval.datasets.queries import read_queries
from rag.eval.datasets.write import about_of
from rag.remarks import Remarks

__all__ = ["read_beir"]

_SUFFIXES = (".tsv", ".txt", ".qrels", ".trec")


def read_beir(folder: Path, *, qrels: Path | None = None) -> Dataset:
    """Read ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv`` (or ``.txt``, ``.qrels``, ``.trec``).

    The notes in a ``dataset.json`` written by ``rag datasets`` are kept.

    Args:
        folder: The dataset folder.
        qrels: Judgment file to use instead of those in the folder, as the split ``test``.

    Raises:
        DataError: A file is missing or malformed.
    """
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: a dataset folder needs a {name}")
    remarks = Remarks()
    for note in about_of(folder).get("notes", ()):
        remarks.add("made", note)
    if qrels is not None:
        files = {"test": qrels}
    else:
        there = [p for p in sorted((folder / "qrels").glob("*")) if not p.name.startswith(".")]
        files = {p.stem: p for p in there if p.suffix in _SUFFIXES}
        if unread := [f"qrels/{p.name}" for p in there if p not in files.values()]:
            message = f"{len(unread)} files of qrels are not read ({', '.join(unread[:3])}): judgments are"
            remarks.add(
                "files_not_read",
                f"{message} one {', '.join(_SUFFIXES)} file a split",
                count=len(unread),
                total=len(there),
                examples=unread,
            )
        if not files:
            said = "".join(f"; {message}" for message in remarks.messages)
            raise DataError(f"{folder}: no judgments (qrels/SPLIT.tsv){said}")
    corpus = read_corpus(folder)
    queries = read_queries(folder / "queries.jsonl")
    parts = {name: (queries, read_qrels(path)) for name, path in files.items()}
    return joined(folder.resolve().name, corpus, parts, remarks=remarks)
