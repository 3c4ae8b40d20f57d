"""Formats that people have documents in: each is read into Markdown with structure.

A reader (:class:`~rag.formats.base.Reader`) is registered by the suffix that it reads, in the entry points of group
``rag.readers``; :mod:`rag.corpus.readers` finds it there. See docs/documents.md for the list.
"""

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.formats.base import NOTICES, PAGE_END, Converted, File, Reader
    from rag.formats.registry import reader_of, suffixes

__all__ = ["NOTICES", "PAGE_END", "Converted", "File", "Reader", "reader_of", "suffixes"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "NOTICES": "rag.formats.base",
        "PAGE_END": "rag.formats.base",
        "Converted": "rag.formats.base",
        "File": "rag.formats.base",
        "Reader": "rag.formats.base",
        "reader_of": "rag.formats.registry",
        "suffixes": "rag.formats.registry",
    },
)
