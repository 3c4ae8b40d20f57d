"""``rag datasets``: lists, shows, converts, divides and makes datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.calls import MAX_FAILED
from rag.cli.console import echo
from rag.cli.documents import Reading, reads_documents
from rag.cli.options import (
    JsonOption,
    MaxFailedOption,
    StoreModeOption,
    StoreOption,
)
from rag.costs import check_calls
from rag.eval.cli.judge import judge

if TYPE_CHECKING:
    from rag.eval.datasets.base import Dataset, Split

__all__ = ["app"]

app = typer.Typer(help="List, show, convert, divide and make datasets.")

SourceArgument = Annotated[
    str, typer.Argument(metavar="SRC", help="A folder, a dataset file, or a name, as for `rag eval --dataset`.")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write, in BEIR's layout.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")]

_FEW = 100
"""Questions below which those to learn from are lacking where differences are to be proven."""
_LOOKED_AT = 100
"""Documents whose metadata are read to list the metadata fields."""
_NAMES = {
    "DIR": "a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv (BEIR's layout)",
    "FILE.yaml": "a dataset file: your own CSV, JSONL or Parquet tables, TREC topics and judgments",
    "hf:owner/name": "a retrieval dataset on the Hugging Face Hub (MTEB's or BEIR's layout); hf:owner/name@de a subset",
    "irds:ID": "a dataset of ir_datasets, such as irds:beir/scifact/test (extra ir-datasets)",
}


app.command()(judge)


@app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        list_datasets(as_json)


@app.command("list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the built-in datasets, and how to name others."""
    from rag.cli.console import print_json
    from rag.eval.datasets.load import BUILT_IN

    if as_json:
        print_json(BUILT_IN)
        return
    for name, description in (BUILT_IN | _NAMES).items():
        echo(f"{name}: {description}")


@app.command()
def show(
    source: SourceArgument,
    near: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of common words that makes two questions near duplicates.")
    ] = 0.8,
    as_json: JsonOption = False,
) -> None:
    """Describe a dataset: its size, its judgments, and the questions that its splits share."""
    from rag.cli.console import print_json, progress

    dataset = _loaded(source)
    with progress("comparing questions", None):
        description = _about(dataset, near)
    if as_json:
        print_json(description)
        return
    fields = "; their metadata: " + ", ".join(description["document_fields"]) if description["document_fields"] else ""
    echo(f"{description['dataset']}: {description['documents']:,} documents{fields}")
    for name, split in description["splits"].items():
        grades = ", ".join(f"{grade}: {count:,}" for grade, count in split["grades"].items())
        echo(
            f"{name}: {split['queries']:,} queries, {split['relevant_per_query']:.1f} relevant documents each; "
            f"judgments by grade: {grades or 'none'}"
            + (f"; {split['unanswerable']:,} with nothing relevant" if split["unanswerable"] else "")
            + (f"; {split['with_references']:,} with reference answers" if split["with_references"] else "")
        )
        if example := split["example"]:
            echo(f"  such as {example['query']}: {example['text']}")
            echo(f"  answered by {example['document']}: {example['title']}")
    for note in description["notes"]:
        echo(f"note: {note}")


@app.command()
def convert(source: SourceArgument, folder: OutOption) -> None:
    """Write any dataset as a folder in BEIR's layout."""
    from rag.cli.console import progress
    from rag.eval.datasets.write import check_target, write_dataset

    check_target(folder)
    dataset = _loaded(source)
    with progress("writing the dataset", None):
        write_dataset(dataset, folder, about={"made_by": "rag datasets convert", "from": source})
    _wrote(dataset, folder)


@app.command()
def split(
    source: SourceArgument,
    folder: OutOption,
    train: Annotated[float, typer.Option(min=0, max=1, help="Share of the queries to learn from.")] = 0.6,
    dev: Annotated[float, typer.Option(min=0, max=1, help="Share of the queries to tune on.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the queries to report on.")] = 0.2,
    together: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Keep queries with the same value of this metadata field in one split."),
    ] = None,
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Keep duplicates in one split, instead of refusing.")
    ] = False,
    near: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of common words from which two queries count as duplicates.")
    ] = 0.8,
    seed: SeedOption = 0,
) -> None:
    """Divide a dataset's queries into train, dev and test; duplicates stay in one split."""
    from rag.cli.console import progress
    from rag.eval.datasets.split import split_dataset
    from rag.eval.datasets.write import check_target, write_dataset

    check_target(folder)
    shares = {"train": train, "dev": dev, "test": test}
    dataset = _loaded(source)
    with progress("looking for duplicates", None):
        dataset = split_dataset(
            dataset, shares, seed=seed, near=near, group_duplicates=group_duplicates, together=together
        )
    description = {"made_by": "rag datasets split", "from": source, "shares": shares, "seed": seed, "near": near}
    write_dataset(dataset, folder, about=description)
    _wrote(dataset, folder)
    n = sum(len(part.queries) for part in dataset.splits.values())
    if train and n < _FEW:
        echo(f"note: {n} questions prove little in three parts: --train 0 --dev 0.5 --test 0.5 learns from none")


