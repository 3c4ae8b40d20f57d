"""``rag convert``: documents of any format as they will be read."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo, print_json
from rag.cli.documents import Reading, reads_documents
from rag.cli.options import JsonOption, StoreOption
from rag.cli.store import open_store
from rag.errors import DataError, system_message

__all__ = ["convert"]


SourceArgument = Annotated[
    list[str], typer.Argument(metavar="SRC...", help="Documents, as for --corpus of other commands.")
]


@partial(reads_documents, corpus=SourceArgument)
def convert(
    reading: Reading,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSONL file to write the documents to.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write documents as they are read, one JSON object a line: id, text in Markdown, metadata."""
    if out.suffix != ".jsonl":
        raise DataError(f"--out: {out} must end in .jsonl")
    with open_store(store) as kept:
        documents = reading.documents(kept)
    formats: Counter[str] = Counter()
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            for document in documents:
                metadata = dict(document.metadata)
                formats[str(metadata.get("format", "row"))] += 1
                row = {"_id": document.id, "text": document.text, "metadata": metadata}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        part.replace(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {system_message(error)}") from None
    finally:
        part.unlink(missing_ok=True)
    if as_json:
        about = {"file": str(out), "documents": len(documents), "formats": dict(formats)}
        print_json(about | {"remarks": documents.remarks.as_dicts()})
    else:
        kinds = ", ".join(f"{count} {name}" for name, count in formats.most_common())
        echo(f"{out}: {len(documents)} documents ({kinds})")
    reading.end(documents.remarks)
