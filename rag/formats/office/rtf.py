"""Rich Text Format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rag.errors import DataError
from rag.formats.base import Converted, File, Reader
from rag.formats.markdown import fence, heading, item, joined, paragraph, table

__all__ = ["RTFReader"]

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+"
)
_LEFT_OUT = frozenset(
    """
    fonttbl colortbl listtable listoverridetable revtbl rsidtbl generator pict object themedata
    colorschememapping datastore latentstyles header headerl headerr headerf footer footerl footerr footerf
    fldinst filetbl xmlnstbl mmathPr wgrffmtfilter listpicture pgptbl annotation atnid atnauthor bkmkstart
    bkmkend nonesttables deleted operator creatim printim buptim company category keywords comment doccomm
    hlinkbase manager subject shppict nonshppict xe tc txe rxe falt panose background
    """.split()  # noqa: SIM905
)
_LETTERS = {
    "emdash": "\u2014", "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "bullet": "\u2022", "tab": "\t", "line": "\n",
    "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_SYMBOLS = {"~": " ", "_": "-", "-": "", "\\": "\\", "{": "{", "}": "}", "\n": "\n", "\r": "\n"}
_DEEPEST = 1000
_MONOSPACED = re.compile(
    r"\{\\f(\d+)(?:(?!\\f\d)[^{};]|\{[^{}]*\})*?(?:\\fmodern|mono\b|courier|consolas|menlo)", re.IGNORECASE
)
"""A font for code in the table of fonts: its number."""


@dataclass
class _State:
    skip: bool = False
    into: str = ""
    level: int = 0
    style: int = 0
    listed: bool = False
    in_table: bool = False
    deleted: bool = False
    code: bool = False
    skip_after: int = 1


class RTFReader(Reader):
    """RTF: paragraphs, headings by style or outline level, lists and tables; deleted text is left out."""

    name = "rtf"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        if not file.content.lstrip()[:5] == b"{\\rtf":
            raise DataError("is not an RTF file")
        yield _Document(file.content.decode("latin-1")).converted()


class _Document:
    """Reads the groups of a file, keeping a state for each that is open."""

    def __init__(self, source: str) -> None:
        self._encoding = "cp1252"
        self._blocks: list[str] = []
        self._code: list[str] = []
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._text: list[str] = []
        self._bytes = bytearray()
        self._levels: dict[int, int] = {}
        self._title: list[str] = []
        self._style_name: list[str] = []
        self._listmark = False
        self._state = _State()
        self._stack: list[_State] = []
        self._to_skip = 0
        self._fonts_of_code = {int(number) for number in _MONOSPACED.findall(source[: source.find("\\pard") + 1])}
        self._has_text = self._has_code = False
        """Whether the paragraph has letters in other fonts than those for code, and in these."""
        self._walk(source)
        self._paragraph()
        self._flush()

    def converted(self) -> Converted:
        """The document."""
        title = "".join(self._title).strip()
        return Converted(joined(self._blocks), {"title": title} if title else {})

    def _walk(self, source: str) -> None:
        starred = opened = False
        for match in _TOKEN.finditer(source):
            word, number, byte, symbol, brace, text = match.groups()
            if brace == "{":
                if len(self._stack) > _DEEPEST:
                    raise DataError(f"is damaged: more than {_DEEPEST} nested groups")
                self._decode()
                self._stack.append(self._state)
                self._state = replace(self._state)
                opened, starred = True, False
                continue
            if brace == "}":
                self._decode()
                if self._state.into == "stylesheet" and self._style_name:
                    self._note_style()
                self._state = self._stack.pop() if self._stack else _State()
                opened = False
                continue
            if symbol == "*" and opened:
                starred = True
                continue
            if word:
                self._word(word, int(number) if number else None, opened, starred)
            elif byte:
                self._put_byte(int(byte, 16))
            elif symbol:
                self._put(_SYMBOLS.get(symbol, ""))
            elif text:
                self._put(text)
            opened = False

    def _word(self, word: str, number: int | None, opened: bool, starred: bool) -> None:
        state = self._state
        if opened and (word in _LEFT_OUT or (starred and word not in ("shptxt", "pn", "listtext"))):
            state.skip = True
        elif word == "listtext" or word == "pntext":
            state.skip, self._listmark = True, True
        elif word in ("stylesheet", "info"):
            state.into = word
        elif word == "title" and state.into == "info":
            state.into = "title"
        elif word == "author" and state.into == "info":
            state.skip = True
        elif word == "ansicpg" and number:
            self._encoding = f"cp{number}"
        elif word == "u" and number is not None:
            self._decode()
            self._put(chr(number & 0xFFFF))
            self._to_skip = state.skip_after
        elif word == "uc":
            state.skip_after = max(number or 0, 0)
        elif word == "deleted":
            state.deleted = number != 0
        elif word in _LETTERS:
            self._put(_LETTERS[word])
        elif word in ("par", "sect", "page"):
            self._paragraph()
        elif word == "pard":
            state.level, state.style, state.listed, state.in_table = 0, 0, False, False
        elif word == "intbl":
            state.in_table = True
        elif word in ("cell", "nestcell"):
            self._decode()
            self._cells.append("".join(self._text))
            self._text.clear()
        elif word in ("row", "nestrow"):
            self._rows.append(self._cells)
            self._cells = []
        elif word == "outlinelevel" and number is not None and state.into != "stylesheet":
            state.level = number + 1
        elif word == "outlinelevel" and number is not None:
            self._levels[state.style] = number + 1
        elif word == "s" and number is not None:
            state.style = number
        elif word in ("f", "plain"):
            state.code = number in self._fonts_of_code
        elif word in ("ls", "ilvl"):
            state.listed = True
        elif word == "bin" and number:
            self._to_skip = number

    def _put_byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._ignored():
            self._bytes.append(value)

    def _put(self, text: str) -> None:
        if self._to_skip and text:
            n = min(self._to_skip, len(text))
            self._to_skip -= n
            text = text[n:]
        if not text or (self._ignored() and self._state.into not in ("stylesheet", "title")):
            return
        self._decode()
        if self._state.into == "stylesheet":
            self._style_name.append(text)
        elif self._state.into == "title":
            self._title.append(text)
        elif self._state.into != "info":
            self._text.append(text)
            self._has_code |= self._state.code and bool(text.strip())
            self._has_text |= not self._state.code and bool(text.strip())

    def _ignored(self) -> bool:
        return self._state.skip or self._state.deleted or self._state.into in ("stylesheet", "info")

    def _decode(self) -> None:
        """Take bytes that have come for text: letters of some encodings have several."""
        if self._bytes:
            raw, self._bytes = bytes(self._bytes), bytearray()
            try:
                text = raw.decode(self._encoding, "replace")
            except LookupError:
                text = raw.decode("cp1252", "replace")
            (self._title if self._state.into == "title" else self._text).append(text)

    def _note_style(self) -> None:
        name = "".join(self._style_name).strip().rstrip(";").lower()
        self._style_name.clear()
        match = re.fullmatch(r"heading (\d)", name)
        if match:
            self._levels.setdefault(self._state.style, int(match[1]))
        elif name == "title":
            self._levels[self._state.style] = 1
        elif re.match(r"preformatted|source code|html preformatted|code", name):
            self._levels[self._state.style] = -1

    def _paragraph(self) -> None:
        self._decode()
        raw = "".join(self._text)
        raw = raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        state = self._state
        if state.in_table and raw.strip():  # within a cell
            self._text = [f"{raw} "]
            return
        self._text.clear()
        listed, self._listmark = self._listmark or state.listed, False
        level = state.level or self._levels.get(state.style, 0)
        all_code = self._has_code and not self._has_text
        self._has_text = self._has_code = False
        if level == -1 or (all_code and not level and not listed):
            self._code.append(raw)
            return
        self._flush()
        if not raw.strip():
            return
        if 0 < level < 10:
            self._blocks.append(heading(level, raw))
        else:
            self._blocks.append(item("-", [paragraph(raw)]) if listed else paragraph(raw))

    def _flush(self) -> None:
        if self._rows:
            self._blocks.append(table(self._rows))
            self._rows = []
        if self._code:
            self._blocks.append(fence("\n".join(self._code)))
            self._code = []
