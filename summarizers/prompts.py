"""Prompts for language models, by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from rag.conversation import render
from rag.errors import ConfigError
from rag.summarizer import Source, Summarizer

__all__ = ["Task", "check_template", "messages", "prompted", "template_of"]

Task = Literal["summary", "questions", "answer", "prompt"]
"""``summary`` of the text, ``questions`` that it answers, or an ``answer`` that a matching text might give. With
``prompt`` the text is the whole prompt; it is never cut."""

_PLACE = "{text}"

_DOCUMENT: Mapping[Task, str] = {
    "summary": (
        "Summarize the text below in two or three sentences, so that it is found by anyone who looks for what it "
        "says. Name who and what it is about, and its facts and figures. Write the summary only.\n\n{text}"
    ),
    "questions": (
        "Write {n} questions that the text below answers, in the words of someone who has not read it. Write the "
        "questions only, one a line.\n\n{text}"
    ),
    "answer": (
        "Write a short passage that answers the question below, as a document that somebody looks for might put it. "
        "Write the passage only.\n\n{text}"
    ),
    "prompt": _PLACE,
}
_CONVERSATION: Mapping[Task, str] = {
    "summary": (
        "Below is a conversation, oldest turn first. Say in one or two sentences what the user wants at its end: what "
        "was asked for last, with every name, number and condition from earlier turns that still holds. Leave out "
        "greetings and what is settled. Write the summary only.\n\n{text}"
    ),
    "questions": (
        "Write {n} questions that the conversation below answers, in the words of someone who has not read it. Write "
        "the questions only, one a line.\n\n{text}"
    ),
    "answer": (
        "Below is a conversation, oldest turn first. Write a short passage that answers what the user wants at its "
        "end, as a document that somebody looks for might put it. Write the passage only.\n\n{text}"
    ),
    "prompt": _PLACE,
}

_OWN = ("task", "prompt", "conversation_prompt", "examples", "n_texts")
"""Arguments with the content of prompts."""


def template_of(task: Task, source: Source, document: str | None, conversation: str | None) -> str:
    """The template for a source: the given one, or the task's default."""
    if source.turns:
        return conversation or _CONVERSATION[task]
    return document or _DOCUMENT[task]


def check_template(template: str | None, parameter: str) -> None:
    """Refuse a template without a placeholder for the text."""
    if template is not None and _PLACE not in template:
        raise ConfigError(f"must have the placeholder {_PLACE}, got '{template[:60]}'", parameter=parameter)


S = TypeVar("S", bound=Summarizer)


def prompted(writer: S) -> S:
    """A copy of a model with the task ``prompt``.

    Raises:
        ConfigError: It has prompt arguments of its own.
    """
    arguments = dict(writer.spec.arguments)
    if arguments["task"] == "prompt":
        return writer
    told = [name for name in _OWN if name in arguments and arguments[name] != writer.spec.parameters[name].default]
    if told:
        raise ConfigError(f"{writer.spec.label} receives whole prompts here: leave out its {', '.join(told)}")
    return type(writer)(**arguments | {"task": "prompt"})


def messages(
    template: str, source: Source, n: int, examples: Sequence[Mapping[str, str]], max_characters: int
) -> list[tuple[str, str]]:
    """(role, text) pairs: the examples as earlier turns, then the source.

    Args:
        template: Text with ``{text}``, optionally ``{n}``; other braces are kept.
        source: The source. If longer than ``max_characters``, a text loses its end and a conversation its beginning.
        n: Number of texts wanted.
        examples: Examples with ``input`` and ``output``.
        max_characters: Longest input, in characters.
    """

    def filled(text: str) -> str:
        return template.replace("{n}", str(n)).replace(_PLACE, text)

    text = render(source.turns)[-max_characters:] if source.turns else source.text[:max_characters]
    shown = [
        pair for example in examples for pair in (("user", filled(example["input"])), ("assistant", example["output"]))
    ]
    return [*shown, ("user", filled(text))]
