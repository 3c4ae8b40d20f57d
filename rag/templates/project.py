"""A project on the user's own documents, for ``rag init DIR --corpus PATH``."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

from rag.corpus.corpus import Corpus
from rag.errors import DataError, cannot_be
from rag.models.names import packaged
from rag.templates import check_empty

__all__ = ["write_project"]

_QUESTIONS = 50
"""Titles that become questions."""
_SEPARATOR = ";"
"""Stands between several answers in a cell, unless an id has it."""
_LONG = 2000
"""Mean length from which rows of tables are cut, in characters."""

_PIPELINE = """\
# Words and vectors, fused.
# Check it:      rag check pipeline.yaml        What it needs here: rag doctor pipeline.yaml
# Measure it:    rag eval pipeline.yaml --dataset dataset.yaml
# Improve it:    rag tune pipeline.yaml --auto --dataset dataset.yaml --budget 10m   (with 50 real questions or more)
# Keep an index: rag index pipeline.yaml --corpus {corpus} --out index
# Ask, serve:    rag search index "..."         rag serve index
type: pipeline
chunker: {{type: {chunker}}}
retriever:
  type: hybrid
  retrievers:
    - {{type: bm25, top_k: 50}}
    - type: dense
      embedder: {embedder}
      top_k: 50
  top_k: 20
"""

_WORDS = """\
# Words alone, without a model: an index in seconds. What vectors add is the difference of `rag eval` of both files.
# Keep an index: rag index words.yaml --corpus {corpus} --out words-index
type: pipeline
chunker: {{type: {chunker}}}
retriever: {{type: bm25, top_k: 20}}
"""

_DATASET = """\
# Your documents and questions. Each row of questions.csv has a question and the id of a document that answers it
# (or several{separated}); `rag convert` shows the ids. The titles that stand there
# now are found by nearly everything: replace them before you believe a figure, or tune.
type: dataset
corpus: {{path: {corpus}}}
queries: {{path: questions.csv, id: id, text: question, relevant: answer_in{separator}}}
"""


def write_project(folder: Path, source: Path, corpus: Corpus) -> tuple[list[Path], int]:
    """Write two pipelines, a dataset file and questions into a new or empty folder.

    Titles of documents stand in for questions: finding a document by its title says little about real questions, but
    everything can be run from the first minute.

    Args:
        folder: Where to.
        source: The documents, as the user named them.
        corpus: The same, read.

    Returns:
        The files, and the number of questions.

    Raises:
        DataError: The folder has something in it, or cannot be written.
    """
    check_empty(folder)
    questions = _titles(corpus)
    quoted = json.dumps(str(source.absolute()), ensure_ascii=False)
    named = shlex.quote(str(source.absolute()))  # right in every working folder
    splits = not any(_SEPARATOR in document.id for document in corpus)
    texts = {
        "words.yaml": _WORDS.format(corpus=named, chunker=_chunker(source, corpus, "characters", 1200)),
        "pipeline.yaml": _PIPELINE.format(
            corpus=named, chunker=_chunker(source, corpus, "tokens", 256), embedder=_embedder()
        ),
        "dataset.yaml": _DATASET.format(
            corpus=quoted,
            separated=f', with "{_SEPARATOR}" between them' if splits else ", in rows of the same question",
            separator=f', separator: "{_SEPARATOR}"' if splits else "",
        ),
        "questions.csv": _table([["id", "question", "answer_in"], *questions]),
    }
    with cannot_be("written", folder, DataError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    return [folder / name for name in texts], len(questions)


def _titles(corpus: Corpus) -> list[list[str]]:
    """Rows of questions made of titles that only one document has."""
    ids = []
    titles: dict[str, int] = {}
    for document in corpus:
        title = document.metadata.get("title")
        if isinstance(title, str) and (words := " ".join(title.split())):
            titles[words] = titles.get(words, 0) + 1
            ids.append((words, document.id))
    single = [(title, id) for title, id in ids if titles[title] == 1]
    step = max(len(single) // _QUESTIONS, 1)
    return [[str(number), title, id] for number, (title, id) in enumerate(single[::step][:_QUESTIONS], 1)]


def _chunker(source: Path, corpus: Corpus, unit: str, size: int) -> str:
    """Files become Markdown, cut at headings; long rows of tables are cut anywhere, short ones not at all."""
    if source.is_dir():
        return f"markdown, unit: {unit}, size: {size}, context: headings"
    return f"recursive, unit: {unit}, size: {size}" if corpus.lengths().mean() > _LONG else "auto"


def _embedder() -> str:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    return f'{{type: sentence_transformer, model: "{packaged(name) or name}"}}'


def _table(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
