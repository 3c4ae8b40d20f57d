"""``rag datasets judge``: a person judges in the browser what runs have found."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.console import echo, progress
from rag.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from rag.eval.datasets.base import Dataset
    from rag.serving.judging import JudgingTask

__all__ = ["judge"]


def judge(
    source: Annotated[str, typer.Argument(metavar="DATASET", help="As for `rag eval --dataset`.")],
    runs: Annotated[
        list[Path], typer.Option("--runs", metavar="RUN", help="A run folder or a TREC run file. May be repeated.")
    ],
    judgments: Annotated[
        Path,
        typer.Option(
            "--judgments",
            "--judgements",
            metavar="FILE",
            help="File of judgments to write (TSV); by default the qrels of the split, with its earlier judgments.",
        ),
    ],
    split: Annotated[str, typer.Option(help="Split with the questions.")] = "test",
    depth: Annotated[int, typer.Option(min=1, help="Number of documents to judge for each run and question.")] = 10,
    again: Annotated[bool, typer.Option("--again", help="Also show documents that are already judged.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the order of documents.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8001,
) -> None:
    """Judge the best documents of several runs, pooled and in random order, with the keys 0, 1 and 2."""
    from rag.eval.datasets.load import load_dataset
    from rag.eval.runs.reading import read_trec
    from rag.serving.judging import create_judging_app
    from rag.serving.judgments import Judgments
    from rag.serving.limits import Limits

    try:
        from rag.serving.server import listen, run
    except ImportError:
        raise MissingExtraError("judging in a browser", package="uvicorn", extra="serve") from None

    with progress(f"reading the dataset {source}", None):
        dataset = load_dataset(source)
    ids = {query.id for query in dataset.split(split).queries} | set(dataset.corpus.ids())
    read = [read_trec(run / "run.trec" if run.is_dir() else run, literal_ids=ids) for run in runs]
    kept = Judgments(judgments, dataset.split(split).qrels)
    tasks = pooled(dataset, split, read, depth=depth, judged=None if again else kept.of, seed=seed)
    n_documents = sum(len(task.documents) for task in tasks)
    if not n_documents:
        raise DataError(
            f"{source} / {split}: the best {depth} of these runs are already judged: raise --depth, or show "
            "them with --again"
        )
    listening = listen("127.0.0.1", port)
    about = f"{dataset.name} / {split}: {n_documents} documents of {len(tasks)} questions, kept in {judgments.name}"
    app = create_judging_app(tasks, kept, about=about)
    app.state.close = lambda: None
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    run(lambda: app, listening, Limits(), lambda: echo(f"{about}; judge at {address}", err=True))
    echo(f"{judgments}: {len(kept)} judgments")


def pooled(
    dataset: Dataset,
    split: str,
    runs: Sequence[Mapping[str, Mapping[str, float]]],
    *,
    depth: int,
    judged: Callable[[str], Mapping[str, int]] | None,
    seed: int,
) -> list[JudgingTask]:
    """What is to be judged: for each question the best documents of every run, together, in random order, so that
    nobody sees which run found what, or where.

    Args:
        dataset: Whose documents.
        split: Split with the questions.
        runs: Score by document by query.
        depth: Documents of each run.
        judged: Gives the judged documents of a query, which are left out; None leaves none out.
        seed: For the order.
    """
    from rag.serving.judging import JudgingTask

    order = random.Random(seed)  # noqa: S311 - no secret
    tasks = []
    for query in dataset.split(split).queries:
        pool: dict[str, None] = {}
        for run in runs:
            scores = run.get(query.id, {})
            pool |= dict.fromkeys(sorted(scores, key=scores.__getitem__, reverse=True)[:depth])
        done = judged(query.id) if judged is not None else {}
        positions = [dataset.corpus.position(id) for id in sorted(pool) if id not in done]
        documents = dataset.corpus.documents([position for position in positions if position is not None])
        order.shuffle(documents)
        if documents:
            tasks.append(JudgingTask(query.id, query.text, documents))
    return tasks
