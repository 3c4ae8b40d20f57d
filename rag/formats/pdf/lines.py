"""The lines of a page: their text, where they stand, and how they are set."""

from __future__ import annotations

import ctypes
import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

__all__ = ["HYPHEN", "Line", "PageLines", "lines_of"]

HYPHEN = "\ufffe"
"""What the library writes for a hyphen at a line's end that cuts a word, in place of hyphen and line end."""
_MONOSPACED = re.compile(r"mono|courier|typewriter|consol|menlo|fixed|cmtt|sftt|ectt|lmtt|tctt|\btt\d", re.IGNORECASE)
_BOLD = re.compile(r"bold|black|heavy|semib|cmb|sfbx|ecbx|\bbx\d|medi", re.IGNORECASE)
_UNMAPPED = re.compile("[\ue000-\uf8ff\ufffd\x00-\x01\x03-\x08\x0b\x0e-\x1f]")
_FIXED_PITCH = 1


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
        unmapped: Whether more than a tenth of its letters are ones that nobody can read.
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
        lines = []
        for part in text.split("\n"):
            shown = part.rstrip("\r \u00a0")
            if shown.strip():
                lead = len(shown) - len(shown.lstrip(" \u00a0"))
                first = at + lead
                last = at + (_units(shown) if wide else len(shown)) - 1
                lines.append(fonts.line(shown, first, last))
            at += (_units(part) if wide else len(part)) + 1
        letters = sum(not letter.isspace() for letter in text)
        unmapped = letters > 0 and len(_UNMAPPED.findall(text)) > 0.1 * letters
        only_images = not lines and _has_images(page, raw)
        return PageLines(lines, page.get_height(), only_images, unmapped)
    finally:
        textpage.close()


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

    def line(self, text: str, first: int, last: int) -> Line:
        """A line, by five of its letters."""
        raw, page = self._raw, self._page
        places = [self._index(first + (last - first) * part // 4) for part in range(5)]
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
