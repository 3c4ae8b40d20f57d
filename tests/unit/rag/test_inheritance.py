"""Stages that name no embedder take the retriever's."""

from __future__ import annotations

import pytest

from rag import LSA, ConfigError, CosineAdapter, Document, FitContext, Pipeline
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.rerankers import CUR, EmbeddingFactors, GraphAdaptive, MaxSim, Rerank
from rag.retrievers import BM25, Dense, Hybrid
from tests.fakes import CountingScorer, WordEmbedder

SCORER = CountingScorer()


@pytest.mark.parametrize(
    ("bare", "full"),
    [
        (lambda: CUR(scorer=SCORER), lambda e: CUR(scorer=SCORER, factors=EmbeddingFactors(embedder=e))),
        (lambda: Rerank(scorer=MaxSim()), lambda e: Rerank(scorer=MaxSim(embedder=e))),
        (lambda: GraphAdaptive(scorer=SCORER), lambda e: GraphAdaptive(scorer=SCORER, embedder=e)),
        (lambda: CosineAdapter(), lambda e: CosineAdapter(embedder=e)),
    ],
)
def test_the_same_pipeline_as_with_the_embedder_written_out(bare, full):
    embedder = WordEmbedder()
    retriever = Hybrid(retrievers=[BM25(), Dense(embedder=embedder)])
    short = Pipeline(retriever=retriever, stages=[bare()])
    long = Pipeline(retriever=retriever, stages=[full(embedder)])
    assert short.fingerprint == long.fingerprint
    assert short.spec.to_config() == long.spec.to_config()


def test_an_embedder_of_its_own_is_left_alone():
    own = WordEmbedder()
    stage = CUR(scorer=SCORER, factors=EmbeddingFactors(embedder=own))
    pipeline = Pipeline(retriever=Dense(embedder=LSA(dim=3)), stages=[stage])
    assert pipeline.stages[0] is stage


def test_the_first_embedder_that_fits_is_taken():
    tokens = WordEmbedder()
    retriever = Hybrid(retrievers=[Dense(embedder=LSA(dim=3)), Dense(embedder=tokens)])
    pipeline = Pipeline(retriever=retriever, stages=[Rerank(scorer=MaxSim())])
    assert pipeline.stages[0].scorer.embedder.fingerprint == tokens.fingerprint


def test_a_retriever_without_an_embedder_is_named():
    with pytest.raises(ConfigError, match="stages.1.factors.embedder is not given, and the retriever has no Embedder"):
        Pipeline(retriever=BM25(), stages=[Rerank(scorer=SCORER), CUR(scorer=SCORER)])


def test_in_a_file_too():
    pipeline = Pipeline.from_config(
        {
            "type": "pipeline",
            "retriever": {"type": "dense", "embedder": {"type": "lsa", "dim": 3}},
            "stages": [{"type": "graph_adaptive", "scorer": {"type": "cross_encoder", "model": "m"}}],
        }
    )
    assert pipeline.stages[0].embedder.fingerprint == LSA(dim=3).fingerprint


def test_alone_it_says_what_it_lacks():
    corpus = Corpus.from_documents([Document("a", "x")])
    with pytest.raises(ConfigError, match="'max_sim' needs an embedder: name one"):
        MaxSim().fit(FitContext(corpus, Passages.whole(corpus)))
