"""Options that several commands have, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rag.corpus.readers.reading import OnError
from rag.formats.units import Unit

__all__ = [
    "CompactOption",
    "ConfigArgument",
    "CorpusOption",
    "DropFieldOption",
    "EncodingOption",
    "FilterOption",
    "FoldOption",
    "FolderArgument",
    "IdFieldOption",
    "JsonOption",
    "KeepOption",
    "MaxFailedOption",
    "OnErrorOption",
    "SeparatorOption",
    "SetOption",
    "StoreModeOption",
    "StoreOption",
    "TextFieldOption",
    "TitleFieldOption",
    "UnitOption",
]

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="A pipeline in YAML.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value, such as retriever.top_k=50. May be repeated."),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR|URL",
        help="Where vectors and indexes are kept and found again: a folder, or s3://BUCKET/PREFIX, which machines "
        "share; 'off' keeps nothing. "
        "Default: $RAG_STORE, or rag in the user's cache folder.",
    ),
]
StoreModeOption = Annotated[
    Literal["use", "refresh", "only"],
    typer.Option(
        "--store-mode",
        help="use: take cached results; refresh: compute all again and cache it; only: fail rather than compute.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
MaxFailedOption = Annotated[
    float,
    typer.Option(
        "--max-failed",
        min=0.0,
        max=1.0,
        metavar="SHARE",
        help="Exit with code 1 when a language model failed for more than this share of its requests.",
    ),
]

# -- saved pipelines

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `rag index` wrote.")]
CompactOption = Annotated[
    float,
    typer.Option(
        "--compact-at",
        min=0.0,
        max=1.0,
        help="Compact the index when more than this fraction of its documents is deleted.",
    ),
]
KeepOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of earlier generations to keep for `rag rollback`. Default: as before; at first none.",
    ),
]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help="""Only documents that match: '{"year": {"gte": 1970}}'."""),
]

# -- documents

CorpusOption = Annotated[
    list[str],
    typer.Option(
        "--corpus",
        metavar="PATH",
        help="Documents: a folder of PDF, HTML, Office, Markdown and other files, such a file, an archive; a JSONL, "
        "JSON, CSV, TSV or Parquet file (also .gz) or a folder of parts; 'parts/*.jsonl', hf:NAME. May be repeated.",
    ),
]
IdFieldOption = Annotated[str | None, typer.Option(help="Field that holds the id; a.b is the field b of an object a.")]
TextFieldOption = Annotated[str | None, typer.Option(help="Field that holds the text.")]
TitleFieldOption = Annotated[str | None, typer.Option(help="Field that holds the title, put before the text.")]
SeparatorOption = Annotated[
    str | None,
    typer.Option(
        metavar="CHAR", help="Separator of cells in CSV and TSV files, such as ';' or tab.", show_default="comma"
    ),
]
EncodingOption = Annotated[str, typer.Option(metavar="NAME", help="Encoding of text files, such as cp1252 or utf-16.")]
DropFieldOption = Annotated[
    list[str] | None,
    typer.Option("--drop-field", metavar="NAME", help="Metadata field to leave out. May be repeated."),
]
OnErrorOption = Annotated[
    OnError,
    typer.Option(
        help="At what cannot be read. report: a row stops, a file that is a document is left out, counted, and exit "
        "code 1 says so; stop: either stops; skip: either is left out and counted."
    ),
]
UnitOption = Annotated[
    Unit, typer.Option(help="What is one document of PDF, HTML, Markdown, ...: a file, a section of it, or a page.")
]
FoldOption = Annotated[
    bool,
    typer.Option("--fold-duplicates", help="Keep one of documents that are almost the same; it names the others."),
]
