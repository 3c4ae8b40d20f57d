"""The contract of readers: a file goes in, documents in Markdown come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath
from typing import Any, ClassVar

from rag.errors import DataError, MissingExtraError, first_line

__all__ = ["NOTICES", "PAGE_END", "Converted", "File", "Reader", "documents_by", "format_of"]

PAGE_END = "\f"
"""Ends a page in a text, as ``pdftotext`` writes it: the page of any place is one more than there are of these before
it. It stands behind a space or in a line of its own, so that no two words become one where it is taken out."""

NOTICES: Mapping[str, str] = {
    "pages_without_text": "pages have no text, only images (scanned?): nothing in them can be found without a reader "
    "that recognizes letters",
    "pages_unreadable": "pages are damaged and were left out",
    "letters_unmapped": "pages are set in a font that does not say which letters it shows: their text is not readable",
    "bytes_undecodable": "characters could not be decoded and were replaced",
    "encodings_guessed": "files are not UTF-8 and do not say what they are: their encoding was guessed (--encoding "
    "names it)",
    "dates_unreadable": "dates of messages could not be read and were left out",
    "parts_skipped": "attachments and files inside of other files were left out",
    "sheets_cut": "sheets have more rows than are read",
    "cells_unread": "cells of notebooks are of an unknown kind and were left out",
    "markup_deep": "parts of pages are nested too deeply for their structure to be read; their words were kept",
}
"""What readers may count of a file, by code: a sentence that goes on after the number."""


_PACKED = (".gz", ".bz2", ".xz")


def format_of(path: str | PurePath) -> str:
    """Suffix that tells the format of a file, in lower case: ``.csv`` of ``a.CSV`` and of ``a.csv.gz``."""
    path = PurePath(path)
    suffix = path.suffix.lower()
    return PurePath(path.stem).suffix.lower() if suffix in _PACKED else suffix


@dataclass(frozen=True)
class File:
    """A file to be read.

    Args:
        name: Name below the folder or archive that contains the file.
        content: Its bytes, unpacked.
        encoding: Encoding of its text where the user has named one; None leaves it to the reader.
    """

    name: str
    content: bytes
    encoding: str | None = None

    @property
    def stem(self) -> str:
        """The name without folders and suffix: a title for files without their own."""
        return PurePosixPath(self.name).stem


@dataclass
class Converted:
    """A document as a reader found it.

    Args:
        text: Markdown; :data:`PAGE_END` ends each page where there are pages.
        metadata: ``title``, ``language``, ``author``, ``date``, ``url``, ... as far as they are known.
        part: Name inside of the file, for files that hold several documents; empty for the file itself.
        counts: Counts of skipped or unreadable parts, by the codes of :data:`NOTICES`.
    """

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    part: str = ""
    counts: dict[str, int] = field(default_factory=dict)


class Reader(ABC):
    """Reads files of a format.

    Registered by the suffix it reads, in the entry points of group ``rag.readers``. That of another distribution takes
    the place of ours::

        [project.entry-points."rag.readers"]
        pdf = "my_package.scans:ScanReader"

    What it gives is kept in the artifact store by the file's content, :attr:`name` and :attr:`version`.
    """

    name: ClassVar[str]
    """What the format is called: ``format`` in the metadata of documents."""
    version: ClassVar[str] = "1"
    """To be raised when the same file begins to give other documents."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions that do the reading: what they give is not taken for what another version gives."""
    is_code: ClassVar[bool] = False
    """Whether the format is that of programs: of a folder that holds documents too, its files are not read."""

    @abstractmethod
    def read(self, file: File) -> Iterator[Converted]:
        """The documents of a file.

        Raises:
            DataError: The file is damaged, encrypted or of another format: a sentence that goes on after its name.
        """


def documents_by(reader: Reader, file: File) -> list[Converted]:
    """Documents that a reader makes of a file, with every fault as a data error.

    Raises:
        DataError: The file cannot be read; also where the reader, or the engine behind it, raised something else.
        MissingExtraError: The reader needs a distribution that is not installed.
    """
    try:
        converted = list(reader.read(file))
    except (DataError, MissingExtraError):
        raise
    except Exception as error:  # what no engine expects costs this file only
        raise DataError(f"cannot be read as {reader.name}: {type(error).__name__}: {first_line(error)}") from error
    for part in converted:
        if any("\ud800" <= letter <= "\udfff" for letter in set(part.text)):
            part.text = part.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return converted
