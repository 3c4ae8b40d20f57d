"""Answers: what a language model writes from the passages that were found, and what it cites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Citation", "citations_in"]

_CITATION = re.compile(r"[\[\u3010]\s*(\d{1,9}(?:\s*[-\u2013,;]\s*\d{1,9})*)\s*[\]\u3011]")
"""``[1]``, ``[1, 3]``, ``[2-4]``, and the brackets that some models write instead."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer points to.

    Args:
        rank: Its number in the answer: its place among the candidates, from 1 on.
        document: Id of its document.
    """

    rank: int
    document: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stage such as ``generate`` answers to a query.

    Args:
        text: As it was written, with citations; empty when there is no answer.
        citations: The passages it cites, in the order they are first mentioned, each once.
        abstained: Whether it says that the passages do not hold the answer.
        problem: Why there is no answer.
        n_dropped: Citations of passages that it was not given.
        documents: Ids of the documents it was written from, in the order of their numbers.
        passages: What of these was shown to the model.
        llm_calls: Requests it took; none where another query of the batch had the same prompt, which was asked once.
        llm_tokens: Tokens read and written.
        money: What they cost, where prices are known.
        seconds: From the first request to the answer.
        entropy: Semantic entropy in nats, where ``generate`` measures it: 0 for an answer that the model gives again
            and again, high where it says something else each time.
        meanings: Number of sampled answers of each meaning, most first.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    problem: str = ""
    n_dropped: int = 0
    documents: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    llm_calls: int = 0
    llm_tokens: int = 0
    money: float | None = None
    seconds: float = 0.0
    entropy: float | None = None
    meanings: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values: the text, its citations, and why there is none or what it lacks."""
        fields = {
            name: getattr(self, name) for name in ("text", "abstained", "problem", "n_dropped", "money", "entropy")
        }
        return fields | {"citations": [{"rank": citation.rank, "id": citation.document} for citation in self.citations]}

    @property
    def plain(self) -> str:
        """The text without its citations."""
        return " ".join(_CITATION.sub(" ", self.text).split())


def citations_in(text: str, documents: Sequence[str]) -> tuple[tuple[Citation, ...], int]:
    """The passages that a text cites, each once, and how many citations point to none.

    Args:
        text: With citations like ``[1]``, ``[1, 3]`` or ``[2-4]``.
        documents: Id of the document of each passage; the first one is number 1.
    """
    cited: dict[int, Citation] = {}
    dropped = 0
    for match in _CITATION.finditer(text):
        for part in re.split(r"[,;]", match[1]):
            numbers = [int(number) for number in re.split(r"[-\u2013]", part)]
            first, last = numbers[0], numbers[-1]
            if 1 <= first <= last <= len(documents):
                cited |= {
                    rank: Citation(rank, documents[rank - 1]) for rank in range(first, last + 1) if rank not in cited
                }
            else:
                dropped += 1
    return tuple(cited.values()), dropped
