"""Options of commands that read documents, and what is said of what was not read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rag.corpus.readers.reading import OnError

if TYPE_CHECKING:
    from rag.corpus.corpus import Corpus
    from rag.remarks import Remark

__all__ = [
    "CorpusOption",
    "DropFieldOption",
    "EncodingOption",
    "IdFieldOption",
    "OnErrorOption",
    "SeparatorOption",
    "TextFieldOption",
    "TitleFieldOption",
    "print_notes",
    "read_documents_of",
]

CorpusOption = Annotated[
    list[str],
    typer.Option(
        "--corpus",
        metavar="PATH",
        help="Documents: a JSONL, JSON, CSV, TSV or Parquet file (also .gz), a folder of texts or of parts, "
        "'parts/*.jsonl', hf:NAME. May be repeated.",
    ),
]
IdFieldOption = Annotated[str | None, typer.Option(help="Field that holds the id; a.b is the field b of an object a.")]
TextFieldOption = Annotated[str | None, typer.Option(help="Field that holds the text.")]
TitleFieldOption = Annotated[str | None, typer.Option(help="Field that holds the title, put before the text.")]
SeparatorOption = Annotated[
    str | None,
    typer.Option(metavar="CHAR", help="Between cells of CSV and TSV files, such as ';' or tab.", show_default="comma"),
]
EncodingOption = Annotated[str, typer.Option(metavar="NAME", help="Of text files, such as cp1252 or utf-16.")]
DropFieldOption = Annotated[
    list[str] | None,
    typer.Option("--drop-field", metavar="NAME", help="A field of the metadata to leave out. May be repeated."),
]
OnErrorOption = Annotated[
    OnError, typer.Option(help="At a row or file that cannot be read: stop, or skip it and count.")
]


def read_documents_of(
    sources: Sequence[str],
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    on_error: OnError = "stop",
    drop_fields: Collection[str] = (),
) -> Corpus:
    """What ``--corpus`` and the options beside it name."""
    from rag.console import progress
    from rag.corpus.readers import read_corpus

    with progress("reading documents", None) as advance:
        return read_corpus(
            sources[0] if len(sources) == 1 else list(sources),
            id_field=id_field,
            text_field=text_field,
            title_field=title_field,
            separator=separator,
            encoding=encoding,
            on_error=on_error,
            advance=advance,
            drop_fields=drop_fields,
        )


def print_notes(remarks: Iterable[Remark]) -> None:
    """What components say of themselves, on standard error. Losses were logged there when they were noticed."""
    from rag.console import echo

    for remark in remarks:
        if remark.code == "note":
            echo(f"note: {remark}", err=True)
