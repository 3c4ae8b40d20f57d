"""``rag index``: fits a pipeline and keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.calls import MAX_FAILED
from rag.cli.console import echo, print_json, progress
from rag.cli.documents import Reading, print_notes, reads_documents
from rag.cli.execution import OnOption, executed_on
from rag.cli.options import (
    ConfigArgument,
    JsonOption,
    KeepOption,
    MaxFailedOption,
    SetOption,
    StoreModeOption,
    StoreOption,
)
from rag.cli.store import open_store
from rag.costs import check_calls

__all__ = ["index"]


@reads_documents
def index(
    config: ConfigArgument,
    reading: Reading,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the index.")],
    overrides: SetOption = None,
    keep: KeepOption = None,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
    on: OnOption = "local",
    max_failed: MaxFailedOption = MAX_FAILED,
    as_json: JsonOption = False,
) -> None:
    """Fit a pipeline on documents and save it: an index, which is what the commands on a saved pipeline take."""
    from rag.pipeline import Pipeline
    from rag.store.folder import check_target

    pipeline = Pipeline.from_yaml(config, overrides=overrides or ())
    check_target(folder, pipeline.kind)
    with open_store(store, store_mode) as opened, executed_on(on):
        documents = reading.documents(opened)
        pipeline.fit(documents, progress=progress, store=opened)
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
    reading.end(documents.remarks)
