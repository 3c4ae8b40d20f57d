"""The contract of scorers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rag import tracing
from rag.candidates import Floats, Ints
from rag.errors import ModelError
from rag.execution import executed_elsewhere, score_texts
from rag.on_passages import OnPassages
from rag.store.key_value_cache import text_key
from rag.tracing import names

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Scorer"]

_SCORED_TOGETHER = 1024
"""Pairs computed between two writes to the store: what a kill can lose."""

_ALIKE = 8
"""Texts whose lengths in characters share all but these lowest bits are of like length."""


class Scorer(OnPassages):
    """Judges (query, passage) pairs, at a price per pair."""

    kind: ClassVar[str] = "scorer"

    keeps_scores: ClassVar[bool] = True
    """Whether a store should keep its scores, by text of query and passage; not where computing them is quicker."""

    @abstractmethod
    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """Relevance of pairs, float32 [n], higher is better.

        Args:
            batch: The queries.
            rows: Query of each pair, int64 [n]: positions in the batch, ascending.
            passages: Passage of each pair, int64 [n]: positions among the passages it was fitted on.
        """

    def score(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """:meth:`score_pairs`, counted as scorer calls and checked. When the batch has a store, scores that are there
        are not computed again, but count as calls all the same.

        Raises:
            ModelError: The wrong number of scores, or scores that are not finite.
        """
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        batch.ledger.spend(scorer_calls=len(rows))
        values = self.spec.values_in(batch.store, "scores") if self.keeps_scores else None
        if values is None or self._passages is None:
            return self._checked(batch, rows, passages)
        queries = batch.texts
        texts = self._passages.texts(passages)
        keys = [text_key(queries[row], text) for row, text in zip(rows.tolist(), texts, strict=True)]

        def compute(places: list[int]) -> Iterator[list[tuple[int, bytes]]]:
            # Pairs of like length go together, and so do those of one query: in the order given.
            places.sort(key=lambda pair: (-(len(texts[pair]) >> _ALIKE), pair))
            for first in range(0, len(places), _SCORED_TOGETHER):
                chunk = np.sort(np.array(places[first : first + _SCORED_TOGETHER]))
                scores = self._checked(batch, rows[chunk], passages[chunk]).astype("<f4")
                yield [(pair, score.tobytes()) for pair, score in zip(chunk.tolist(), scores, strict=True)]

        filled = values.fill(keys, compute)
        batch.ledger.spend(seconds=filled.seconds)
        return np.frombuffer(b"".join(filled.values), dtype="<f4").astype(np.float32)

    def _computed(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """Scores of pairs, wherever they are computed."""
        execution = executed_elsewhere(self) if self.keeps_scores and self._passages is not None else None
        if execution is None or self._passages is None:
            return self.score_pairs(batch, rows, passages)
        queries = batch.texts
        return score_texts(execution, self, [queries[row] for row in rows.tolist()], self._passages.texts(passages))

    def _checked(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        model = self.spec.arguments.get("model")
        attributes = {names.MODEL: str(model or self.type), names.N_PAIRS: len(rows)}
        with tracing.span(f"score {model or self.type}", "RERANKER", attributes):
            scores = np.asarray(self._computed(batch, rows, passages), dtype=np.float32)
        if scores.shape != (len(rows),):
            raise ModelError(
                f"the scorer {self.spec.label} returned scores of shape {scores.shape} for {len(rows)} pairs"
            )
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            query = batch.queries[int(rows[bad[0]])]
            raise ModelError(
                f"the scorer {self.spec.label} returned NaN or infinite scores for {len(bad)} of {len(rows)} pairs, "
                f"the first for query '{query.id}'"
            )
        return scores
