"""E-mail: single messages and mailboxes."""

from __future__ import annotations

import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import Any

from rag.errors import DataError, RagError
from rag.formats.base import Converted, File, Reader, format_of
from rag.formats.decode import decoded
from rag.formats.html.page import declared_encoding
from rag.formats.html.reader import from_html
from rag.formats.markdown import heading, joined, paragraph

__all__ = ["MailReader", "MailboxReader"]

_HEADERS = re.compile(rb"^[!-9;-~]+:", re.MULTILINE)
_FROM = re.compile(rb"^From \S.*\d{4}.*\r?\n(?=[!-9;-~]+:)", re.MULTILINE)
_MAX_ATTACHED = 100


class MailReader(Reader):
    """A message (``.eml``): its text, or its HTML where it has no text; the subject is the title. Attachments that some
    reader reads are documents of their own.
    """

    name = "mail"
    version = "2"
    libraries = ("selectolax",)

    def read(self, file: File) -> Iterator[Converted]:
        if not _HEADERS.match(file.content.lstrip()[:2000]):
            raise DataError("is not an e-mail: it has no headers")
        yield from _documents(file.content, "")


class MailboxReader(Reader):
    """A mailbox (``.mbox``): each message is a document, named by its id."""

    name = "mbox"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        starts = [match.start() for match in _FROM.finditer(file.content)]
        if not starts:
            raise DataError("is not a mailbox: it has no message")
        seen: dict[str, int] = {}
        for start, end in zip(starts, [*starts[1:], len(file.content)], strict=True):
            raw = file.content[start:end].partition(b"\n")[2]
            raw = re.sub(rb"^>(>*From )", rb"\1", raw, flags=re.MULTILINE)
            id = re.search(rb"^Message-I[Dd]:\s*<([^>\s]+)>", raw[:8000], re.MULTILINE)
            part = id[1].decode("ascii", "replace") if id else str(len(seen) + 1)
            seen[part] = seen.get(part, 0) + 1
            yield from _documents(raw, part if seen[part] == 1 else f"{part}-{seen[part]}")


def _documents(raw: bytes, part: str) -> Iterator[Converted]:
    try:
        message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(raw)
        converted = _message(message)
    except RagError:
        raise
    except Exception as error:  # headers written against the rules make the module raise anything
        raise DataError(f"is damaged: {type(error).__name__}: {error}") from None
    converted.part = part
    attached = list(_attached(message, converted))
    yield converted
    for other in attached:
        other.part = "/".join(name for name in (part, other.part) if name)
        yield other


def _message(message: EmailMessage) -> Converted:
    metadata: dict[str, Any] = {}
    for field, header in (
        ("title", "subject"),
        ("author", "from"),
        ("to", "to"),
        ("in_reply_to", "in-reply-to"),
        ("message_id", "message-id"),
    ):
        if value := _header(message, header):
            metadata[field] = value
    counts: dict[str, int] = {}
    if date := _header(message, "date"):
        try:
            metadata["date"] = parsedate_to_datetime(date).isoformat()
        except (ValueError, TypeError, IndexError):
            counts["dates_unreadable"] = 1
    body = message.get_body(preferencelist=("plain", "html"))
    blocks: list[str] = []
    if body is not None:
        text, of_text = _text(body)
        counts |= of_text
        if body.get_content_type() == "text/html":
            inner = from_html(text, whole=True)
            blocks = [inner.text]
            counts |= inner.counts
        else:
            blocks = [_flowed(text, body)]
    title = metadata.get("title", "")
    return Converted(joined([heading(1, title), *blocks]), metadata, counts=counts)


def _header(message: Message[Any, Any], name: str) -> str:
    try:
        value = str(message.get(name) or "")
    except Exception:  # the module raises anything at headers written against the rules: such a one stays as it is
        value = next(str(raw) for header, raw in message.raw_items() if header.lower() == name)
    return " ".join(value.split())


def _text(part: Message[Any, Any]) -> tuple[str, dict[str, int]]:
    raw = part.get_payload(decode=True)
    raw = raw if isinstance(raw, bytes) else b""
    declared = part.get_content_charset() or (
        declared_encoding(raw) if part.get_content_type() == "text/html" else None
    )
    return decoded(raw, declared=declared)


def _flowed(text: str, part: Message[Any, Any]) -> str:
    """Paragraphs of a plain text; lines quoted from an earlier message stay quotations."""
    text = text.replace("\r\n", "\n")
    flowed = str(part.get_param("format") or "").lower() == "flowed"
    if flowed:
        text = re.sub(r"(?m) \n(?!>)", " ", text)
    blocks = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.split("\n")
        quoted = all(line.startswith(">") for line in lines if line.strip())
        blocks.append(block if quoted else paragraph(block))
    return joined(blocks)


def _attached(message: EmailMessage, host: Converted) -> Iterator[Converted]:
    from rag.formats.registry import is_code, reader_of, suffixes

    skipped = 0
    for n, part in enumerate(message.iter_attachments()):
        name = (part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
        suffix = format_of(name) if name else ""
        if part.get_content_type() == "message/rfc822" and n < _MAX_ATTACHED:
            inner = part.get_payload()
            if isinstance(inner, list) and inner:
                converted = _message(inner[0])  # type: ignore[arg-type]
                converted.part = f"message-{n + 1}"
                yield converted
                continue
        content = part.get_payload(decode=True)
        if suffix in suffixes() and not is_code(suffix) and isinstance(content, bytes) and n < _MAX_ATTACHED:
            try:
                for converted in reader_of(suffix).read(File(name, content)):
                    converted.part = "/".join(step for step in (name, converted.part) if step)
                    yield converted
                continue
            except RagError:
                pass
        skipped += part.get_content_maintype() not in ("image", "audio", "video") and bool(name)
    if skipped:
        host.counts["parts_skipped"] = skipped
