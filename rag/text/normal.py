"""Normal form of texts: one spelling for all that look and read alike."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["is_blank", "normalized"]

_INVISIBLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff"
)
"""Soft hyphens, zero-width and bidirectional marks, variation selectors."""
_VOWEL_POINTS = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic
    "\u08ca-\u08e1\u08e3-\u08ff"
)
"""Written or left out at will in Arabic and Hebrew, and the tatweel; hamza and madda make other letters, and stay."""
_LEFT_OUT = re.compile(f"[{_INVISIBLE}{_VOWEL_POINTS}]+")
_DOTTED = re.compile("i\u0307+")
_VISIBLE = re.compile(rf"[^\s{_INVISIBLE}]")


def is_blank(text: str) -> bool:
    """Whether nothing can be seen of a text: it is empty, or all white space and invisible characters."""
    return _VISIBLE.search(text) is None


def normalized(text: str, *, fold: bool = True, turkic: bool = False) -> str:
    """A text as it is compared: NFKC, without invisible characters and optional vowel points, case folded.

    Texts of one meaning to Unicode (NFC and NFD, full and half width) have one normal form, and a normal form is its
    own. Dotted and dotless I are one letter, ``i``, unless they are distinguished as in Turkish.

    Args:
        text: Any.
        fold: Fold case.
        turkic: Tell dotted and dotless I apart.

    Example:
        >>> normalized("İSTANBUL"), normalized("CAFE" + chr(0x301)), normalized(f"micro{chr(0xAD)}scope")
        ('istanbul', 'café', 'microscope')
    """
    if text.isascii() and not turkic:
        return text.lower() if fold else text
    if fold and not turkic and _beyond_simple().search(text) is None:
        return text.casefold().replace("ı", "i")
    return _step(_step(text, fold, turkic), fold, turkic)  # what folding brings forth is folded too


@cache
def _beyond_simple() -> re.Pattern[str]:
    """Finds a letter that does more than fold, or a combining mark: most texts in European languages have none."""
    letters = [chr(code) for code in (*range(0x250), *range(0x370, 0x530), *range(0x2010, 0x2060), 0x20AC)]
    simple = [
        letter
        for letter in letters
        if not unicodedata.combining(letter) and _step(letter, True, False) == letter.casefold()
    ]
    return re.compile(f"[^{re.escape(''.join(simple))}]")


def _step(text: str, fold: bool, turkic: bool) -> str:
    text = _LEFT_OUT.sub("", unicodedata.normalize("NFKC", text))
    if not fold:
        return unicodedata.normalize("NFKC", text)
    text = unicodedata.normalize("NFKC", text) if turkic else text
    if turkic:
        text = text.replace("İ", "i").replace("I", "ı")
    text = _DOTTED.sub("i", text.casefold())
    return unicodedata.normalize("NFKC", text if turkic else text.replace("ı", "i"))
