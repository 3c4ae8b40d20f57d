"""A memory of documents that were relevant to similar questions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats, Ints, Vectors, top_k_of_scores
from rag.component import Need, Tunable
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder
from rag.errors import ArtifactError, ConfigError, DataError, NotFittedError
from rag.learning.remembers import Remembers
from rag.learning.training import Training
from rag.retrievers.centroids import centroid_cosines
from rag.retrievers.judged import Judged, cells_of, lookup
from rag.retrievers.kinship import Kinship
from rag.stage import Retriever
from rag.tables import product

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["QueryMemory"]

_DEPTH = 10
"""Documents of the first list that ``cover`` looks at."""

_SHOWN = 3


@dataclass(frozen=True)
class _Memory:
    """Judgments on the current documents."""

    judged: Judged
    gains: Any
    passages: Passages
    kinship: Kinship

    @cached_property
    def fair(self) -> Any:
        """The gains divided by the root of their sum, so that a question with many right documents counts no more."""
        import scipy.sparse as sp

        size = np.sqrt(np.maximum(np.asarray(self.gains.sum(axis=1)), 1)).astype(np.float32)
        data = self.gains.data / np.repeat(size, np.diff(self.gains.indptr))
        return sp.csr_array((data, self.gains.indices, self.gains.indptr), shape=self.gains.shape)

    @cached_property
    def fair_by_document(self) -> Any:
        """:attr:`fair` as a CSR array [documents, n]."""
        return self.fair.T.tocsr()

    @cached_property
    def totals(self) -> Floats:
        """Sum of each document's gains, float32 [documents]."""
        return np.asarray(self.gains.sum(axis=0), dtype=np.float32)

    @cached_property
    def identity(self) -> str:
        """The same for memories of the same judgments of the same documents."""
        digest = hashlib.sha256(json.dumps([self.judged.ids, self.passages.corpus.fingerprint]).encode("utf-8"))
        for array in (self.judged.vectors, self.gains.data, self.gains.indices, self.gains.indptr):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @classmethod
    def on(cls, judged: Judged, passages: Passages, kinship: Kinship = Kinship()) -> _Memory:  # noqa: B008 - frozen
        return cls(judged, judged.among(passages.corpus), passages, kinship)


