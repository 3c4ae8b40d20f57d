"""The contract of keys: what a document is found by, in a space of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Annotated, ClassVar, Literal

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
"""How the scores of several keys of one document make the document's: the best, or a sum that rewards several."""


@dataclass(frozen=True)
class KeySpace:
    """Keys as something a retriever can be fitted on: they are the passages of a corpus of their own.

    Args:
        passages: The keys. Their corpus has the documents that have any, or, to pool over all keys, a document per key.
        owners: Position in the pipeline's corpus of each document here, int64, ascending.
        speakers: Of each key, the pipeline's passage that is shown for it, int64.
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
        """The same keys, of which those of documents that were deleted from the pipeline's corpus are deleted too."""
        keys = self.passages.corpus.with_alive(None if corpus.alive is None else corpus.alive[self.owners])
        return replace(self, passages=self.passages.with_corpus(keys))


class Key(Component):
    """A kind of key, what searches it, and what a query becomes before it is searched with.

    Args:
        retriever: Searches the keys as if each were a passage: any retriever. Its ``top_k`` counts documents.
        query: What is asked. Raw queries on keys of another nature, such as conversations on summaries, find less than
            on raw text: then map them, by ``distilled`` or ``summary``.
        pooling: How several keys of one document make its score: the best one's, or ``log_sum_exp`` over all that are
            found.
        temperature: Of ``log_sum_exp``, in units of the score: the smaller, the nearer to the maximum. The default
            suits cosines.
        weight: How much this kind counts beside the others.
    """

    kind: ClassVar[str] = "key"
    needs = frozenset({"corpus"})

    is_read: ClassVar[bool] = False
    """Whether its keys are the texts of passages: then what matched is what a reader is shown."""

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

    @property
    def _caches_state(self) -> bool:
        # Key texts and indexes are in the store under names of their own; beside them there is nothing to keep.
        return False

    # -- making -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        """The key texts of every document, in the order of the corpus; none for one that has none. None when the
        pipeline's passages are the keys and can be searched as they are.
        """

    def speakers(self, passages: Passages, owners: Ints) -> Ints:
        """The passage that is shown for each key, given the keys' documents: by default the document's first."""
        return np.searchsorted(passages.document, owners)

    def prepare(self, context: FitContext) -> None:
        """Nothing yet: what its retriever works on does not exist before the keys do."""

    def fit(self, context: FitContext) -> None:
        self._make(context, learn=True)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """Keys that are no passages are made again, of what a store may have, unless documents were only deleted. The
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
        embedders, stored = self._fit_embedders(context)
        kept_keys = np.arange(len(self._space.passages))
        inner = context.for_updated_passages(self._space.passages, kept_keys, embedders, stored=stored)
        inner.fit(self.retriever)

    def _make(self, context: FitContext, *, learn: bool) -> None:
        for name, child in self.spec.children():
            if name != "retriever":
                context.fit(child)
        known: list[Source] = []
        self._keeps_lists = type(self)._keeps_lists

        def sources() -> list[Source]:
            if not known:
                alive = context.corpus.alive
                known.extend(
                    Source.of_document(document) if alive is None or alive[place] else Source(document.id, "")
                    for place, document in enumerate(context.corpus)  # nobody writes about what was deleted
                )
            return known

        texts = self.texts(context, sources)
        self._deep = None
        self._outer = context.passages
        self._space = None if texts is None else self._make_space(texts, context.passages)
        embedders, stored = self._fit_embedders(context)
        inner = context if self._space is None else context.for_passages(self._space.passages, embedders, stored=stored)
        inner.fit(self.retriever)
        if learn and "keys" in self.query.needs:
            pairs = [[text] for block in context.passages.iter_texts() for text in block] if texts is None else texts
            self.query.learn(context, sources(), pairs)

    def _fit_embedders(self, context: FitContext) -> tuple[list[Embedder], bool]:
        """The embedders of the retriever, fitted, and whether the store may keep what is built with them."""
        embedders = [part for _, part in self.retriever.spec.walk() if isinstance(part, Embedder)]
        for embedder in embedders:
            # Vectors of queries are shared by all kinds of keys: an embedder that learns from the corpus learns from
            # the pipeline's passages, not from the keys.
            context.fit(embedder)
        # The name of one that learned would not tell what it has learned from.
        return embedders, not any(embedder.needs for embedder in embedders)

    def _make_space(self, texts: Sequence[Sequence[str]], outer: Passages) -> KeySpace:
        if outer.alive is not None:  # what was deleted has no keys
            texts = [one if alive else [""] * len(one) for one, alive in zip(texts, outer.alive, strict=True)]
        kept_keys = np.asarray([not is_blank(text) for one in texts for text in one], dtype=bool)
        if not kept_keys.any():
            raise DataError(f"the key {self.spec.label} found none in the corpus: no document has one")
        owner_of_key = np.repeat(np.arange(len(texts)), [len(one) for one in texts])
        speakers = self.speakers(outer, owner_of_key)[kept_keys]
        owner_of_key = owner_of_key[kept_keys]
        texts = [[text for text in one if not is_blank(text)] for one in texts]
        flat = [text for one in texts for text in one]
        # Keys carry the metadata of their documents, so that filters hold among them too.
        metadata = [{k: v for k, v in one.metadata.items() if k != "turns"} for one in outer.corpus]
        if self.pooling == "log_sum_exp":  # takes all keys that are found, so each is a document to the retriever
            pairs = zip(flat, owner_of_key.tolist(), strict=True)
            keys = (Document(str(number), text, metadata[owner]) for number, (text, owner) in enumerate(pairs))
            return KeySpace(Passages.whole(Corpus.from_documents(keys)), owner_of_key, speakers)
        owners = np.unique(owner_of_key)
        kept = [texts[owner] for owner in owners.tolist()]
        ids = zip(owners.tolist(), outer.corpus.ids(owners), kept, strict=True)
        corpus = Corpus.from_documents(Document(id, "\n".join(one), metadata[owner]) for owner, id, one in ids)
        starts = [at for one in kept for at in accumulate((len(text) + 1 for text in one[:-1]), initial=0)]
        start = np.asarray(starts, dtype=np.int64)
        end = start + np.asarray([len(text) for text in flat], dtype=np.int64)
        document = np.searchsorted(owners, owner_of_key)
        return KeySpace(Passages(corpus, document, start, end, {}), owners, speakers)

    def _child_context(self, context: FitContext) -> FitContext:
        return context if self._space is None else context.for_passages(self._space.passages)

    # -- asking -----------------------------------------------------------------------------------------------------

    def retrieve(self, batch: QueryBatch, top_k: int) -> tuple[Candidates, Candidates]:
        """The best documents by this kind of key: as many as its retriever's ``top_k``, ``top_k`` where it has none.

        Returns:
            The table of documents, each with the passage that is shown for it, and the same table with the keys that
            matched in place of passages.
        """
        if self._outer is None:
            raise NotFittedError.of(self)
        if not self._keeps_lists:
            batch.mark_uncacheable("keys")  # nor what later steps make of it
        learned = self.fingerprint if "keys" in self.query.needs else ""
        asked = batch.remember("asked", self.query.fingerprint + learned, lambda: self.query.encode(batch))
        # Lists of keys are no lists of documents: only what comes out is shown.
        asked = asked.without_lists().view(ledger=batch.ledger, step=batch.step)
        space, top_k = self._space, self.retriever.limit or top_k
        if space is None:
            found = self.retriever.retrieve(asked)
            return found, found
        found = self._retriever(top_k).retrieve(asked)
        owners = np.where(found.mask, space.owners[found.documents], PADDING)
        keys = Candidates(owners, found.scores, found.passages)
        if self.pooling == "log_sum_exp":
            keys = log_sum_exp_per_document(keys, self.temperature, top_k)
        speakers = np.where(keys.mask, space.speakers[keys.passages], PADDING)
        return Candidates(keys.documents, keys.scores, speakers), keys

    def _retriever(self, top_k: int) -> Retriever:
        """What searches the keys, deep enough: so many keys that they cannot be of less than ``top_k`` documents."""
        if self._space is None or self.pooling == "max":
            return self.retriever
        if self._deep is None or self._deep[0] != top_k:
            most = np.sort(np.bincount(self._space.owners))[::-1][:top_k].sum()
            self._deep = top_k, deepened(self.retriever, int(most))
        return self._deep[1]

    def key_texts(self, keys: Ints) -> list[str]:
        """Texts of keys, by their position."""
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
