"""Parse the replies of chat models."""

from __future__ import annotations

import json
import re
from typing import Any

from rag.listening import Listener

__all__ = [
    "Unusable",
    "log_probability_of",
    "read_answer",
    "several",
    "text_of",
    "tokens_of",
    "wants_structure",
    "without_thoughts",
    "without_thoughts_heard",
]

_SCHEMA: dict[str, Any] = {
    "title": "texts",
    "description": "The texts that were asked for.",
    "type": "object",
    "properties": {"texts": {"type": "array", "items": {"type": "string"}, "description": "One text each."}},
    "required": ["texts"],
    "additionalProperties": False,
}
_REFUSAL = re.compile(
    r"(i['\u2019]?m|i am) (very )?(sorry|unable|not able)|"
    r"i (can['\u2019]t|cannot|can not|won['\u2019]t|will not|must decline)|as an ai\b",
    re.IGNORECASE,
)
"""Beginnings of refusals given as text."""
_FENCE = re.compile(r"^\s*```\w*\n(.*?)\n?```\s*$", re.DOTALL)
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+")


class Unusable(Exception):  # noqa: N818 - a finding about an answer, caught in this package
    """A reply from which no key can be made.

    Args:
        why: The reason.
        again: Whether another request may help.
    """

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


def text_of(answer: Any) -> str:
    """The text of an answer as it came."""
    return _text(_message(answer))


def wants_structure(model: Any, n_texts: int) -> Any:
    """The model, with structured output of a list if several texts are wanted and it supports that."""
    if n_texts == 1:
        return model
    try:
        return model.with_structured_output(_SCHEMA, include_raw=True)
    except NotImplementedError:
        return model  # the prompt asks for one text per line


def tokens_of(answer: Any) -> tuple[int, int]:
    """Tokens read and written for a reply, and the written ones alone, as counted by the provider; 0 when it reports
    none.
    """
    usage = getattr(_message(answer), "usage_metadata", None) or {}
    return int(usage.get("total_tokens", 0)), int(usage.get("output_tokens", 0))


def log_probability_of(answer: Any) -> float | None:
    """Mean log-probability of the tokens of a reply; None where the provider gives none."""
    about = getattr(_message(answer), "response_metadata", None) or {}
    tokens = (about.get("logprobs") or {}).get("content") or []
    return sum(token["logprob"] for token in tokens) / len(tokens) if tokens else None


def read_answer(answer: Any, n_texts: int, *, in_words: bool = True) -> tuple[str, ...]:
    """The texts of a reply.

    Args:
        answer: The reply of the model.
        n_texts: Number of texts wanted.
        in_words: Whether a text such as "I'm sorry, ..." counts as a refusal, besides those marked by the provider. Not
            where the text may be an answer to a user.

    Raises:
        Unusable: The reply is a refusal, empty, or cut off.
    """
    message, structured = _message(answer), isinstance(answer, dict)
    text = without_thoughts(_text(message))
    reason = (getattr(message, "response_metadata", None) or {}).get("finish_reason")
    refusal = (getattr(message, "additional_kwargs", None) or {}).get("refusal")
    if refusal or reason == "content_filter" or (in_words and _REFUSAL.match(text.strip())):
        raise Unusable(f"it refused: {(refusal or text or 'content filter')[:100]}")
    if reason in ("length", "max_tokens"):
        raise Unusable("its answer was cut off at max_tokens")
    if n_texts == 1:
        texts = [text.strip()]
    elif structured and isinstance(answer.get("parsed"), dict):
        texts = [str(text_item).strip() for text_item in answer["parsed"].get("texts", [])]
    else:
        texts = several(text)
    texts = [item.encode("utf-8", "replace").decode() for item in texts if item][:n_texts]
    if not texts:
        raise Unusable("it answered with nothing", again=True)
    return tuple(texts)


def without_thoughts(text: str) -> str:
    """The reply of a reasoning model without its thoughts, which some servers include. Their opening tag may be
    missing, since some models have it in the prompt.
    """
    thoughts, tag, answer = text.partition("</think>")
    return answer if tag and "<think>" not in thoughts.lstrip().removeprefix("<think>") else text


def without_thoughts_heard(listen: Listener) -> Listener:
    """A listener that hands on a reply without its thoughts: their pieces become empty. Only thoughts that begin with
    their tag are told from a reply that is not complete.
    """
    held, through = "", False

    def hear(piece: str) -> None:
        nonlocal held, through
        if through:
            listen(piece)
            return
        held += piece
        begun = held.lstrip()
        _, closed, answer = begun.partition("</think>")
        thinks = begun.startswith("<think>")
        through = bool(closed) if thinks else not "<think>".startswith(begun)
        listen((answer if thinks else held) if through else "")

    return hear


def _message(answer: Any) -> Any:
    return answer["raw"] if isinstance(answer, dict) else answer


def _text(message: Any) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(block if isinstance(block, str) else str(block.get("text", "")) for block in content)


def several(text: str) -> list[str]:
    """Parse a list from a text: JSON, or one item per line, with or without bullets."""
    fenced = _FENCE.match(text)
    text = fenced[1] if fenced else text
    try:
        value = json.loads(text)
    except ValueError:
        return [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]
    if isinstance(value, dict):
        value = next((member for member in value.values() if isinstance(member, list)), [])
    return [item.strip() for item in value if isinstance(item, str)] if isinstance(value, list) else []
