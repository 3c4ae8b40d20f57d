"""Man pages, in the macros of ``man`` and of ``mdoc``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.errors import DataError
from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.markdown import fence, heading, item, joined, paragraph, table

__all__ = ["ManReader"]

_MACROS = re.compile(r"^[.'][ \t]*(?:TH|SH|Dd|Dt|Sh|so)\b", re.MULTILINE)
_FONTS = re.compile(
    r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[-+]?\d{1,2}|\\[&|^%/,:)~](?!\()|\\[mM]\[[^\]]*\]|\\h'[^']*'|\\v'[^']*'"
)
_SPECIAL = re.compile(r"\\\((..)|\\\[([^\]\s]+)\]|\\\*\(?(..)|\\\*(.)")
_NAMES = """
    em — en – hy - bu • lq “ rq ” oq ‘ cq ’ aq ' dq " co © rg ® tm ™ ti ~ ha ^ ga ` bv | ba | rs \\ sl / <= ≤
    >= ≥ != ≠ -> → <- ← mu × la ⟨ ra ⟩ lB [ rB ] lC { rC } at @ sh # Do $ ul _ de ° +- ± mc µ ss ß Tm ™ R ® fo
    ‹ fc › Fo « Fc » :a ä :o ö :u ü 'e é `e è - -
