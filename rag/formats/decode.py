"""Decode bytes to text in the actual encoding of a file, which may differ from the declared one."""

from __future__ import annotations

import codecs
import re

from rag.errors import DataError, MissingExtraError

__all__ = ["decoded"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDER = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
}
"""What browsers read instead, since files that claim the one are in the other."""
_IMPLAUSIBLE = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
"""Characters that no text has: controls, and those that a wrong decoding gives."""
_SAMPLE = 1 << 16


def decoded(content: bytes, *, encoding: str | None = None, declared: str | None = None) -> tuple[str, dict[str, int]]:
    """The text of a file, and counts of what had to be guessed or replaced, as readers report them.

    A byte order mark decides; then UTF-8, if all of it is valid; then what the file declares, if the text is plausible
    in it; then the encoding in which the bytes look most like a language. What cannot be decoded becomes U+FFFD.

    Args:
        content: The bytes.
        encoding: Encoding set by the user: no other is tried.
        declared: Encoding that the file declares.

    Raises:
        DataError: The text is not in the encoding that the user has named.
    """
    if encoding is not None:
        try:
            return content.decode(encoding).removeprefix("\ufeff"), {}
        except UnicodeError as error:
            raise DataError(f"is not in {encoding}: {error}") from None
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _replaced(content, name)
    try:
        return content.decode("utf-8"), {}
    except UnicodeDecodeError as error:
        if error.start > len(content) - 4 and error.reason == "unexpected end of data":  # cut in a character
            return _replaced(content, "utf-8")
    if declared and (text := _plausible(content, declared)) is not None:
        return text, {}
    text, counts = _replaced(content, _guess(content) or "utf-8")
    return text, counts | {"encodings_guessed": 1}


def _replaced(content: bytes, encoding: str) -> tuple[str, dict[str, int]]:
    text = content.decode(encoding, "replace").removeprefix("\ufeff")
    n = text.count("\ufffd")
    return text, {"bytes_undecodable": n} if n else {}


def _plausible(content: bytes, declared: str) -> str | None:
    try:
        name = codecs.lookup(declared.strip("\"' ")).name
        text = content.decode(_WIDER.get(name, name))
    except (LookupError, UnicodeError, ValueError):
        return None
    return None if not isinstance(text, str) or _IMPLAUSIBLE.search(text) else text


def _guess(content: bytes) -> str | None:
    """The encoding in which the bytes look most like a language."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        raise MissingExtraError(
            "detecting the encoding of a text that is not UTF-8", package="charset-normalizer", extra="documents"
        ) from None
    letters = re.sub(rb"[\x00-\x7f]{40,}", b" ", content)  # markup says nothing
    best = from_bytes(letters[:_SAMPLE]).best()
    return None if best is None else _WIDER.get(best.encoding, best.encoding)
