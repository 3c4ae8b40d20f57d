"""Summaries from the text's own sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime
from rag.conversation import last_turn, render
from rag.embedders.base import Embedder
from rag.summarizer import Source, Summarizer, Summary

__all__ = ["Extractive"]

Doubles = npt.NDArray[np.float64]


class Extractive(Summarizer):
    """Selects sentences by the pipeline's own embeddings: no download, no language model.

    A sentence scores by centrality, its mean cosine to all sentences of the text (degree centrality of LexRank, Erkan
    and Radev 2004, without its threshold), and by position: early sentences of a text and late turns of a conversation
    gain. Sentences are taken best first, with a penalty for similarity to those already taken (maximal marginal
    relevance, Carbonell and Goldstein 1998), and restored to their order. In conversations each sentence keeps its
    speaker's name.

    Args:
        embedder: Embedder of the sentences.
        sentences: Number of sentences in a summary; a text with no more is its own summary.
        redundancy: Penalty for similarity to a sentence already taken, 0 to 1.
        position: Gain of the first sentence of a text over the last one, in units of the cosine.
        latest: Gain of the user's last turn over the first turn of a conversation, in units of the cosine. Turns after
            it, which answer it, gain as much.
        language: Language of the rules for sentence ends: a code such as ``en``, ``de``, ``ja``.
        max_sentences: Number of sentences considered; of longer texts the first, of longer conversations the last.
        block: Number of texts embedded together, and thus lost when the process is killed.
    """

    type = "extractive"
    _libraries = ("sentencex",)

    def __init__(
        self,
        *,
        embedder: Embedder,
        sentences: Annotated[int, Field(ge=1)] = 4,
        redundancy: Annotated[float, Field(ge=0, le=1)] = 0.5,
        position: Annotated[float, Field(ge=0)] = 0.1,
        latest: Annotated[float, Field(ge=0)] = 0.2,
        language: str = "en",
        max_sentences: Annotated[int, Field(ge=2)] = 512,
        block: Annotated[int, Field(ge=1), Runtime()] = 64,
    ) -> None:
        self.embedder = embedder
        self.sentences = sentences
        self.redundancy = redundancy
        self.position = position
        self.latest = latest
        self.language = language
        self.max_sentences = max_sentences
        self.block = block

    def write(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        for first in range(0, len(sources), self.block):
            split = [self._split(source) for source in sources[first : first + self.block]]
            texts = [text for parts, _ in split for text in parts]
            vectors = self.embedder.checked(self.embedder.embed_documents(texts), len(texts))
            done = 0
            for index, (parts, prior) in enumerate(split):
                text_vectors = vectors[done : done + len(parts)]
                done += len(parts)
                chosen = sorted(self._choose(text_vectors, prior)) if len(parts) > self.sentences else range(len(parts))
                joined = ("\n" if sources[first + index].turns else " ").join(parts[part] for part in chosen)
                yield first + index, Summary((joined,) if joined else (), "" if joined else "it has no sentence")

    def _split(self, source: Source) -> tuple[list[str], Doubles]:
        """Split into sentences, with the gain of each by its position."""
        from sentencex import segment

        if not source.turns:
            parts = [sentence.strip() for sentence in segment(self.language, source.text) if sentence.strip()][
                : self.max_sentences
            ]
            return parts, np.linspace(self.position, 0.0, len(parts))
        last = last_turn(source.turns)
        parts, gains = [], []
        for position, turn in enumerate(source.turns):
            speaker = render([turn]).removesuffix(turn.text)
            for sentence in segment(self.language, turn.text):
                if sentence.strip():
                    parts.append(speaker + sentence.strip())
                    gains.append(self.latest * min(1.0, position / last if last else 1.0))
        return parts[-self.max_sentences :], np.asarray(gains[-self.max_sentences :])

    def _choose(self, vectors: Vectors, prior: Doubles) -> list[int]:
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        alike = (unit @ unit.T).astype(np.float64)
        worth = alike.mean(axis=1) + prior
        chosen: list[int] = []
        repeated = np.zeros(len(worth))
        for _ in range(self.sentences):
            value = worth - self.redundancy * repeated
            value[chosen] = -np.inf
            chosen.append(int(value.argmax()))
            repeated = np.maximum(repeated, alike[chosen[-1]])
        return chosen
