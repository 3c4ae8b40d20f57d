"""Conversations: turns of speakers in several formats, and the text that represents them.

A conversation is a list of turns, each ``{"speaker": ..., "text": ...}``, a pair, an OpenAI-style
``{"role": ..., "content": ...}``, or a LangChain message. A query has them in ``Query.turns``, a document under
``metadata["turns"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rag.errors import DataError

__all__ = ["History", "Turn", "conversation_text", "last_turn", "render", "turns_of"]

History = Literal["last_turn", "concatenate", "latest_first_budget"]
"""What of a conversation is read: its last turn, all of it in order, or the latest turns first up to a budget."""

_USERS = frozenset({"user", "human", "customer", "client"})
_MESSAGES = {"human": "user", "ai": "assistant", "HumanMessageChunk": "user", "AIMessageChunk": "assistant"}
_NOT_SAID = frozenset({"system", "developer", "tool", "function", "remove"})
"""Roles of messages that nobody in the conversation has said: instructions and what tools answered."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of one speaker.

    Args:
        speaker: Name of the speaker; ``user``, ``human``, ``customer`` and ``client`` ask the questions.
        text: Text of the turn.
    """

    speaker: str
    text: str

    @property
    def by_user(self) -> bool:
        return self.speaker.lower() in _USERS


def turns_of(conversation: Iterable[Any]) -> tuple[Turn, ...]:
    """The turns of a conversation in any of the forms above; those without text are left out, and so are instructions
    (role ``system``) and answers of tools among messages.

    Raises:
        DataError: Something in it is not a turn, or no turn has any text.
    """
    if isinstance(conversation, (str, Mapping)) or not isinstance(conversation, Iterable):
        raise DataError(f"a conversation is a list of turns, got {conversation!r:.60}")
    turns = []
    for number, item in enumerate(conversation):
        turn = _turn(item)
        if turn is None:
            raise DataError(
                f"turn {number} of a conversation must be {{speaker, text}}, {{role, content}}, a pair or a LangChain "
                f"message, got {item!r:.80}"
            )
        if turn.text.strip():
            turns.append(turn)
    if not turns:
        raise DataError("a conversation needs a turn with text, this one has none")
    return tuple(turns)


def _turn(item: Any) -> Turn | None:
    if isinstance(item, Turn):
        return item
    if isinstance(item, Mapping):
        if isinstance(item.get("speaker"), str) and isinstance(item.get("text"), str):
            return Turn(item["speaker"], item["text"])
        return _message(item["role"], item.get("content")) if isinstance(item.get("role"), str) else None
    if isinstance(item, (tuple, list)):
        return Turn(*item) if len(item) == 2 and all(isinstance(part, str) for part in item) else None
    kind = getattr(item, "type", None)  # a LangChain message, without importing LangChain
    if isinstance(kind, str) and hasattr(item, "content"):
        return _message(getattr(item, "role", None) or _MESSAGES.get(kind, kind), item.content)
    return None


def _message(role: str, content: Any) -> Turn | None:
    if isinstance(content, list):  # blocks: text, images, calls of tools
        blocks = (block.get("text") if isinstance(block, Mapping) else block for block in content)
        content = "\n".join(block for block in blocks if isinstance(block, str))
    if content is not None and not isinstance(content, str):
        return None
    return Turn(role, "" if role in _NOT_SAID else content or "")


def render(turns: Sequence[Turn]) -> str:
    """Turns as lines, ``speaker: text``."""
    return "\n".join(f"{turn.speaker}: {turn.text}" for turn in turns)


def last_turn(turns: Sequence[Turn]) -> int:
    """Position of the user's last turn; of the last one when no speaker is a user."""
    return max((position for position, turn in enumerate(turns) if turn.by_user), default=len(turns) - 1)


def conversation_text(
    turns: Sequence[Turn], history: History, *, budget: int = 256, count: Callable[[str], int] | None = None
) -> str:
    """The text that represents a conversation.

    Args:
        turns: The turns, at least one.
        history: ``last_turn`` is what the user said last, without the speaker's name; ``concatenate`` is all turns in
            order; ``latest_first_budget`` starts with the last turn and goes back while the budget lasts, so that what
            a model cuts off is the oldest.
        budget: Number of tokens. The last turn is taken whole even if it is longer.
        count: Function that counts the tokens of a text; None counts words.
    """
    if history == "last_turn":
        return turns[last_turn(turns)].text
    if history == "concatenate":
        return render(turns)
    lines: list[str] = []
    for turn in reversed(turns):
        line = render([turn])
        budget -= count(line) if count else len(line.split())
        if budget < 0 and lines:
            break
        lines.append(line)
    return "\n".join(lines)
