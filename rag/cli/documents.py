"""What ``--corpus`` and the options beside it name, and what is said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rag.cli.console import echo, progress
from rag.corpus.readers.reading import OnError
from rag.formats.units import Unit

if TYPE_CHECKING:
    from rag.corpus.corpus import Corpus
    from rag.remarks import Remark
    from rag.store.store import Store

__all__ = ["end_with_losses", "print_notes", "read_documents_of"]


def read_documents_of(
    sources: Sequence[str],
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    on_error: OnError = "report",
    unit: Unit = "file",
    fold_duplicates: bool = False,
    store: Store | None = None,
    drop_fields: Collection[str] = (),
) -> Corpus:
    """What ``--corpus`` and the options beside it name."""
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
            unit=unit,
            fold_duplicates=fold_duplicates,
            store=store,
            advance=advance,
            drop_fields=drop_fields,
        )


def print_notes(remarks: Iterable[Remark]) -> None:
    """What components say of themselves, on standard error. Losses were logged there when they were noticed."""
    for remark in remarks:
        if remark.code == "note":
            echo(f"note: {remark}", err=True)


def end_with_losses(remarks: Iterable[Remark], on_error: OnError) -> None:
    """Exit with code 1 when files could not be read, and were not to be skipped."""
    if on_error != "skip" and any(remark.code == "files_skipped" for remark in remarks):
        import typer

        raise typer.Exit(1)
