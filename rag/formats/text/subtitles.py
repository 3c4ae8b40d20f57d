"""Subtitles: WebVTT and SubRip."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from rag.errors import DataError
from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.markdown import joined, paragraph

__all__ = ["SubtitleReader"]

_TIMES = re.compile(
    r"^\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
)
_SPEAKER = re.compile(r"<v(?:\.[^ >]*)? ([^>]+)>")
_PAUSE = 2.5
"""Seconds of silence after which a paragraph begins."""
_LONGEST = 60.0
"""Seconds after which a paragraph ends with the next sentence."""


class SubtitleReader(Reader):
    """Subtitles (``.vtt``, ``.srt``): what is said in paragraphs, each with the time at which it begins."""

    name = "subtitles"

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        cues = _cues(text)
        if not cues and text.strip():
            raise DataError("is not a file of subtitles: it has no times")
        yield Converted(joined(_paragraphs(cues)), {"title": file.stem}, counts=counts)


def _cues(text: str) -> list[tuple[float, float, str]]:
    """Start, end and text of each cue."""
    cues: list[tuple[float, float, str]] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = 0
    while at < len(lines):
        match = _TIMES.match(lines[at])
        at += 1
        if match is None:
            continue
        parts = [int(part or 0) for part in match.groups()]
        start, end = (3600 * h + 60 * m + s + ms / 1000 for h, m, s, ms in (parts[:4], parts[4:]))
        said: list[str] = []
        while at < len(lines) and lines[at].strip():
            said.append(_plain(lines[at]))
            at += 1
        if spoken := " ".join(part for part in said if part):
            cues.append((start, end, spoken))
    return cues


def _plain(line: str) -> str:
    line = _SPEAKER.sub(r"\1: ", line)
    return html.unescape(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", line)).strip()


def _paragraphs(cues: list[tuple[float, float, str]]) -> Iterator[str]:
    begin, last, said = 0.0, 0.0, list[str]()
    for start, end, text in cues:
        whole = said and re.search(r"[.!?\u3002\uff01\uff1f]['\"]?$", said[-1])
        if said and (start - last > _PAUSE or (start - begin > _LONGEST and whole)):
            yield paragraph(f"[{_clock(begin)}] {' '.join(said)}")
            said = []
        if not said:
            begin = start
        if not said or said[-1] != text:  # live captions roll
            said.append(text)
        last = end
    if said:
        yield paragraph(f"[{_clock(begin)}] {' '.join(said)}")


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
