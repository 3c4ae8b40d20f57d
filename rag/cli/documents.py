"""What ``--corpus`` and the options beside it name, and what is said of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from rag.cli.console import echo, progress
from rag.cli.options import (
    CorpusOption,
    DropFieldOption,
    EncodingOption,
    FoldOption,
    IdFieldOption,
    OnErrorOption,
    SeparatorOption,
    TextFieldOption,
    TitleFieldOption,
    UnitOption,
)

if TYPE_CHECKING:
    from rag.corpus.corpus import Corpus
    from rag.remarks import Remark
    from rag.store.store import Store

__all__ = ["Reading", "print_notes", "reads_documents"]


@dataclass(frozen=True)
class Reading:
    """Documents, and how to read them: ``--corpus`` and the options beside it."""

    corpus: CorpusOption
    id_field: IdFieldOption = None
    text_field: TextFieldOption = None
    title_field: TitleFieldOption = None
    separator: SeparatorOption = None
    encoding: EncodingOption = "utf-8"
    on_error: OnErrorOption = "report"
    unit: UnitOption = "file"
    fold_duplicates: FoldOption = False
    drop_field: DropFieldOption = None

    def documents(self, store: Store | None = None) -> Corpus:
        """Read them, with a bar; conversions of files are kept in the store."""
        from rag.corpus.readers import read_corpus

        with progress("reading documents", None) as advance:
            return read_corpus(
                self.corpus[0] if len(self.corpus) == 1 else list(self.corpus),
                id_field=self.id_field,
                text_field=self.text_field,
                title_field=self.title_field,
                separator=self.separator,
                encoding=self.encoding,
                on_error=self.on_error,
                unit=self.unit,
                fold_duplicates=self.fold_duplicates,
                store=store,
                advance=advance,
                drop_fields=self.drop_field or (),
            )

    def end(self, remarks: Iterable[Remark]) -> None:
        """Exit with code 1 when files could not be read, and were not to be skipped."""
        if self.on_error != "skip" and any(remark.code == "files_skipped" for remark in remarks):
            raise typer.Exit(1)


def reads_documents(command: Callable[..., None], *, corpus: Any = CorpusOption) -> Callable[..., None]:
    """Give a command the options of :class:`Reading` in place of its parameter ``reading``.

    Args:
        command: The command.
        corpus: How it names the documents, where that is not ``--corpus``.
    """
    own = inspect.signature(command, eval_str=True).parameters
    options = dict(inspect.signature(Reading, eval_str=True).parameters)
    options["corpus"] = options["corpus"].replace(annotation=corpus)
    parameters = [
        part
        for parameter in own.values()
        for part in (options.values() if parameter.name == "reading" else [parameter])
    ]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        reading = Reading(**{name: arguments.pop(name) for name in options})
        command(reading=reading, **arguments)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    wrapped.__dict__["__signature__"] = inspect.Signature(keyword)
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def print_notes(remarks: Iterable[Remark]) -> None:
    """What components say of themselves, on standard error. Losses were logged there when they were noticed."""
    for remark in remarks:
        if remark.code == "note":
            echo(f"note: {remark}", err=True)
