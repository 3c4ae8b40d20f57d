"""``rag index``: fits a pipeline and keeps it."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from rag.progress import duration

__all__ = ["index"]

_NAMED = 5
"""Documents named that an index does not have any more."""


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
    start = time.perf_counter()
    with open_store(store, store_mode) as opened, executed_on(on):
        documents = reading.documents(opened)
        pipeline.fit(documents, progress=progress, store=opened)
    check_calls(pipeline.fit_costs, max_failed)
    before = _ids(folder)
    with progress("saving", None):
        pipeline.save(folder, keep=keep)
    gone = sorted(before.difference(pipeline.corpus.ids()))
    seconds, work = time.perf_counter() - start, pipeline.fit_costs.total.seconds
    n_documents, n_passages = len(pipeline.corpus), len(pipeline.passages)
    if as_json:
        about: dict[str, object] = {"folder": str(folder), "documents": n_documents, "passages": n_passages}
        about |= {"seconds": seconds, "work_seconds": work}
        print_json(about | {"replaced": len(before), "gone": len(gone), "remarks": pipeline.remarks.as_dicts()})
    else:
        print_notes(pipeline.remarks)
        reused = f" (the store had what took {duration(work)} before)" if work > 2 * seconds + 1 else ""
        echo(f"{folder}: {n_documents} documents, {n_passages} passages, {seconds:.1f} s{reused}")
        if before:
            echo(_replaced(len(before), gone))
    reading.end(documents.remarks)


def _ids(folder: Path) -> set[str]:
    """Ids of the documents of the pipeline that a folder holds, if it holds a whole one."""
    import numpy as np

    from rag.errors import RagError
    from rag.pipeline import Pipeline

    if not (folder / "manifest.json").exists():
        return set()
    try:
        corpus = Pipeline.load(folder, verify=False).corpus
    except RagError:  # damaged, of another version, on a server that is gone: it is replaced
        return set()
    return set(corpus.ids(None if corpus.alive is None else np.flatnonzero(corpus.alive)))


def _replaced(n: int, gone: Sequence[str]) -> str:
    """What became of the index that was there."""
    if not gone:
        return f"it replaces an index of {n:,} documents, all of which are in it"
    named = ", ".join(gone[:_NAMED]) + (", ..." if len(gone) > _NAMED else "")
    return (
        f"it replaces an index of {n:,} documents, {len(gone):,} of which are not in it: {named} (--keep N keeps the N "
        "before it for `rag rollback`)"
    )
