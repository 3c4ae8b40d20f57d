"""AsciiDoc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.markdown import fence, heading, joined, paragraph, table

__all__ = ["AsciiDocReader"]

_HEADING = re.compile(r"^(={1,6}|#{1,6}) +(\S.*?)(?: +=+)?$")
_ATTRIBUTE = re.compile(r"^:(!?[\w-]+!?):(?: +(.*))?$")
_UNDERLINES = "=-~^+"
_BULLET = re.compile(r"^\s*(\*{1,5}|-) +(?=\S)")
_NUMBERED = re.compile(r"^\s*(?:(\.{1,5})|\d{1,3}[.)]) +(?=\S)")
_TERM = re.compile(r"^(\s*\S.*?)(?:::{1,3}|;;)(?: +(.*))?$")
_STYLE = re.compile(r"^\[(.*)\]$")
_MACRO = re.compile(
    r"\b(?:link|mailto|xref|footnote|image|icon|kbd|btn|menu|linkgit|anchor|https?|pass):+([^\s\[]*)\[((?:[^\]\\]|\\.)*)\]"
)
_MANUAL = re.compile(r"\blinkgit:([\w.-]+)\[(\d\w*)\]")
"""A page of git's manual and its section."""
_REFERENCE = re.compile(r"<<([^,>]+)(?:,([^>]*))?>>|\[\[[^\]]*\]\]")
_DELIMITED = {
    "----": "code",
    "....": "code",
    "====": "open",
    "****": "open",
    "____": "open",
    "--": "open",
    "++++": "out",
    "////": "out",
    "|===": "table",
    ",===": "table",
    "!===": "table",
    "```": "code",
}


class AsciiDocReader(Reader):
    """AsciiDoc: headings, listings with their language, lists, tables; attributes and comments are left out."""

    name = "asciidoc"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        parser = _Parser()
        blocks = parser.blocks(text.replace("\r\n", "\n").expandtabs(8).split("\n"))
        fields = {
            name: parser.attributes[key]
            for name, key in (("language", "lang"), ("author", "author"), ("date", "revdate"))
            if parser.attributes.get(key)
        }
        title = next((block[2:] for block in blocks if block.startswith("# ")), "")
        yield Converted(
            joined(blocks), {**({"title": title.replace("`", "")} if title else {}), **fields}, counts=counts
        )


