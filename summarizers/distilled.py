"""A light query encoder that maps raw conversations into the space of their summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Vectors
from rag.component import Component, Later
from rag.conversation import Turn, last_turn
from rag.embedders.base import Embedder
from rag.errors import ConfigError, DataError
from rag.queries.base import QueryEncoder
from rag.stage import Retriever
from rag.store.fingerprint import fingerprint
from rag.summarizer import Source
from rag.summarizers.students.base import Conversations, Student, unit
from rag.summarizers.students.ridge import Ridge

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Distilled"]


class Distilled(QueryEncoder):
    """Learns from the corpus how conversations map to their keys, and maps queries in the same way: it needs no
    language model at query time and no relevance judgments (CONVERSE, NAACL 2024).

    The training pairs are documents and their keys, so it belongs to a ``summary`` key. Retrievers of that key that
    match words get the last turn unchanged.

    Args:
        embedder: The embedder of the key's retriever, whose vectors of summaries are the targets; it stays unchanged.
        student: The model that learns the map.
        max_turns: Number of latest turns to read.
        reads: The embedder of the turns; None takes ``embedder``. Another one pays where keys are matched by their
            words: ``embedder: {type: lsa, dim: 1024, stop_words: false, singles: true}``, which learns from the keys,
            as their space, and a sentence encoder that reads the turns.
    """

    type = "distilled"
    needs = frozenset({"keys"})

    def __init__(
        self,
        *,
        embedder: Embedder,
        student: Student = Ridge(),  # noqa: B008 - a default component is cloned for each instance
        max_turns: Annotated[int, Field(ge=1)] = 12,
        reads: Annotated[Embedder | None, Later()] = None,
    ) -> None:
        self.embedder = embedder
        self.student = student
        self.max_turns = max_turns
        self.reads = reads

    @property
    def _reader(self) -> Embedder:
        return self.reads if self.reads is not None else self.embedder

    def check(self, retriever: Retriever) -> None:
        embedders = [component for _, component in retriever.spec.walk() if isinstance(component, Embedder)]
        if not embedders or any(embedder.fingerprint != self.embedder.fingerprint for embedder in embedders):
            raise ConfigError(
                "must equal the only embedder of the key's retriever, since queries are mapped into its space",
                parameter="query.embedder",
            )

    def fit(self, context: FitContext) -> None:
        if self.reads is not None:  # the key fits its own embedder; the student learns once keys exist
            context.fit(self.reads)

    def learn(self, context: FitContext, sources: Sequence[Source], keys: Sequence[Sequence[str]]) -> None:
        pairs = [(s, [k for k in texts if k.strip()]) for s, texts in zip(sources, keys, strict=True)]
        pairs = [(source, texts) for source, texts in pairs if texts and source.text.strip()]
        if len(pairs) < 2:
            raise DataError(f"'distilled' learns from pairs of a text and its key: it needs more than {len(pairs)}")

        def make() -> None:
            flat = [text for _, texts in pairs for text in texts]
            counts = np.asarray([len(texts) for _, texts in pairs])
            vectors = unit(context.embed_texts(self.embedder, flat))
            targets = unit(np.add.reduceat(vectors, np.cumsum(counts) - counts))
            conversations = self._conversations(
                [_turns(source.turns, source.text) for source, _ in pairs],
                partial(context.embed_texts, self._reader),
            )
            self.student.learn(conversations, targets, seed=context.seed, progress=context.progress)

        turns = [[[turn.speaker, turn.text] for turn in source.turns] for source, _ in pairs]
        learned = fingerprint([self.max_turns, turns, [[source.text, texts] for source, texts in pairs]])
        if "corpus" in self.embedder.needs | self._reader.needs:  # its vectors have no stable key for the store
            make()
        else:
            inputs: dict[str, Component | str] = {
                "embedder": self.embedder,
                **({"reads": self.reads} if self.reads is not None else {}),
                "pairs": learned,
                "max_turns": str(self.max_turns),
            }
            context.cached_fit(self.student, make, inputs=inputs)

    def encode(self, batch: QueryBatch) -> QueryBatch:
        turns = [_turns(query.turns, query.text) for query in batch.queries]

        asked = [
            replace(query, text=query_turns[last_turn(query_turns)].text)
            for query, query_turns in zip(batch.queries, turns, strict=True)
        ]

        def vectors(_: Embedder) -> Vectors:
            return self.student.encode(self._conversations(turns, partial(batch.embed_documents, self._reader)))

        return batch.with_queries(asked, vectors)

    def _conversations(self, turns: Sequence[tuple[Turn, ...]], embed: Callable[[list[str]], Vectors]) -> Conversations:
        return Conversations.latest(turns, self.max_turns, embed)


def _turns(turns: Sequence[Turn], text: str) -> tuple[Turn, ...]:
    """A text without turns is one turn of the user."""
    return tuple(turns) or (Turn("user", text),)