class QueryMemory(Retriever, Remembers):
    """Remembers judged questions and finds what was right for those that are like this one.

    Worth much where documents are asked for again and again, and nothing where each is asked for once: let dev decide
    (``learned_rank`` does). A question
    that learns from it, as training questions do, is answered as if it, and what is the same question, had never been
    judged. Documents come and go, and :meth:`~rag.Pipeline.add_qrels` adds judgments, without fitting anew.

    Args:
        embedder: Tells which questions are alike. None takes that of the pipeline's retriever.
        score: ``like``: the sum over the ``neighbours`` nearest judged questions of cosine ^ ``power`` times grade.
            ``cover``: judged questions count by how much of their right documents the first list has, squared; for
            documents that are right together (item-item collaborative filtering). ``popular``: how often a document was
            right, whatever was asked. ``centroid``: cosine with the mean of the judged questions that a document was
            right for; for documents that are labels, and many questions each.
        neighbours: Judged questions looked at by ``like``.
        power: Of the cosine: the higher, the less do questions count that are less alike.
        gate: Least probability that a question shares a relevant document with a judged one, learned from the judged
            ones by how near the nearest is (:class:`~rag.retrievers.kinship.Kinship`). To a question below it, such as
            one of a new subject, the memory says nothing rather than something wrong. 0 always speaks.
        retriever: Gives the first list for ``cover``. None takes the pipeline's retriever.
        top_k: Documents returned.
    """

    type = "query_memory"
    _state_version = 2  # knows which questions are akin

    def __init__(
        self,
        *,
        embedder: Embedder | None = None,
        score: Literal["like", "cover", "popular", "centroid"] = "like",
        neighbours: Annotated[int, Field(ge=1), Tunable(choices=(10, 50, 200), gain=0.003)] = 50,
        power: Annotated[float, Field(ge=0), Tunable(choices=(2.0, 4.0, 8.0), gain=0.003)] = 4.0,
        gate: Annotated[float, Field(ge=0, le=1)] = 0.8,
        retriever: Retriever | None = None,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.embedder = embedder
        self.score: Literal["like", "cover", "popular", "centroid"] = score
        self.neighbours = neighbours
        self.power = power
        self.gate = gate
        self.retriever = retriever
        self.top_k = top_k
        self._encoder: Embedder | None = None
        self._first: Retriever | None = None
        self._memory: _Memory | None = None

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        alone = self.embedder is not None and (self.retriever is not None or self.score != "cover")
        return frozenset({"corpus", "training"} if alone else {"corpus", "training", "candidates"})

    # -- life -------------------------------------------------------------------------------------------------------

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._take_parts(context)
        assert self._encoder is not None
        context.fit(self._encoder)
        if context.training is None:
            raise ConfigError("'query_memory' remembers judged training queries: none were given")
        batch = QueryBatch(context.training.queries, store=context.store, ledger=context.ledger)
        judged = Judged.of(context.training, batch.embeddings(self._encoder))
        if not judged.ids:
            raise DataError("'query_memory': none of the training queries has a relevant document: nothing to remember")
        unseen = context.unseen()
        row_of = {id: row for row, id in enumerate(unseen.ids)}
        hidden = unseen.select(np.array([row_of[id] for id in judged.ids], dtype=np.int64)).among(judged.ids)
        memory = _Memory.on(judged, context.passages)
        self._memory = replace(memory, kinship=Kinship.of(judged, memory.gains, hidden, context.seed))

    def _take_parts(self, context: FitContext) -> None:
        """The embedder and the first list, of its own or of the pipeline's retriever."""
        first = context.first
        parts = first.spec.walk() if first is not None else ()
        theirs = [part for _, part in parts if isinstance(part, Embedder)]
        theirs.sort(key=lambda part: part.spec.learns)  # which questions are alike, vectors tell that nothing moved
        self._encoder = self.embedder if self.embedder is not None else next(iter(theirs), None)
        if self._encoder is None:
            raise ConfigError(
                "needs an embedder to compare questions, and the pipeline's retriever has none: name one",
                parameter="embedder",
            )
        inside = first is None or any(part is self for _, part in first.spec.walk())
        self._first = self.retriever if self.retriever is not None or inside else first
        if self._first is None and self.score == "cover":
            raise ConfigError(
                "'cover' needs a first list, and inside the pipeline's own retriever there is none: name a retriever",
                parameter="retriever",
            )

    def update(self, context: UpdateContext, kept: Ints) -> None:
        memory = self._fitted()
        for _, child in self.spec.children():
            context.fit(child)
        self._take_parts(context)
        self._memory = _Memory.on(memory.judged, context.passages, memory.kinship)
        context.keep(self)

    def add_qrels(self, judged: Training, *, weight: float = 1.0) -> int:
        if weight <= 0:
            raise ConfigError(f"must be above 0, got {weight:g}", parameter="weight")
        memory = self._fitted()
        assert self._encoder is not None
        vectors = QueryBatch(judged.queries).embeddings(self._encoder)
        more, changed = memory.judged.with_more(judged, vectors, weight)
        self._memory = _Memory.on(more, memory.passages, memory.kinship)
        return changed

    def notes(self) -> tuple[str, ...]:
        memory = self._memory
        if memory is None:
            return ()
        n, missing = memory.judged.gains.nnz, memory.judged.gains.nnz - memory.gains.nnz
        gone = f", {missing:,} of them of documents that are not in the corpus" if missing else ""
        return (f"query_memory remembers {len(memory.judged.ids):,} judged questions with {n:,} judgments{gone}",)

    def save_state(self, folder: Path) -> None:
        memory = self._fitted()
        assert self._encoder is not None
        memory.judged.save(folder)
        (folder / "encoder.json").write_text(json.dumps(self._encoder.spec.cache_key), encoding="utf-8")
        memory.kinship.save(folder)

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._take_parts(context)
        assert self._encoder is not None
        if json.loads((folder / "encoder.json").read_text(encoding="utf-8")) != self._encoder.spec.cache_key:
            raise ArtifactError(
                f"'query_memory' was made with another model than {self._encoder!r}: restore that model, or fit again"
            )
        self._memory = _Memory.on(Judged.load(folder), context.passages, Kinship.load(folder))

    def _fitted(self) -> _Memory:
        if self._memory is None:
            raise NotFittedError.of(self)
        return self._memory

    # -- asking -----------------------------------------------------------------------------------------------------

    def retrieve(self, batch: QueryBatch) -> Candidates:
        memory = self._fitted()
        if not len(batch):
            return Candidates.empty(0)
        candidates = self._best(batch, memory, self._table(batch, memory, self.score))
        batch.record(batch.step.name, candidates, lambda places: self._reasons(batch, memory, candidates, places))
        return candidates

    def scaled_by(self, candidates: Candidates) -> Candidates:
        """Documents that were never right for a question like this have score 0."""
        return candidates.filled(self.top_k, 0.0)

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        memory = self._fitted()
        tables = {"like 10": ("like", 10, 8.0), "like 50": ("like", 50, 4.0)}
        named = {name: self._like(batch, memory, k, power) for name, (_, k, power) in tables.items()}
        if self._first is not None:
            named["cover"] = self._cover(batch, memory, self._first)
        values = {name: lookup(table, candidates.documents) for name, table in named.items()}
        values["popular"] = self._popularity(batch, memory, candidates.documents)
        speaks = (self.akin(batch) > 0)[:, None]
        return {name: np.where(speaks, scores, np.float32(0)) for name, scores in values.items()}

    @property
    def knowledge(self) -> str:
        """Whatever list it gives, of like questions, of the first list's documents or of popular ones, it knows all."""
        encoder, first = (None if part is None else part.fingerprint for part in (self._encoder, self._first))
        return f"{self.type} {self.gate} {encoder} {first}"

    def query_features(self, batch: QueryBatch) -> Mapping[str, Floats]:
        return {"nearest": self._nearest(batch, self._fitted())}

    def _nearest(self, batch: QueryBatch, memory: _Memory) -> Floats:
        """Cosine of each query with the most similar judged query, float32 [n]; -1 if none may be seen."""
        return np.asarray(self._cosines(batch, memory).max(axis=1, initial=-1), dtype=np.float32)

    def akin(self, batch: QueryBatch) -> Floats:
        memory = self._fitted()
        likely = memory.kinship(self._nearest(batch, memory))
        return np.where(likely >= self.gate, likely, np.float32(0))

    def _table(self, batch: QueryBatch, memory: _Memory, score: str) -> Any:
        """Scores of all documents that have any, CSR array float32 [n, documents]."""
        if score == "like":
            return self._like(batch, memory, self.neighbours, self.power)
        if score == "cover":
            assert self._first is not None
            return self._cover(batch, memory, self._first)
        if score == "centroid":
            return self._centroid(batch, memory)
        import scipy.sparse as sp

        every = np.flatnonzero(np.diff(memory.gains.tocsc().indptr))
        scores = self._popularity(batch, memory, np.broadcast_to(every, (len(batch), len(every))))
        ends = np.arange(len(batch) + 1) * len(every)
        shape = (len(batch), memory.gains.shape[1])
        return sp.csr_array((scores.ravel(), np.tile(every, len(batch)), ends), shape=shape)

    def _hidden(self, batch: QueryBatch, memory: _Memory) -> Any:
        """Which judged queries are not to be seen, CSR array of bool [n, judged]; None for all to be."""
        return None if batch.unseen is None else batch.unseen.among(memory.judged.ids)

    def _cosines(self, batch: QueryBatch, memory: _Memory) -> Vectors:
        """Cosines of each query with each judged query, float32 [n, judged]; -1 where it may not be seen."""

        def compute() -> Vectors:
            assert self._encoder is not None
            vectors = batch.embeddings(self._encoder)
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            cosines = (vectors / np.where(norms > 0, norms, 1)) @ np.asarray(memory.judged.vectors).T
            hidden = self._hidden(batch, memory)
            if hidden is not None:
                cosines[hidden.nonzero()] = -1
            return np.asarray(cosines, dtype=np.float32)

        assert self._encoder is not None
        return batch.remember("cosines", f"{self._encoder.fingerprint} {memory.identity}", compute)

    def _like(self, batch: QueryBatch, memory: _Memory, neighbours: int, power: float) -> Any:
        width = memory.gains.shape[1]

        def compute() -> Any:
            cosines = self._cosines(batch, memory)
            columns, near = top_k_of_scores(cosines, neighbours)
            rows, at = np.nonzero(near > 0)
            weights = near[rows, at] ** np.float32(power)
            return _table(*product(rows, columns[rows, at], weights, memory.gains, width), len(batch), width)

        return batch.remember(f"like {neighbours} {power}", memory.identity, compute)

    def _cover(self, batch: QueryBatch, memory: _Memory, first: Retriever) -> Any:
        n_judged, width = memory.gains.shape

        def compute() -> Any:
            table = batch.found_by(first, recorded=False)
            low = np.where(table.mask, table.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
            head = table.head(_DEPTH)
            spread = np.where(head.mask[:, :1], head.scores[:, :1], 0) - np.where(np.isfinite(low), low, 0)
            scaled = np.where(spread > 0, (head.scores - low) / np.where(spread > 0, spread, 1), 1.0)
            rows, columns = np.nonzero(head.mask)
            documents, weights = head.documents[rows, columns], scaled[rows, columns]
            cells, covered = product(rows, documents, weights, memory.fair_by_document, n_judged)
            hidden = self._hidden(batch, memory)
            if hidden is not None:
                seen = ~np.isin(cells, cells_of(hidden))
                cells, covered = cells[seen], covered[seen]
            rows, questions = np.divmod(cells, n_judged)
            return _table(*product(rows, questions, covered**2, memory.fair, width), len(batch), width)

        return batch.remember("cover", f"{first.fingerprint} {memory.identity}", compute)

    def _centroid(self, batch: QueryBatch, memory: _Memory) -> Any:
        assert self._encoder is not None
        judged, hidden = np.asarray(memory.judged.vectors), self._hidden(batch, memory)
        return _tidy(centroid_cosines(batch.embeddings(self._encoder), judged, memory.gains, hidden))

    def _popularity(self, batch: QueryBatch, memory: _Memory, positions: Ints) -> Floats:
        """log(1 + sum of gains) of documents, without hidden judgments, float32 [n, k]."""
        total = memory.totals[np.maximum(positions, 0)]
        hidden = self._hidden(batch, memory)
        if hidden is not None:
            total = total - lookup(_tidy(hidden.astype(np.float32) @ memory.gains), positions)
        return np.asarray(np.log1p(np.maximum(total, 0)), dtype=np.float32)

    def _best(self, batch: QueryBatch, memory: _Memory, table: Any) -> Candidates:
        """The best documents of each query that it may find, by a sparse table of scores."""
        passages = memory.passages
        row = np.repeat(np.arange(len(batch)), np.diff(table.indptr))
        document, score = table.indices.astype(np.int64), table.data
        allowed = (score > 1e-12) & (self.akin(batch) > 0)[row]
        for group in batch.groups(passages):
            if group.allowed is not None:
                mask = np.zeros(len(passages.corpus), dtype=bool)
                mask[passages.document[group.allowed]] = True
                mine = np.zeros(len(batch), dtype=bool)
                mine[group.rows] = True
                allowed &= ~mine[row] | mask[document]
        row, document, score = row[allowed], document[allowed], score[allowed]
        order = np.lexsort((-score, row))  # ties stay by document, as they come
        row, document, score = row[order], document[order], score[order]
        starts = np.searchsorted(row, np.arange(len(batch)))
        in_list = np.arange(len(row)) - starts[row] < self.top_k
        row, document, score = row[in_list], document[in_list], score[in_list]
        speakers = np.searchsorted(passages.document, document)  # a document's first passage
        return Candidates.from_rows(len(batch), row, document, score, speakers)

    def _reasons(
        self, batch: QueryBatch, memory: _Memory, candidates: Candidates, places: tuple[Ints, Ints]
    ) -> list[str]:
        """Reasons for each document at (rows, columns) of the candidates."""
        cosines, right = self._cosines(batch, memory), memory.gains.tocsc()
        reasons = []
        for row, column in zip(*(side.tolist() for side in places), strict=True):
            document = int(candidates.documents[row, column])
            judged = right.indices[right.indptr[document] : right.indptr[document + 1]]
            near = judged[np.argsort(-cosines[row, judged], kind="stable")]
            near = near[cosines[row, near] > 0]
            texts = "; ".join(f"'{memory.judged.texts[query]}'" for query in near[:_SHOWN].tolist())
            reasons.append(f"relevant for {len(near)} questions like this: {texts}")
        return reasons


def _table(cells: Ints, values: Any, n: int, width: int) -> Any:
    """A CSR array float32 [n, width] with sorted indices, of ascending cells."""
    import scipy.sparse as sp

    ends = np.searchsorted(cells, np.arange(n + 1) * width)
    return sp.csr_array((values.astype(np.float32), cells % width if n > 1 else cells, ends), shape=(n, width))


def _tidy(table: Any) -> Any:
    import scipy.sparse as sp

    table = sp.csr_array(table, dtype=np.float32)
    table.sort_indices()
    return table
