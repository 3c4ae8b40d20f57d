"""The contract of students, and the conversations they read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from rag.candidates import Ints, Vectors
from rag.component import Component
from rag.conversation import Turn, last_turn
from rag.progress import Progress

__all__ = ["Conversations", "Student", "Utterances", "unit"]

NONE = -1
"""Place of a turn that a conversation does not have."""


@dataclass(frozen=True)
class Utterances:
    """Vectors of what was said, one conversation after another.

    Args:
        vectors: float32 [turns of all conversations, d].
        ends: int64 [n + 1]; conversation ``i`` has rows ``ends[i]`` to ``ends[i + 1]``, oldest first.
        latest: Row of the turn that asks, int64 [n].
        reply: Row of the last turn of another speaker before it, int64 [n]; -1 where there is none.
        before: Row of the same speaker's turn before it, int64 [n]; -1 where there is none.
    """

    vectors: Vectors
    ends: Ints
    latest: Ints
    reply: Ints
    before: Ints

    def rows(self, places: Ints) -> Vectors:
        """Vectors of turns by their row; zeros where there is none."""
        return np.where((places >= 0)[:, None], self.vectors[places], np.float32(0))

    def means(self) -> Vectors:
        """Mean over each conversation, float32 [n, d]."""
        return np.asarray(np.add.reduceat(self.vectors, self.ends[:-1]) / np.diff(self.ends)[:, None], dtype=np.float32)


@dataclass(frozen=True)
class Conversations:
    """Conversations as students read them.

    Args:
        turns: Of each, oldest first, at least one; the last is the one that asks.
        embed: Gives the frozen embedder's vectors of texts, as of documents.
    """

    turns: Sequence[tuple[Turn, ...]]
    embed: Callable[[list[str]], Vectors]

    @classmethod
    def latest(
        cls, turns: Sequence[tuple[Turn, ...]], max_turns: int, embed: Callable[[list[str]], Vectors]
    ) -> Conversations:
        """At most ``max_turns`` turns of each, up to the one that asks."""
        return cls([one[: last_turn(one) + 1][-max_turns:] for one in turns], embed)

    def __len__(self) -> int:
        return len(self.turns)

    @cached_property
    def utterances(self) -> Utterances:
        """Every turn embedded by itself; what was said several times, once."""
        flat = [turn.text for one in self.turns for turn in one]
        rows = {text: row for row, text in enumerate(dict.fromkeys(flat))}
        ends = np.cumsum([0, *map(len, self.turns)], dtype=np.int64)
        reply, before = np.full((2, len(self)), NONE, dtype=np.int64)
        for number, one in enumerate(self.turns):
            for place in range(len(one) - 2, -1, -1):
                found = before if one[place].speaker == one[-1].speaker else reply
                if found[number] == NONE:
                    found[number] = ends[number] + place
        vectors = self.embed(list(rows))[[rows[text] for text in flat]]
        return Utterances(vectors, ends, ends[1:] - 1, reply, before)


class Student(Component):
    """Maps conversations into the space of their summaries' vectors."""

    kind: ClassVar[str] = "student"

    @abstractmethod
    def learn(self, conversations: Conversations, targets: Vectors, *, seed: int, progress: Progress) -> None:
        """Learn from pairs.

        Args:
            conversations: What is asked.
            targets: Vectors of their summaries, float32 [n, d], of length 1.
            seed: For everything random.
            progress: Shows how far it is.
        """

    @abstractmethod
    def encode(self, conversations: Conversations) -> Vectors:
        """Vectors in the space of the targets, of length 1, float32 [n, d]."""


def unit(vectors: Vectors) -> Vectors:
    """Scaled to length 1; zero stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
