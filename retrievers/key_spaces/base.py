"""The contract of keys: texts by which documents are found, in a space of their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import PADDING, Candidates, Ints
from rag.component import Component
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder
from rag.errors import DataError, NotFittedError
from rag.fitting import FitContext, UpdateContext
from rag.queries.base import QueryEncoder
from rag.queries.identity import IdentityQuery
from rag.retrievers.key_spaces.pooling import deepened, log_sum_exp_per_document
from rag.stage import Retriever
from rag.summarizer import Source
from rag.text.normal import is_blank
from rag.types import Document

__all__ = ["Key", "KeySpace", "Pooling"]

Pooling = Literal["max", "log_sum_exp"]
"""How the scores of several keys of a document are combined: the best, or a sum that rewards several."""


@dataclass(frozen=True)
class KeySpace:
    """Keys as the passages of a corpus of their own, on which a retriever can be fitted.

    Args:
        passages: The keys. Their corpus has the documents with keys or, for pooling over all keys, a document per key.
        owners: Position in the pipeline's corpus of each document of this corpus, int64, ascending.
        speakers: The pipeline's passage shown for each key, int64.
    """

    passages: Passages
    owners: Ints
    speakers: Ints

    def save(self, folder: Path) -> None:
        self.passages.corpus.write(folder / "keys.arrow")
        self.passages.save(folder)
        np.save(folder / "owners.npy", self.owners)
        np.save(folder / "speakers.npy", self.speakers)

    @classmethod
    def load(cls, folder: Path) -> KeySpace:
        passages = Passages.load(folder, Corpus.open(folder / "keys.arrow"))
        return cls(passages, np.load(folder / "owners.npy"), np.load(folder / "speakers.npy"))

    def of(self, corpus: Corpus) -> KeySpace:
        """The same keys, with those of documents deleted from the pipeline's corpus deleted too."""
        keys = self.passages.corpus.with_alive(None if corpus.alive is None else corpus.alive[self.owners])
        return replace(self, passages=self.passages.with_corpus(keys))


