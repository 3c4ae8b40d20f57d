"""Reading what a chat model answered."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["Unusable", "read_answer", "several", "text_of", "tokens_of", "wants_structure", "without_thoughts"]

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
"""How refusals begin that come as text."""
_FENCE = re.compile(r"^\s*```\w*\n(.*?)\n?```\s*$", re.DOTALL)
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+")


class Unusable(Exception):  # noqa: N818 - a finding about an answer, caught in this package
    """An answer that no key can be made of.

    Args:
        why: What is wrong with it.
        again: Whether asking again may help.
    """

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


def text_of(answer: Any) -> str:
    """The text of an answer as it came."""
    return _text(_message(answer))


def wants_structure(model: Any, n_texts: int) -> Any:
    """The model, asked for a list by its structured output when several texts are wanted and it has that."""
    if n_texts == 1:
        return model
    try:
        return model.with_structured_output(_SCHEMA, include_raw=True)
    except NotImplementedError:
        return model  # the prompt asks for one a line


def tokens_of(answer: Any) -> tuple[int, int]:
    """Tokens read and written for an answer, and those of them that were written, as the provider counts them; 0 when
    it does not say.
    """
    usage = getattr(_message(answer), "usage_metadata", None) or {}
    return int(usage.get("total_tokens", 0)), int(usage.get("output_tokens", 0))


def read_answer(answer: Any, n_texts: int, *, in_words: bool = True) -> tuple[str, ...]:
    """The texts of an answer.

    Args:
        answer: What the model gave.
        n_texts: How many are wanted.
        in_words: Whether "I'm sorry, ..." is a refusal too, besides those that a provider marks as such. Not where the
            text may be an answer to somebody.

    Raises:
        Unusable: A refusal, nothing, or cut off.
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
        texts = [str(one).strip() for one in answer["parsed"].get("texts", [])]
    else:
        texts = several(text)
    texts = [one.encode("utf-8", "replace").decode() for one in texts if one][:n_texts]
    if not texts:
        raise Unusable("it answered with nothing", again=True)
    return tuple(texts)


def without_thoughts(text: str) -> str:
    """What a reasoning model wrote, without the thoughts that some servers leave before it. Their first tag may be
    missing: it is in the prompt of some models.
    """
    thoughts, tag, answer = text.partition("</think>")
    return answer if tag and "<think>" not in thoughts.lstrip().removeprefix("<think>") else text


def _message(answer: Any) -> Any:
    return answer["raw"] if isinstance(answer, dict) else answer


def _text(message: Any) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(one if isinstance(one, str) else str(one.get("text", "")) for one in content)


def several(text: str) -> list[str]:
    """A list in a text: JSON, or one a line with or without bullets."""
    fenced = _FENCE.match(text)
    text = fenced[1] if fenced else text
    try:
        value = json.loads(text)
    except ValueError:
        return [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]
    if isinstance(value, dict):
        value = next((one for one in value.values() if isinstance(one, list)), [])
    return [one.strip() for one in value if isinstance(one, str)] if isinstance(value, list) else []
