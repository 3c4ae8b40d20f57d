"""``rag init``: something to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", metavar="PATH", help="Your documents: a folder of files, a file, or a table."),
    ] = None,
) -> None:
    """Write a commented pipeline and a small dataset to start from, or a project on your own documents."""
    if corpus is None:
        from rag.templates import write_starter

        for path in write_starter(folder):
            echo(f"wrote {path}")
        echo(f"next: rag eval {folder / 'pipeline.yaml'} --dataset {folder / 'data'}")
        return
    from rag.corpus.readers import read_corpus
    from rag.templates.project import check_empty, write_project

    check_empty(folder)  # before all documents are read
    documents = read_corpus(corpus)
    written, n_questions = write_project(folder, corpus, documents)
    for path in written:
        echo(f"wrote {path}")
    if n_questions:
        about = f"{n_questions} titles stand in for questions until you write your own into questions.csv"
        echo(f"{len(documents)} documents; {about}")
        echo(f"next: rag eval {folder / 'pipeline.yaml'} --dataset {folder / 'dataset.yaml'}")
    else:
        echo(f"{len(documents)} documents without titles: write questions into {folder / 'questions.csv'} to measure")
    for name, out, cost in (("words", "words-index", "seconds"), ("pipeline", "index", "minutes, for vectors")):
        echo(f"or:   rag index {folder / name}.yaml --corpus {corpus} --out {folder / out}   ({cost})")
