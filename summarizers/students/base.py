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
"""Row of a turn that a conversation does not have."""


@dataclass(frozen=True)
class Utterances:
    """Vectors of turns, one conversation after another.

    Args:
        vectors: Vectors of the turns of all conversations, float32 [n_turns, d].
        ends: Boundaries, int64 [n + 1]; conversation ``i`` has rows ``ends[i]`` to ``ends[i + 1]``, oldest first.
        latest: Row of the asking turn, int64 [n].
        reply: Row of the last earlier turn of another speaker, int64 [n]; -1 without one.
        before: Row of the last earlier turn of the same speaker, int64 [n]; -1 without one.
    """

    vectors: Vectors
    ends: Ints
    latest: Ints
    reply: Ints
    before: Ints

    def rows(self, places: Ints) -> Vectors:
        """Vectors of turns by row; zeros for row -1."""
        return np.where((places >= 0)[:, None], self.vectors[places], np.float32(0))

    def means(self) -> Vectors:
        """Mean over each conversation, float32 [n, d]."""
        return np.asarray(np.add.reduceat(self.vectors, self.ends[:-1]) / np.diff(self.ends)[:, None], dtype=np.float32)


@dataclass(frozen=True)
class Conversations:
    """Conversations as input of students.

    Args:
        turns: Turns of each conversation, oldest first, at least one; the last is the asking turn.
        embed: Function for the frozen embedder's document vectors of texts.
    """

    turns: Sequence[tuple[Turn, ...]]
    embed: Callable[[list[str]], Vectors]

    @classmethod
    def latest(
        cls, turns: Sequence[tuple[Turn, ...]], max_turns: int, embed: Callable[[list[str]], Vectors]
    ) -> Conversations:
        """At most ``max_turns`` turns of each conversation, up to the asking one."""
        return cls([conversation[: last_turn(conversation) + 1][-max_turns:] for conversation in turns], embed)

    def __len__(self) -> int:
        return len(self.turns)

    @cached_property
    def utterances(self) -> Utterances:
        """Embed every turn by itself, equal ones only once."""
        flat = [turn.text for conversation in self.turns for turn in conversation]
        rows = {text: row for row, text in enumerate(dict.fromkeys(flat))}
        ends = np.cumsum([0, *map(len, self.turns)], dtype=np.int64)
        reply, before = np.full((2, len(self)), NONE, dtype=np.int64)
        for index, conversation in enumerate(self.turns):
            for position in range(len(conversation) - 2, -1, -1):
                target = before if conversation[position].speaker == conversation[-1].speaker else reply
                if target[index] == NONE:
                    target[index] = ends[index] + position
        vectors = self.embed(list(rows))[[rows[text] for text in flat]]
        return Utterances(vectors, ends, ends[1:] - 1, reply, before)


class Student(Component):
    """Maps conversations into the space of their summaries' vectors."""

    kind: ClassVar[str] = "student"

    @abstractmethod
    def learn(self, conversations: Conversations, targets: Vectors, *, seed: int, progress: Progress) -> None:
        """Learn from pairs.

        Args:
            conversations: The conversations.
            targets: Vectors of their summaries, float32 [n, d], of length 1.
            seed: Seed of all random draws.
            progress: Callback that shows progress.
        """

    @abstractmethod
    def encode(self, conversations: Conversations) -> Vectors:
        """Vectors in the space of the targets, of length 1, float32 [n, d]."""


def unit(vectors: Vectors) -> Vectors:
    """Scale to length 1; zero vectors stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
