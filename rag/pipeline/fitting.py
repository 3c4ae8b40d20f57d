"""Fit a pipeline: chunker, retriever, then the stages in order."""

from __future__ import annotations

import logging
from functools import partial

from rag.corpus.corpus import Corpus
from rag.costs import Ledger
from rag.errors import ConfigError
from rag.fitting import FitContext, Upstream
from rag.learning.training import Training
from rag.pipeline.base import PipelineBase
from rag.pipeline.line import Line
from rag.pipeline.state import Fitted
from rag.progress import Progress
from rag.store.fingerprint import fingerprint
from rag.store.store import Store

__all__ = ["check_training", "fit_steps"]

logger = logging.getLogger("rag.pipeline")


def check_training(pipeline: PipelineBase, training: Training | None) -> None:
    """Refuse to fit components that learn from judged queries without any.

    Raises:
        ConfigError: A component needs training data and there is none.
    """
    for path, component in pipeline.spec.walk():
        if "training" in component.needs and training is None:
            raise ConfigError(
                f"{path} ({component.spec.label}) learns from judged training queries: none were given (rag eval "
                "has those of a dataset's train split; --save keeps what it fitted)"
            )


def fit_steps(
    pipeline: PipelineBase,
    corpus: Corpus,
    *,
    training: Training | None,
    ledger: Ledger,
    progress: Progress,
    seed: int,
    store: Store | None,
) -> Fitted:
    """Fit the components of a pipeline on documents; returns the resulting state."""
    with ledger.stage("corpus"):
        if pipeline.sorted_by is not None:
            corpus = corpus.sorted_by(pipeline.sorted_by)
    with ledger.stage("chunker"):
        passages = pipeline.chunker.chunk(corpus, pipeline.tokenizer())
    context = FitContext(corpus, passages, training, ledger, progress, seed, store, first=pipeline.retriever)
    with ledger.stage("shared"):
        pipeline.prepare(context)
    line = Line(pipeline.steps, _step_keys(pipeline, context))
    for index, (step, component) in enumerate(line.steps):
        if index:
            context.following(Upstream(partial(line.run, n_steps=index), line.keys[index - 1]))
        with ledger.stage(step.name):
            context.fit(component)
    context.finish()
    logger.info("fitted on %d documents, %d passages", len(corpus), len(passages))
    return Fitted(passages, tuple(line.keys), ledger, tuple(context.reused), context.remarks)


def _step_keys(pipeline: PipelineBase, context: FitContext) -> list[str | None]:
    """For each step, the identity of its output: of itself, of the steps before it, and of the data they were fitted
    on. None without a store, and from the first step on whose identity is not valid in other processes.
    """
    keys: list[str | None] = []
    before: str | None = ""
    for _, component in pipeline.steps:
        if context.store is None or before is None or not component.spec.is_serializable:
            before = None
        else:
            learned = context.training_fingerprint if component.spec.learns else ""
            documents = [context.passages.fingerprint, context.corpus.fingerprint]  # filters look at metadata
            before = fingerprint([before, component.spec.cache_key, *documents, learned, context.seed])
        keys.append(before)
    return keys