class Key(Component):
    """A kind of key, its retriever, and its query encoder.

    Args:
        retriever: Any retriever, which searches the keys as passages. Its ``top_k`` counts documents.
        query: Query encoder. Raw queries find less on keys of another nature, such as conversations on summaries, than
            on raw text; map them by ``distilled`` or ``summary``.
        pooling: How several keys of a document give its score: by the best one, or by ``log_sum_exp`` over all found.
        temperature: Temperature of ``log_sum_exp``, in units of the score: the smaller, the closer to the maximum. The
            default suits cosines.
        weight: Weight of this kind relative to the others.
    """

    kind: ClassVar[str] = "key"
    needs = frozenset({"corpus"})

    is_read: ClassVar[bool] = False
    """Whether its keys are the texts of passages, so that the matching passage is shown."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        query: QueryEncoder = IdentityQuery(),  # noqa: B008 - a default component is cloned for each instance
        pooling: Pooling = "max",
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        weight: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        query.check(retriever)
        self.retriever = retriever
        self.query = query
        self.pooling = pooling
        self.temperature = temperature
        self.weight = weight
        self._space: KeySpace | None = None
        self._outer: Passages | None = None
        self._deep: tuple[int, Retriever] | None = None

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """With parts of its own where an embedder learns from the keys: who shares it may learn from other texts."""
        if any(embedder.needs == {"corpus"} for embedder in _embedders(values["retriever"])):
            values |= {name: values[name].spec.clone() for name in ("retriever", "query")}
        return values

    @property
    def _caches_state(self) -> bool:
        # Key texts and indexes are cached separately; there is no other state.
        return False

    # -- making -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        """The key texts of every document, in the order of the corpus; none for a document without keys. None when the
        pipeline's passages themselves are the keys.
        """

    def speakers(self, passages: Passages, owners: Ints) -> Ints:
        """The passage shown for each key, given the keys' documents: by default the document's first."""
        return np.searchsorted(passages.document, owners)

    def prepare(self, context: FitContext) -> None:
        """Do nothing: the retriever's input does not exist before the keys do."""

    def fit(self, context: FitContext) -> None:
        self._make(context, learn=True)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """Make keys again, from the store where cached, unless they are passages or documents were only deleted. The
        query encoder keeps what it learned.
        """
        if self._outer is None:
            raise NotFittedError.of(self)
        same = len(kept) == len(self._outer) == len(context.passages) and not context.metadata_changed
        if self._space is None or not same:
            self._make(context, learn=False)
            return
        for name, child in self.spec.children():
            if name != "retriever":
                context.fit(child)
        context.keep(self)
        self._outer, self._deep, self._space = context.passages, None, self._space.of(context.corpus)
        inner = self._updated(context, np.arange(len(self._space.passages)))
        inner.fit(self.retriever)
        self._share_with_query(inner)

    def _updated(self, context: UpdateContext, kept_keys: Ints) -> UpdateContext:
        assert self._space is not None
        shared, stored = self._fit_embedders(context)
        stored = stored and not self._learned_here  # what it learned is no longer told by the keys
        return context.for_updated_passages(self._space.passages, kept_keys, shared, stored=stored)

    def _make(self, context: FitContext, *, learn: bool) -> None:
        for name, child in self.spec.children():
            if name != "retriever":
                context.fit(child)
        collected: list[Source] = []
        self._keeps_lists = type(self)._keeps_lists

        def sources() -> list[Source]:
            if not collected:
                alive = context.corpus.alive
                collected.extend(
                    Source.of_document(document) if alive is None or alive[position] else Source(document.id, "")
                    for position, document in enumerate(context.corpus)  # deleted documents get no keys
                )
            return collected

        texts = self.texts(context, sources)
        before = self._space
        self._deep = None
        self._outer = context.passages
        self._space = None if texts is None else self._make_space(texts, context.passages)
        shared, stored = self._fit_embedders(context)
        if before is not None and self._learned_here and isinstance(context, UpdateContext):
            kept = np.flatnonzero(np.isin(before.speakers, context.kept))
            known = self._updated(context, kept)
            for embedder in self._learned_here:  # it keeps what it learned
                known.fit(embedder)
            shared, stored = _embedders(self.retriever), False
        inner = context if self._space is None else context.for_passages(self._space.passages, shared, stored=stored)
        inner.fit(self.retriever)
        self._share_with_query(inner)
        if learn and "keys" in self.query.needs:
            pairs = [[text] for block in context.passages.iter_texts() for text in block] if texts is None else texts
            self.query.learn(context, sources(), pairs)

    @property
    def _learned_here(self) -> list[Embedder]:
        """Embedders of the retriever that learn from the keys: from the texts that they embed, if they learn from texts
        alone and the keys are not the pipeline's passages.
        """
        learned = [embedder for embedder in _embedders(self.retriever) if embedder.needs]
        here = self._space is not None and all(embedder.needs == {"corpus"} for embedder in learned)
        return learned if here else []

    def _fit_embedders(self, context: FitContext) -> tuple[list[Embedder], bool]:
        """Fit the embedders of the retriever that do not learn from the keys; returns them, and whether the store may
        cache what is built with them.
        """
        here = self._learned_here
        shared = [embedder for embedder in _embedders(self.retriever) if embedder not in here]
        for embedder in shared:
            context.fit(embedder)
        # The identity of an embedder that learned elsewhere would not include its training data.
        return shared, not any(embedder.needs for embedder in shared)

    def _share_with_query(self, inner: FitContext) -> None:
        """Give the query encoder's embedders, where the retriever has them too, the state they have there."""
        known = {embedder.fingerprint for embedder in _embedders(self.retriever)}
        for embedder in _embedders(self.query):
            if embedder.fingerprint in known:
                inner.fit(embedder)
        self._name_learned()

    def _name_learned(self) -> None:
        """Tell embedders that learned from the keys from those configured alike that learned from other texts."""
        here = {embedder.fingerprint for embedder in self._learned_here}
        for embedder in (*_embedders(self.retriever), *_embedders(self.query)):
            if embedder.fingerprint in here:
                embedder.learned_from = self.fingerprint

    def _make_space(self, texts: Sequence[Sequence[str]], outer: Passages) -> KeySpace:
        if outer.alive is not None:  # deleted documents have no keys
            texts = [
                document_texts if alive else [""] * len(document_texts)
                for document_texts, alive in zip(texts, outer.alive, strict=True)
            ]
        kept_keys = np.asarray([not is_blank(text) for document_texts in texts for text in document_texts], dtype=bool)
        if not kept_keys.any():
            raise DataError(f"the key {self.spec.label} has no text in any document of the corpus")
        owner_of_key = np.repeat(np.arange(len(texts)), [len(document_texts) for document_texts in texts])
        speakers = self.speakers(outer, owner_of_key)[kept_keys]
        owner_of_key = owner_of_key[kept_keys]
        texts = [[text for text in document_texts if not is_blank(text)] for document_texts in texts]
        flat = [text for document_texts in texts for text in document_texts]
        # Keys carry the metadata of their documents, so that filters apply to them too.
        metadata = [{k: v for k, v in document.metadata.items() if k != "turns"} for document in outer.corpus]
        if self.pooling == "log_sum_exp":  # uses all keys found, so each is a document for the retriever
            pairs = zip(flat, owner_of_key.tolist(), strict=True)
            keys = (Document(str(index), text, metadata[owner]) for index, (text, owner) in enumerate(pairs))
            return KeySpace(Passages.whole(Corpus.from_documents(keys)), owner_of_key, speakers)
        owners = np.unique(owner_of_key)
        kept_texts = [texts[owner] for owner in owners.tolist()]
        ids = zip(owners.tolist(), outer.corpus.ids(owners), kept_texts, strict=True)
        corpus = Corpus.from_documents(
            Document(id, "\n".join(document_texts), metadata[owner]) for owner, id, document_texts in ids
        )
        starts = [
            at
            for document_texts in kept_texts
            for at in accumulate((len(text) + 1 for text in document_texts[:-1]), initial=0)
        ]
        start = np.asarray(starts, dtype=np.int64)
        end = start + np.asarray([len(text) for text in flat], dtype=np.int64)
        document = np.searchsorted(owners, owner_of_key)
        return KeySpace(Passages(corpus, document, start, end, {}), owners, speakers)

    def _child_context(self, context: FitContext) -> FitContext:
        return context if self._space is None else context.for_passages(self._space.passages)

    # -- asking -----------------------------------------------------------------------------------------------------

    def retrieve(self, batch: QueryBatch, top_k: int) -> tuple[Candidates, Candidates]:
        """The best documents by this kind of key: as many as its retriever's ``top_k``, or ``top_k`` if it has none.

        Returns:
            The table of documents, each with the passage shown for it, and the same table with the matching keys in
            place of passages.
        """
        if self._outer is None:
            raise NotFittedError.of(self)
        if not self._keeps_lists:
            batch.mark_uncacheable("keys")  # nor the output of later steps
        learned = self.fingerprint if "keys" in self.query.needs else ""
        asked = batch.remember("asked", self.query.fingerprint + learned, lambda: self.query.encode(batch))
        # Lists of keys are not lists of documents, so they are not shown.
        asked = asked.without_lists().view(ledger=batch.ledger, step=batch.step)
        space, top_k = self._space, self.retriever.limit or top_k
        if space is None:
            hits = self.retriever.retrieve(asked)
            return hits, hits
        hits = self._retriever(top_k).retrieve(asked)
        owners = np.where(hits.mask, space.owners[hits.documents], PADDING)
        keys = Candidates(owners, hits.scores, hits.passages)
        if self.pooling == "log_sum_exp":
            keys = log_sum_exp_per_document(keys, self.temperature, top_k)
        speakers = np.where(keys.mask, space.speakers[keys.passages], PADDING)
        return Candidates(keys.documents, keys.scores, speakers), keys

    def _retriever(self, top_k: int) -> Retriever:
        """The retriever of keys, with a depth that covers at least ``top_k`` documents."""
        if self._space is None or self.pooling == "max":
            return self.retriever
        if self._deep is None or self._deep[0] != top_k:
            most = np.sort(np.bincount(self._space.owners))[::-1][:top_k].sum()
            self._deep = top_k, deepened(self.retriever, int(most))
        return self._deep[1]

    def key_texts(self, keys: Ints) -> list[str]:
        """Texts of keys by position."""
        passages = self._outer if self._space is None else self._space.passages
        assert passages is not None
        return passages.texts(keys)

    # -- keeping ----------------------------------------------------------------------------------------------------

    def save_state(self, folder: Path) -> None:
        if self._space is not None:
            self._space.save(folder)

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._outer = context.passages
        self._space = KeySpace.load(folder).of(context.corpus) if (folder / "keys.arrow").is_file() else None
        self._name_learned()


def _embedders(component: Component) -> list[Embedder]:
    return [part for _, part in component.spec.walk() if isinstance(part, Embedder)]
