"""The built-in dataset: questions about the language reference that comes with Python."""

from __future__ import annotations

from pathlib import Path

from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import joined
from rag.eval.datasets.qrels import read_qrels
from rag.eval.datasets.queries import read_queries
from rag.remarks import Remarks
from rag.types import Document

__all__ = ["NAME", "read_python_reference"]

NAME = "python-reference"

_DATA = Path(__file__).parent.parent / "data" / "python_reference"


def read_python_reference() -> Dataset:
    """Read the topics of ``help()`` as documents, with questions in a working programmer's words.

    The splits ``train-with-nulls``, ``dev-with-nulls`` and ``test-with-nulls`` also hold the questions that no topic
    answers. Topics differ a little between Python versions; judgments of topics missing from this one are left out
    and noted.
    """
    from pydoc_data.topics import topics

    corpus = Corpus.from_documents(
        Document(name, text, {"title": _title(text)}) for name, text in sorted(topics.items())
    )
    queries = read_queries(_DATA / "queries.jsonl")
    remarks = Remarks()
    parts = {}
    for path in sorted((_DATA / "qrels").glob("*.tsv")):
        split, judgments = path.stem, read_qrels(path)
        for query, judged in judgments.items():
            judgments[query] = {topic: grade for topic, grade in judged.items() if topic in topics}
        left = judgments.of({query for query, judged in judgments.items() if any(g > 0 for g in judged.values())})
        if gone := len(judgments) - len(left):
            message = f"{split}: {gone} questions are about topics this Python does not have"
            remarks.add("topics_missing", message, count=gone, total=len(judgments))
        mine = [query for query in queries if query.metadata["split"] == split]
        parts[split] = ([query for query in mine if query.id in left], left)
        unanswerable = [query for query in mine if not query.metadata["answerable"]]
        with_nulls = left.of(left)
        for asked in unanswerable:
            with_nulls.add(asked.id, "", None, str(path))
        parts[f"{split}-with-nulls"] = ([query for query in mine if query.id in with_nulls], with_nulls)
    return joined(NAME, corpus, parts, remarks=remarks)


def _title(text: str) -> str:
    return text.lstrip().splitlines()[0].replace('"', "").strip()
