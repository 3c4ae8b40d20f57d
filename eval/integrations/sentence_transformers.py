"""Measure a model during training as the embedder of a pipeline: an evaluator for sentence-transformers.

::

    evaluator = PipelineEvaluator(dataset, split="dev", measures=["nDCG@10"])
    trainer = SentenceTransformerTrainer(model, ..., evaluator=evaluator)
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from rag.embedders.base import Embedder
from rag.embedders.langchain import LangChainEmbedder
from rag.errors import cannot_be
from rag.eval.datasets.base import Dataset
from rag.eval.evaluation import evaluate
from rag.eval.measures.names import DEFAULT_MEASURES
from rag.pipeline import Pipeline
from rag.registry import component_class

__all__ = ["PipelineEvaluator"]


class PipelineEvaluator(SentenceEvaluator):
    """Measures a model on a dataset, in a pipeline that is fitted with it as embedder.

    Args:
        dataset: Documents and judged queries.
        split: The split to measure on; ``dev``, since checkpoints are chosen by it.
        pipeline: Makes the pipeline from an embedder. None searches exactly, and passages are whole documents.
        measures: Names of measures; the first one chooses the checkpoint.
        name: Prefix of the measures' names.
        batch_size: Number of texts that the model encodes at once.

    Raises:
        DataError: The dataset has no such split.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        split: str = "dev",
        pipeline: Callable[[Embedder], Pipeline] | None = None,
        measures: Sequence[Any] = DEFAULT_MEASURES,
        name: str = "",
        batch_size: int = 32,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        dataset.split(split)
        self.dataset = dataset
        self.split = split
        self.pipeline = _exact if pipeline is None else pipeline
        self.measures = list(measures)
        self.name = name
        self.batch_size = batch_size
        self.primary_metric = str(self.measures[0])

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Fit the pipeline with the model and measure it; with a path, add a row to its ``pipeline_evaluation.csv``."""
        pipeline = self.pipeline(LangChainEmbedder(_Model(model, self.batch_size)))
        evaluation = evaluate(pipeline, self.dataset, split=self.split, measures=self.measures, timed=False)
        means = {measure: evaluation.mean(measure) for measure in evaluation.record.measures}
        if output_path is not None:
            self._write(Path(output_path) / "pipeline_evaluation.csv", {"epoch": epoch, "steps": steps, **means})
        values: dict[str, float] = self.prefix_name_to_metrics(means, self.name)
        self.store_metrics_in_model_card_data(model, values, epoch, steps)
        return values

    def _write(self, path: Path, row: dict[str, Any]) -> None:
        with cannot_be("written", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = not path.exists()
            with path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)


class _Model:
    """A model as LangChain's ``Embeddings``."""

    def __init__(self, model: Any, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.model.encode_query(text, show_progress_bar=False).tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.model.encode_document(
            texts, batch_size=self.batch_size, show_progress_bar=False
        ).tolist()
        return vectors


def _exact(embedder: Embedder) -> Pipeline:
    def make(kind: str, name: str, **arguments: Any) -> Any:
        return component_class(kind, name)(**arguments)

    retriever = make("retriever", "dense", embedder=embedder, index=make("index", "flat"), top_k=100)
    return Pipeline(retriever=retriever, chunker=make("chunker", "none"))
