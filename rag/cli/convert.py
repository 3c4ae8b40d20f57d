"""``rag convert``: documents of any format as they will be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo, print_json
from rag.cli.documents import end_with_losses, read_documents_of
from rag.cli.options import (
    DropFieldOption,
    EncodingOption,
    FoldOption,
    IdFieldOption,
    JsonOption,
    OnErrorOption,
    SeparatorOption,
    StoreOption,
    TextFieldOption,
    TitleFieldOption,
    UnitOption,
)
from rag.cli.store import open_store
from rag.errors import DataError, system_message

__all__ = ["convert"]


def convert(
    sources: Annotated[list[str], typer.Argument(metavar="SRC...", help="What --corpus of other commands takes.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the documents: a JSONL file.")],
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    title_field: TitleFieldOption = None,
    separator: SeparatorOption = None,
    encoding: EncodingOption = "utf-8",
    on_error: OnErrorOption = "report",
    unit: UnitOption = "file",
    fold_duplicates: FoldOption = False,
    drop_field: DropFieldOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write documents as they are read, one JSON object a line: id, text in Markdown, metadata."""
    if out.suffix != ".jsonl":
        raise DataError(f"--out: {out} must end in .jsonl")
    with open_store(store) as kept:
        documents = read_documents_of(
            sources,
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
    end_with_losses(documents.remarks, on_error)
