"""The stages of a pipeline on documents that another search has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.pipeline.line import Line
from rag.types import Document, Hit

__all__ = ["Given", "given_candidates", "run_stages"]

Given = str | Document | Hit
"""An id; a document whose text may be one of its passages; or a hit."""


def run_stages(line: Line, batch: QueryBatch, candidates: Candidates) -> Candidates:
    """Run a batch through the steps after the retriever."""
    batch.lists.clear()  # of an earlier run
    (step, _), *stages = line.steps
    batch.record(step.name, candidates)
    for index in range(1, len(stages) + 1):
        candidates = line.run_step(index, batch, candidates)
    return candidates


def given_candidates(passages: Passages, documents: Sequence[Given]) -> Candidates:
    """A table of one query with documents in the given order.

    A hit keeps its score and passage. Other documents get the score 1 / rank; a document whose text is a part of the
    indexed text is represented by the passage in which that part begins, all others by their first passage.

    Raises:
        DataError: A document is not in the corpus, or is listed twice.
    """
    corpus = passages.corpus
    positions: list[int] = []
    chosen: list[int] = []
    for document in documents:
        id, text, start = _about(document)
        position = corpus.position(id)
        if position is None:
            raise DataError(f"document '{id}' is not in the corpus of this pipeline")
        if position in positions:
            raise DataError(f"document '{id}' is listed twice: give each once, with its best passage")
        first, last = np.searchsorted(passages.document, [position, position + 1]).tolist()
        if start is None and text is not None and last > first + 1:
            start = max(corpus.texts([position])[0].find(text), 0)
        after = int(np.searchsorted(passages.start[first:last], start or 0, side="right"))
        positions.append(position)
        chosen.append(first + max(after - 1, 0))
    scored = [document.score for document in documents if isinstance(document, Hit)]
    scores = scored if len(scored) == len(documents) else [1 / rank for rank in range(1, len(documents) + 1)]
    # Not sorted: the order is the caller's.
    return Candidates(
        np.array([positions], dtype=np.int64).reshape(1, -1),
        np.array([scores], dtype=np.float32).reshape(1, -1),
        np.array([chosen], dtype=np.int64).reshape(1, -1),
    )


def _about(document: Given) -> tuple[str, str | None, int | None]:
    """Id, text if any, and the offset of the passage if known."""
    if isinstance(document, Hit):
        return document.document.id, None, document.start
    if isinstance(document, Document):
        return document.id, document.text or None, None
    if isinstance(document, str):
        return document, None, None
    raise DataError(f"expected ids, documents or hits, got {type(document).__name__}")
