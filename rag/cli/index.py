"""``rag index``: fits a pipeline and keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.calls import MAX_FAILED
from rag.cli.console import echo, print_json, progress
from rag.cli.documents import end_with_losses, print_notes, read_documents_of
from rag.cli.options import (
    ConfigArgument,
    CorpusOption,
    DropFieldOption,
    EncodingOption,
    FoldOption,
    IdFieldOption,
    JsonOption,
    KeepOption,
    MaxFailedOption,
    OnErrorOption,
    SeparatorOption,
    SetOption,
    StoreModeOption,
    StoreOption,
    TextFieldOption,
    TitleFieldOption,
    UnitOption,
)
from rag.cli.store import open_store
from rag.costs import check_calls

__all__ = ["index"]


def index(
    config: ConfigArgument,
    corpus: CorpusOption,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to keep the index.")],
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    title_field: TitleFieldOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    on_error: OnErrorOption = "report",
    unit: UnitOption = "file",
    fold_duplicates: FoldOption = False,
    drop_field: DropFieldOption = None,
    overrides: SetOption = None,
    keep: KeepOption = None,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
    max_failed: MaxFailedOption = MAX_FAILED,
    as_json: JsonOption = False,
) -> None:
    """Fit a pipeline on documents and keep it on disk."""
    from rag.pipeline import Pipeline
    from rag.store.folder import check_target

    pipeline = Pipeline.from_yaml(config, overrides=overrides or ())
    check_target(folder, pipeline.kind)
    with open_store(store, store_mode) as kept:
        documents = read_documents_of(
            corpus,
            id_field=id_field,
            text_field=text_field,
            title_field=title_field,
            separator=separator,
            encoding=encoding,
            on_error=on_error,
            unit=unit,
            fold_duplicates=fold_duplicates,
            store=kept,
            drop_fields=drop_field or (),
        )
        pipeline.fit(documents, progress=progress, store=kept)
    check_calls(pipeline.fit_costs, max_failed)
    with progress("saving", None):
        pipeline.save(folder, keep=keep)
    seconds = pipeline.fit_costs.total.seconds
    n_documents, n_passages = len(pipeline.corpus), len(pipeline.passages)
    if as_json:
        about = {"folder": str(folder), "documents": n_documents, "passages": n_passages, "seconds": seconds}
        print_json(about | {"remarks": pipeline.remarks.as_dicts()})
    else:
        print_notes(pipeline.remarks)
        echo(f"{folder}: {n_documents} documents, {n_passages} passages, {seconds:.1f} s")
    end_with_losses(documents.remarks, on_error)