class _Parser:
    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}

    def blocks(self, lines: list[str], depth: int = 0) -> list[str]:
        """The blocks of some lines."""
        blocks: list[str] = []
        at = 0
        style = ""
        while at < len(lines):
            line = lines[at].rstrip()
            if not line:
                at += 1
                continue
            n, parsed, style = self._block(lines, at, style, depth)
            blocks += [block for block in parsed if block.strip()]
            at += max(n, 1)
        return blocks

    def _block(self, lines: list[str], at: int, style: str, depth: int) -> tuple[int, list[str], str]:
        """Number of lines of a block, its Markdown, and the style that it sets for the next block."""
        line = lines[at].rstrip()
        if attribute := _ATTRIBUTE.match(line):
            self.attributes[attribute[1].lower()] = (attribute[2] or "").strip()
            return 1, [], style
        if (named := _STYLE.match(line)) and not line.startswith("[["):
            return 1, [], named[1]
        if line.startswith("//") and not line.startswith("////"):
            return 1, [], style
        if line.startswith("[[") and line.endswith("]]"):
            return 1, [], style
        if title := _HEADING.match(line):
            return 1, [heading(len(title[1]), self._plain(title[2]))], ""
        kind, mark = _delimiter(line)
        if kind:
            end = next((n for n, other in enumerate(lines[at + 1 :], at + 1) if other.rstrip() == mark), len(lines))
            return end - at + 1, self._delimited(kind, lines[at + 1 : end], style, mark, depth), ""
        below = lines[at + 1].rstrip() if at + 1 < len(lines) else ""
        if (
            below
            and below[0] in _UNDERLINES
            and set(below) == {below[0]}
            and abs(len(below) - len(line)) <= 2
            and len(line) > 2
        ):
            return 2, [heading(_UNDERLINES.index(below[0]) + 1, self._plain(line))], ""
        if line.startswith(".") and re.match(r"^\.[^\s.]", line):
            return 1, [paragraph(self._plain(line[1:]))], style
        if re.match(r"^(include|toc|ifdef|ifndef|ifeval|endif)::", line) or line in ("+", "'''", "<<<"):
            return 1, [], style
        if _BULLET.match(line) or _NUMBERED.match(line):
            return self._list(lines, at)
        if (term := _TERM.match(line)) and "://" not in line:
            return 1, [paragraph(self._plain(f"{term[1].strip()}\n{term[2] or ''}"))], ""
        n = (
            len(
                list(
                    takewhile(
                        lambda row: row.strip() and not _delimiter(row.rstrip())[0] and row.strip() != "+", lines[at:]
                    )
                )
            )
            or 1
        )
        if line.startswith(" ") and not style.startswith(("quote", "verse")):
            return n, [fence("\n".join(_dedented(lines[at : at + n])), _language(style))], ""
        if style.startswith(("source", "listing", "literal")):
            return n, [fence("\n".join(lines[at : at + n]), _language(style))], ""
        return n, [paragraph(self._plain("\n".join(lines[at : at + n])))], ""

    def _delimited(self, kind: str, lines: list[str], style: str, mark: str, depth: int) -> list[str]:
        if kind == "out" or depth > 30:
            return []
        if kind == "table":
            return [table(self._rows(lines, style))]
        if kind == "code" or style.startswith(("source", "listing")):
            return [fence("\n".join(lines), _language(style))]
        return self.blocks(lines, depth + 1)

    def _rows(self, lines: list[str], style: str) -> list[list[str]]:
        cells: list[str] = []
        width = 0
        columns = re.search(r"""cols=["']?([^"'\]]+)""", style)
        if columns:
            repeated = re.match(r"^(\d+)\*", columns[1])
            width = int(repeated[1]) if repeated else len(columns[1].split(","))
        for line in lines:
            own = [self._plain(cell.strip()) for cell in re.split(r"(?:(?<=\s)|^)[\d.+*<^>]*[aehlmsdv]?\|", line)]
            if len(own) == 1:
                if cells and own[0]:
                    cells[-1] = f"{cells[-1]} {own[0]}".strip()
                continue
            width = width or len(own) - 1
            cells += own[1:]
        return [cells[first : first + width] for first in range(0, len(cells), max(width, 1))][:100_000]

    def _list(self, lines: list[str], at: int) -> tuple[int, list[str], str]:
        written: list[str] = []
        numbers: dict[int, int] = {}
        start = at
        while start < len(lines):
            line = lines[start].rstrip()
            bullet, number = _BULLET.match(line), _NUMBERED.match(line)
            if marker := bullet or number:
                mark = marker[1] or "."
                depth = len(mark) - 1 if mark != "-" else 0
                numbers = {level: n for level, n in numbers.items() if level <= depth}
                numbers[depth] = numbers.get(depth, 0) + 1
                end = marker.end()
                sign = "-" if bullet else f"{numbers[depth]}."
                written.append(f"{'   ' * depth}{sign} {self._plain(line[end:])}")
            elif (
                line.strip()
                and line.strip() != "+"
                and not _delimiter(line)[0]
                and not _STYLE.match(line)
                and not _HEADING.match(line)
            ):
                if not lines[start - 1].strip():
                    break
                written[-1] += f" {self._plain(line.strip())}"
            elif line.strip() or (
                start + 1 < len(lines) and not (_BULLET.match(lines[start + 1]) or _NUMBERED.match(lines[start + 1]))
            ):
                break
            start += 1
        return start - at, ["\n".join(written)], ""

    def _plain(self, text: str) -> str:
        """Text without macros, references and emphasis; attributes filled in."""
        text = re.sub(
            r"\{([\w-]+)\}",
            lambda match: self.attributes.get(
                match[1].lower(), match[1] if match[1] not in ("empty", "nbsp", "sp") else " "
            ),
            text,
        )
        text = _MANUAL.sub(r"\1(\2)", text)
        text = _MACRO.sub(lambda match: match[2].split(",")[0].strip("^\"'") or match[1], text)
        text = _REFERENCE.sub(lambda match: match[2] or match[1] or "", text)
        text = re.sub(r"(?<![\w`])([`+])(?=\S)(.+?)(?<=\S)\1(?!\w)", lambda match: f"`{match[2].strip('+')}`", text)
        text = re.sub(r"(?<![\w*])\*{1,2}([^*\s][^*\n]*)\*{1,2}(?![\w*])", r"\1", text)
        return re.sub(r"(?<!\w)_{1,2}([^_\s][^_\n]*)_{1,2}(?!\w)", r"\1", text).replace(" +\n", "\n")


def _delimiter(line: str) -> tuple[str, str]:
    """The kind of block that a line opens, and the line that ends it."""
    if line in _DELIMITED:
        return _DELIMITED[line], line
    if line.startswith("```"):
        return "code", "```"
    if len(line) > 4 and line[0] in "-.=*_+/" and set(line) == {line[0]} and line[0] * 4 in _DELIMITED:
        return _DELIMITED[line[0] * 4], line
    return "", ""


def _language(style: str) -> str:
    parts = [part.strip() for part in style.split(",")]
    return parts[1] if len(parts) > 1 and parts[0] in ("source", "") and re.fullmatch(r"[\w+#-]+", parts[1]) else ""


def _dedented(lines: list[str]) -> list[str]:
    edge = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[edge:] for line in lines]
