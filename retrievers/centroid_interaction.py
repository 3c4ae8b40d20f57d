"""Late interaction over the centroids of tokens alone: candidates for exact scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints, Vectors
from rag.component import Tunable
from rag.embedders.base import TokenEmbedder
from rag.embedders.token_table import TableStorage, ends_of, rows_of
from rag.on_tokens import OnTokens
from rag.retrievers.keys import best_documents
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["CentroidInteraction"]


class CentroidInteraction(OnTokens, Retriever):
    """Ranks documents as ``late_interaction`` would if every token were its nearest centroid (PLAID: Santhanam et al.
    2022): as ``candidates`` of that, or alone. A token takes four bytes, and a question no products but those with the
    centroids.

    The centroids nearest to a question's tokens give the passages that are looked at; these are ranked first without
    the centroids that are near to no token of the question, then the best of them with all.

    Args:
        embedder: Gives the token vectors: the same as ``late_interaction``'s, so that they are made once.
        n_probe: Centroids of each token of a question whose passages are looked at.
        prune: Least cosine of a centroid with any token of the question for it to count in the first ranking. Cosines
            of encoders that were not trained for late interaction are higher than those of such that were: 0.4 to 0.5
            are PLAID's. 0 leaves the first ranking out.
        refine: Passages ranked with all centroids, as a multiple of those wanted.
        top_k: Documents returned.
    """

    type = "centroid_interaction"
    storage: TableStorage = "centroids"

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        n_probe: Annotated[int, Field(ge=1), Tunable(choices=(1, 2, 4, 8), gain=0.002)] = 4,
        prune: Annotated[float, Field(ge=0, lt=1)] = 0.4,
        refine: Annotated[int, Field(ge=1)] = 4,
        top_k: Annotated[int, Field(ge=1)] = 200,
    ) -> None:
        self.embedder = embedder
        self.n_probe = n_probe
        self.prune = prune
        self.refine = refine
        self.top_k = top_k
        self._lists: tuple[Ints, Ints] | None = None

    @property
    def token_embedder(self) -> TokenEmbedder:
        return self.embedder

    @property
    def lists(self) -> tuple[Ints, Ints]:
        """Passages of each centroid, ascending, one list after another, int64; and where each list ends."""
        if self._lists is None:
            tokens = self.tokens
            owner = np.repeat(np.arange(len(tokens)), np.diff(tokens.ends))
            pairs = np.unique(np.asarray(tokens.arrays["nearest"], dtype=np.int64) * len(tokens) + owner)
            centroid, passages = np.divmod(pairs, max(len(tokens), 1))
            self._lists = passages, ends_of(np.bincount(centroid, minlength=len(tokens.arrays["centroids"])))
        return self._lists

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._lists = None

    def update(self, context: UpdateContext, kept: Ints) -> None:
        super().update(context, kept)
        self._lists = None

    def retrieve(self, batch: QueryBatch) -> Candidates:
        queries = batch.token_vectors(self.embedder)
        every = np.arange(len(batch), dtype=np.int64)

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            chosen = every[rows]
            keys = np.full((len(chosen), k), PADDING, dtype=np.int64)
            scores = np.full((len(chosen), k), -np.inf, dtype=np.float32)
            may = None
            if allowed is not None:
                may = np.zeros(len(self.passages), dtype=bool)
                may[allowed] = True
            for at, row in enumerate(chosen.tolist()):
                own = queries.vectors[queries.ends[row] : queries.ends[row + 1]]
                best, values = self._nearest(own, k, may)
                keys[at, : len(best)], scores[at, : len(best)] = best, values
            return keys, scores

        return best_documents(search, self.passages, self.top_k, batch)

    def _nearest(self, query: Vectors, k: int, may: Bools | None) -> tuple[Ints, Floats]:
        """The best passages of one question, and their scores, best first."""
        centroids = self.tokens.arrays["centroids"]
        if not len(query):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        table = np.ascontiguousarray((query @ centroids.T).T)  # [centroids, tokens of the question]
        passages, ends = self.lists
        used = np.flatnonzero(np.diff(ends))  # of equal centroids the first has all tokens
        n_probe = min(self.n_probe, len(used))
        if not n_probe:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        probed = used[np.unique(np.argpartition(-table[used], n_probe - 1, axis=0)[:n_probe])]
        candidates = np.unique(passages[rows_of(ends, probed)[1]])
        if may is not None:
            candidates = candidates[may[candidates]]
        most = k * self.refine
        if self.prune and len(candidates) > most:
            scores = self._scores(table, candidates, table.max(axis=1) >= self.prune)
            candidates = np.sort(candidates[np.argpartition(-scores, most - 1)[:most]])
        scores = self._scores(table, candidates, None)
        order = np.argsort(-scores, kind="stable")[:k]
        return candidates[order], scores[order]

    def _scores(self, table: Floats, candidates: Ints, counts: Bools | None) -> Floats:
        """Mean over a question's tokens of the best of a passage's centroids, float32 [n].

        Args:
            table: Cosines, float32 [centroids, tokens of the question].
            candidates: Passages, each with a token.
            counts: Centroids that count, bool [centroids]; None for all. A passage with none of them is worth 0.
        """
        ends, rows = rows_of(self.tokens.ends, candidates)
        nearest = np.asarray(self.tokens.arrays["nearest"])[rows]
        if counts is not None:
            stays = counts[nearest]
            ends = ends_of(np.add.reduceat(stays, ends[:-1], dtype=np.int64))
            nearest = nearest[stays]
        scores = np.zeros(len(candidates), dtype=np.float32)
        has_any = np.diff(ends) > 0
        if has_any.any():
            best = np.maximum.reduceat(table[nearest], ends[:-1][has_any], axis=0)
            scores[has_any] = best.mean(axis=1)
        return scores
