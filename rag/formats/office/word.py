"""Word documents."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rag.errors import DataError, MissingExtraError, first_line
from rag.formats.base import Converted, File, Reader
from rag.formats.html.reader import from_html
from rag.formats.office.properties import properties_of
from rag.formats.packed import Package

__all__ = ["WordReader"]

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='heading 7'] => h6:fresh
p[style-name='heading 8'] => h6:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Preformatted Text'] => pre:separator('\\n')
p[style-name='Plain Text'] => pre:separator('\\n')
r[style-name='Source Text'] => code
r[style-name='HTML Code'] => code
r[style-name='Verbatim Char'] => code
"""


class WordReader(Reader):
    """Word (``.docx``): as if all tracked changes were accepted; comments, headers and footers are left out."""

    name = "docx"
    libraries = ("mammoth", "selectolax")

    def read(self, file: File) -> Iterator[Converted]:
        try:
            import mammoth
        except ImportError:
            raise MissingExtraError("reading Word documents", package="mammoth", extra="documents") from None
        package = Package(file.content)
        package.xml("word/document.xml")  # refuses entities, and what is no Word document
        try:
            html = mammoth.convert_to_html(
                io.BytesIO(file.content),
                style_map=_STYLES,
                convert_image=mammoth.images.img_element(lambda image: {}),
                ignore_empty_paragraphs=True,
            ).value
        except Exception as error:  # a library that expects whole files raises anything at others
            raise DataError(f"is damaged: {type(error).__name__}: {first_line(error)}") from None
        converted = from_html(html, whole=True)
        converted.metadata = {**properties_of(package), **converted.metadata}
        yield converted
