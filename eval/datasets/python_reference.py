"""The built-in dataset: questions to the language reference that every Python brings along."""

from __future__ import annotations

from pathlib import Path

from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.qrels import join, read_qrels
from rag.eval.datasets.queries import read_queries
from rag.types import Document

__all__ = ["NAME", "read_python_reference"]

NAME = "python-reference"

_DATA = Path(__file__).parent.parent / "data" / "python_reference"


def read_python_reference() -> Dataset:
    """The topics of ``help()`` as documents, with questions in a working programmer's words.

    The splits ``train-with-nulls``, ``dev-with-nulls`` and ``test-with-nulls`` hold the questions that no topic answers
    too.
    Topics differ a little between versions of Python; judgements of topics that this one lacks are left out and noted.
    """
    from pydoc_data.topics import topics

    corpus = Corpus.from_documents(
        Document(name, text, {"title": _title(text)}) for name, text in sorted(topics.items())
    )
    queries = read_queries(_DATA / "queries.jsonl")
    notes: list[str] = []
    splits = {}
    for path in sorted((_DATA / "qrels").glob("*.tsv")):
        qrels = {
            query: {topic: grade for topic, grade in judged.items() if topic in topics}
            for query, judged in read_qrels(path).items()
        }
        left = {query: judged for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
        if len(left) < len(qrels):
            notes.append(f"{path.stem}: {len(qrels) - len(left)} questions are about topics this Python does not have")
        splits[path.stem] = join(queries, left, set(topics), path.stem, notes)
        unanswerable: dict[str, dict[str, int]] = {
            query.id: {}
            for query in queries
            if query.metadata["split"] == path.stem and not query.metadata["answerable"]
        }
        splits[f"{path.stem}-with-nulls"] = join(queries, left | unanswerable, set(topics), path.stem, [])
    return Dataset(NAME, corpus, splits, tuple(notes))


def _title(text: str) -> str:
    return text.lstrip().splitlines()[0].replace('"', "").strip()
