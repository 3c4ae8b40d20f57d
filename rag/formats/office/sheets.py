"""Excel workbooks: each sheet is a section with a table."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from rag.errors import DataError, MissingExtraError, first_line
from rag.formats.base import Converted, File, Reader
from rag.formats.markdown import heading, joined, table
from rag.formats.office.properties import properties_of
from rag.formats.packed import Package

__all__ = ["MAX_ROWS", "SheetReader", "written"]

MAX_ROWS = 100_000
"""Rows of a sheet that are read: more are data, for a reader of tables."""


class SheetReader(Reader):
    """Excel (``.xlsx``, ``.xlsm``): a section for each sheet, with its table; of formulas their last result."""

    name = "xlsx"
    libraries = ("openpyxl",)

    def read(self, file: File) -> Iterator[Converted]:
        try:
            import openpyxl
        except ImportError:
            raise MissingExtraError("reading Excel workbooks", package="openpyxl", extra="documents") from None
        package = Package(file.content)
        package.read("[Content_Types].xml")
        blocks: list[str] = []
        cut = 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles and drawings that it does not keep
                book = openpyxl.load_workbook(io.BytesIO(file.content), read_only=True, data_only=True)
                for sheet in book.worksheets:
                    rows: list[list[str]] = []
                    if hasattr(sheet, "reset_dimensions"):
                        sheet.reset_dimensions()  # some programs write wrong ones
                    for row in sheet.iter_rows(values_only=True):
                        if len(rows) > MAX_ROWS:
                            cut += 1
                            break
                        rows.append([written(value) for value in row])
                    if text := table(rows):
                        blocks += [heading(2, sheet.title), text]
                book.close()
        except DataError:
            raise
        except Exception as error:  # a library that expects whole files raises anything at others
            raise DataError(f"is damaged: {type(error).__name__}: {first_line(error)}") from None
        yield Converted(joined(blocks), properties_of(package), counts={"sheets_cut": cut} if cut else {})


def written(value: Any) -> str:
    """A cell's value as people write it: dates without a midnight, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
