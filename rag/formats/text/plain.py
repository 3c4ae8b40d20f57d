"""Texts and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.errors import MissingExtraError
from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded

__all__ = ["MarkdownReader", "TextReader", "front_matter"]

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TABLE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)|\Z)|^ {0,3}<table\b.*?</table>[ \t]*(?:\n|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""A block of code, or a table in HTML."""
_TITLE = re.compile(r"^# +(.+?)[ #]*$|^(\S.*)\n=+[ \t]*$", re.MULTILINE)
_CHAT = re.compile(
    r"""^\u200e?\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},?[ ]  # a date
    \d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:[ \u202f][AaPp]\.?[Mm]\.?)?\]?(?:[ ]-)?[ ]  # a time
    ([^:\n]{1,60}):[ ](.*)$""",
    re.VERBOSE,
)


_MARKUP = {
    "asciidoc": re.compile(
        r"^\[\[[\w-]+\]\]$|^\[(?:verse|quote|source|listing|horizontal|cols|NOTE|TIP)\b[^\]\n]*\]$"
        r"|^(?:include|ifn?def|endif|image)::|\blink(?:git)?:[\w./-]+\[",
        re.MULTILINE,
    ),
    "rst": re.compile(r"^[ ]*\.\. [\w-]+::|^\.\. _[^:\n]+:|:(?:ref|doc|class|func|meth|mod|term):`", re.MULTILINE),
}
"""What only one markup has."""
_UNDERLINED = re.compile(r"\A\s*(?:=+\n)?\S[^\n]*\n(=|-|\*|~|#)\1{2,}\s*$|\A\s*= \S", re.MULTILINE)
"""A text that begins with a title as AsciiDoc and reStructuredText have it."""
_TELLING = 3
"""Times that a markup's own marks must stand in a text with a title."""


class TextReader(Reader):
    """Texts. One that a messenger has exported as a chat is read as a conversation, a turn a line; one that is written
    in AsciiDoc or reStructuredText, as in many source trees, as that.
    """

    name = "text"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        if (markup := _markup(text)) is not None:
            yield from markup.read(file)
            return
        yield Converted(_conversation(text) or text, counts=counts)


def _markup(text: str) -> Reader | None:
    """The reader of the markup that a text is written in."""
    if not _UNDERLINED.match(text.replace("\r\n", "\n")):
        return None
    from rag.formats.text.asciidoc import AsciiDocReader
    from rag.formats.text.rst import RSTReader

    marks = {kind: len(pattern.findall(text)) for kind, pattern in _MARKUP.items()}
    likely = max(marks, key=lambda kind: marks[kind])
    if marks[likely] < _TELLING:
        return None
    return AsciiDocReader() if likely == "asciidoc" else RSTReader()


class MarkdownReader(Reader):
    """Markdown as it is, but for tables in HTML; the fields of YAML front matter become metadata."""

    name = "markdown"
    version = "2"
    libraries = ("selectolax",)

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        fields, body = front_matter(text)
        match = _TITLE.search(body[:4000]) if "title" not in fields else None
        title = {"title": (match[1] or match[2]).strip()} if match else {}
        yield Converted(with_plain_tables(body), title | fields, counts=counts)


def with_plain_tables(text: str) -> str:
    """Markdown whose tables in HTML are such of Markdown, as far as there is a parser for them."""
    if "<table" not in text:
        return text
    from rag.formats.html.reader import from_html

    def plain(match: re.Match[str]) -> str:
        return match[0] if match["fence"] else f"{from_html(match[0], whole=True).text}\n"

    try:
        return _TABLE.sub(plain, text)
    except MissingExtraError:
        return text


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Fields at the head of a text, and the text without them; one whose head cannot be read is left as it is."""
    match = _FRONT.match(text.replace("\r\n", "\n")) if text.startswith("---") else None
    if match is None:
        return {}, text
    import json

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from rag.metadata import plain_value

    try:
        fields = YAML(typ="safe", pure=True).load(match[1])
        plain = json.loads(json.dumps(fields, default=plain_value)) if isinstance(fields, dict) else None
    except (YAMLError, ValueError, TypeError, RecursionError):
        plain = None
    if plain is None:
        return {}, text
    return {str(name): value for name, value in plain.items() if value not in (None, "")}, text.replace("\r\n", "\n")[
        match.end() :
    ].lstrip("\n")


def _conversation(text: str) -> str:
    """A chat as turns, ``SPEAKER: TEXT`` a line; empty for any other text."""
    lines = text.splitlines()
    head = [line for line in lines[:40] if line.strip()]
    if len(head) < 3 or sum(_CHAT.match(line) is not None for line in head) < 0.6 * len(head):
        return ""
    turns: list[str] = []
    for line in lines:
        match = _CHAT.match(line)
        if match:
            turns.append(f"{match[1].strip()}: {match[2].strip()}")
        elif turns and line.strip() and not re.match(r"^\u200e?\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},? \d", line):
            turns[-1] += f" {line.strip()}"
    return "\n".join(turns)
