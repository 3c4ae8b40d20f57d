"""The lines of a page: their text, where they stand, and how they are set."""

from __future__ import annotations

import ctypes
import functools
import re
import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

__all__ = ["HYPHEN", "Line", "PageLines", "lines_of"]

HYPHEN = "\ufffe"
"""What the library writes for a hyphen at a line's end that cuts a word, in place of hyphen and line end."""
_CODE_END = "\ufdd0"
_MONOSPACED = re.compile(r"mono|courier|typewriter|consol|menlo|fixed|tt\d{1,4}$|txtt", re.IGNORECASE)
"""Names of fonts for code; TeX's end in ``tt`` and a size: CMTT10, and slanted CMSLTT10."""
_BOLD = re.compile(r"bold|black|heavy|semib|cmb|sfbx|ecbx|\bbx\d|medi", re.IGNORECASE)
_UNMAPPED = re.compile("[\ue000-\uf8ff\ufffd\x00-\x01\x03-\x08\x0b\x0e-\x1f]")
_FIXED_PITCH = 1
_ACCENTS = {
    "`": "\u0300", "\u00b4": "\u0301", "\u02c6": "\u0302", "^": "\u0302", "\u02dc": "\u0303", "~": "\u0303",
    "\u00a8": "\u0308", "\u02d8": "\u0306", "\u02c7": "\u030c", "\u02da": "\u030a", "\u02dd": "\u030b",
    "\u02d9": "\u0307", "\u00af": "\u0304", "\u00b8": "\u0327", "\u02db": "\u0328",
}  # fmt: skip
"""What stands over or under a letter, by what shows the same alone."""
_ACCENTED = re.compile(rf"([{re.escape(''.join(_ACCENTS))}])([^\W\d_])")


class Line(NamedTuple):
    """A line of text, or two of which a word was cut by the line's end.

    Args:
        text: Text in reading order.
        left: Left end, in points from the left.
        right: Right end, likewise.
        y: Its baseline, in points from the page's foot.
        last_y: Baseline of its last letter.
        size: Size of its font, in points.
        code: Whether it is set in a font whose letters are all of one width.
        bold: Whether it is set in bold.
    """

    text: str
    left: float
    right: float
    y: float
    last_y: float
    size: float
    code: bool
    bold: bool


class PageLines(NamedTuple):
    """The lines of a page, in reading order.

    Args:
        lines: Those with letters.
        height: Height of the page, in points.
        only_images: Whether it has images and no text.
        unmapped: Whether more than a tenth of its letters are ones that nobody can read, or its fonts do not say which
            letters they show.
    """

    lines: list[Line]
    height: float
    only_images: bool
    unmapped: bool


def lines_of(page: PdfPage) -> PageLines:
    """The lines of a page."""
    import pypdfium2.raw as raw

    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range().replace("\x02", HYPHEN)
        at = 0  # in UTF-16 units, as the library counts
        wide = any(ord(letter) > 0xFFFF for letter in text)
        fonts = _Fonts(raw, textpage.raw)
        lines: list[Line] = []
        for part in re.split(f"\n|(?<={_CODE_END})", text if wide else fonts.with_ends_of_code(text)):
            shown = part.rstrip("\r \u00a0").replace(_CODE_END, "-")
            if shown.strip():
                lead = len(shown) - len(shown.lstrip(" \u00a0"))
                first = at + lead
                last = at + (_units(shown) if wide else len(shown)) - 1
                whole = shown if wide else fonts.with_accents(shown, at)
                line = fonts.line(whole, first, last)
                if lines and (between := _between(lines[-1], line)) is not None:
                    lines[-1] = _one(lines[-1], line, between)
                else:
                    lines.append(line)
            at += (_units(part) if wide else len(part)) + (not part.endswith(_CODE_END))
        lines = _with_columns_from_the_right(lines)
        letters = sum(not letter.isspace() for letter in text)
        unmapped = letters > 0 and len(_UNMAPPED.findall(text)) > 0.1 * letters
        if fonts.n_guessed > 0.5 * fonts.n_asked:  # codes of letters, taken for ASCII: some old fonts have them so
            unmapped |= len(re.findall("[A-Za-z0-9]", text)) < 0.7 * letters
        only_images = not lines and _has_images(page, raw)
        return PageLines(lines, page.get_height(), only_images, unmapped)
    finally:
        textpage.close()


def _with_columns_from_the_right(lines: list[Line]) -> list[Line]:
    """Lines of which those that go down the page, next to each other, stand in the order in which they are read."""

    def goes_down(line: Line) -> bool:
        return line.y - line.last_y > 2 * line.size and line.right - line.left < 2 * line.size

    return [
        line
        for vertical, run in groupby(lines, goes_down)
        for line in (sorted(run, key=lambda line: -line.left) if vertical else run)
    ]


