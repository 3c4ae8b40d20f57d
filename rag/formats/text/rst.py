"""reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.markdown import fence, heading, item, joined, paragraph, quote, table

__all__ = ["RSTReader"]

_ADORNMENT = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}\s*$")
_DIRECTIVE = re.compile(r"^\.\. (?:\|[^|]+\| )?([\w:.+-]+?):: ?(.*)$")
_TARGET = re.compile(r"^\.\. (?:_|\[\S+\]|__)|^__ ")
_BULLET = re.compile(r"^(\s*)([-*+\u2022]) +(?=\S)")
_NUMBERED = re.compile(r"^(\s*)(?:\(?(\d{1,3}|#|[a-zA-Z])[.)]) +(?=\S)")
_FIELD = re.compile(r"^:([^:`\n]+):(?: +(.*))?$")
_CODE = frozenset(
    """
    code code-block sourcecode literalinclude parsed-literal highlight math doctest testcode prompt ipython
    console productionlist
    """.split()  # noqa: SIM905
)
_LEFT_OUT = frozenset(
    """
    toctree index image figure include contents sectnum meta raw only tabularcolumns currentmodule module
    highlightlang role default-role testsetup testcleanup rubric-hidden sectionauthor moduleauthor
    """.split()  # noqa: SIM905
)
_ROLE = re.compile(r":[\w:+.-]+:`(~?!?)([^`<]*?)(?:\s*<[^`>]+>)?`")
_LITERAL = re.compile(r"``(.+?)``")
_LINK = re.compile(r"`([^`<]+?)\s*(?:<[^`>]+>)?`__?")
_NAMED = re.compile(r"(?<=[^\W_])_(?=[\s.,;:!?)]|$)|\[[#*\w-]+\]_")


class RSTReader(Reader):
    """reStructuredText: headings by the order of their underlines, literal blocks, lists, tables and directives."""

    name = "rst"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        blocks = _Parser().blocks(text.replace("\r\n", "\n").expandtabs(8).split("\n"))
        title = next((block.lstrip("# ") for block in blocks if block.startswith("#")), "")
        yield Converted(joined(blocks), {"title": title.replace("`", "")} if title else {}, counts=counts)


class _Parser:
    def __init__(self) -> None:
        self._levels: list[str] = []

    def blocks(self, lines: list[str], depth: int = 0) -> list[str]:
        """The blocks of some lines."""
        blocks: list[str] = []
        at = 0
        while at < len(lines):
            if not lines[at].strip():
                at += 1
                continue
            n, parsed = self._block(lines, at, depth)
            blocks += [block for block in parsed if block.strip()]
            at += max(n, 1)
        return blocks

    def _block(self, lines: list[str], at: int, depth: int) -> tuple[int, list[str]]:
        """Number of lines of the block that begins here, and its Markdown."""
        line = lines[at]
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if title := self._title(lines, at):
            return title
        if depth > 30:
            return 1, [paragraph(line)]
        if line.startswith(".."):
            n = 1 + _indented(lines, at + 1)
            return n, self._directive(lines[at : at + n], depth)
        if re.match(r"^\+[-=+]+\+\s*$", line):
            n = len(list(takewhile(lambda row: row.startswith(("+", "|")), lines[at:])))
            return n, [table(_grid(lines[at : at + n]))]
        if re.match(r"^={2,}( +=+)+\s*$", line):
            n = _end_of_simple(lines, at)
            return n, [table(_simple(lines[at : at + n]))]
        marker = _BULLET.match(line) or _NUMBERED.match(line)
        if marker and (not below.strip() or below.startswith(" ") or _BULLET.match(below) or _NUMBERED.match(below)):
            return self._list(lines, at, depth)
        if field := _FIELD.match(line):
            n = 1 + _indented(lines, at + 1)
            rest = " ".join([field[2] or "", *(text.strip() for text in lines[at + 1 : at + n])]).strip()
            return n, [paragraph(_plain(f"{field[1]}: {rest}"))] if rest else []
        if line.startswith(" "):  # quoted, or what a term is followed by
            n = 1 + _indented(lines, at + 1, at_least=1)
            body = self.blocks(_dedented(lines[at : at + n]), depth + 1)
            return n, [quote(body)] if not at else body
        if line.startswith((">>> ", "... ")):
            n = len(list(takewhile(str.strip, lines[at:])))
            return n, [fence("\n".join(lines[at : at + n]), "python")]
        n = len(list(takewhile(lambda row: row.strip() and not row.startswith(".. "), lines[at:]))) or 1
        if n > 1 and lines[at + 1].startswith(" ") and not line.rstrip().endswith("::"):  # a term and its definition
            n = 1 + _indented(lines, at + 1)
            first, *others = self.blocks(_dedented(lines[at + 1 : at + n]), depth + 1) or [""]
            term = paragraph(_plain(line))
            return n, [term, first, *others] if first[:1] in "#>|`-" else [f"{term}\n{first}", *others]
        text = "\n".join(lines[at : at + n])
        if text.rstrip().endswith("::"):
            after = at + n
            m = _indented(lines, after)
            text = re.sub(r"(^|\s*)::\s*$", lambda end: "" if end[0].strip() == text.strip() or end[1] else ":", text)
            return n + m, [paragraph(_plain(text)), fence("\n".join(_dedented(lines[after : after + m])))]
        return n, [paragraph(_plain(text))]

    def _title(self, lines: list[str], at: int) -> tuple[int, list[str]] | None:
        line = lines[at].rstrip()
        below = lines[at + 1].rstrip() if at + 1 < len(lines) else ""
        after = lines[at + 2].rstrip() if at + 2 < len(lines) else ""
        over = _ADORNMENT.match(line)
        if over and below.strip() and after == line:
            return 3, [heading(self._level(line[0] * 2), _plain(below.strip()))]
        if over:
            return 1, []  # a transition
        if (
            _ADORNMENT.match(below)
            and not line.startswith(" ")
            and len(below) >= min(len(line), 3)
            and not line.startswith(".. ")
        ):
            return 2, [heading(self._level(below[0]), _plain(line))]
        return None

    def _level(self, mark: str) -> int:
        if mark not in self._levels:
            self._levels.append(mark)
        return self._levels.index(mark) + 1

    def _directive(self, lines: list[str], depth: int) -> list[str]:
        match = _DIRECTIVE.match(lines[0])
        if match is None:
            return []  # a comment or a target
        name, argument = match[1].lower(), match[2].strip()
        body = _dedented(lines[1:])
        options: dict[str, str] = {}
        start = 0
        while start < len(body) and (option := _FIELD.match(body[start])):
            options[option[1]] = option[2] or ""
            start += 1
        content = body[start:]
        if name in _CODE:
            return [fence("\n".join(content), "" if name in ("math", "productionlist") else argument)]
        if name in ("image", "figure"):
            caption = self.blocks(content, depth + 1) if name == "figure" else []
            return [paragraph(options.get("alt", "")), *caption]
        if name in _LEFT_OUT:
            return []
        if name in ("csv-table", "list-table"):
            return [paragraph(_plain(argument)), table(_listed(name, options, content))]
        shown = "" if name in ("container", "class", "rst-class", "cssclass") else argument
        return [paragraph(_plain(shown)), *self.blocks(content, depth + 1)]

    def _list(self, lines: list[str], at: int, depth: int) -> tuple[int, list[str]]:
        indent = len(lines[at]) - len(lines[at].lstrip())
        items: list[str] = []
        start = at
        while start < len(lines):
            marker = _BULLET.match(lines[start]) or _NUMBERED.match(lines[start])
            if marker is None or len(marker[1]) != indent:
                break
            width = marker.end()
            n = 1 + _indented(lines, start + 1, at_least=indent + 1)
            own = [
                lines[start][width:],
                *(line[min(width, len(line) - len(line.lstrip())) :] for line in lines[start + 1 : start + n]),
            ]
            mark = "-" if _BULLET.match(lines[start]) else f"{len(items) + 1}."
            items.append(item(mark, self.blocks(own, depth + 1)))
            start += n
            while start < len(lines) and not lines[start].strip():
                start += 1
        return start - at, ["\n".join(text for text in items if text)]


def _indented(lines: list[str], at: int, at_least: int = 1) -> int:
    """Number of lines from here on that are blank or indented, without blank lines at the end."""
    last = 0
    for n, line in enumerate(lines[at:], 1):
        if line.strip() and len(line) - len(line.lstrip()) < at_least:
            break
        last = n if line.strip() else last
    return last


def _dedented(lines: list[str]) -> list[str]:
    edge = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[edge:] for line in lines]


def _plain(text: str) -> str:
    """Text without roles, link targets and emphasis; literals as code."""
    text = _LITERAL.sub(lambda match: f"`{match[1]}`" if "`" not in match[1] else match[1], text)
    text = _ROLE.sub(_named_by_role, text)
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"(?<![\w*])\*{1,2}([^*\n]+)\*{1,2}(?![\w*])", r"\1", text)
    text = re.sub(r"\|([\w -]+)\|", r"\1", text)
    return re.sub(r"\\(?=\S)|\\ ", "", _NAMED.sub("", text))


def _named_by_role(match: re.Match[str]) -> str:
    name = match[2].rpartition(".")[2] if match[1].startswith("~") else match[2]
    kind = match[0][1:4]
    return f"{kind.upper()} {name}" if kind in ("rfc", "pep") else name


def _grid(lines: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    current: list[str] = []
    for line in lines:
        if line.startswith("+"):
            if current:
                rows.append([_plain(" ".join(cell.split())) for cell in current])
            current = []
            continue
        cells = line.strip().strip("|").split("|")
        current = [f"{a} {b}" for a, b in zip(current, cells, strict=False)] if current else cells
    return rows


def _end_of_simple(lines: list[str], at: int) -> int:
    rules = 0
    for n, line in enumerate(lines[at:], 1):
        if re.match(r"^=+( +=+)*\s*$", line):
            rules += 1
            after = lines[at + n] if at + n < len(lines) else ""
            if rules >= 2 and not after.strip():
                return n
    return len(lines) - at


def _simple(lines: list[str]) -> list[list[str]]:
    spans = [match.span() for match in re.finditer("=+", lines[0])]
    rows: list[list[str]] = []
    for line in lines[1:]:
        if re.match(r"^[=-]+( +[=-]+)*\s*$", line) or not line.strip():
            continue
        ends = [start for start, _ in spans[1:]] + [len(line)]
        cells = [_plain(line[start:end].strip()) for (start, _), end in zip(spans, ends, strict=True)]
        if rows and not cells[0]:
            rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    return rows


def _listed(name: str, options: dict[str, str], content: list[str]) -> list[list[str]]:
    if name == "csv-table":
        import csv

        header = next(csv.reader([options["header"]], skipinitialspace=True), []) if "header" in options else []
        rows = list(csv.reader([line for line in content if line.strip()], skipinitialspace=True))
        return [header, *rows] if header else rows
    rows = []
    for line in content:
        match = re.match(r"^(\* )?\s*-( .*|$)", line)
        if match:
            if match[1]:
                rows.append([])
            if rows:
                rows[-1].append(_plain(match[2].strip()))
        elif rows and rows[-1] and line.strip():
            rows[-1][-1] += f" {_plain(line.strip())}"
    return rows
