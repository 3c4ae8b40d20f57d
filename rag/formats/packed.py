"""Files packed in files: opening them without unpacking more than there is room for."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

from rag.errors import DataError, first_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["MAX_BYTES", "MAX_MEMBERS", "Package", "check_ratio", "xml_of"]

MAX_BYTES = 1 << 30
"""Bytes that one file may hold or unpack to, all that is in it together."""
MAX_RATIO = 200
"""Times that a file may grow when it is unpacked: texts grow tenfold; a bomb, a thousandfold."""
MAX_MEMBERS = 100_000
"""Files that one archive may hold."""
_SMALL = 32 << 20
"""Bytes up to which nobody minds how much a file has grown."""


def check_ratio(packed: int, unpacked: int) -> None:
    """Refuse a file that unpacks to more than it may.

    Args:
        packed: Its bytes.
        unpacked: The bytes that come out of it, or have until now.

    Raises:
        DataError: They are too many.
    """
    if unpacked > MAX_BYTES:
        raise DataError(f"unpacks to more than {MAX_BYTES >> 20} MiB, the most that is read")
    if unpacked > _SMALL and unpacked > MAX_RATIO * max(packed, 1):
        raise DataError(f"unpacks to more than {MAX_RATIO} times its size: it is not read (a bomb?)")


_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How files of Office before 2007 begin, and encrypted ones of today."""


class Package:
    """A ZIP file, checked before anything is unpacked.

    Raises:
        DataError: It is none, damaged, encrypted, or unpacks to more than it may.
    """

    def __init__(self, content: bytes) -> None:
        if content.startswith(_OLD):
            raise DataError("is encrypted, or in a format of before 2007 under the name of a newer one")
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(content))
            infos = self.zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
            raise DataError(f"is damaged, or not what its name says: {first_line(error)}") from None
        if len(infos) > MAX_MEMBERS:
            raise DataError(f"has {len(infos)} files inside: more than {MAX_MEMBERS}, the most that are read")
        check_ratio(len(content), sum(info.file_size for info in infos))
        if any(info.flag_bits & 1 for info in infos):
            raise DataError("is encrypted, and opens with a password only")

    @property
    def names(self) -> list[str]:
        """Names of the files inside, in order; none of folders."""
        return [info.filename for info in self.zip.infolist() if not info.is_dir()]

    def read(self, name: str) -> bytes:
        """A file inside.

        Raises:
            DataError: It is missing or damaged.
        """
        try:
            return self.zip.read(name)
        except KeyError:
            raise DataError(f"is damaged, or not what its name says: it has no '{name}'") from None
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            NotImplementedError,
            RuntimeError,
            EOFError,
            ValueError,
        ) as error:
            raise DataError(f"is damaged: '{name}' in it cannot be unpacked: {first_line(error)}") from None

    def xml(self, name: str) -> Element:
        """A file inside, as XML."""
        return xml_of(self.read(name))

    def maybe_xml(self, name: str) -> Element | None:
        """A file inside as XML, or None where it is not there."""
        return self.xml(name) if name in self.zip.NameToInfo else None


def xml_of(content: bytes) -> Element:
    """XML without entities of its own: those could grow without end, or read other files.

    Raises:
        DataError: It is damaged, or declares entities.
    """
    from xml.etree.ElementTree import ParseError, fromstring

    if b"<!ENTITY" in content:
        raise DataError("declares XML entities, which are not read")
    try:
        return fromstring(content)  # noqa: S314 - no entities
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"is damaged: not XML: {first_line(error)}") from None