@app.command()
@reads_documents
def make(
    reading: Reading,
    writer: Annotated[
        Path, typer.Option(metavar="FILE", help="A summarizer in YAML that writes questions: `task: questions`.")
    ],
    folder: OutOption,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of questions wanted.")] = 200,
    passage_size: Annotated[
        int, typer.Option(min=1, help="Longest passage that questions are written for, in characters.")
    ] = 1200,
    most_asked: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of passages to ask about; by default three per question wanted."),
    ] = None,
    round_trip: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Keep only questions for which this pipeline finds the document again."),
    ] = None,
    within: Annotated[int, typer.Option(min=1, help="Results among which the document must be found.")] = 20,
    seed: SeedOption = 0,
    max_failed: MaxFailedOption = MAX_FAILED,
    store: StoreOption = None,
    store_mode: StoreModeOption = "use",
    as_json: JsonOption = False,
) -> None:
    """Have a language model write questions about your documents. An interrupted run resumes where it stopped."""
    from rag.cli.console import print_json, progress
    from rag.cli.store import open_store
    from rag.config import load_component
    from rag.eval.datasets.make import make_dataset
    from rag.eval.datasets.write import check_target, write_dataset
    from rag.pipeline import Pipeline
    from rag.summarizer import Summarizer

    check_target(folder)
    author = load_component(writer, Summarizer)  # type: ignore[type-abstract]
    pipeline = None if round_trip is None else Pipeline.from_yaml(round_trip)
    with open_store(store, store_mode) as opened:
        documents = reading.documents(opened)
        made = make_dataset(
            documents,
            author,
            n=n,
            seed=seed,
            name=folder.name,
            passage_size=passage_size,
            most_asked=most_asked,
            round_trip=pipeline,
            within=within,
            store=opened,
            progress=progress,
        )
    description = {"made_by": "rag datasets make", "corpus": ", ".join(reading.corpus), **made.about}
    write_dataset(made.dataset, folder, about=description)
    if as_json:
        print_json(description | {"dataset": str(folder)})
    else:
        _wrote(made.dataset, folder)
        for query in made.dataset.split("test").queries[:3]:
            echo(f"? {query.text}")
    check_calls(made.costs, max_failed)
    reading.end(documents.remarks)


def _loaded(source: str) -> Dataset:
    from rag.cli.console import progress
    from rag.cli.store import open_store
    from rag.eval.datasets.load import load_dataset

    with progress(f"reading the dataset {source}", None), open_store(None) as store:
        return load_dataset(source, store=store)


def _wrote(dataset: Dataset, folder: Path) -> None:
    from rag.eval.datasets.write import about_of

    sizes = {name: len(split.queries) for name, split in dataset.splits.items() if any(split.qrels.values())}
    splits = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size)
    echo(f"{folder}: {len(dataset.corpus):,} documents; queries: {splits}")
    for note in about_of(folder)["notes"]:
        echo(f"note: {note}")


def _about(dataset: Dataset, near: float) -> dict[str, Any]:
    from collections import Counter

    from rag.eval.datasets.duplicates import shared_between
    from rag.eval.measures.answers import references_of

    splits = {}
    for name, split in dataset.splits.items():
        grades = Counter(grade for judged in split.qrels.values() for grade in judged.values())
        relevant = sum(count for grade, count in grades.items() if grade > 0)
        splits[name] = {
            "queries": len(split.queries),
            "unanswerable": sum(not any(g > 0 for g in split.qrels[query.id].values()) for query in split.queries),
            "relevant_per_query": relevant / max(len(split.queries), 1),
            "grades": {str(grade): grades[grade] for grade in sorted(grades)},
            "with_references": sum(bool(references_of(query)) for query in split.queries),
            "example": _example(dataset, split),
        }
    first = dataset.corpus.documents(list(range(min(len(dataset.corpus), _LOOKED_AT))))
    return {
        "dataset": dataset.name,
        "documents": len(dataset.corpus),
        "document_fields": sorted({name for document in first for name in document.metadata}),
        "splits": splits,
        "remarks": [remark.as_dict() for remark in dataset.remarks],
        "notes": [*dataset.notes, *shared_between(dataset, near=near)],
    }


def _example(dataset: Dataset, split: Split) -> dict[str, str] | None:
    """A query and a document that answers it, as a check that the columns were read correctly."""
    from rag.eval.reports.pages import excerpt
    from rag.eval.runs.query_table import first_line

    for query in split.queries:
        for id, grade in split.qrels[query.id].items():
            if grade > 0 and (position := dataset.corpus.position(id)) is not None:
                title = first_line(dataset.corpus[position])
                return {"query": query.id, "text": excerpt(query.text), "document": id, "title": excerpt(title)}
    return None