""".split()  # noqa: SIM905
_LETTERS = dict(zip(_NAMES[::2], _NAMES[1::2], strict=True))
"""Letters by the name that a page gives them."""
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|((?:\\ |\S)+)')
_INLINE = frozenset(["B", "I", "R", "SM", "SB", "BI", "IB", "BR", "RB", "IR", "RI"])
_MDOC = frozenset(
    """
    Nm Fl Ar Op Pa Xr Ev Em Sy Li Ic Cm Va Vt Fa Fn Ft Dv Er Tn Ql Dq Sq Pq Bq Brq Qq Aq Ad An At Bx Fx Nx Ox St
    Lk Mt Ux Nd No Ns Sm In Ms Aq Cd Ex Rv Oo Oc Do Dc So Sc Po Pc Bo Bc Qo Qc Fo Fc
    """.split()  # noqa: SIM905
)
_AROUND = {
    "Op": "[]",
    "Dq": "\u201c\u201d",
    "Sq": "\u2018\u2019",
    "Ql": "\u2018\u2019",
    "Pq": "()",
    "Bq": "[]",
    "Brq": "{}",
    "Qq": '""',
    "Aq": "<>",
}
_PAIRS = {
    "Oo": "[",
    "Oc": "]",
    "Do": "\u201c",
    "Dc": "\u201d",
    "So": "\u2018",
    "Sc": "\u2019",
    "Po": "(",
    "Pc": ")",
    "Bo": "[",
    "Bc": "]",
    "Qo": '"',
    "Qc": '"',
}


class ManReader(Reader):
    """Man pages (``.1`` to ``.9``, packed too): sections, options with what they do, examples as code."""

    name = "man"
    version = "2"

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        if _MACROS.search(text) is None:
            raise DataError("is not a man page: it has no man macros")
        page = _Page(text)
        yield Converted(joined(page.blocks), page.metadata, counts=counts)


class _Page:
    def __init__(self, source: str) -> None:
        self.blocks: list[str] = []
        self.metadata: dict[str, str] = {}
        self._name = ""
        self._text: list[str] = []
        self._code: list[str] | None = None
        self._term: list[str] | None = None
        self._terms: list[str] = []
        self._items: list[str] = []
        self._depth = 0
        self._table: list[str] | None = None
        self._out = ""
        lines = re.sub(r"\\\n", "", source.replace("\r\n", "\n")).split("\n")
        for line in lines:
            self._line(line)
        self._end()

    def _line(self, line: str) -> None:
        if self._out:  # the definition of a macro, or text for another program
            self._out = "" if line.split()[:1] == [self._out] else self._out
            return
        if re.match(r"""^[.']\s*\\["#]|^\\["#]""", line):
            return
        line = re.sub(r"""(?<!\\)\\["#].*""", "", line)
        if self._table is not None and not line.startswith(".TE"):
            self._table.append(line)
            return
        if line[:1] in ".'":
            name, _, rest = line[1:].strip().partition(" ")
            self._macro(name, rest.strip())
        elif self._code is not None:
            self._code.append(_plain(line))
        elif line.strip():
            self._put(_plain(line))
        else:
            self._end()

    def _macro(self, name: str, rest: str) -> None:
        words = [_plain((quoted or bare).replace('""', '"')) for quoted, bare in _ARGUMENT.findall(rest)]
        if name in ("TH", "Dt") and words:
            section = words[1] if len(words) > 1 else ""
            self.metadata["title"] = f"{words[0].lower()}({section})" if section else words[0].lower()
            self.blocks.append(heading(1, self.metadata["title"]))
        elif name in ("SH", "Sh", "SS", "Ss"):
            self._end()
            self._depth = 0
            if words:
                self.blocks.append(heading(2 if name.upper() == "SH" else 3, " ".join(words)))
        elif name in ("nf", "EX", "Bd", "Dl", "D1"):
            self._end()
            if name in ("Dl", "D1"):
                self.blocks.append(fence(" ".join(words)))
            elif name != "Bd" or {"-literal", "-unfilled"} & set(words):
                self._code = []
        elif name in ("fi", "EE", "Ed"):
            self._end()
        elif name in ("TP", "TQ", "It"):
            if name != "TQ":
                self._end()
            self._term = []
            if name == "It":
                self._terms.append(_mdoc(words, self._name))
                self._term = None
        elif name == "IP":
            self._end()
            if words and words[0] not in ("\u2022", "*", "-", "o", "\u00b7"):
                self._terms.append(words[0])
            elif words:
                self._terms.append("\u2022")
        elif name == "TS":
            self._end()
            self._table = []
        elif name == "TE":
            self._finish_table()
        elif name in ("de", "de1", "am", "ig"):
            end = rest.split()[1:2]
            self._out = f".{end[0] if end else '.'}"
        elif name == "URL" or name in ("UR", "MT"):
            pass
        elif name == "Nm":
            self._name = words[0] if words and not self._name else self._name
            self._put(_mdoc(["Nm", *words], self._name))
        elif name == "Nd":
            self._put("\u2013 " + " ".join(words))
        elif name in _MDOC:
            self._put(_mdoc([name, *words], self._name))
        elif name in _INLINE:
            text = (" " if len(name) == 1 or name == "SM" else "").join(words)
            if self._code is not None:
                self._code.append(text)
            else:
                self._put(text)
        elif name in ("PP", "P", "LP", "HP", "Pp", "sp", "br", "RS", "RE", "Bl", "El", "bp"):
            if name == "br" and self._code is None:
                self._text.append("\n")
            elif self._code is not None:
                self._code.append("")
            else:
                self._end()

    def _put(self, text: str) -> None:
        if self._code is not None:
            self._code.append(text)
        elif self._term is not None:
            self._terms.append(text.strip())
            self._term = None
        elif text.strip():
            self._text.append(text)

    def _end(self) -> None:
        """Write the collected text."""
        if self._code is not None:
            self.blocks.append(fence("\n".join(self._code)))
            self._code = None
        text = paragraph(re.sub(r" ?\n ?", "\n", " ".join(part.strip(" ") for part in self._text)))
        terms = paragraph("\n".join(self._terms))
        self._text = []
        if self._terms == ["\u2022"] and text:
            self.blocks.append(item("-", [text]))
            self._terms = []
        elif terms and not text and self._term is not None:
            self._term = None
        elif terms or text:
            self.blocks.append("\n".join(part for part in (terms, text) if part))
            self._terms = []

    def _finish_table(self) -> None:
        rows: list[list[str]] = []
        mark = "\t"
        body = False
        cells: list[str] = []
        inside: list[str] | None = None  # of a cell of several lines, between T{ and T}
        for line in self._table or ():
            if match := re.search(r"tab\s*\((.)\)", line) if not body else None:
                mark = match[1]
            elif not body:
                body = line.rstrip().endswith(".")
            elif inside is not None and not line.startswith("T}"):
                inside += [] if line.startswith(".") else [line.strip()]
            elif inside is not None or (line[:1] != "." and line.strip() not in ("_", "=")):
                first, *others = line.split(mark)
                cells += [first if inside is None else " ".join(inside), *others]
                inside = [] if cells[-1].strip() == "T{" else None
                if inside is None:
                    rows.append([_plain(cell.strip()) for cell in cells])
                cells = [] if inside is None else cells[:-1]
        self.blocks.append(table(rows))
        self._table = None


def _plain(text: str) -> str:
    """Text without changes of font, its special letters as they are."""

    def letter(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3] or match[4] or ""
        if re.fullmatch(r"u[0-9A-F]{4,5}", name):
            return chr(int(name[1:], 16))
        return _LETTERS.get(name, "")

    text = _SPECIAL.sub(letter, _FONTS.sub("", text))
    text = (
        re.sub(r"\\[-]", "-", text)
        .replace("\\e", "\\")
        .replace("\\ ", " ")
        .replace("\\0", " ")
        .replace("\\'", "'")
        .replace("\\`", "`")
    )
    return (
        re.sub(r"\\[a-zA-Z](?:'[^']*')?|\\\.(?=.)", lambda match: "." if match[0] == "\\." else "", text)
        if re.search(r"\\[^\\]", text)
        else text
    )


def _mdoc(words: list[str], name: str) -> str:
    """A line of semantic macros as it is read."""
    parts: list[str] = []
    close: list[str] = []
    glue = False

    def put(text: str) -> None:
        nonlocal glue
        if parts and (glue or re.fullmatch(r"[.,;:!?)\]]+", text)):
            parts[-1] += text
        else:
            parts.append(text)
        glue = False

    current = ""
    for word in words:
        if word in _AROUND:
            put(_AROUND[word][0])
            glue = True
            close.insert(0, _AROUND[word][1])
            current = ""
        elif word in _PAIRS:
            put(_PAIRS[word])
            glue = word.endswith("o")
        elif word == "Ns":
            glue = True
        elif word == "Nm" and (word is words[-1] or words[words.index(word) + 1] in _MDOC):
            put(name)
        elif word in _MDOC and word not in ("No", "In"):
            current = word
            if word == "Fl" and words[-1] == "Fl":
                put("-")
            if word == "Ar" and words[-1] == "Ar":
                put("file ...")
        elif word in ("No", "|"):
            put(word) if word == "|" else None
        elif current == "Fl":
            put(f"-{word}")
        elif current == "Xr" and word.isdigit() and parts:
            parts[-1] += f"({word})"
        else:
            put(word)
    if close and parts:
        parts[-1] += "".join(close)
    return " ".join(parts)