def _between(before: Line, after: Line) -> str | None:
    """What stands between two parts of one line, as where an exponent cuts a formula; None if they are two lines."""
    size = max(before.size, after.size)
    gap = after.left - before.right
    if abs(after.y - before.last_y) > 0.6 * size or not -0.1 * size <= gap < 0.5 * size:
        return None
    return " " if gap > 0.15 * size else ""


def _one(before: Line, after: Line, between: str) -> Line:
    larger = before if before.size >= after.size else after
    return larger._replace(
        text=f"{before.text}{between}{after.text.lstrip()}",
        left=before.left,
        right=after.right,
        y=before.y,
        last_y=larger.last_y,
    )


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _has_images(page: PdfPage, raw: Any) -> bool:
    for n in range(min(raw.FPDFPage_CountObjects(page.raw), 1000)):
        kind = raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page.raw, n))
        if kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM):
            return True
    return False


class _Fonts:
    """Asks the library where letters stand and in which font; its buffers are made once a page."""

    def __init__(self, raw: Any, page: Any) -> None:
        self._raw = raw
        self._page = page
        self._box = [ctypes.c_double() for _ in range(4)]
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self.n_asked = self.n_guessed = 0
        """Letters that were looked at, and those of which their font does not say what they are."""

    def line(self, text: str, first: int, last: int) -> Line:
        """A line, by five of its letters."""
        raw, page = self._raw, self._page
        steps = [(last - first) * part // 4 for part in range(5)]
        inner = text.strip(" \u00a0")
        steps = [step - (inner[step : step + 1] == " ") for step in steps]  # a space has no font
        places = [self._index(first + step) for step in steps]
        self.n_asked += len(places)
        self.n_guessed += sum(raw.FPDFText_HasUnicodeMapError(page, at) == 1 for at in places)
        x, y, _, _ = self._box
        raw.FPDFText_GetCharOrigin(page, places[0], x, y)
        left, baseline = x.value, y.value
        raw.FPDFText_GetCharOrigin(page, places[-1], x, y)
        last_y = y.value
        right = self._box[1]
        raw.FPDFText_GetCharBox(page, places[-1], *self._box)
        fonts = [self._font(at) for at in dict.fromkeys(places)]
        n_code = sum(code for code, _ in fonts)
        size = max(raw.FPDFText_GetFontSize(page, at) for at in (places[0], places[2]))
        bold = all(bold for _, bold in fonts)
        return Line(text, left, right.value, baseline, last_y, round(size, 1), n_code > 0.7 * len(fonts), bold)

    def with_accents(self, text: str, start: int) -> str:
        """A line whose accents that are set over a letter, as TeX does, are one letter with it: ``Br¨oker``."""

        def composed(match: re.Match[str]) -> str:
            accent, letter = match.groups()
            composite = unicodedata.normalize(
                "NFC", {"\u0131": "i", "\u0237": "j"}.get(letter, letter) + _ACCENTS[accent]
            )
            at = start + match.start()
            return composite if len(composite) == 1 and self._over(at, at + 1) else match[0]

        return _ACCENTED.sub(composed, text)

    def with_ends_of_code(self, text: str) -> str:
        """Text in which a hyphen that ends code, before other text, is :data:`_CODE_END`: it cuts no word."""
        for match in re.finditer(HYPHEN, text):
            at = match.start()
            if 0 < at < len(text) - 1 and self._font(self._index(at - 1))[0] > self._font(self._index(at + 1))[0]:
                text = f"{text[:at]}{_CODE_END}{text[at + 1 :]}"
        return text

    def _over(self, accent: int, letter: int) -> bool:
        """Whether the middle of one letter is above or below the other."""
        left, right, *_ = self._box
        self._raw.FPDFText_GetCharBox(self._page, self._index(accent), *self._box)
        middle = (left.value + right.value) / 2
        self._raw.FPDFText_GetCharBox(self._page, self._index(letter), *self._box)
        return left.value <= middle <= right.value

    def _index(self, at: int) -> int:
        index: int = self._raw.FPDFText_GetCharIndexFromTextIndex(self._page, at)
        return max(index, 0)

    def _font(self, index: int) -> tuple[bool, bool]:
        size = self._raw.FPDFText_GetFontInfo(self._page, index, self._name, 128, self._flags)
        if not 0 < size <= 128:
            return False, False
        return _style(self._name.value, self._flags.value)


@functools.lru_cache(maxsize=4096)
def _style(name: bytes, flags: int) -> tuple[bool, bool]:
    """Whether a font is one for code, and whether it is bold."""
    text = name.decode("utf-8", "replace")
    return bool(flags & _FIXED_PITCH or _MONOSPACED.search(text)), _BOLD.search(text) is not None
