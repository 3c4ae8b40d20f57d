"""Summaries made of the text's own sentences."""

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
    """Picks sentences by the pipeline's own embeddings: nothing to download, no language model.

    A sentence is worth its centrality, the mean cosine to all sentences of the text (degree centrality of LexRank,
    Erkan and Radev 2004, without its threshold), and where it stands: sentences of a text gain by being early, turns
    of a conversation by being late. Sentences are taken best first, each less what it repeats of those taken (maximal
    marginal relevance, Carbonell and Goldstein 1998), and put back into their order. In conversations a sentence keeps
    its speaker's name.

    Args:
        embedder: Embeds the sentences.
        sentences: Sentences of a summary; a text that has no more is its own summary.
        redundancy: How much being like a sentence already taken costs, 0 to 1.
        position: What the first sentence of a text gains over the last one, in units of the cosine.
        latest: What the user's last turn gains over the first turn of a conversation, likewise. Turns after it, which
            answer it, gain as much.
        language: Whose rules say where sentences end: a code such as ``en``, ``de``, ``ja``.
        max_sentences: Sentences looked at; of longer texts, the first of them (of conversations, the last).
        block: Texts whose sentences are embedded together: what a kill can lose.
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
            for number, (parts, prior) in enumerate(split):
                some = vectors[done : done + len(parts)]
                done += len(parts)
                chosen = sorted(self._choose(some, prior)) if len(parts) > self.sentences else range(len(parts))
                joined = ("\n" if sources[first + number].turns else " ").join(parts[one] for one in chosen)
                yield first + number, Summary((joined,) if joined else (), "" if joined else "it has no sentence")

    def _split(self, source: Source) -> tuple[list[str], Doubles]:
        """Sentences, and what each gains by where it stands."""
        from sentencex import segment

        if not source.turns:
            parts = [one.strip() for one in segment(self.language, source.text) if one.strip()][: self.max_sentences]
            return parts, np.linspace(self.position, 0.0, len(parts))
        wanted = last_turn(source.turns)
        parts, gains = [], []
        for place, turn in enumerate(source.turns):
            speaker = render([turn]).removesuffix(turn.text)
            for sentence in segment(self.language, turn.text):
                if sentence.strip():
                    parts.append(speaker + sentence.strip())
                    gains.append(self.latest * min(1.0, place / wanted if wanted else 1.0))
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
