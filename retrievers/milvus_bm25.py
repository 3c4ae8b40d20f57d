"""BM25 by a Milvus server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.component import Runtime, Secret
from rag.corpus.passages import Passages
from rag.errors import NotFittedError
from rag.retrievers.indexes.milvus.connection import check_address
from rag.retrievers.indexes.milvus.contents import TextContent
from rag.retrievers.indexes.milvus.index import RowsInMilvus
from rag.retrievers.keys import best_documents_where
from rag.stage import Retriever

if TYPE_CHECKING:
    from pathlib import Path

    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["MilvusBM25"]


class MilvusBM25(RowsInMilvus, Retriever):
    """Ranks by the words that query and passage share, on a Milvus server (2.5 or newer), for corpora whose words do
    not fit one machine. Up to 10^7 passages ``bm25`` does it in this process. Passages that share no word with the
    query are not returned. Needs ``pip install 'rag-pipelines[milvus]'``.

    The server cuts texts into words (its tokenizer ``standard``), folds case and takes off endings by ``stemmer``; it
    counts deleted passages in its statistics until it has removed their rows. milvus-lite takes off no endings.

    Args:
        uri: The server, such as ``https://milvus.example.org:19530``, or a file that milvus-lite keeps.
        collection: What names of its collections and aliases begin with.
        token: ``${MILVUS_TOKEN}``, a variable of the environment with ``USER:PASSWORD`` or a key; None for none.
        stemmer: Language whose endings are taken off, in English; None compares words as they are.
        stopwords: Words that are dropped.
        k1: How much repeating a word counts.
        b: Penalty on long passages, 0 to 1.
        consistency: Consistency level of searches, as of the index ``milvus``.
        timeout: Seconds to wait for a connection, and for an answer.
        keep_hours: How long generations stay that no folder has any more, for those who have them open.
        top_k: Documents returned.
    """

    type = "milvus_bm25"

    def __init__(
        self,
        *,
        uri: Annotated[str, Secret(), Runtime()],
        collection: str,
        token: Annotated[str | None, Secret(), Runtime()] = None,
        stemmer: str | None = "english",
        stopwords: list[str] | None = None,
        k1: Annotated[float, Field(gt=0, le=3)] = 1.5,
        b: Annotated[float, Field(ge=0, le=1)] = 0.75,
        consistency: Annotated[Literal["strong", "bounded", "session", "eventually"], Runtime()] = "bounded",
        timeout: Annotated[float, Field(gt=0), Runtime()] = 30.0,
        keep_hours: Annotated[float, Field(ge=0), Runtime()] = 24.0,
        top_k: Annotated[int, Field(ge=1, le=16_384)] = 100,
    ) -> None:
        self.uri = uri
        self.collection = collection
        self.token = token
        self.stemmer = stemmer
        self.stopwords = stopwords
        self.k1 = k1
        self.b = b
        self.consistency = consistency
        self.timeout = timeout
        self.keep_hours = keep_hours
        self.top_k = top_k
        check_address(uri, token or "", collection).check()
        self._passages: Passages | None = None

    def fit(self, context: FitContext) -> None:
        self._hold(context.passages, None, context.progress)
        self._passages = context.passages

    def update(self, context: UpdateContext, kept: Ints) -> None:
        if self._passages is None:
            raise NotFittedError.of(self)
        changed = self.change(
            self._passages,
            context.passages,
            kept,
            None,
            relabeled=context.metadata_changed,
            progress=context.progress,
        )
        if not changed:
            context.keep(self)
        self._passages = context.passages

    def load_state(self, folder: Path, context: FitContext) -> None:
        super().load_state(folder, context)
        self._passages = context.passages

    def retrieve(self, batch: QueryBatch) -> Candidates:
        if self._passages is None:
            raise NotFittedError.of(self)
        reader, texts = self._fitted(), batch.texts

        def search(rows: Any, k: int, condition: Any) -> tuple[Ints, Floats]:
            own = texts[rows] if isinstance(rows, slice) else [texts[row] for row in rows]
            return reader.search(own, k, condition)  # type: ignore[no-any-return]

        return best_documents_where(search, self._passages, self.top_k, batch)

    def scaled_by(self, candidates: Candidates) -> Candidates:
        """Passages that share no word with a query have score 0."""
        return candidates.filled(self.top_k, 0.0)

    @property
    def analyzer(self) -> dict[str, Any]:
        """How the server cuts texts into words."""
        filters: list[Any] = ["lowercase"]
        if self.stopwords:
            filters.append({"type": "stop", "stop_words": self.stopwords})
        if self.stemmer:
            filters.append({"type": "stemmer", "language": self.stemmer})
        return {"tokenizer": "standard", "filter": filters}

    @property
    def _content(self) -> TextContent:
        return TextContent(analyzer=self.analyzer, k1=self.k1, b=self.b)
